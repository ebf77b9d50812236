"""Figures of recordings, of the quality of the cleaning and of features, against counts made elsewhere."""

from __future__ import annotations

import itertools
import shutil

import duckdb
import numpy as np
import pytest
from drawing import FIGURES, marks
from drawing import drawn as drawn_to_the_end
from matplotlib.colors import to_hex

from src.figures.catalogue import read
from src.figures.feature_names import readable_feature
from src.results.database import open_results


def drawn(name, database):
    """Draw a figure without laying it out; that everything fits is tested for all figures together."""
    return drawn_to_the_end(FIGURES[name], database, laid_out=False)


def ask(database, sql):
    """Rows of a query, asked without the project's code."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def changed(whole_db, tmp_path):
    """Copy the whole database, with changes by SQL."""

    def change(*statements):
        path = shutil.copy(whole_db, tmp_path / "changed.db")
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return change


def words(sheet):
    return [text.get_text() for axes in sheet.axes for text in axes.texts]


def collection(axes, gid):
    return next(group for group in axes.collections if group.get_gid() == gid)


def legend(sheet):
    return [text.get_text() for text in sheet.legends[0].get_texts()]


def stretches(flags):
    """Number of uninterrupted runs of True."""
    return sum(flag for flag, _ in itertools.groupby(flags))


def test_names_of_features_keep_their_words_and_show_their_unit():
    assert readable_feature("blue_PIPR_AUC_pct_s") == "blue PIPR AUC (% s)"
    assert readable_feature("red_PHASIC_pct") == "red PHASIC (%)"
    assert readable_feature("embedding_PC12_au") == "embedding PC12 (a.u.)"
    assert readable_feature("feature_0") == "feature 0"


# Quality against AUROC.


def test_every_combination_stands_in_both_panels_and_every_method_once(gaps_db):
    sheet, _, _ = drawn("quality_and_accuracy", gaps_db)
    ((cells, detectors, imputers),) = ask(
        gaps_db,
        "SELECT count(*), count(DISTINCT outlier_method), count(DISTINCT imputation_method) "
        "FROM essential_metrics",
    )
    counts = marks(sheet)
    assert counts["combination"] == 2 * cells == 66
    assert counts["mean"] == detectors + imputers == 7
    assert counts["sampling"] == 2


def test_a_method_stands_at_its_f1_and_the_mean_of_its_aurocs(whole_db):
    sheet, _, _ = drawn("quality_and_accuracy", whole_db)
    expected = ask(
        whole_db,
        "SELECT f1, (SELECT avg(auroc) FROM essential_metrics WHERE outlier_method = 'LOF') "
        "FROM outlier_quality WHERE outlier_method = 'LOF' AND artefact_type = 'all'",
    )[0]
    places = np.vstack(
        [group.get_offsets() for group in sheet.axes[0].collections if group.get_gid() == "mean"]
    )
    assert np.isclose(places, expected).all(axis=1).sum() == 1
    errors = ask(
        whole_db,
        "SELECT avg(mae) FROM imputation_quality WHERE imputation_method = 'SAITS' AND gap = 'all'",
    )[0][0]
    places = np.vstack(
        [group.get_offsets() for group in sheet.axes[1].collections if group.get_gid() == "mean"]
    )
    assert np.isclose(places[:, 0], errors).sum() == 1


def test_means_over_other_cells_than_those_of_the_others_are_hollow(whole_db, gaps_db):
    def hollow(database):
        sheet, _, _ = drawn("quality_and_accuracy", database)
        groups = [group for axes in sheet.axes for group in axes.collections if group.get_gid() == "mean"]
        return sum(to_hex(colour) == "#ffffff" for group in groups for colour in group.get_facecolors())

    failed = ask(gaps_db, "SELECT outlier_method, imputation_method FROM coverage WHERE status = 'failed'")
    assert hollow(whole_db) == 0
    assert hollow(gaps_db) == sum(len(set(names)) for names in zip(*failed, strict=True))


def test_rank_correlation_is_that_of_the_comparable_means_and_absent_for_few(long_names_db, whole_db):
    sheet, tables, _ = drawn("quality_and_accuracy", long_names_db)
    with duckdb.connect(str(long_names_db), read_only=True) as connection:
        means = connection.execute(
            "SELECT outlier_method, avg(auroc) AS auroc, any_value(f1) AS f1 "
            "FROM essential_metrics JOIN outlier_quality USING (outlier_method) "
            "WHERE artefact_type = 'all' AND outlier_method <> 'pupil-gt' "
            "GROUP BY outlier_method HAVING count(*) = 3"
        ).df()
    expected = means["auroc"].round(12).rank().corr(means["f1"].rank())
    assert len(means) == 38
    orders = tables["orders"].set_index("stage")["spearman"]
    assert orders["outlier"] == pytest.approx(expected)
    notes = f"Spearman {expected:.2f} over 38 means, descriptive\n"
    notes += "named: the 12 lowest and the 12 highest of 40 means"
    assert notes in words(sheet)
    assert len(words(sheet)) == 2 + 24 + 3
    few, _, _ = drawn("quality_and_accuracy", whole_db)
    assert not any("Spearman" in text for text in words(few))


def test_combinations_without_a_quality_are_counted_not_shown(changed):
    database = changed("UPDATE outlier_quality SET f1 = NULL WHERE outlier_method = 'LOF'")
    sheet, _, _ = drawn("quality_and_accuracy", database)
    assert "9 of 36 combinations without a number: not shown" in words(sheet)
    assert marks(sheet)["combination"] == 36 + 27


# Quality of detection and imputation.


def test_detection_shows_every_type_and_every_share(whole_db):
    sheet, _, _ = drawn("detection_quality", whole_db)
    types = ask(whole_db, "SELECT recall FROM outlier_quality WHERE artefact_type <> 'all'")
    counts = marks(sheet)
    assert counts["recall of a type"] == len(types) == 12
    assert {counts[gid] for gid in ("f1", "precision", "recall", "fpr_pct", "hippus_pct", "chance")} == {4}
    written = sorted(text for text in words(sheet) if text[:2] in ("0.", "1."))
    assert written == sorted(f"{recall:.2f}" for (recall,) in types)


def test_detectors_are_ordered_by_f1_and_those_judged_on_their_own_recordings_carry_a_dagger(changed):
    database = changed("UPDATE outlier_quality SET evaluated_on = 'fitted' WHERE outlier_method = 'LOF'")
    sheet, _, background = drawn("detection_quality", database)
    rows = ask(
        database,
        "SELECT outlier_method FROM outlier_quality WHERE artefact_type = 'all' ORDER BY f1 DESC",
    )
    names = [background.label("outlier", name) + " †" * (name == "LOF") for (name,) in rows]
    assert [label.get_text() for label in sheet.axes[0].get_yticklabels()] == names
    assert "† judged on recordings it was fitted on" in legend(sheet)
    f1 = collection(sheet.axes[1], "f1").get_offsets()[:, 0]
    assert list(f1) == sorted(f1, reverse=True)


def test_detection_without_types_or_probe_shows_the_rest(changed):
    database = changed("DELETE FROM outlier_quality WHERE artefact_type <> 'all'", "DELETE FROM hippus_probe")
    sheet, _, _ = drawn("detection_quality", database)
    assert len(sheet.axes) == 2
    assert np.ma.count(collection(sheet.axes[1], "hippus_pct").get_offsets()[:, 0]) == 0
    assert marks(sheet)["f1"] == 4


def test_imputation_shows_every_pair_and_counts_where_linear_is_beaten(whole_db):
    sheet, _, background = drawn("imputation_quality", whole_db)
    ((rows, imputers, gaps),) = ask(
        whole_db,
        "SELECT count(*), count(DISTINCT imputation_method), count(DISTINCT gap) FROM imputation_quality",
    )
    counts = marks(sheet)
    assert counts["pair"] == rows == 48
    assert counts["mean"] == counts["linear"] == imputers * gaps
    better = ask(
        whole_db,
        "SELECT count(*) FILTER (mae < mae_linear) || '/' || count(*) FROM imputation_quality "
        "GROUP BY imputation_method, gap",
    )
    assert sorted(words(sheet)) == sorted(text for (text,) in better)
    titles = [axes.get_title(loc="left") for axes in sheet.axes]
    assert titles == ["All gaps", "Gaps up to 0.3 s", "Gaps 0.3 to 1 s", "Gaps longer than 1 s"]
    assert sheet.axes[0].get_yticklabels()[0].get_text() == background.label("imputation", "pupil-gt")


def test_an_imputer_that_ran_after_fewer_detectors_is_hollow(changed):
    pair = "outlier_method = 'LOF' AND imputation_method = 'SAITS'"
    database = changed(f"DELETE FROM imputation_quality WHERE {pair}")
    sheet, _, _ = drawn("imputation_quality", database)
    colours = [to_hex(colour) for colour in collection(sheet.axes[0], "mean").get_facecolors()]
    assert colours.count("#ffffff") == 1
    assert "not after all detectors: another mean" in legend(sheet)


# Features.


def test_importances_of_every_selected_combination_are_drawn(whole_db):
    sheet, tables, _ = drawn("importance", whole_db)
    runs = ", ".join(f"'{run}'" for run in tables["chosen"]["run_id"])
    rows = ask(whole_db, f"SELECT mean, lo, hi FROM feature_importances WHERE run_id IN ({runs})")
    counts = marks(sheet)
    assert counts["mean"] == counts["refit"] == len(rows) == 2 * 4 * len(tables["chosen"])
    places = [
        x for axes in sheet.axes for group in axes.collections if group.get_gid() == "mean"
        for x in group.get_offsets()[:, 0]
    ]  # fmt: skip
    assert np.allclose(sorted(places), sorted(mean for mean, _, _ in rows))
    labels = [label.get_text() for label in sheet.axes[0].get_yticklabels()]
    assert "blue MAX CONSTRICTION (%)" in labels


def test_a_combination_without_one_kind_says_why(whole_db, changed):
    run = drawn("importance", whole_db)[1]["chosen"]["run_id"].iloc[0]
    database = changed(
        f"DELETE FROM feature_importances WHERE run_id = '{run}' AND kind = 'model'",
        f"INSERT INTO unavailable VALUES ('{run}', 'feature_importances, model', 0, 'the file has none')",
    )
    sheet, tables, _ = drawn("importance", database)
    (text,) = [text for text in words(sheet) if text.startswith("none:")]
    assert text.replace("\n", " ") == "none: the file has none"
    assert marks(sheet)["mean"] == 4 * (2 * len(tables["chosen"]) - 1)


def test_of_many_features_those_with_the_largest_mean_are_shown_and_all_are_counted(changed):
    database = changed(
        "INSERT INTO feature_importances "
        "SELECT run_id, 'extra_' || i || '_au', kind, -1 - i, 0, -2 - i, 0, n "
        "FROM feature_importances, range(30) r(i) WHERE feature = 'red_LATENCY_s'"
    )
    sheet, tables, _ = drawn("importance", database)
    shown = tables["importances"]
    assert shown.groupby("kind")["feature"].nunique().tolist() == [15, 15]
    assert set(shown["feature"]) >= {f"extra_{i}_au" for i in range(11)} | {"red_LATENCY_s"}
    assert "extra_11_au" not in set(shown["feature"])
    assert sheet.axes[0].get_ylabel() == "15 of 34 features"


def test_correlations_are_those_after_ground_truth_or_else_after_the_champion(whole_db, changed):
    truth = "outlier_method = 'pupil-gt' AND imputation_method = 'pupil-gt'"
    sheet, _, _ = drawn("feature_correlation", whole_db)
    rows = ask(whole_db, f"SELECT spearman FROM feature_correlations WHERE {truth}")
    assert marks(sheet)["pair"] == len(rows) == 6
    assert sorted(words(sheet)[:6]) == sorted(
        f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for (value,) in rows
    )
    assert marks(sheet)["vif"] == 4
    assert sheet.axes[0].get_title(loc="left").endswith("after Ground truth + Ground truth")

    best = "outlier_method = 'LOF' AND imputation_method = 'SAITS'"
    database = changed(
        f"DELETE FROM feature_correlations WHERE {truth}",
        f"UPDATE essential_metrics SET brier = 0.001 WHERE {best} AND classifier = 'CatBoost'",
        f"UPDATE feature_correlations SET spearman = 0.123 WHERE {best}",
    )
    sheet, _, _ = drawn("feature_correlation", database)
    assert words(sheet)[:6] == ["0.12"] * 6
    assert sheet.axes[0].get_title(loc="left").endswith("after LOF + SAITS")


def test_what_is_undefined_says_why(changed):
    pair = "feature_a = 'blue_MAX_CONSTRICTION_pct' AND feature_b = 'red_LATENCY_s'"
    database = changed(
        f"UPDATE feature_correlations SET spearman = NULL WHERE {pair}",
        "UPDATE feature_vif SET vif = NULL, reason = 'constant' WHERE feature = 'red_LATENCY_s'",
    )
    sheet, _, _ = drawn("feature_correlation", database)
    counts = marks(sheet)
    assert (counts["pair"], counts["undefined"], counts["vif"]) == (5, 1, 3)
    assert words(sheet).count("constant") == 1


def test_of_many_features_the_most_correlated_are_shown(changed):
    """60 features, the first 45 strongly correlated: 40 of those 45."""
    insert = "INSERT INTO feature_correlations SELECT 'simple', 'pupil-gt', 'pupil-gt', "
    database = changed(
        "DELETE FROM feature_correlations",
        f"{insert} 'PC' || a || '_au', 'PC' || b || '_au', 0, if(b < 45, 0.9 - a / 1000, 0.1) "
        "FROM range(60) x(a), range(60) y(b) WHERE a < b",
    )
    sheet, tables, _ = drawn("feature_correlation", database)
    assert marks(sheet)["pair"] == 40 * 39 / 2
    assert all(int(name[2:-3]) < 45 for name in tables["vif"]["feature"])
    order = [int(name[2:-3]) for name in tables["vif"]["feature"]]
    assert order == sorted(order)
    assert "40 of 60 features" in sheet.axes[0].get_title(loc="left")
    assert words(sheet).count("not stored") == 40


# Recordings.


def test_every_example_is_drawn_under_every_selected_pair(whole_db):
    sheet, tables, _ = drawn("traces", whole_db)
    panels = tables["panels"]
    assert panels["recording_code"].nunique() == 3
    pairs = panels[["outlier_method", "imputation_method"]].drop_duplicates()
    assert len(panels) == 3 * len(pairs)
    counts = marks(sheet)
    assert counts["raw"] == counts["truth"] == counts["imputed"] == len(panels)
    assert counts["light"] == 2 * len(panels)
    flagged = sum(
        stretches(flag for (flag,) in ask(
            whole_db,
            f"SELECT missing FROM example_imputations WHERE outlier_method = '{row.outlier_method}' AND "
            f"imputation_method = '{row.imputation_method}' AND recording_code = '{row.recording_code}' "
            "ORDER BY sample"))
        for row in panels.itertuples()
    )  # fmt: skip
    assert counts["missing"] == flagged
    true = sum(
        stretches(flag for (flag,) in ask(
            whole_db,
            f"SELECT truth_mask FROM example_recordings WHERE recording_code = '{code}' ORDER BY sample"))
        for code in panels["recording_code"].unique()
    )  # fmt: skip
    assert counts["artefact"] == true * len(pairs)


def test_the_imputed_line_is_drawn_where_something_was_imputed_and_nowhere_else(changed):
    database = changed(
        "UPDATE example_imputations SET missing = sample IN (10, 11, 50) OR sample BETWEEN 100 AND 102"
    )
    sheet, _, _ = drawn("traces", database)
    expected = {
        "imputed": [10, 11, 50, 100, 101, 102],
        "imputed alone": [50],
        "edges": [9, 10, 11, 12, 49, 50, 51, 99, 100, 101, 102, 103],
    }
    for gid, samples in expected.items():
        (line,) = [line for line in sheet.axes[0].lines if line.get_gid() == gid]
        x, y = np.asarray(line.get_xydata(), float).T
        assert list(np.round(x[np.isfinite(y)] * 30)) == samples
    assert any(text.endswith(": 0.3 %") for text in words(sheet))


def test_kept_samples_are_not_in_the_imputers_colour(changed):
    sheet, _, _ = drawn(
        "recording", changed("UPDATE example_imputations SET missing = sample IN (10, 11, 50)")
    )
    for gid, n in (("imputed", 3), ("imputed alone", 1), ("observed", 1981)):
        line = next(line for line in sheet.axes[4].lines if line.get_gid() == gid)
        assert np.isfinite(np.asarray(line.get_ydata(), float)).sum() == n


def test_traces_without_truth_show_no_truth(changed):
    database = changed("UPDATE example_recordings SET truth = NULL, truth_mask = NULL")
    sheet, _, _ = drawn("traces", database)
    assert marks(sheet)["artefact"] == 0
    assert not {"clean signal", "true artefacts"} & set(legend(sheet))
    lost = ask(
        database, "SELECT avg((raw IS NULL)::INT) FROM example_recordings GROUP BY recording_code ORDER BY 1"
    )
    assert sheet.axes[0].get_title(loc="left").endswith(f": {100 * lost[0][0]:.1f} % lost")


def test_without_a_selected_pair_among_the_examples_there_is_nothing_to_draw(changed):
    database = changed("UPDATE example_imputations SET imputation_method = 'other'")
    with open_results(database) as results:
        tables = read(FIGURES["traces"], results)
    assert next(iter(tables.values())).empty


def test_stimulus_shows_the_pulses_and_the_median_of_the_clean_signals(whole_db):
    sheet, _, _ = drawn("stimulus", whole_db)
    pulses = ask(whole_db, "SELECT DISTINCT colour, onset_s, offset_s FROM example_light ORDER BY onset_s")
    assert words(sheet) == [f"{colour} {on:g} to {off:g} s" for colour, on, off in pulses]
    assert marks(sheet)["pulse"] == marks(sheet)["light"] == len(pulses) == 2
    rows = ask(whole_db, "SELECT truth FROM example_recordings ORDER BY recording_code, sample")
    truth = np.array(rows, float).reshape(3, -1)
    lines = {line.get_gid(): line.get_ydata() for line in sheet.axes[1].lines}
    assert np.allclose(lines["median"], np.median(truth, axis=0))
    assert marks(sheet)["one"] == 3
    assert "3 example recordings, clean signals" in legend(sheet)


def test_recordings_with_another_stimulus_are_left_out_of_the_median(changed):
    database = changed(
        "UPDATE example_light SET onset_s = 5, offset_s = 6 WHERE recording_code = 'U003' AND colour = 'red'",
        "UPDATE example_recordings SET truth = NULL, truth_mask = NULL",
    )
    sheet, tables, _ = drawn("stimulus", database)
    assert set(tables["signals"]["recording_code"]) == {"U001", "U002"}
    assert "2 of 3 example recordings, signals as recorded" in legend(sheet)
    assert words(sheet) == ["blue 15.5 to 24.5 s", "red 46.5 to 55.5 s"]


def test_without_a_light_of_known_time_there_is_no_stimulus(changed):
    database = changed("UPDATE example_light SET onset_s = NULL, offset_s = NULL")
    with open_results(database) as results:
        tables = read(FIGURES["stimulus"], results)
    assert next(iter(tables.values())).empty


@pytest.mark.parametrize(
    ("name", "words"),
    [("detection_quality", "F1 of chance"), ("imputation_quality", "linear, in the same gaps (mean)")],
)
def test_upright_lines_are_upright_in_the_legend(name, words, whole_db):
    sheet, _, _ = drawn(name, whole_db)
    markers = {handle.get_label(): handle.get_marker() for handle in sheet.legends[0].legend_handles}
    assert markers[words] == "|"

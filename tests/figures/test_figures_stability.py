"""Decision, instability, uncertainty, feature sets and kinds of methods, against the database."""

from __future__ import annotations

import shutil

import duckdb
import numpy as np
import pytest
import simulated_results as simulated
from drawing import FIGURES, drawn, marks
from matplotlib.collections import LineCollection

from src.figures.catalogue import read, what_lacks
from src.registry import load_registry
from src.results.database import open_results

INSTABILITY = ["prediction", "calibration", "classification", "decision"]


def figure(name):
    return FIGURES[name]


@pytest.fixture
def ask(gaps_db):
    """Run SQL on the database, past the figures' own queries."""

    def answer(sql, *values):
        with duckdb.connect(str(gaps_db), read_only=True) as connection:
            return connection.execute(sql, values).fetchall()

    return answer


@pytest.fixture
def changed(gaps_db, tmp_path):
    """A copy of the database after some SQL."""

    def change(*statements):
        path = shutil.copy(gaps_db, tmp_path / "changed.db")
        with duckdb.connect(path) as connection:
            for sql in statements:
                connection.execute(sql)
        return path

    return change


def shown(tables):
    return list(tables["chosen"]["run_id"])


def lines(sheet, gid):
    return [line for axes in sheet.axes for line in axes.lines if line.get_gid() == gid]


def collections(sheet, gid):
    return [group for axes in sheet.axes for group in axes.collections if group.get_gid() == gid]


def words(sheet, gid=None):
    texts = [text for axes in sheet.axes for text in axes.texts]
    return [text.get_text() for text in texts if gid is None or text.get_gid() == gid]


def segments(sheet, gid):
    """End points of all lines of the groups with this name, in the order of drawing."""
    groups = [group for group in collections(sheet, gid) if isinstance(group, LineCollection)]
    return np.array([segment for group in groups for segment in group.get_segments()])


def points(sheet, gid):
    return np.concatenate([np.asarray(group.get_offsets()) for group in collections(sheet, gid)])


# --- decision curves


def test_gain_is_net_benefit_beyond_the_better_of_everybody_and_nobody(gaps_db, ask):
    sheet, tables, _ = drawn(figure("decision_curves"), gaps_db, laid_out=False)
    runs, drawn_lines = shown(tables), lines(sheet, "gain")
    assert len(drawn_lines) == 2 * len(runs)
    expected = [(population, run) for population in ("study", "population") for run in runs]
    for line, (population, run) in zip(drawn_lines, expected, strict=True):
        highest = 0.305 if population == "study" else 0.205
        sql = """SELECT threshold, net_benefit, treat_all FROM decision_curves
                 WHERE estimator = 'oob' AND run_id = ? AND population = ? AND threshold < ? ORDER BY 1"""
        curve = np.array(ask(sql, run, population, highest))
        assert len(curve) == round(100 * highest - 0.5)
        gain = curve[:, 1] - np.maximum(curve[:, 2], 0)
        np.testing.assert_allclose(line.get_xydata(), np.c_[curve[:, 0], gain], atol=1e-12)


def test_bars_and_numbers_say_where_the_gain_is_above_zero(changed):
    everywhere = "UPDATE decision_curves SET net_benefit = greatest(treat_all, 0) - 0.01"
    better = """UPDATE decision_curves SET net_benefit = greatest(treat_all, 0) + 0.01
                WHERE population = 'study' AND round(100 * threshold) IN (3, 4, 5, 10, 29, 30, 31)"""
    sheet, tables, _ = drawn(figure("decision_curves"), changed(everywhere, better), laid_out=False)
    count = len(shown(tables))
    said = [text.split(": ")[1] for text in words(sheet, "numbers")]
    assert said == ["0.03 to 0.05, 0.10, 0.29 to 0.30"] * count + ["at none"] * count
    bars = [bar for axes in sheet.axes for bar in axes.patches if bar.get_gid() == "range"]
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars]
    np.testing.assert_allclose(edges, [(0.025, 0.055), (0.095, 0.105), (0.285, 0.305)] * count)


def test_as_good_as_treating_everybody_is_not_better(changed):
    same = "UPDATE decision_curves SET net_benefit = greatest(treat_all, 0) + 1e-15"
    sheet, _, _ = drawn(figure("decision_curves"), changed(same), laid_out=False)
    assert {text.split(": ")[1] for text in words(sheet, "numbers")} == {"at none"}


def test_intervals_at_the_reported_thresholds_are_those_of_the_estimates(gaps_db, ask):
    sheet, tables, _ = drawn(figure("decision_curves"), gaps_db, laid_out=False)
    expected = []
    for run in shown(tables):
        for percent in (5, 10, 15, 20):
            sql = """SELECT estimate, sampling_lo, sampling_hi FROM metric_estimates
                     WHERE estimator = 'oob' AND run_id = ? AND metric = ?"""
            ((estimate, low, high),) = ask(sql, run, f"net_benefit_{percent:02d}")
            sql = """SELECT treat_all FROM decision_curves WHERE estimator = 'oob' AND population = 'study'
                     AND run_id = ? AND round(100 * threshold) = ?"""
            best = max(ask(sql, run, percent)[0][0], 0)
            expected.append((estimate - best, low - best, high - best))
    ends = segments(sheet, "sampling")[:, :, 1]
    np.testing.assert_allclose(np.c_[points(sheet, "reported")[:, 1], ends], expected, atol=1e-9)
    assert marks(sheet)["reported threshold"] == 6 * 4


def test_numbers_in_words_have_a_true_minus_sign_and_zero_has_none(changed):
    database = changed(
        "UPDATE metric_estimates SET estimate = CASE metric WHEN 'cal_slope' THEN -1.5 ELSE -0.001 END "
        "WHERE estimator = 'oob_pooled' AND metric IN ('cal_slope', 'cal_intercept')"
    )
    sheet, tables, _ = drawn(figure("calibration"), database, laid_out=False)
    said = [text.get_text() for axes in sheet.axes for text in axes.texts]
    assert said.count("slope \N{MINUS SIGN}1.50\nin the large 0.00") == len(tables["chosen"])


# --- instability


@pytest.mark.parametrize("name", INSTABILITY)
def test_instability_shows_every_selected_combination(gaps_db, ask, name):
    sheet, tables, _ = drawn(figure(f"instability_{name}"), gaps_db, laid_out=False)
    runs, counts = shown(tables), marks(sheet)
    ((rows,),) = ask("SELECT count(*) FROM instability_subjects WHERE list_contains(?, run_id)", runs)
    assert rows == 60 * len(runs)
    per_panel = {"prediction": rows, "classification": 2 * rows, "calibration": 0, "decision": 0}[name]
    assert counts["class 0"] + counts["class 1"] == per_panel
    if name in ("calibration", "decision"):
        assert counts["band"] == counts["original"] == len(runs)


def test_predictions_are_drawn_from_the_lower_to_the_upper_percentile(gaps_db, ask):
    sheet, tables, _ = drawn(figure("instability_prediction"), gaps_db, laid_out=False)
    sql = """SELECT p_apparent, p_lo, p_hi FROM instability_subjects
             JOIN predictions USING (run_id, recording_code) WHERE run_id = ? AND y = ?"""
    for y in (0, 1):
        expected = np.array([row for run in shown(tables) for row in ask(sql, run, y)])
        ends = segments(sheet, f"class {y}")
        found = np.c_[ends[:, 0, 0], ends[:, :, 1]]
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    sql = "SELECT avg(mape), max(mape) FROM instability_subjects WHERE run_id = ?"
    mapes = [ask(sql, run)[0] for run in shown(tables)]
    said = [f"mean absolute difference\n{mean:.3f} (largest {largest:.3f})" for mean, largest in mapes]
    assert words(sheet, "words") == said


def test_classes_flip_at_both_thresholds(gaps_db, ask):
    sheet, tables, _ = drawn(figure("instability_classification"), gaps_db, laid_out=False)
    for number, run in enumerate(shown(tables)):
        for part, column in enumerate(("flip_rate_10", "flip_rate_50")):
            axes = sheet.axes[_panel(number, part, len(shown(tables)))]
            found = np.concatenate([np.asarray(group.get_offsets()) for group in axes.collections])
            sql = f"""SELECT p_apparent, {column} FROM instability_subjects
                      JOIN predictions USING (run_id, recording_code) WHERE run_id = ?"""
            expected = np.array(ask(sql, run))
            np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
            threshold = (0.10, 0.50)[part]
            assert {line.get_xdata()[0] for line in axes.lines} == {threshold}
            assert axes.spines["left"].get_bounds() == (-0.05, 1)
            said = f"at {threshold:.2f}: mean {expected[:, 1].mean():.3f}"
            assert [text.get_text() for text in axes.texts if text.get_gid() == "words"] == [said]


def _panel(number, part, count):
    """Position among the axes of a part of a stack: rows of at most four stacks of two."""
    across = count if count <= 4 else 3
    return (number // across * 2 + part) * across + number % across


@pytest.mark.parametrize("name", ["calibration", "decision"])
def test_curve_of_the_original_model_is_the_stored_one(gaps_db, ask, name):
    sheet, tables, _ = drawn(figure(f"instability_{name}"), gaps_db, laid_out=False)
    for line, run in zip(lines(sheet, "original"), shown(tables), strict=True):
        sql = "SELECT x, original FROM instability_curves WHERE curve = ? AND run_id = ? ORDER BY point"
        stored = np.array(ask(sql, name, run))
        if name == "decision":
            stored = stored[stored[:, 0] < 0.605]
            stored[stored[:, 1] < -16 / 60 / 4, 1] = np.nan
        np.testing.assert_allclose(line.get_xydata(), stored)


@pytest.mark.parametrize("name", INSTABILITY)
def test_a_run_without_models_predictions_says_so(changed, name):
    _, tables, _ = drawn(figure(f"instability_{name}"), changed(), laid_out=False)
    first = shown(tables)[0]
    database = changed(*(f"DELETE FROM instability_{table} WHERE run_id = '{first}'" for table in TABLES))
    sheet, tables, _ = drawn(figure(f"instability_{name}"), database)
    assert shown(tables)[0] == first
    said = [text == "left-out predictions only" for text in words(sheet, "words")]
    assert sum(said) == (2 if name == "classification" else 1)
    assert said[0]


TABLES = ("subjects", "curves", "summary")


@pytest.mark.parametrize("name", INSTABILITY)
def test_without_any_such_run_there_is_nothing_to_draw(changed, gaps_db, name):
    _, tables, _ = drawn(figure(f"instability_{name}"), gaps_db, laid_out=False)
    of_shown = "(" + ", ".join(f"'{run}'" for run in shown(tables)) + ")"
    database = changed(*(f"DELETE FROM instability_{table} WHERE run_id IN {of_shown}" for table in TABLES))
    with open_results(database) as results:
        assert not what_lacks(figure(f"instability_{name}"), results)
        assert next(iter(read(figure(f"instability_{name}"), results).values())).empty
    assert "left-out predictions only" in figure(f"instability_{name}").when_empty


# --- uncertainty


def test_uncertainty_marks_every_recording_and_the_wrong_ones(gaps_db, ask):
    sheet, tables, _ = drawn(figure("uncertainty"), gaps_db, laid_out=False)
    counts, runs = marks(sheet), shown(tables)
    sql = """SELECT count(*) FILTER ((p_oob < 0.5) = (y = 1)), count(*) FILTER ((p_oob < 0.5) = (y = 0))
             FROM predictions WHERE list_contains(?, run_id)"""
    ((wrong, right),) = ask(sql, runs)
    assert (counts["wrong"], counts["right"]) == (3 * wrong, 3 * right)
    assert wrong > 0
    assert wrong + right == 60 * len(runs)
    drawn_values = np.concatenate([points(sheet, "right"), points(sheet, "wrong")])
    sql = """SELECT sum(p_oob_sd + mutual_information + expected_entropy), 3 * sum(p_oob) FROM predictions
             WHERE list_contains(?, run_id)"""
    ((amounts, places),) = ask(sql, runs)
    np.testing.assert_allclose(drawn_values.sum(axis=0), (places, amounts))


def test_exactly_one_half_is_called_a_case_and_an_undefined_amount_has_no_mark(changed):
    half = "UPDATE predictions SET p_oob = 0.5 WHERE recording_code = 'H000'"
    undefined = "UPDATE predictions SET p_oob_sd = NULL WHERE recording_code = 'H001'"
    sheet, tables, _ = drawn(figure("uncertainty"), changed(half, undefined), laid_out=False)
    rows = tables["marks"]
    assert rows.loc[rows["recording_code"] == "H000", "wrong"].all()
    assert (points(sheet, "wrong")[:, 0] == 0.5).sum() == 3 * len(shown(tables))
    quantities = set(rows.loc[rows["recording_code"] == "H001", "quantity"])
    assert quantities == {"mutual_information", "expected_entropy"}
    assert marks(sheet)["right"] + marks(sheet)["wrong"] == len(rows) == (3 * 60 - 1) * len(shown(tables))


@pytest.fixture(scope="module")
def many_kinds(tmp_path_factory):
    """A method of every kind, for detection and for imputation."""
    methods = load_registry().methods.values()
    kinds = {(method.stage, method.category): method.name for method in methods}
    stages = ("outlier", "imputation")
    factors = {stage: [name for (of, _), name in kinds.items() if of == stage] for stage in stages}
    path = tmp_path_factory.mktemp("kinds") / "x.db"
    return simulated.build(path, factors=factors | {"classifier": ["CatBoost"]})


@pytest.mark.parametrize("name", ["uncertainty", "probability_distributions", "roc", "instability_decision"])
def test_panels_of_the_same_kind_have_one_scale(many_kinds, name):
    sheet, tables, _ = drawn(figure(name), many_kinds)
    assert len(shown(tables)) > 4
    parts = 3 if name == "uncertainty" else 1
    limits = [axes.get_ylim() for axes in sheet.axes if axes.get_visible()]
    assert len(limits) == parts * len(shown(tables))
    assert len(set(limits)) == parts


# --- feature sets


def test_feature_sets_stand_beside_the_baselines(gaps_db, ask):
    sheet, tables, _ = drawn(figure("feature_sets"), gaps_db)
    counts = marks(sheet)
    ((combinations,),) = ask("SELECT count(*) FROM essential_metrics")
    assert counts["chosen"] == counts["sampling"] == counts["refit"] == 2 * 3
    assert counts["others"] == 2 * (combinations - 1)
    assert counts["on truth"] == 2
    sql = """SELECT brier FROM essential_metrics WHERE outlier_method = 'pupil-gt'
             AND imputation_method = 'pupil-gt' ORDER BY brier LIMIT 1"""
    assert points(sheet, "on truth")[1, 0] == ask(sql)[0][0]
    sql = """SELECT brier_lo, brier_hi, brier_refit_lo, brier_refit_hi FROM baseline_metrics
             WHERE featurization = 'age'"""
    (place,) = np.flatnonzero(tables["estimates"].query("chosen")["method"] == "age")
    ends = [segments(sheet, gid)[3 + place, :, 0] for gid in ("sampling", "refit")]
    np.testing.assert_allclose(np.ravel(ends), ask(sql)[0])


def test_a_baseline_after_ground_truth_only_is_starred_and_age_names_no_cleaning(gaps_db):
    sheet, tables, background = drawn(figure("feature_sets"), gaps_db)
    labels = {label.get_text() for label in sheet.axes[0].get_yticklabels()}
    starred = f"{background.label('features', 'simple-age')} *"
    assert labels == {starred, *(background.label("features", name) for name in ("simple", "age"))}
    chosen = tables["estimates"].query("chosen").set_index("method")
    assert not chosen.loc["simple", "uses_truth"]
    age = words(sheet)[list(chosen.index).index("age")]
    assert age.endswith("\nwith Logistic regression")


def test_one_feature_set_without_baselines_is_no_comparison(changed):
    database = changed("DELETE FROM baseline_metrics")
    with open_results(database) as results:
        assert not what_lacks(figure("feature_sets"), results)
        assert read(figure("feature_sets"), results)["estimates"].empty
    undefined = changed("UPDATE baseline_metrics SET brier = NULL, auroc = NULL, reason = 'no ages'")
    with open_results(undefined) as results:
        assert read(figure("feature_sets"), results)["estimates"].empty
    assert "one feature set only" in figure("feature_sets").when_empty


def test_several_feature_sets_are_compared_without_baselines(changed):
    other = "UPDATE essential_metrics SET featurization = 'baseline' WHERE classifier = 'XGBoost'"
    sheet, tables, _ = drawn(figure("feature_sets"), changed(other, "DELETE FROM baseline_metrics"))
    assert set(tables["estimates"]["method"]) == {"simple", "baseline"}
    assert marks(sheet)["chosen"] == 2 * 2
    assert marks(sheet)["baseline"] == 0


# --- kinds of methods


def test_every_method_of_each_task_has_its_mark(gaps_db, ask):
    sheet, _, background = drawn(figure("method_kinds"), gaps_db)
    detection, imputation, auroc, brier = sheet.axes
    found = {
        background.label("outlier", name): (f1, random)
        for name, f1, random in ask(
            "SELECT outlier_method, f1, f1_random FROM outlier_quality WHERE artefact_type = 'all'"
        )
    }
    assert _by_name(detection) == found
    errors = """SELECT imputation_method, mae, mae_linear FROM imputation_quality
                WHERE gap = 'all' AND outlier_method = 'pupil-gt'"""
    assert _by_name(imputation) == {
        background.label("imputation", name): (error, linear) for name, error, linear in ask(errors)
    }
    assert imputation.get_xlabel() == "Mean absolute error (mm, lower is better)\nafter Ground truth"
    ((runs,),) = ask("SELECT count(*) FROM essential_metrics")
    assert marks(sheet)["combination"] == 2 * runs
    assert [label.get_text() for label in auroc.get_yticklabels()] == [
        label.get_text() for label in brier.get_yticklabels()
    ]


def _by_name(axes):
    """What is drawn beside each name: the method's value, and its reference."""
    of = {group.get_gid(): np.asarray(group.get_offsets()) for group in axes.collections[1:]}
    labels = [label.get_text() for label in axes.get_yticklabels()]
    names = dict(zip(axes.get_yticks(), labels, strict=True))
    assert list(of["method"][:, 1]) == list(of["reference"][:, 1]) == list(axes.get_yticks())
    pairs = zip(of["method"], of["reference"], strict=True)
    return {names[value[1]]: (value[0], reference[0]) for value, reference in pairs}


def test_methods_stand_below_the_name_of_their_kind_best_first(gaps_db, ask):
    sheet, tables, _ = drawn(figure("method_kinds"), gaps_db)
    kinds = dict(ask("SELECT name, category FROM methods WHERE stage = 'outlier'"))
    rows = tables["detection"]
    assert rows["y"].is_unique
    heads = {text.get_text().lower(): text.xy[1] for text in sheet.axes[0].texts}
    assert set(heads) == {kinds[name] for name in rows["method"]}
    for row in rows.itertuples():
        above = max(y for y in heads.values() if y < row.y)
        assert heads[kinds[row.method]] == above
    for _, part in rows.groupby("category"):
        assert part.sort_values("y")["value"].is_monotonic_decreasing


def test_best_of_each_kind_of_classifier_uses_no_truth_unless_there_is_no_other(changed, ask):
    deep = "UPDATE methods SET category = 'deep learning' WHERE name = 'CatBoost'"
    _, tables, _ = drawn(figure("method_kinds"), changed(deep))
    chosen = tables["classification"].query("chosen").set_index("category")["run_id"]
    sql = """SELECT run_id FROM essential_metrics WHERE outlier_method <> 'pupil-gt'
             AND imputation_method <> 'pupil-gt' AND (classifier = 'CatBoost') = ?
             ORDER BY brier, auroc DESC LIMIT 1"""
    assert {chosen["deep learning"]} == {run for (run,) in ask(sql, True)}
    assert {chosen["traditional"]} == {run for (run,) in ask(sql, False)}
    only_truth = """DELETE FROM essential_metrics WHERE outlier_method <> 'pupil-gt'"""
    sheet, tables, _ = drawn(figure("method_kinds"), changed(deep, only_truth))
    assert tables["classification"].query("chosen")["uses_truth"].all()
    labels = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert sum("(none without ground truth)" in label for label in labels) == 2


def test_imputers_are_compared_after_the_detector_with_most_of_them(changed):
    fewer = """DELETE FROM imputation_quality
               WHERE imputation_method <> 'linear' AND outlier_method <> 'LOF'"""
    sheet, tables, _ = drawn(figure("method_kinds"), changed(fewer))
    assert set(tables["imputation"]["outlier_method"]) == {"LOF"}
    assert sheet.axes[1].get_xlabel().endswith("after LOF")


def test_tasks_without_quality_say_so(changed):
    sheet, _, _ = drawn(
        figure("method_kinds"), changed("DELETE FROM outlier_quality", "DELETE FROM imputation_quality")
    )
    assert words(sheet).count("not in this database") == 2
    assert marks(sheet)["method"] == 0
    assert marks(sheet)["chosen"] == 2


@pytest.mark.parametrize("name", ["roc", "forest_classifier", "feature_sets"])
def test_an_undefined_interval_is_left_out_and_never_written_as_a_number(changed, gaps_db, name):
    whole, _, _ = drawn(figure(name), gaps_db, laid_out=False)
    assert any(" to " in text for text in words(whole))
    undefined = changed("UPDATE essential_metrics SET auroc_lo = NULL", "DELETE FROM baseline_metrics")
    if name == "feature_sets":
        undefined = changed("UPDATE baseline_metrics SET auroc_lo = NULL WHERE featurization = 'age'")
    sheet, _, _ = drawn(figure(name), undefined, laid_out=False)
    said = [text for text in words(sheet) if text.startswith("AUROC")]
    assert not any("nan" in text for text in said)
    assert sum(" to " not in text for text in said) == (1 if name == "feature_sets" else len(said))

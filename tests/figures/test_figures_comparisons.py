"""Figures that compare methods: what is drawn is what the database holds, counted by queries of their own."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from functools import cache

import duckdb
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from src.figures.catalogue import choose, draw_all, find_figures, read
from src.figures.critical_difference import group_levels
from src.figures.style import finish, journal_style, read_background
from src.results.database import open_results

RANKS = ["critical_difference_auroc", "critical_difference_brier"]
CURVES = ["specification_curve_auroc", "specification_curve_brier"]


@cache
def picture(name, database, laid_out=False):
    (figure,) = choose(find_figures(), [name])
    with open_results(database) as results, journal_style():
        background = read_background(results.query)
        sheet = figure.draw(read(figure, results), background)
        finish(sheet, figure.title, background)
        if laid_out:
            sheet.draw_without_rendering()
    return sheet


def ask(database, sql):
    with open_results(database) as results:
        return results.query(sql)


def number(database, sql):
    return ask(database, sql).iloc[0, 0]


def changed(database, tmp_path, *statements):
    path = shutil.copy(database, tmp_path / "changed.db")
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def artists(sheet, gid):
    return [artist for axes in sheet.axes for artist in axes.get_children() if artist.get_gid() == gid]


def count(sheet, gid):
    """How many marks a group has: the parts of a collection, or artists."""
    found = artists(sheet, gid)
    return sum(
        len(one.get_offsets()) if isinstance(one, PathCollection)
        else len(one.get_paths()) if hasattr(one, "get_paths") else 1
        for one in found
    )  # fmt: skip


def points(sheet, gid):
    return np.concatenate([np.asarray(one.get_offsets()) for one in artists(sheet, gid)])


def words(sheet, gid):
    return Counter(text.get_text() for text in artists(sheet, gid))


def legend(sheet):
    return [text.get_text() for text in sheet.legends[0].get_texts()]


def titles(sheet):
    found = [title for axes in sheet.axes for title in (axes.title, axes._left_title)]
    return [" ".join(title.get_text().split()) for title in found if title.get_text()]


class TestCoverage:
    def test_every_planned_cell_has_the_mark_of_its_status(self, gaps_db, tmp_path):
        database = changed(
            gaps_db,
            tmp_path,
            "UPDATE coverage SET status = 'missing', failed_stage = NULL, reason = 'not run' "
            "WHERE outlier_method = 'LOF' AND imputation_method = 'linear'",
            "DELETE FROM coverage WHERE outlier_method = 'SubPCA' AND classifier = 'XGBoost'",
        )
        sheet = picture("coverage", database)
        statuses = ask(database, "SELECT status, count(*) AS n FROM coverage GROUP BY status")
        assert len(statuses) == 3
        for status, n in zip(statuses["status"], statuses["n"], strict=True):
            assert count(sheet, status) == n
        assert "empty: not planned" in legend(sheet)
        assert words(sheet, "kind") == {"a": 3, "b": 3}

    def test_margins_and_heads_count_what_is_finished(self, gaps_db):
        sheet = picture("coverage", gaps_db)
        by_row, by_column = (
            ask(
                gaps_db,
                "SELECT count(*) FILTER (status = 'finished') AS finished, count(*) AS planned "
                f"FROM coverage GROUP BY featurization, classifier, {factor}",
            )
            for factor in ("outlier_method", "imputation_method")
        )
        expected = Counter(
            f"{row.finished}" if row.finished == row.planned else f"{row.finished}/{row.planned}"
            for row in itertools.chain(by_row.itertuples(), by_column.itertuples())
        )
        assert words(sheet, "count") == expected
        assert sorted(title[-8:] for title in titles(sheet)) == ["10 of 12", "11 of 12", "12 of 12"]

    def test_kinds_of_reasons_are_counted_and_the_rarest_share_a_sign(self, gaps_db, tmp_path):
        database = changed(
            gaps_db,
            tmp_path,
            "UPDATE coverage SET status = 'failed', failed_stage = 'outlier', "
            "reason = 'Error' || run_id || ': x' WHERE status = 'finished' AND classifier = 'CatBoost'",
            "UPDATE coverage SET reason = 'MemoryError: of ' || run_id WHERE failed_stage = 'imputation'",
        )
        sheet = picture("coverage", database)
        others = number(database, "SELECT count(*) - 7 FROM coverage WHERE failed_stage = 'outlier'")
        assert words(sheet, "kind") == {"a": 3, "+": others} | dict.fromkeys("bcdefgh", 1)
        assert legend(sheet)[1].startswith("a: 3 failed in imputation, for example: MemoryError: of r0")
        assert legend(sheet)[-1].startswith(f"+: {others} for {others} other kinds")


@pytest.mark.parametrize("name", CURVES)
class TestSpecificationCurve:
    def test_every_combination_and_every_method_of_it_is_drawn(self, name, two_feature_sets_db):
        metric = name.rsplit("_", 1)[1]
        sheet = picture(name, two_feature_sets_db)
        expected = ask(two_feature_sets_db, f"SELECT {metric}, {metric}_lo, {metric}_hi FROM v_leaderboard")
        drawn = points(sheet, "estimate")
        assert sorted(drawn[:, 1]) == pytest.approx(sorted(expected[metric]))
        assert sorted(drawn[:, 0]) == list(range(1, len(expected) + 1))
        (intervals,) = artists(sheet, "sampling")
        spans = sorted(tuple(segment[:, 1]) for segment in intervals.get_segments())
        assert spans == sorted(zip(expected[f"{metric}_lo"], expected[f"{metric}_hi"], strict=True))
        assert count(sheet, "member") == 4 * len(expected)

    def test_the_best_is_at_the_left(self, name, gaps_db):
        drawn = points(picture(name, gaps_db), "estimate")
        in_order = drawn[np.argsort(drawn[:, 0]), 1]
        assert (np.diff(in_order) * (-1 if name.endswith("auroc") else 1) >= 0).all()

    def test_champion_ground_truth_and_age_are_marked(self, name, gaps_db):
        metric = name.rsplit("_", 1)[1]
        sheet = picture(name, gaps_db)
        champion = number(gaps_db, f"SELECT {metric} FROM v_leaderboard WHERE rank = 1")
        assert points(sheet, "champion")[:, 1] == pytest.approx([champion])
        truthful = "'pupil-gt' IN (outlier_method, imputation_method)"
        n_truthful = number(gaps_db, f"SELECT count(*) FROM essential_metrics WHERE {truthful}")
        assert [len(one.get_offsets()) for one in artists(sheet, "estimate")][1] == n_truthful > 0
        age = number(gaps_db, f"SELECT {metric} FROM baseline_metrics WHERE featurization = 'age'")
        assert [line.get_ydata()[0] for line in artists(sheet, "age")] == [age]

    def test_a_bar_stands_under_its_combination(self, name, gaps_db):
        metric = name.rsplit("_", 1)[1]
        sheet = picture(name, gaps_db)
        best = ask(gaps_db, f"SELECT * FROM essential_metrics ORDER BY {metric}")
        best = best.iloc[-1 if metric == "auroc" else 0]
        with open_results(gaps_db) as results:
            background = read_background(results.query)
        for axes, stage, factor in zip(
            sheet.axes[1:],
            ("outlier", "imputation", "classifier"),
            ("outlier_method", "imputation_method", "classifier"),
            strict=True,
        ):
            (bars,) = [group for group in axes.collections if group.get_gid() == "member"]
            (at,) = [segment[:, 1].mean() for segment in bars.get_segments() if segment[0, 0] == 1]
            labels = dict(zip(axes.get_yticks(), [t.get_text() for t in axes.get_yticklabels()], strict=True))
            assert labels[round(at)] == background.label(stage, best[factor])

    def test_deleted_combinations_and_a_database_without_ages_are_not_drawn(self, name, gaps_db, tmp_path):
        database = changed(
            gaps_db,
            tmp_path,
            "DELETE FROM essential_metrics WHERE outlier_method = 'LOF'",
            "DELETE FROM baseline_metrics",
        )
        sheet = picture(name, database)
        assert count(sheet, "estimate") == number(database, "SELECT count(*) FROM essential_metrics")
        assert count(sheet, "age") == 0
        assert not [label for label in legend(sheet) if label.startswith("age")]


def test_an_undefined_metric_is_said_and_has_no_interval(whole_db, tmp_path):
    database = changed(
        whole_db, tmp_path, "UPDATE essential_metrics SET auroc = NULL WHERE outlier_method = 'LOF'"
    )
    sheet = picture("forest_outlier", database)
    said = [text.get_text().split("\n")[0] for axes in sheet.axes for text in axes.texts]
    assert said.count("AUROC undefined") == 1 and not any("nan" in text for text in said)
    for gid in ("refit", "sampling"):
        segments = [one.get_segments() for one in artists(sheet, gid)]
        assert [sum(len(ends) == 2 for ends in panel) for panel in segments] == [3, 4]
    below = picture("specification_curve_auroc", database).axes[-1].get_xlabel()
    assert below.startswith("27 of 36 combinations; 9 without a defined AUROC, ordered by")


class TestCriticalDifference:
    def test_levels_of_bars_by_hand(self):
        # |--|            level 0
        #   |----|        level 1: begins before the first ends
        #     |-----|     level 2: touches the first at its end
        #           |--|  level 0 again
        groups = pd.DataFrame({"lo": [1.0, 1.5, 2.0, 3.5], "hi": [2.0, 3.0, 4.0, 5.0]})
        assert group_levels(groups) == [0, 1, 2, 0]
        assert group_levels(groups.head(0)) == []

    def test_groups_by_hand(self, whole_db, tmp_path):
        # ranks 1.0 2.0 2.5 3.5, CD 1.5: {1.0, 2.0, 2.5} and {2.0, 2.5, 3.5}; {2.5, 3.5} lies inside it
        ranks = "CASE method WHEN 'LOF' THEN 1.0 WHEN 'SubPCA' THEN 2.0 WHEN 'pupil-gt' THEN 2.5 ELSE 3.5 END"
        database = changed(
            whole_db,
            tmp_path,
            "DELETE FROM critical_differences WHERE metric <> 'brier' OR factor <> 'outlier_method'",
            f"UPDATE critical_differences SET mean_rank = {ranks}, critical_difference = 1.5",
        )
        sheet = picture("critical_difference_brier", database)
        (bars,) = artists(sheet, "group")
        assert [tuple(segment[:, 0]) for segment in bars.get_segments()] == [(1.0, 2.5), (2.0, 3.5)]
        assert len({segment[0, 1] for segment in bars.get_segments()}) == 2

    @pytest.mark.parametrize("name", RANKS)
    def test_joined_methods_are_those_of_nemenyis_test(self, name, whole_db):
        metric = name.rsplit("_", 1)[1]
        sheet = picture(name, whole_db)
        factors = ("outlier_method", "imputation_method", "classifier")
        for axes, factor in zip(sheet.axes, factors, strict=True):
            bars = [group for group in axes.collections if group.get_gid() == "group"]
            spans = [segment[:, 0] for group in bars for segment in group.get_segments()]
            pairs = ask(
                whole_db,
                "SELECT n.p, a.mean_rank AS one, b.mean_rank AS other FROM nemenyi_pairs n "
                "JOIN critical_differences a ON a.method = n.method_a AND a.factor = n.factor "
                "AND a.metric = n.metric "
                "JOIN critical_differences b ON b.method = n.method_b AND b.factor = n.factor "
                f"AND b.metric = n.metric WHERE n.metric = '{metric}' AND n.factor = '{factor}'",
            )
            assert len(pairs) >= 3
            for pair in pairs.itertuples():
                lo, hi = sorted((pair.one, pair.other))
                assert any(span[0] <= lo and hi <= span[1] for span in spans) == (pair.p >= 0.05)

    @pytest.mark.parametrize("name", RANKS)
    def test_every_method_hangs_from_its_mean_rank(self, name, whole_db):
        metric = name.rsplit("_", 1)[1]
        sheet = picture(name, whole_db)
        rows = ask(whole_db, f"SELECT * FROM v_critical_differences WHERE metric = '{metric}'")
        hung = sorted(line.get_xdata()[0] for line in artists(sheet, "method"))
        assert hung == pytest.approx(sorted(rows["mean_rank"]))
        lengths = sorted(np.ptp(line.get_xdata()) for line in artists(sheet, "difference"))
        assert lengths == pytest.approx(sorted(rows.drop_duplicates("factor")["critical_difference"]))
        assert all(title.endswith("descriptive: blocks share subjects") for title in titles(sheet))

    def test_forty_methods_do_not_overlap(self, many_imputers_db):
        sheet = picture("critical_difference_auroc", many_imputers_db, laid_out=True)
        (axes,) = sheet.axes
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 40 + 2
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert all(sheet.bbox.x0 <= box.x0 and box.x1 <= sheet.bbox.x1 for box in boxes)
        assert "Refused: AUROC, Classifier: needs 3 methods; there are 1" in legend(sheet)


class TestVariance:
    def test_bars_and_rings_are_the_shares(self, whole_db):
        sheet = picture("variance_decomposition", whole_db)
        rows = ask(whole_db, "SELECT * FROM v_variance WHERE metric IN ('auroc', 'brier')")
        assert len(rows) == 8
        widths = [bar.get_width() for bar in artists(sheet, "eta squared")]
        assert sorted(widths) == pytest.approx(sorted(rows["eta_squared"]))
        assert sum(widths) == pytest.approx(2)
        rings = points(sheet, "partial")[:, 0]
        assert sorted(rings) == pytest.approx(sorted(rows["partial_eta_squared"].dropna()))

    def test_a_feature_set_without_one_is_named(self, two_feature_sets_db):
        sheet = picture("variance_decomposition", two_feature_sets_db)
        done = ask(two_feature_sets_db, "SELECT DISTINCT featurization FROM variance_decomposition")
        assert list(done["featurization"]) == ["baseline"]
        assert titles(sheet) == ["AUROC, Hand-crafted (baseline)", "Brier score, Hand-crafted (baseline)"]
        assert [label for label in legend(sheet) if "all factors, Hand-crafted (simple): needs" in label]


class TestMethodEffects:
    def test_every_effect_has_mark_interval_number_and_p_value(self, whole_db):
        sheet = picture("method_effects", whole_db)
        rows = ask(whole_db, "SELECT * FROM method_effects WHERE metric IN ('auroc', 'brier')")
        assert len(rows) == 2 * (3 + 2)
        assert sorted(points(sheet, "effect")[:, 0]) == pytest.approx(sorted(rows["effect"]))
        spans = [tuple(s[:, 0]) for group in artists(sheet, "sampling") for s in group.get_segments()]
        assert sorted(spans) == sorted(zip(rows["lo"], rows["hi"], strict=True))
        assert words(sheet, "difference").total() == words(sheet, "p").total() == len(rows)
        assert count(sheet, "zero") == 4
        below = [axes.get_xlabel() for axes in sheet.axes if axes.get_xlabel()]
        assert below == [
            "Difference in AUROC\n(right is better)",
            "Difference in Brier score\n(left is better)",
        ]

    def test_best_by_brier_is_on_top_and_named(self, whole_db):
        sheet = picture("method_effects", whole_db)
        best = number(
            whole_db,
            "SELECT method_display FROM v_method_effects "
            "WHERE metric = 'brier' AND factor = 'outlier_method' ORDER BY effect LIMIT 1",
        )
        top = sheet.axes[0]
        assert (top.get_yticklabels()[0].get_text(), top.get_yticks()[0]) == (best, 1)
        cells = number(whole_db, "SELECT min(n_cells) FROM method_effects WHERE factor = 'outlier_method'")
        assert titles(sheet)[0] == f"Outlier method: means over {cells} cells of the other factors"

    def test_numbers_by_hand(self, whole_db, tmp_path):
        database = changed(
            whole_db,
            tmp_path,
            "UPDATE method_effects SET p_holm = 0.5",
            "UPDATE method_effects SET effect = -0.00004, p_holm = 0.0004 WHERE method = 'LOF'",
            "UPDATE method_effects SET effect = -0.0123, p_holm = 0.04 WHERE method = 'SubPCA'",
        )
        sheet = picture("method_effects", database)
        assert words(sheet, "difference")["+0.0000"] == 2
        assert words(sheet, "difference")["\N{MINUS SIGN}0.0123"] == 2
        assert words(sheet, "p") == {"p < 0.001": 2, "p = 0.040": 2, "p = 0.50": 6}

    def test_refused_methods_are_listed_and_their_reason_given(self, two_feature_sets_db):
        sheet = picture("method_effects", two_feature_sets_db)
        made = number(
            two_feature_sets_db,
            "SELECT count(*) FROM method_effects WHERE metric IN ('auroc', 'brier') AND effect IS NOT NULL",
        )
        shown = ask(
            two_feature_sets_db, "SELECT DISTINCT featurization, factor FROM method_effects"
        ).itertuples(index=False)
        planned = 2 * sum(3 if factor == "outlier_method" else 2 for _, factor in shown)
        assert count(sheet, "effect") == made
        assert words(sheet, "none") == {"refused": planned - made}
        assert planned > made
        assert [label for label in legend(sheet) if label.startswith("Refused: AUROC, Brier score, ")]


class TestConfidenceSet:
    def test_p_values_and_sides(self, whole_db):
        sheet = picture("confidence_set", whole_db)
        for gid, included in (("inside", True), ("outside", False)):
            expected = ask(whole_db, f"SELECT p_value FROM confidence_set WHERE included = {included}")
            assert sorted(points(sheet, gid)[:, 1]) == pytest.approx(sorted(expected["p_value"]))
        counts = ask(
            whole_db,
            "SELECT metric, count(*) FILTER (included) AS k, count(*) AS n FROM confidence_set "
            "GROUP BY metric ORDER BY metric DESC",
        ).itertuples(index=False)
        expected = [f"{k} of {n} combinations cannot be told from the best" for _, k, n in counts]
        assert [title.split(": ")[1] for title in titles(sheet) if ": " in title] == expected

    def test_shares_of_methods(self, whole_db):
        sheet = picture("confidence_set", whole_db)
        expected = []
        for factor in ("outlier_method", "imputation_method", "classifier"):
            rows = ask(
                whole_db,
                f"SELECT avg(s.included::INTEGER) AS share, sum(s.included::INTEGER) AS k, count(*) AS n "
                f"FROM confidence_set s JOIN runs r USING (run_id) GROUP BY s.metric, r.{factor}",
            )
            expected += [(row.share, f"{row.k:.0f} of {row.n}") for row in rows.itertuples()]
        widths = [bar.get_width() for bar in artists(sheet, "share")]
        assert sorted(widths) == pytest.approx(sorted(share for share, _ in expected))
        assert words(sheet, "count") == Counter(text for _, text in expected)

    @pytest.mark.parametrize(("panel", "best"), [(0, "brier"), (1, "-auroc")])
    def test_the_best_is_at_the_left(self, panel, best, whole_db):
        sheet = picture("confidence_set", whole_db)
        expected = ask(
            whole_db,
            "SELECT p_value FROM confidence_set JOIN essential_metrics USING (run_id) "
            f"WHERE metric = '{best.lstrip('-')}' ORDER BY {best}",
        )
        groups = [
            group for group in sheet.axes[panel].collections if group.get_gid() in ("inside", "outside")
        ]
        drawn = np.concatenate([np.asarray(group.get_offsets()) for group in groups])
        assert list(drawn[np.argsort(drawn[:, 0]), 1]) == pytest.approx(list(expected["p_value"]))

    def test_what_was_compared_and_is_no_longer_here_is_counted(self, whole_db, tmp_path):
        kept = number(whole_db, "SELECT min(run_id) FROM essential_metrics")
        tables = ("runs", "essential_metrics", "metric_estimates")
        database = changed(
            whole_db, tmp_path, *(f"DELETE FROM {table} WHERE run_id <> '{kept}'" for table in tables)
        )
        k = number(whole_db, "SELECT count(*) FROM confidence_set WHERE metric = 'brier' AND included")
        said = "combinations cannot be told from the best; 35 of those compared are no longer here"
        assert f"Brier score: {k} of 36 {said}" in titles(picture("confidence_set", database))

    def test_shares_over_different_partners_are_said_not_to_be_comparable(self, whole_db, gaps_db):
        warned = "Shares of methods cannot be compared: not all methods ran with the same others."
        assert warned not in legend(picture("confidence_set", whole_db))
        assert warned in legend(picture("confidence_set", gaps_db))


@pytest.mark.parametrize(
    ("name", "table"), [("critical_difference_brier", "critical_differences"), ("method_effects",) * 2]
)
def test_of_many_feature_sets_the_two_largest_are_shown(name, table, two_feature_sets_db, tmp_path):
    more = [
        statement
        for features, n in (("embeddings", 11), ("other", 10))
        for statement in (
            f"INSERT INTO essential_metrics SELECT * REPLACE ('{features}' AS featurization, "
            f"run_id || '{features}' AS run_id) FROM essential_metrics "
            f"WHERE featurization = 'baseline' LIMIT {n}",
            f"INSERT INTO {table} SELECT * REPLACE ('{features}' AS featurization) FROM {table} "
            "WHERE featurization = 'baseline'",
            f"INSERT INTO coverage SELECT * REPLACE ('{features}' AS featurization) FROM coverage "
            "WHERE featurization = 'baseline'",
            f"INSERT INTO methods SELECT * REPLACE ('{features}' AS name, '{features}' AS display_name) "
            "FROM methods WHERE stage = 'features' AND name = 'baseline'",
        )
    ]
    database = changed(
        two_feature_sets_db, tmp_path, f"DELETE FROM {table} WHERE featurization = 'simple'", *more
    )
    shown = {title.split(":")[0].split(", ")[1] for title in titles(picture(name, database)) if ":" in title}
    assert shown == {"Hand-crafted (baseline)", "embeddings"}


@pytest.mark.parametrize(
    ("name", "table", "comparison"),
    [
        ("critical_difference_brier", "critical_differences", "ranks"),
        ("variance_decomposition", "variance_decomposition", "variance decomposition"),
        ("method_effects", "method_effects", "method effects"),
        ("confidence_set", "confidence_set", "confidence set"),
    ],
)
def test_the_reason_of_a_refusal_is_said(name, table, comparison, whole_db, tmp_path):
    database = changed(
        whole_db,
        tmp_path,
        f"DELETE FROM {table}",
        f"INSERT INTO refusals (comparison, metric, reason) VALUES ('{comparison}', 'brier', 'cells lack')",
    )
    (outcome,) = draw_all(database, tmp_path / "out", [name], ["png"])
    assert "cells lack" in outcome.reason
    assert not list((tmp_path / "out").glob("*.png"))

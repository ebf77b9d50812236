"""What the parts of the report say, against queries of their own."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from asked import HOSTILE, answer, changed, said, select, shown

from src.figures.catalogue import find_figures
from src.report.document import estimate, number, p_value, percent, spread, verdict, words
from src.report.parts.tripod import NOT_HERE, read_checklist
from src.report.text import as_text


@pytest.fixture(scope="module")
def full(report_db):
    return answer(report_db)


def test_cells_are_written_as_people_read_them():
    row = {"x": 0.86651, "x_lo": 0.8, "x_hi": 0.9, "p": 0.00004, "q": 0.05, "tiny": -0.0001, "yes": np.True_}
    row |= {"none": None, "nan": float("nan"), "na": pd.NA}
    assert estimate("x", "").show(row) == "0.867 [0.800, 0.900]"
    assert estimate("x", "", sign="+", ends=("x_lo", "nan")).show(row) == "+0.867"
    assert number("tiny", "").show(row) == "0.000"
    assert number("tiny", "", 3, "+").show(row) == "+0.000"
    assert (p_value("p", "").show(row), p_value("q", "").show(row)) == ("<0.001", "0.050")
    assert spread("x_lo", "x_hi", "").show(row) == "0.800 to 0.900"
    assert (percent("q", "").show(row), verdict("yes", "").show(row)) == ("5.0%", "yes")
    for name in ("none", "nan", "na", "absent"):
        for column in (
            words(name, ""),
            number(name, ""),
            estimate(name, ""),
            percent(name, ""),
            p_value(name, ""),
        ):
            assert column.show(row) == "-"
        assert verdict(name, "").show(row) == "-"


def test_every_table_says_its_estimator(full):
    tables = [table for part in full.parts for table in part.tables]
    assert len(tables) > 15
    told = ("oob", "Counted", "pooled over", "no estimate", "No estimate", "trained on everybody", "Facts")
    for table in tables:
        assert any(words in table.estimator for words in told), table.name


def test_names_of_parts_tables_and_pictures_are_unique(full):
    for names in (
        [part.name for part in full.parts],
        [table.name for part in full.parts for table in part.tables],
        [one.name for part in full.parts for one in part.pictures],
    ):
        assert len(names) == len(set(names))
    assert {one.name for part in full.parts for one in part.pictures} & {f.name for f in find_figures()}


def test_counts_of_methods_are_those_of_the_plan(report_db, full):
    rows = full.part("ran").table("coverage").rows
    assert rows.groupby("stage")["planned"].sum().to_dict() == dict.fromkeys(
        ("features", "outlier", "imputation", "classifier"), 36
    )
    assert rows.groupby("stage")["failed"].sum().eq(2).all()
    xgboost = select(report_db, "SELECT count(*) AS n FROM coverage WHERE classifier = 'XGBoost'")["n"].iloc[
        0
    ]
    assert rows.set_index("method")["planned"]["XGBoost"] == xgboost


def test_baselines_stand_beside_the_ranking(report_db, full):
    head, rows = shown(full, "leaderboard", "ranking")
    assert head[0] == "Rank" and len(rows) == 34 + len(select(report_db, "FROM baseline_metrics"))
    assert "age only" in [row[0] for row in rows]
    table = full.part("leaderboard").table("baselines").rows.set_index("run_id")
    truth = select(report_db, "SELECT run_id, auroc_difference FROM v_baseline WHERE part = 'baseline'")
    assert table["auroc_difference"].to_dict() == truth.set_index("run_id")["auroc_difference"].to_dict()


def test_leaderboard_says_place_confidence_set_and_difference(report_db, full):
    rows = full.part("leaderboard").table("ranking").rows.dropna(subset="place").set_index("run_id")
    sql = """SELECT e.run_id, 1 + (SELECT count(*) FROM essential_metrics b WHERE b.brier < e.brier) AS place,
             s.included, c.difference, c.p_holm
             FROM essential_metrics e
             LEFT JOIN confidence_set s ON s.run_id = e.run_id AND s.metric = 'brier'
             LEFT JOIN pairwise_comparisons c ON c.run_id_a = e.run_id AND c.metric = 'brier'
                  AND c.against = 'champion'"""
    truth = select(report_db, sql).set_index("run_id").loc[rows.index]
    assert rows["place"].tolist() == truth["place"].tolist()
    assert rows["in_confidence_set"].tolist() == truth["included"].tolist()
    np.testing.assert_array_equal(rows["difference"], truth["difference"])
    np.testing.assert_array_equal(rows["p_holm"], truth["p_holm"])
    assert rows["p_holm"].notna().sum() == len(rows) - 1  # all but the champion


def test_pairs_follow_the_metric_asked_for(report_db):
    part = answer(report_db, metric="cal_slope").part("leaderboard")
    truth = select(
        report_db,
        "SELECT count(*) AS n FROM pairwise_comparisons WHERE metric = 'cal_slope' AND against = 'champion'",
    )["n"].iloc[0]
    assert len(part.table("against_champion_cal_slope").rows) == truth == 33
    assert len(part.table("against_champion_brier").rows) == 33


def test_refusals_of_an_incomplete_grid_are_said(report_db, full):
    refused = full.part("effects").table("refusals").rows
    truth = select(report_db, "SELECT DISTINCT comparison FROM refusals WHERE metric <> 'all'")["comparison"]
    assert set(refused["comparison"]) == set(truth) != set()
    assert any(line.startswith("Shares of the scatter: refused") for line in full.part("effects").lines)


def test_effects_and_ranks_hold_the_rows_of_the_metrics_shown(report_db, tmp_path):
    effect = "('auroc', 'simple', 'outlier_method', 'SubPCA', -.01, .005, -.02, 0, .04, .08, .05, 9, NULL)"
    rank = "('brier', 'simple', 'classifier', 'XGBoost', 1.5, 12, 3, 4, .1, .9, 'descriptive')"
    share = "('auroc', 'simple', 'classifier', 1.0, 2, 0.75, 0.8)"
    other = effect.replace("auroc", "oe_ratio")
    database = changed(
        report_db,
        tmp_path,
        *(
            f"DELETE FROM {name}"
            for name in ("method_effects", "critical_differences", "variance_decomposition")
        ),
        f"INSERT INTO method_effects VALUES {effect}, {other}",
        f"INSERT INTO critical_differences VALUES {rank}",
        f"INSERT INTO variance_decomposition VALUES {share}",
    )
    benchmark = answer(database)
    assert shown(benchmark, "effects", "method_effects")[1] == [
        ["AUROC", "Outlier method", "SubPCA", "-0.0100 [-0.0200, +0.0000]", "0.040", "0.080", "0.050", "9"]
    ]
    assert shown(benchmark, "effects", "ranks")[1][0][:4] == ["Brier score", "Classifier", "XGBoost", "1.50"]
    assert shown(benchmark, "effects", "variance")[1][0][:4] == ["AUROC", "Classifier", "0.750", "75.0%"]


def test_net_benefit_is_that_of_the_decision_curves(report_db, full):
    rows = full.part("utility").table("net_benefit_study").rows.set_index("run_id")
    curve = select(
        report_db,
        """SELECT run_id, net_benefit, treat_all FROM decision_curves
           WHERE estimator = 'oob' AND population = 'study'
           AND round(threshold, 2) = 0.15 AND run_id IN (SELECT run_id FROM essential_metrics)""",
    ).set_index("run_id")
    assert rows["net_benefit_15"].to_dict() == curve["net_benefit"].to_dict()
    gain = (curve["net_benefit"] - curve["treat_all"].clip(lower=0)).loc[rows.index]
    np.testing.assert_allclose(rows["advantage_15"], gain)
    summary = full.part("utility").table("net_benefit").rows
    assert len(summary) == 8 and set(summary["combinations"]) == {34}
    study = summary[(summary["population"] == "study") & (summary["threshold"] == 0.15)].iloc[0]
    assert study["useful"] == (gain > 0).sum()
    assert study["best"] == curve["net_benefit"].max()
    assert study["champion"] == curve["net_benefit"][full.champion["run_id"]]
    lo = select(report_db, "FROM metric_estimates WHERE metric = 'net_benefit_15' AND estimator = 'oob'")
    assert rows["net_benefit_15_lo"].to_dict() == (
        lo.set_index("run_id")["sampling_lo"].loc[rows.index].to_dict()
    )


def test_calibration_and_stability_are_those_of_the_views(report_db, full):
    for part, table, sql, column in (
        ("calibration", "calibration", "FROM v_calibration WHERE estimator = 'oob'", "oe_ratio"),
        ("calibration", "calibration_smoothed", "FROM v_calibration WHERE estimator = 'oob_pooled'", "ici"),
        ("stability", "instability", "FROM v_instability", "mape_mean"),
    ):
        rows = full.part(part).table(table).rows.set_index("run_id")
        truth = select(report_db, sql).set_index("run_id")[column].loc[rows.index]
        assert len(rows) == 34 and rows[column].notna().any()
        np.testing.assert_array_equal(rows[column], truth)


def test_rows_of_combinations_follow_the_ranking_and_the_models(report_db):
    benchmark = answer(report_db, models=["XGBoost"])
    ranked = benchmark.reading.ranking.table["run_id"].tolist()
    for part, table in (("calibration", "calibration"), ("stability", "instability"), ("cost", "cost")):
        assert benchmark.part(part).table(table).rows["run_id"].tolist() == ranked
    assert "Only classifier XGBoost is listed" in benchmark.notes[0]
    assert "--models" in as_text(benchmark)


def test_cost_is_what_the_runs_logged(report_db, full):
    rows = full.part("cost").table("cost").rows.set_index("run_id")
    truth = select(report_db, "SELECT run_id, fit_seconds FROM runs WHERE kind = 'combination'")
    assert rows["fit_seconds"].to_dict() == truth.set_index("run_id")["fit_seconds"].to_dict()
    assert [one.name for one in full.part("cost").pictures] == ["cost"]


@pytest.mark.parametrize(
    ("source", "words"),
    [("measured", None), ("synthetic", "not about patients"), ("unstated", "may be made up")],
)
def test_the_source_is_said_in_words(report_db, tmp_path, source, words):
    benchmark = answer(changed(report_db, tmp_path, f"UPDATE provenance SET source = '{source}'"))
    lines = said(benchmark, "provenance")
    assert any(words in line for line in lines) if words else not any("recordings" in line for line in lines)
    checklist = benchmark.part("tripod").table("tripod").rows.set_index("item")["answer"]
    assert {"measured": "measured recordings", "synthetic": "made-up", "unstated": "does not say"}[
        source
    ] in (checklist["5a"])
    assert ("not known to be measured" in checklist["26"]) == (source != "measured")


def test_special_runs_are_listed(report_db, tmp_path):
    database = changed(
        report_db,
        tmp_path,
        "UPDATE runs SET tuned = 'optuna', unpublished_weights = 'abc' WHERE run_id = 'r0001'",
        "INSERT INTO excluded_runs VALUES ('x', 'old', 'combination', 'superseded', 'a newer one')",
        "INSERT INTO identical_predictions VALUES ('r0001', 'r0002')",
    )
    benchmark = answer(database)
    assert [row[1:] for row in shown(benchmark, "provenance", "special")[1]] == [["optuna", "-", "abc"]]
    assert shown(benchmark, "provenance", "excluded")[1] == [
        ["superseded", "combination", "1", "a newer one"]
    ]
    assert len(shown(benchmark, "provenance", "identical")[1]) == 1
    assert any("Tuned classifiers are optimistic" in line for line in said(benchmark, "leaderboard"))


def test_checklist_has_every_item_of_tripod_ai():
    items = read_checklist()
    assert [item["item"] for item in items][-3:] == ["27a", "27b", "27c"]
    assert sorted({int(re.match(r"\d+", item["item"])[0]) for item in items}) == list(range(1, 28))
    assert len({item["item"] for item in items}) == len(items) == 52
    for item in items:
        assert "sql" in item or "authors" in item, item["item"]
        assert len(item["asks"]) < 90, item["item"]


def test_checklist_claims_only_what_the_database_holds(report_db, tmp_path, full):
    answers = full.part("tripod").table("tripod").rows.set_index("item")["answer"]
    assert "34 of 36" not in answers["20a"] and "80 recordings" in answers["20a"]
    assert f"AUROC {full.champion['auroc']:.3f}"[:10] in answers["23a"]
    for item in ("1", "8a", "14", "17", "18a", "20b", "22"):
        assert answers[item] == NOT_HERE
    tables = ("runs", "essential_metrics", "metric_estimates", "feature_values", "detectable_difference")
    database = changed(report_db, tmp_path, *(f"DELETE FROM {name}" for name in tables))
    bare = answer(database).part("tripod").table("tripod").rows.set_index("item")["answer"]
    for item in ("7", "9a", "9b", "10", "12c", "12e", "15", "23a"):
        assert answers[item] != NOT_HERE and bare[item] == NOT_HERE, item


def test_hostile_names_are_shown_as_they_are(full):
    assert HOSTILE in as_text(full)


def test_the_text_shows_the_first_of_a_long_ranking(report_db, full):
    text = as_text(full)
    assert text.count("first 25 of 34; all in benchmark_results.csv") == 2
    ranks = re.findall(r"^(\d+)\*? +.*\[", text.split("All metrics")[0], re.MULTILINE)
    assert [int(rank) for rank in ranks] == sorted(
        select(report_db, "SELECT rank() OVER (ORDER BY auroc DESC) AS r FROM essential_metrics")["r"]
    )[:25]
    few = as_text(answer(report_db, models=["XGBoost"]))
    assert "benchmark_results.csv" not in few


def test_the_checklist_writes_numbers_as_the_tables_do(full):
    answers = full.part("tripod").table("tripod").rows.set_index("item")["answer"]
    for item in ("10", "23a", "26"):
        numbers = re.findall(r"\d\.\d+", answers[item])
        assert numbers and all(len(number.partition(".")[2]) == 3 for number in numbers), item
    assert re.search(r"AUROC \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", answers["23a"])

import inspect
import io
import json
import math
import os
import time
import zipfile
from itertools import product

import duckdb
import numpy as np
import pytest
from fake_store import (
    CODES,
    COHORT_HASH,
    FACTORS,
    MEMBERS,
    N_ITERATIONS,
    PROBE_ROW,
    RESAMPLE_ID,
    UNLABELLED,
    FakeStore,
    Y,
    example_arrays,
    feature_arrays,
    foreign_results,
    importances,
    own_results,
    own_tags,
    predictions,
    write_json,
)

from src.evaluation.auc import auroc
from src.registry import load_registry
from src.results import run_collection, stage_collection
from src.results.bootstrap_pickle import FILE_NAME, dump
from src.results.checks import table_keys
from src.results.database import open_results
from src.results.extraction import ExtractionError, extract
from src.results.selection import SelectionError
from src.tracking import Record, Tracking

CAT, XGB, LOG = (("simple", "LOF", "linear", name) for name in ("CatBoost", "XGBoost", "LogisticRegression"))
AGE = ("age", "none", "none", "LogisticRegression")
NO_AGE = ("age", "none", "none", "CatBoost")


@pytest.fixture
def store(tmp_path):
    return FakeStore(tmp_path / "mlruns")


@pytest.fixture
def build(store, tmp_path):
    """Extract the store and answer queries about the result."""

    def run(*queries, **options):
        summary = extract(store.root, tmp_path / "results.db", progress=False, **options)
        with open_results(summary.path) as database:
            return summary, *[database.query(sql).to_dict("records") for sql in queries]

    return run


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A store with one of everything, extracted."""
    folder = tmp_path_factory.mktemp("full")
    store = FakeStore(folder / "mlruns")
    links = store.stages("simple", "LOF", "linear")
    write_json(store.folders["outlier"], "members.json", MEMBERS)
    write_json(store.folders["imputation"], "members.json", [MEMBERS[0] | {"quality": None}])
    store.sweep([CAT, XGB, LOG])
    store.combination(CAT, 1, tags=links)
    store.combination(XGB, 1, tags=links | {"tuned": "optuna", "caveat": "a", "unpublished_weights": "b"})
    store.failed(LOG)
    store.combination(AGE, 2, kind="baseline", tags={"featurization_run_id": "none"})
    no_ages = {"kind": "baseline", "cohort_hash": COHORT_HASH, "reason": "no ages"}
    store.run(params=dict(zip(FACTORS, NO_AGE, strict=True)), tags=no_ages)
    summary = extract(store.root, folder / "results.db", progress=False)
    with open_results(folder / "results.db") as database:
        yield summary, database


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A whole grid with ground truth; one run without importances."""
    folder = tmp_path_factory.mktemp("grid")
    store = FakeStore(folder / "mlruns")
    cells = list(
        product(["simple"], ["pupil-gt", "LOF", "SubPCA"], ["pupil-gt", "linear"], ["CatBoost", "XGBoost"])
    )
    store.sweep(cells)
    for seed, cell in enumerate(cells):
        store.combination(cell, seed, **(importances(seed) if seed else {"y_prob_apparent": np.float32(Y)}))
    with open_results(extract(store.root, folder / "results.db", progress=False).path) as database:
        yield database


UNFILLED = {"method_effects.reason", "feature_vif.reason", "pairwise_comparisons.reason"}
"""Reasons that nothing here gives."""


def test_every_column_is_filled_by_something(full, grid):
    _, first = full
    columns = first.query(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal "
        "AND table_name IN (SELECT table_name FROM duckdb_tables())"
    )
    empty = [
        f"{table}.{column}"
        for table, column in columns.itertuples(index=False)
        if not any(
            database.query(f'SELECT count("{column}") AS n FROM {table}')["n"][0]
            for database in (first, grid)
        )
    ]
    assert len(columns) > 350
    assert [name for name in empty if name not in UNFILLED] == []


def test_every_table_column_and_view_has_a_comment_and_every_table_a_key(full):
    _, database = full
    bare = database.query(
        "SELECT table_name || '.' || column_name AS name FROM duckdb_columns() "
        "WHERE NOT internal AND comment IS NULL "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL"
    )
    assert bare["name"].tolist() == []
    keys = table_keys(database._connection)
    assert set(keys) == set(database.query("SELECT table_name FROM duckdb_tables()")["table_name"])
    assert keys["metric_estimates"] == ["run_id", "metric", "estimator"]


def test_the_file_can_be_opened_by_duckdb_1_2(full):
    _, database = full
    tags = database.query("SELECT tags FROM duckdb_databases() WHERE NOT internal")["tags"][0]
    assert tags["storage_version"] == "v1.2.0+"


def test_views_show_the_grid_and_what_is_missing(full):
    _, database = full
    board = database.query("SELECT * FROM v_leaderboard")
    assert board["rank"].tolist() == [1, 1]  # the same predictions
    assert set(board["n_missing_cells"]) == {1}
    assert set(board["outlier_display"]) == {"LOF"}
    heat = database.query("SELECT * FROM v_heatmap WHERE metric = 'auroc' ORDER BY classifier")
    assert heat["status"].tolist() == ["finished", "failed", "finished"]
    assert heat["value"].isna().tolist() == [False, True, False]
    forest = database.query("SELECT * FROM v_forest WHERE stage = 'outlier' AND metric = 'brier'")
    assert forest["rank_in_method"].tolist() == [1, 2]
    assert forest["method_mean"].tolist() == pytest.approx(forest["estimate"].tolist())
    assert len(database.query("SELECT * FROM v_coverage")) == 3


def test_metrics_are_those_of_the_stored_predictions(full):
    _, database = full
    counts, p, _ = predictions(1)
    left_out = counts == 0
    rows = database.query(
        "SELECT i.auroc, i.n_left_out FROM iteration_metrics i JOIN runs USING (run_id) "
        "WHERE classifier = 'CatBoost' ORDER BY iteration"
    )
    by_iteration = [float(auroc(Y[out], p[b][out])) for b, out in enumerate(left_out)]
    assert rows["auroc"].tolist() == pytest.approx(by_iteration, nan_ok=True)
    assert rows["n_left_out"].tolist() == left_out.sum(axis=1).tolist()
    headline = database.query("SELECT * FROM essential_metrics WHERE classifier = 'CatBoost'").iloc[0]
    assert headline["auroc"] == pytest.approx(np.mean(by_iteration))
    assert headline["auroc_lo"] < headline["auroc"] < headline["auroc_hi"]
    assert (headline["n_iterations"], headline["n_subjects"], headline["n_cases"]) == (N_ITERATIONS, 50, 20)


def test_predictions_are_means_over_the_iterations_that_left_a_recording_out(full):
    _, database = full
    counts, p, apparent = predictions(1)
    rows = database.query(
        "SELECT p.* FROM predictions p JOIN runs USING (run_id) WHERE classifier = 'CatBoost'"
    ).set_index("recording_code")
    for i, code in enumerate(CODES):
        values = p[counts[:, i] == 0, i].astype(float)
        assert rows.loc[code, "p_oob"] == pytest.approx(values.mean())
        assert rows.loc[code, "p_oob_sd"] == pytest.approx(values.std(ddof=1))
        assert rows.loc[code, "n_oob"] == len(values)
        assert rows.loc[code, "p_apparent"] == pytest.approx(float(apparent[i]))
        assert rows.loc[code, "y"] == Y[i]


def test_stage_runs_fill_quality_examples_and_features(full):
    _, database = full
    quality = database.query("SELECT * FROM outlier_quality ORDER BY artefact_type")
    assert quality["artefact_type"].tolist() == ["all", "blink"]
    assert quality["tp"].tolist() == [8, 6]
    assert quality["fp"].isna().tolist() == [False, True]
    assert quality["duration_s"].tolist() == [1.5, 1.5]
    assert quality["f1_random"].tolist() == pytest.approx([0.1, np.nan], nan_ok=True)
    (probe,) = database.query("FROM hippus_probe").to_dict("records")
    assert {name: probe[name] for name in PROBE_ROW} == PROBE_ROW
    (check,) = database.query("FROM v_detector_checks").to_dict("records")
    assert (check["better_than_random"], check["hippus_flagged"], check["leaves_hippus"]) == (
        True,
        0.025,
        False,
    )
    beside = database.query("FROM v_imputer_checks")[["gap", "mae", "mae_linear", "better_than_linear"]]
    assert beside.values.tolist() == [["all", 0.1, 0.2, True]]
    imputed = database.query("SELECT * FROM imputation_quality").iloc[0]
    assert (imputed["mae"], imputed["unit"], imputed["evaluated_on"]) == (0.1, "mm", "held-out")
    example = database.query("SELECT * FROM example_imputations ORDER BY sample")
    assert example["missing"].tolist() == [False, True, True, False]
    assert example["sd"].isna().tolist() == [True, False, False, True]
    raw = database.query("SELECT raw FROM example_recordings ORDER BY sample")["raw"]
    assert raw.tolist() == pytest.approx([5.0, np.nan, 9.0, 5.1], nan_ok=True)
    light = database.query("SELECT * FROM example_light ORDER BY colour")
    assert light[["colour", "onset_s", "offset_s"]].values.tolist() == [["blue", 0.5, 1.0], ["red", 1.2, 1.6]]
    values = database.query("SELECT * FROM feature_values ORDER BY recording_code, feature")
    assert len(values) == 2 * len(CODES)
    assert values["value"][:4].tolist() == pytest.approx([np.nan, 1.0, 2.0, 3.0], nan_ok=True)
    assert database.query("SELECT n_unusable FROM runs WHERE classifier = 'XGBoost'")["n_unusable"][0] == 1


def test_what_ensembles_are_made_of(full):
    _, database = full
    rows = database.query("SELECT * EXCLUDE (run_id) FROM ensemble_members ORDER BY stage DESC, member")
    assert rows[["stage", "method", "outlier_method"]].drop_duplicates().values.tolist() == [
        ["outlier", "LOF", "none"],
        ["imputation", "linear", "LOF"],
    ]
    assert rows["member"].tolist() == ["LOF", "PROPHET", "SubPCA", "LOF"]
    assert rows["status"].tolist() == ["used", "left out", "not kept", "used"]
    assert rows["reason"].fillna("").tolist() == ["", "no package", "F1 0.2", ""]
    assert rows["quality"].tolist() == pytest.approx([0.75, np.nan, 0.2, np.nan], nan_ok=True)
    shown = database.query("SELECT method_display, member_display, status FROM v_ensembles LIMIT 2")
    assert shown.values.tolist() == [["LOF", "LOF", "used"], ["LOF", "SubPCA", "not kept"]]


def test_provenance_says_where_it_all_comes_from(full):
    _, database = full
    row = database.query("SELECT * FROM provenance").iloc[0]
    assert row["source"] == "synthetic"
    assert row["tracking_store"] == "mlruns folder"
    assert row["sweep_id"] == "sweep-1"
    assert (row["cohort_hash"], row["resample_id"]) == (COHORT_HASH, RESAMPLE_ID)
    assert (row["n_cases"], row["n_controls"], row["n_unlabelled"]) == (20, 30, len(UNLABELLED))
    assert row["n_recordings"] == 50 + len(UNLABELLED)
    assert row["prevalence_study"] == 0.4
    assert json.loads(row["package_versions"]) == {"numpy": "2"}
    assert not row["foreign"]


def test_the_dictionaries_are_the_registry(full):
    _, database = full
    registry = load_registry()
    methods = database.query("SELECT stage, name FROM methods")
    assert set(methods.itertuples(index=False, name=None)) == set(registry.methods)
    assert set(database.query("SELECT name FROM metrics")["name"]) == set(registry.metrics)


def test_a_baseline_stands_apart_and_without_ages_says_so(full):
    _, database = full
    rows = database.query("SELECT classifier, auroc, reason FROM baseline_metrics ORDER BY reason")
    assert rows["classifier"].tolist() == ["CatBoost", "LogisticRegression"]
    assert rows["reason"].isna().tolist() == [False, True]
    assert rows["auroc"].isna().tolist() == [True, False]
    assert "age" not in set(database.query("SELECT featurization FROM essential_metrics")["featurization"])
    assert "age" not in set(database.query("SELECT featurization FROM coverage")["featurization"])


def test_identical_predictions_are_reported(full):
    summary, database = full
    pairs = database.query(
        "SELECT a.classifier AS a, b.classifier AS b FROM identical_predictions "
        "JOIN runs a ON a.run_id = run_id_a JOIN runs b ON b.run_id = run_id_b"
    )
    assert pairs.values.tolist() == [["CatBoost", "XGBoost"]]
    assert "identical predictions" in summary.text()


def test_the_database_is_read_only(full):
    _, database = full
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        database.query("DELETE FROM runs")


def test_the_newest_of_the_same_combination_counts(store, build):
    old = store.combination(CAT, 1)
    new = store.combination(CAT, 2)
    _, runs, excluded = build("FROM runs", "FROM excluded_runs")
    assert [row["run_id"] for row in runs] == [new.name]
    assert [(row["run_id"], row["reason"]) for row in excluded] == [(old.name, "superseded")]


def test_a_combination_that_was_run_with_other_parameters_is_named(store, build):
    for seed, key in enumerate(("a", "b")):
        store.combination(CAT, seed, tags={"stage_key": key})
    for seed in (3, 4):
        store.combination(XGB, seed, tags={"stage_key": "c"})
    summary, excluded = build("FROM excluded_runs ORDER BY detail")
    assert [row["detail"].endswith("of other parameters or sources") for row in excluded].count(True) == 1
    (warning,) = summary.warnings
    assert "was run with several parameters or sources; its newest run is here" in warning


def test_an_older_run_stands_in_for_a_broken_newer_one(store, build):
    old = store.combination(CAT, 1)
    new = store.combination(CAT, 2)
    file = new / "artifacts" / FILE_NAME
    file.write_bytes(file.read_bytes()[:1000])
    summary, runs, excluded, coverage = build("FROM runs", "FROM excluded_runs", "FROM coverage")
    assert [row["run_id"] for row in runs] == [old.name]
    assert [(row["run_id"], row["reason"]) for row in excluded] == [(new.name, "rejected")]
    assert "truncated" in excluded[0]["detail"]
    assert coverage[0]["status"] == "finished"
    assert summary.n_rejected == 1


def test_any_number_of_broken_runs_may_come_before_one_that_counts(store, build, monkeypatch):
    good = store.combination(CAT, 1)
    for _ in range(60):
        folder = store.run(params=dict(zip(FACTORS, CAT, strict=True)), tags=own_tags("combination"))
        (folder / "artifacts" / FILE_NAME).write_bytes(b"x")
    depths = []
    attempt = run_collection.attempt

    def counted(*arguments):
        depths.append(len(inspect.stack(0)))
        return attempt(*arguments)

    monkeypatch.setattr(run_collection, "attempt", counted)
    summary, runs = build("FROM runs")
    assert [row["run_id"] for row in runs] == [good.name]
    assert summary.n_rejected == len(depths) == 60
    assert len(set(depths)) == 1


def test_other_cohorts_and_resamples_stay_out_and_can_be_chosen(store, build):
    store.combination(CAT, 1, tags={"cohort_hash": "feed"}, cohort_hash="feed")
    store.combination(CAT, 1, tags={"resample_id": "other"}, resample_id="other")
    store.combination(XGB, 1)
    _, excluded = build("FROM excluded_runs ORDER BY run_id")
    assert [row["reason"] for row in excluded] == ["other cohort", "other resamples"]
    _, provenance = build("FROM provenance", cohort="fe")
    assert provenance[0]["cohort_hash"] == "feed"
    with pytest.raises(SelectionError, match="no cohort 'abc'; there is: feed, c0ffee"):
        build(cohort="abc")


def test_the_newest_sweep_chooses_the_cohort_and_another_can_be_named(store, build):
    other = {"cohort_hash": "feed"}
    store.sweep([CAT], "first", "quick", tags=other)
    store.combination(CAT, 1, tags=other, cohort_hash="feed")
    store.sweep([CAT, XGB], "second", "default")
    store.combination(CAT, 1)
    store.combination(XGB, 2, tags=other, cohort_hash="feed")  # newer, but of the older sweep's cohort
    summary, coverage = build("FROM coverage ORDER BY classifier")
    assert summary.cohort_hash == COHORT_HASH
    assert [row["status"] for row in coverage] == ["finished", "missing"]
    for text in ("first", "fir", "quick"):
        assert build(sweep=text)[0].cohort_hash == "feed"
    with pytest.raises(SelectionError, match=r"'third'; there is: first \(quick\), second \(default\)"):
        build(sweep="third")


def test_a_plan_with_methods_that_are_not_in_the_registry_is_rejected(store, build):
    store.sweep([CAT, XGB], "first")
    odd = store.sweep([CAT, *(("simple", f"detector {k}", "linear", f"classifier {k}") for k in range(100))])
    store.combination(CAT, 1)
    _, coverage, excluded = build("FROM coverage ORDER BY classifier", "FROM excluded_runs")
    assert [(row["run_id"], row["kind"], row["reason"]) for row in excluded] == [
        (odd.name, "sweep", "rejected")
    ]
    assert excluded[0]["detail"] == "planned.json: outlier_method 'detector 0' is not in the registry"
    assert [(row["classifier"], row["status"], row["inferred"]) for row in coverage] == [
        ("CatBoost", "finished", False), ("XGBoost", "missing", False),
    ]  # fmt: skip


def test_coverage_tells_failed_missing_and_unplanned_apart(store, build):
    store.sweep([CAT, XGB])
    store.combination(LOG, 1)  # run by hand
    failed = store.failed(CAT, "imputation", "no\nmemory")
    _, coverage, excluded = build("FROM coverage ORDER BY classifier", "FROM excluded_runs")
    assert [(row["classifier"], row["status"]) for row in coverage] == [
        ("CatBoost", "failed"), ("LogisticRegression", "finished"), ("XGBoost", "missing"),
    ]  # fmt: skip
    assert coverage[0]["failed_stage"] == "imputation"
    assert coverage[0]["reason"] == "ValueError: no memory"
    assert coverage[0]["run_id"] == failed.name
    assert not any(row["inferred"] for row in coverage)
    assert [row["reason"] for row in excluded] == ["failed"]


def test_a_failure_repaired_later_is_finished(store, build):
    store.failed(CAT)
    store.combination(CAT, 1)
    _, coverage, excluded = build("FROM coverage", "FROM excluded_runs")
    assert [row["status"] for row in coverage] == ["finished"]
    assert [row["reason"] for row in excluded] == ["failed"]


def test_without_a_plan_coverage_is_the_product_of_the_levels_seen(store, build):
    store.combination(("simple", "LOF", "linear", "CatBoost"), 1)
    store.combination(("simple", "SubPCA", "linear", "XGBoost"), 2)
    _, coverage = build("FROM coverage ORDER BY outlier_method, classifier")
    assert [(row["outlier_method"], row["classifier"], row["status"]) for row in coverage] == [
        ("LOF", "CatBoost", "finished"), ("LOF", "XGBoost", "missing"),
        ("SubPCA", "CatBoost", "missing"), ("SubPCA", "XGBoost", "finished"),
    ]  # fmt: skip
    assert all(row["inferred"] for row in coverage)


def test_unfinished_runs_are_listed(store, build):
    store.combination(CAT, 1)
    tags = {"kind": "combination", "cohort_hash": COHORT_HASH, "resample_id": RESAMPLE_ID}
    params = dict(zip(FACTORS, XGB, strict=True))
    store.run(params=params, tags=tags, status="RUNNING")
    store.run(params=params, tags=tags, status="KILLED")
    _, excluded = build("FROM excluded_runs")
    assert [row["reason"] for row in excluded] == ["unfinished", "unfinished"]


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE runs;--", "<script>alert(1)</script>", 'a"b', "x\ny"])
def test_methods_that_are_not_in_the_registry_are_rejected_whatever_they_are_called(store, build, name):
    store.combination(CAT, 1)
    store.combination((*CAT[:3], name), 2)
    summary, runs, excluded = build("FROM runs", "FROM excluded_runs")
    assert len(runs) == 1
    assert "classifier" in excluded[0]["detail"]
    assert "not in the registry" in excluded[0]["detail"]
    assert summary.n_rejected == 1


def test_values_that_do_not_follow_from_the_predictions_are_rejected(store, build):
    honest = own_results({})
    store.combination(CAT, 1)
    store.combination(XGB, 0, auroc=[honest["auroc"][0] + 2e-6, *honest["auroc"][1:]])
    store.combination(LOG, 0, brier=[value + 5e-7 for value in honest["brier"]])  # within the tolerance
    _, runs, excluded = build("FROM runs ORDER BY classifier", "FROM excluded_runs")
    assert [row["classifier"] for row in runs] == ["CatBoost", "LogisticRegression"]
    assert "iteration 0 stores auroc" in excluded[0]["detail"]


def test_a_run_with_other_subjects_than_the_rest_is_taken_out(store, build):
    odd = store.combination(CAT, 1, subject_codes=[f"X{code}" for code in CODES])
    store.combination(XGB, 2)
    store.combination(LOG, 3)
    _, runs, excluded, coverage, rows = build(
        "FROM runs", "FROM excluded_runs", "FROM coverage WHERE classifier = 'CatBoost'",
        f"SELECT run_id FROM predictions WHERE run_id = '{odd.name}'",
    )  # fmt: skip
    assert len(runs) == 2
    assert [row["run_id"] for row in excluded] == [odd.name]
    assert coverage[0]["status"] == "missing"
    assert rows == []


def test_mixed_sources_are_refused(store, build):
    store.combination(CAT, 1)
    store.combination(XGB, 2, tags={"source": "measured"}, source="measured")
    with pytest.raises(ExtractionError, match=r"mixed sources \(measured, synthetic\)"):
        build()


def test_a_store_of_another_program_gives_a_database_with_gaps(store, build):
    store.foreign(CAT, foreign_results(1))
    store.foreign(XGB, foreign_results(2))
    factors = dict(zip(FACTORS, LOG, strict=True))
    store.foreign(None, foreign_results(3) | {"factors": factors})
    store.foreign(None, foreign_results(4))
    store.run(params={"learning_rate": "1"})  # no combination at all
    _, provenance, essential, excluded, codes = build(
        "FROM provenance", "FROM essential_metrics", "FROM excluded_runs",
        "SELECT DISTINCT recording_code FROM predictions ORDER BY 1",
    )  # fmt: skip
    assert provenance[0]["foreign"]
    assert provenance[0]["source"] == "unstated"
    assert len(essential) == 3
    assert [row["reason"] for row in excluded] == ["rejected"]
    assert "no factors" in excluded[0]["detail"]
    assert [row["recording_code"] for row in codes] == sorted(CODES)


def test_what_a_store_of_another_program_cannot_tell_is_null_with_the_reason(store, build):
    for seed, cell in enumerate((CAT, XGB)):
        store.foreign(cell, foreign_results(seed))
    _, estimates, predictions, instability, importances_, pairs, effects, refused, lacking = build(
        "FROM metric_estimates WHERE metric = 'auroc'", "FROM predictions", "FROM instability_summary",
        "FROM feature_importances", "FROM pairwise_comparisons WHERE metric = 'brier'", "FROM method_effects",
        "FROM refusals", "FROM unavailable WHERE n_missing = 0",
    )  # fmt: skip
    whole = {row["quantity"] for row in lacking if row["reason"]}
    of_importances = {"feature_importances, model", "feature_importances, permutation"}
    assert whole == {"predictions.p_apparent", "instability"} | of_importances and len(lacking) == 8
    missing = {row["estimator"]: row["reason"] for row in estimates if math.isnan(row["estimate"])}
    assert set(missing) == {"apparent", "optimism_corrected", "b632", "b632plus"}
    assert all(missing.values())
    assert all(math.isnan(row["p_apparent"]) and row["mutual_information"] >= 0 for row in predictions)
    assert (instability, importances_, effects) == ([], [], [])
    assert [row["against"] for row in pairs] == ["champion"]
    assert {row["comparison"] for row in refused} >= {"method effects", "baseline", "outlier_quality"}


def test_every_null_of_a_run_is_explained(store, build):
    results = foreign_results(3)
    results["y_prob"][0] = [[0.5, 0.5]] * len(results["y_prob"][0])  # no slope in the first iteration
    store.foreign(CAT, results)
    _, nulls, said, told = build(
        "SELECT count(*) - count(cal_slope) AS cal_slope, count(*) - count(auroc) AS auroc "
        "FROM iteration_metrics",
        "SELECT quantity, n_missing, reason FROM unavailable WHERE quantity LIKE 'iteration_metrics.%'",
        "FROM metric_estimates WHERE estimate IS NULL AND reason IS NULL",
    )  # fmt: skip
    listed = {row["quantity"].removeprefix("iteration_metrics."): row["n_missing"] for row in said}
    assert listed["cal_slope"] == nulls[0]["cal_slope"] >= 1 and listed.get("auroc", 0) == nulls[0]["auroc"]
    assert all("the predictions are constant" in r["reason"] for r in said if "slope" in r["quantity"])
    assert told == []


def test_runs_left_out_say_of_what_kind_they_are(store, build):
    store.combination(CAT, 1)
    store.combination(CAT, 0)
    store.combination(("age", "none", "none", "NoSuch"), 2, kind="baseline")
    broken = store.sweep([CAT])
    (broken / "artifacts" / "planned.json").write_text("[")
    store.foreign(None, {"y_true": 1})
    _, excluded = build("SELECT coalesce(kind, 'unknown') AS kind, reason FROM excluded_runs ORDER BY 1")
    assert [(row["kind"], row["reason"]) for row in excluded] == [
        ("baseline", "rejected"), ("combination", "superseded"),
        ("sweep", "rejected"), ("unknown", "rejected"),
    ]  # fmt: skip


def test_foreign_and_own_runs_give_the_same_numbers(store, build, tmp_path):
    store.combination(CAT, 1)
    (own,) = build("SELECT * EXCLUDE (run_id) FROM essential_metrics")[1]
    other = FakeStore(tmp_path / "other")
    other.foreign(CAT, foreign_results(1))
    extract(other.root, tmp_path / "other.db", progress=False)
    with open_results(tmp_path / "other.db") as database:
        (foreign,) = database.query("SELECT * EXCLUDE (run_id) FROM essential_metrics").to_dict("records")
    for name, value in own.items():
        assert foreign[name] == (value if isinstance(value, str) else pytest.approx(value, nan_ok=True))


def test_runs_logged_through_mlflow_give_the_same_numbers(store, build, tracking_uri, tmp_path):
    store.combination(CAT, 1)
    (own,) = build("SELECT * EXCLUDE (run_id) FROM essential_metrics")[1]
    factors = dict(zip(FACTORS, CAT, strict=True))
    record = Record(
        "PLR_Classification",
        "name",
        factors,
        own_tags("combination"),
        {"duration_s": 1.0},
        lambda folder: dump(own_results(factors, 1), folder / FILE_NAME),
        time.time(),
    )
    Tracking(tracking_uri, ("PLR_Classification",)).log(record)
    extract(tracking_uri, tmp_path / "sqlite.db", progress=False)
    with open_results(tmp_path / "sqlite.db") as database:
        (logged,) = database.query("SELECT * EXCLUDE (run_id) FROM essential_metrics").to_dict("records")
        assert database.query("SELECT tracking_store FROM provenance")["tracking_store"][0] == "sqlite"
    assert logged == pytest.approx(own, nan_ok=True)


def test_one_odd_foreign_run_does_not_displace_the_others(store, build):
    store.foreign(CAT, foreign_results(1))
    store.foreign(XGB, foreign_results(2))
    flipped = foreign_results(3)
    flipped["y_true"] = [[1 - y for y in row] for row in flipped["y_true"]]
    odd = store.foreign(LOG, flipped)
    _, excluded = build("FROM excluded_runs")
    assert [(row["run_id"], row["reason"]) for row in excluded] == [(odd.name, "other cohort")]


def test_a_malicious_pickle_is_listed_and_the_rest_goes_in(store, build, tmp_path):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'touched'}",)

    store.foreign(CAT, foreign_results(1))
    store.foreign(XGB, foreign_results(2) | {"y_true": Call()})
    _, runs, excluded = build("FROM runs", "FROM excluded_runs")
    assert len(runs) == 1
    assert "asks for posix.system" in excluded[0]["detail"]
    assert not (tmp_path / "touched").exists()


def npz(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def with_text(archive, member):
    """The archive with a text in the place of an array."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"text" if name == member else old.read(name))
    return file.getvalue()


EXAMPLES, FEATURES = example_arrays(), feature_arrays()
QUALITY = {"gap": "all", "n_samples": 9, "mae": 0.1, "mre": 0.02, "mse": 0.01}
PROBES = [PROBE_ROW | {"n_flagged": 50.0}]
DAMAGED = {
    "examples.npz is damaged": ("2", "examples.npz", b"PK no"),
    "examples.npz lacks raw": ("2", "examples.npz", npz({k: v for k, v in EXAMPLES.items() if k != "raw"})),
    "time or imputed has values": ("2", "examples.npz", npz(EXAMPLES | {"imputed": EXAMPLES["raw"]})),
    "codes is no list of names": ("2", "examples.npz", npz(EXAMPLES | {"codes": np.array(["a\ud800"])})),
    "raw is float64": ("2", "examples.npz", npz(EXAMPLES | {"raw": np.zeros(4)})),
    "values is <U1": ("3", "features.npz", npz(FEATURES | {"values": FEATURES["values"].astype("U1")})),
    "lacks the recording G001": ("3", "features.npz", npz(FEATURES | {"recordings": np.array(
        ["X001", *FEATURES["recordings"][1:]]
    )})),
    "columns has a name twice": ("3", "features.npz", npz(FEATURES | {"columns": np.array(["a", "a"])})),
    "quality.json is damaged": ("1", "quality.json", b"[{"),
    "no number n_artefact for all": ("1", "quality.json", b'[{"artefact_type": "all", "n_samples": 1}]'),
    "probe.json is no list of one row": ("1", "probe.json", b"[]"),
    "probe.json has no number n_flagged": ("1", "probe.json", json.dumps(PROBES).encode()),
    "unusable.json is no list": ("2", "unusable.json", b"{}"),
    "time is float64 ()": ("2", "examples.npz", npz(EXAMPLES | {"time": np.array(0.5)})),
    "imputed is no array": ("2", "examples.npz", with_text(npz(EXAMPLES), "imputed.npy")),
    "feature red_PHASIC_pct has a value of": (
        "3", "features.npz", npz(FEATURES | {"values": 1e306 * FEATURES["values"]})
    ),
    "no number n_samples for all": ("2", "quality.json", b'[{"gap": "all", "n_samples": null}]'),
    "has a gap twice": ("2", "quality.json", json.dumps([QUALITY, QUALITY]).encode()),
    "members.json is no list": ("1", "members.json", b"{}"),
    "a row without member": ("1", "members.json", b'[{"member": "LOF", "status": "?"}]'),
    "strange reason or quality for LOF": (
        "1", "members.json", b'[{"member": "LOF", "status": "used", "quality": "high"}]'
    ),
    "has a member twice": ("1", "members.json", json.dumps([MEMBERS[0], MEMBERS[0]]).encode()),
    "no number mae for all": ("2", "quality.json", json.dumps([QUALITY | {"mae": 1e301}]).encode()),
}  # fmt: skip


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_stage_run_is_listed_and_the_combinations_go_in(store, build, reason):
    links = store.stages("simple", "LOF", "linear")
    store.combination(CAT, 1, tags=links)
    experiment, name, content = DAMAGED[reason]
    write_json(store.folders["outlier"], "members.json", MEMBERS)
    (file,) = (store.root / experiment).glob(f"*/artifacts/{name}")
    file.write_bytes(content)
    _, runs, excluded = build("FROM runs", "FROM excluded_runs")
    assert len(runs) == 1
    assert [row["run_id"] for row in excluded] == [file.parent.parent.name]
    assert reason in excluded[0]["detail"]


def test_whatever_a_stage_run_makes_the_reader_trip_over_costs_that_run_alone(store, build, monkeypatch):
    links = store.stages("simple", "LOF", "linear")
    store.combination(CAT, 1, tags=links)

    def trip(*arguments):
        raise MemoryError("7.45 GiB\n\ud800")

    monkeypatch.setattr(stage_collection, "examples", trip)
    _, runs, excluded, quality = build("FROM runs", "FROM excluded_runs", "FROM outlier_quality")
    assert (len(runs), len(quality)) == (1, 2)
    assert [row["run_id"] for row in excluded] == [links["imputation_run_id"]]
    assert excluded[0]["detail"] == "artifacts cannot be evaluated: MemoryError 7.45 GiB ?"


def test_examples_of_a_rejected_run_are_those_of_the_next_one(store, build):
    for method in ("LOF", "SubPCA"):
        links = store.stages("simple", method, "linear")
        if method == "LOF":
            write_json(store.folders["imputation"], "unusable.json", {})
    store.combination((CAT[0], "SubPCA", *CAT[2:]), 1, tags=links)
    _, excluded, recorded = build("FROM excluded_runs", "FROM example_recordings")
    assert (len(excluded), len(recorded)) == (1, 4)


def test_stage_runs_with_other_columns_and_types_stand_side_by_side(store, build):
    links = [store.stages("simple", method, "linear") for method in ("LOF", "SubPCA")]
    store.combination(CAT, 1, tags=links[0])
    store.combination((CAT[0], "SubPCA", *CAT[2:]), 2, tags=links[1])
    arrays = example_arrays()
    few = {name: arrays[name] for name in ("time", "codes", "raw", "imputed")}
    few |= {"missing": arrays["missing"].astype(np.int8), "imputed": arrays["imputed"].astype(np.float32)}
    experiment, run_id = "2", links[1]["imputation_run_id"]
    np.savez(store.root / experiment / run_id / "artifacts" / "examples.npz", **few)
    values = feature_arrays() | {"values": np.ones_like(feature_arrays()["values"], dtype=np.int64)}
    np.savez(store.root / "3" / links[1]["featurization_run_id"] / "artifacts" / "features.npz", **values)
    _, excluded, imputed, features = build(
        "FROM excluded_runs",
        "SELECT outlier_method, count(sd) AS sd, count(imputed) AS n FROM example_imputations "
        "GROUP BY 1 ORDER BY 1",
        "SELECT outlier_method, count(*) AS n FROM feature_values GROUP BY 1 ORDER BY 1",
    )  # fmt: skip
    assert excluded == []
    assert [tuple(row.values()) for row in imputed] == [("LOF", 2, 4), ("SubPCA", 0, 4)]
    assert len({row["n"] for row in features}) == 1 and len(features) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": True, "fit_seconds": 3, "versions": {"numpy": np.ones(2)}}, None),
        ({"features": np.array(["a", "b"])}, "features is not a list of short texts"),
        ({"source": "\ud800"}, "its source is"),
        ({"inbag_counts": np.full((40, len(CODES)), 0.5)}, "inbag_counts"),
        ({"y_true": np.zeros((2_000_000, 0))}, "more than 200000 values"),
        ({"y": np.append(Y, np.zeros(10**6, np.int8)), "y_prob_all": None, "inbag_counts": None}, "in all"),
    ],
)  # fmt: skip
def test_an_odd_file_costs_itself_alone(store, build, changes, reason):
    store.combination(CAT, 1)
    odd = own_results({}, 2) | changes
    if "inbag_counts" in changes:
        del odd["train_indices"]
    store.foreign(XGB, odd, tags=own_tags("combination"))
    _, runs, excluded = build("FROM runs", "FROM excluded_runs")
    assert len(runs) == (1 if reason else 2)
    details = [row["detail"] for row in excluded]
    assert details == [] if reason is None else reason in details[0], details


def test_stage_runs_from_before_the_checks_stay_readable(store, build):
    links = store.stages("simple", "LOF", "linear")
    store.combination(CAT, 1, tags=links)
    newer = ("f1_random", "mae_linear", "mre_linear", "mse_linear")
    for run_id in (links["outlier_run_id"], links["imputation_run_id"]):
        (file,) = store.root.glob(f"*/{run_id}/artifacts/quality.json")
        rows = [{k: v for k, v in row.items() if k not in newer} for row in json.loads(file.read_text())]
        file.write_text(json.dumps(rows))
    (store.root / "1" / links["outlier_run_id"] / "artifacts" / "probe.json").unlink()
    _, checks = build("FROM v_detector_checks")
    assert [(row["f1"], row["better_than_random"], row["leaves_hippus"]) for row in checks] == [
        (0.8, None, None)
    ]
    _, beside = build("FROM v_imputer_checks")
    assert [(row["mae"], row["better_than_linear"]) for row in beside] == [(0.1, None)]


def test_quality_comes_from_the_stage_run_the_combinations_rest_on(store, build):
    links = store.stages("simple", "LOF", "linear")
    store.stages("simple", "LOF", "linear")  # newer, other parameters, used by nothing
    store.combination(CAT, 1, tags=links)
    _, quality = build("FROM outlier_quality")
    assert {row["run_id"] for row in quality} == {links["outlier_run_id"]}


def test_counts_that_do_not_add_up_stop_the_extraction_and_the_old_database_stays(store, build, tmp_path):
    links = store.stages("simple", "LOF", "linear")
    store.combination(CAT, 1, tags=links)
    build()
    before = (tmp_path / "results.db").read_bytes()
    quality = store.root / "1" / links["outlier_run_id"] / "artifacts" / "quality.json"
    quality.write_text(quality.read_text().replace('"tp": 8', '"tp": 7'))
    with pytest.raises(ExtractionError, match="detections add up"):
        build()
    assert (tmp_path / "results.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".results.db.lock",
        "mlruns",
        "results.db",
        "results_dictionary.html",
    ]


def test_nothing_to_extract_says_what_there_is(store, build):
    with pytest.raises(SelectionError, match="no finished combination"):
        build()
    store.failed(CAT)
    with pytest.raises(SelectionError, match="1 FAILED"):
        build()
    broken = store.combination(CAT, 1)
    (broken / "artifacts" / FILE_NAME).write_bytes(b"")
    with pytest.raises(ExtractionError, match=r"(?s)no combination can be used.*rejected .* truncated"):
        build()

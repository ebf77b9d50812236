"""Views on tables small enough to compute by hand."""

import math

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from src.registry import load_registry
from src.results.builder import new_results

FACTORS = ("featurization", "outlier_method", "imputation_method", "classifier")
CELL = dict(zip(FACTORS, ("simple", "LOF", "linear", "CatBoost"), strict=True))


@pytest.fixture
def given(tmp_path):
    """Put rows into an otherwise empty database and answer queries about it."""

    def run(*queries, **tables):
        path = tmp_path / "given.db"
        with new_results(path) as writer:
            for name, rows in tables.items():
                writer.insert(name, pd.DataFrame(rows))
        with duckdb.connect(str(path), read_only=True) as database:
            answers = [database.execute(sql).fetch_df() for sql in queries]
        return answers[0] if len(queries) == 1 else answers

    return run


def runs(*ids, kind="combination", **changes):
    known = {"n_iterations": 1, "n_subjects": 4, "kind": kind}
    return [CELL | {"run_id": run_id, "classifier": f"c{run_id}"} | known | changes for run_id in ids]


def essential(**values):
    counts = {"n_iterations": 1, "n_subjects": 4, "n_cases": 2}
    return [CELL | {"run_id": run, "brier": b, "auroc": a} | counts for run, (b, a) in values.items()]


def methods(*stage_names):
    return [
        {
            "stage": s,
            "name": n,
            "display_name": n.upper(),
            "in_study": True,
            "runnable": True,
            "sort_order": i,
        }
        for i, (s, n) in enumerate(stage_names)
    ]


def metrics(**directions):
    return [
        {"name": name, "display_name": name, "direction": way, "kind": "essential", "stage": "classification"}
        for name, way in directions.items()
    ]


def test_the_leaderboard_ranks_by_brier_then_auroc_and_shows_what_the_choice_adds(given):
    board = given(
        "SELECT run_id, rank, n_missing_cells, brier_optimism, auroc_optimism, brier_detectable, "
        "auroc_detectable, in_confidence_set FROM v_leaderboard",
        essential_metrics=essential(a=(0.2, 0.7), b=(0.1, 0.8), c=(0.1, 0.9), d=(None, 0.99)),
        coverage=[CELL | {"status": s, "inferred": False, "classifier": s} for s in ("finished", "failed")],
        winners_curse=[
            {"metric": m, "run_id": "c", "run_id_pooled": "b", "optimism": o}
            for m, o in (("brier", 0.01), ("auroc", 0.02))
        ],
        detectable_difference=[
            {"metric": "brier", "detectable": 0.03}, {"metric": "auroc", "detectable": 0.04},
        ],
        confidence_set=[
            {"metric": "brier", "run_id": "a", "included": False},
            {"metric": "brier", "run_id": "c", "included": True},
            {"metric": "auroc", "run_id": "a", "included": True},
        ],
    )  # fmt: skip
    assert board["run_id"].tolist() == ["c", "b", "a", "d"]
    assert board["rank"].tolist() == [1, 2, 3, 4]
    assert set(board["n_missing_cells"]) == {1}
    assert board.iloc[0, 3:7].tolist() == [0.01, 0.02, 0.03, 0.04]
    assert board["in_confidence_set"].isna().tolist() == [False, True, False, True]
    assert board["in_confidence_set"].dropna().tolist() == [True, False]


def test_a_loss_is_positive_where_a_method_makes_a_metric_worse(given):
    row = {"featurization": "simple", "factor": "outlier_method", "method": "LOF"}
    effects = given(
        "SELECT metric, loss, method_display FROM v_method_effects ORDER BY metric",
        method_effects=[
            row | {"metric": m, "effect": e} for m, e in (("auroc", -0.1), ("brier", -0.2), ("slope", 1))
        ],
        metrics=metrics(auroc="higher", brier="lower", slope="target"),
        methods=methods(("imputation", "LOF"), ("outlier", "LOF"), ("outlier", "SubPCA")),
    )
    assert effects["loss"].tolist() == pytest.approx([0.1, -0.2, math.nan], nan_ok=True)
    assert effects["method_display"].tolist() == ["LOF"] * 3


def test_calibration_numbers_stand_side_by_side_for_each_estimator(given):
    def estimate(metric, estimator, value, **more):
        return {"run_id": "a", "metric": metric, "estimator": estimator, "estimate": value} | more

    table = given(
        "SELECT * FROM v_calibration ORDER BY estimator",
        runs=runs("a"),
        metric_estimates=[
            estimate("cal_slope", "oob", 0.9, estimate_median=0.8, sampling_lo=0.5, sampling_hi=1.3),
            estimate("cal_slope", "apparent", 1.5),
            estimate("ici", "apparent", 0.04),
        ],
    )
    assert table["estimator"].tolist() == ["apparent", "oob"]
    assert table["cal_slope"].tolist() == [1.5, 0.9]
    assert table["ici"].tolist() == pytest.approx([0.04, math.nan], nan_ok=True)
    assert table.loc[1, ["cal_slope_median", "cal_slope_lo", "cal_slope_hi"]].tolist() == [0.8, 0.5, 1.3]


def test_the_advantage_of_a_decision_is_over_the_better_of_all_and_nobody(given):
    row = {"run_id": "a", "population": "study"}
    points = [("oob", 0.1, 0.30, 0.20), ("oob", 0.5, 0.05, -0.4), ("apparent", 0.1, 0.9, 0.2)]
    curve = given(
        "SELECT threshold, advantage FROM v_decision",
        runs=runs("a"),
        decision_curves=[
            row | {"estimator": e, "threshold": t, "net_benefit": b, "treat_all": a} for e, t, b, a in points
        ],
    )
    assert curve["threshold"].tolist() == [0.1, 0.5]
    assert curve["advantage"].tolist() == pytest.approx([0.1, 0.05])


def test_pairs_carry_the_methods_and_estimates_of_both(given):
    pair = {"metric": "brier", "run_id_a": "a", "run_id_b": "b", "against": "champion", "difference": 0.05}
    estimates = [
        {"run_id": run, "metric": "brier", "estimator": e, "estimate": value}
        for run, e, value in (("a", "oob", 0.15), ("b", "oob", 0.10), ("a", "apparent", 0.01))
    ]
    (row,) = given(
        "SELECT classifier_a, classifier_b, estimate_a, estimate_b, difference FROM v_pairs",
        runs=runs("a", "b"), pairwise_comparisons=[pair], metric_estimates=estimates,
    ).itertuples(index=False)  # fmt: skip
    assert tuple(row) == ("ca", "cb", 0.15, 0.10, 0.05)


def test_confidence_sets_are_counted_by_metric(given):
    rows = [("brier", "a", 1.0, True), ("brier", "b", 0.01, False), ("auroc", "a", 1.0, True)]
    names = ("metric", "run_id", "p_value", "included")
    table = given(
        "SELECT metric, run_id, n_included, n_compared FROM v_confidence_set",
        runs=runs("a", "b"), confidence_set=[dict(zip(names, row, strict=True)) for row in rows],
    )  # fmt: skip
    assert table.to_numpy().tolist() == [["auroc", "a", 1, 1], ["brier", "a", 1, 2], ["brier", "b", 1, 2]]


def test_methods_within_the_critical_difference_are_as_good_as_the_best(given):
    row = {
        "metric": "brier",
        "featurization": "simple",
        "factor": "outlier_method",
        "critical_difference": 0.5,
    }
    table = given(
        "SELECT method, behind_best, as_good_as_best FROM v_critical_differences",
        critical_differences=[
            row | {"method": m, "mean_rank": r} for m, r in (("x", 1.5), ("y", 2.0), ("z", 2.5))
        ],
    )
    assert table.to_numpy().tolist() == [["x", 0.0, True], ["y", 0.5, True], ["z", 1.0, False]]


def test_shares_of_variance_leave_out_the_total_and_end_with_the_residual(given):
    row = {"metric": "brier", "featurization": "simple"}
    shares = [("residual", 0.7), ("outlier_method", 0.1), ("classifier", 0.2), ("total", 1.0)]
    table = given(
        "SELECT factor, percent FROM v_variance",
        variance_decomposition=[row | {"factor": f, "eta_squared": e} for f, e in shares],
    )
    assert table["factor"].tolist() == ["classifier", "outlier_method", "residual"]
    assert table["percent"].tolist() == pytest.approx([20, 10, 70])


def test_retention_is_held_against_keeping_all(given):
    points = [(0, 0.5, 0.1), (1, 0.75, 0.2), (2, 1.0, 0.25)]
    table = given(
        "SELECT error_change FROM v_retention",
        runs=runs("a"),
        retention_curves=[{"run_id": "a", "point": i, "retained": r, "error": e} for i, r, e in points],
    )
    assert table["error_change"].tolist() == pytest.approx([-0.15, -0.05, 0.0])


def test_features_are_described_by_class(given):
    factors = {name: CELL[name] for name in FACTORS[:3]}
    values = {"G1": 3.0, "G2": 5.0, "H1": 1.0, "H2": 3.0, "H3": None}
    (row,) = given(
        "SELECT n, n_undefined, mean_cases, mean_controls, standardised_difference, largest_correlation, vif "
        "FROM v_features WHERE feature = 'f'",
        predictions=[
            {"run_id": "a", "recording_code": c, "subject_code": c, "y": int(c[0] == "G"), "n_oob": 1}
            for c in values
        ],
        feature_values=[
            factors | {"recording_code": c, "feature": "f", "value": v} for c, v in values.items()
        ],
        feature_correlations=[
            factors | {"feature_a": a, "feature_b": b, "pearson": r}
            for a, b, r in (("f", "g", -0.9), ("e", "f", 0.5))
        ],
        feature_vif=[factors | {"feature": "f", "vif": 7.0}],
    ).itertuples(index=False)  # fmt: skip
    assert tuple(row) == pytest.approx((4, 1, 4, 2, 2 / math.sqrt(2), 0.9, 7))


def test_importances_are_ranked_within_run_and_kind(given):
    rows = [("f", "model", 0.3), ("g", "model", 0.7), ("f", "permutation", 0.1)]
    table = given(
        "SELECT kind, feature, rank_in_run FROM v_importances",
        runs=runs("a"),
        feature_importances=[{"run_id": "a", "feature": f, "kind": k, "mean": m, "n": 1} for f, k, m in rows],
    )
    assert table.to_numpy().tolist() == [["model", "g", 1], ["model", "f", 2], ["permutation", "f", 1]]


INFLUENCE = {"a": {"G1": 0.4, "G2": -0.2, "G3": -0.2, "H1": 0.1, "H2": -0.1},
             "b": {"G1": 0.1, "G2": 0.0, "G3": -0.1, "H1": -0.1, "H2": 0.1}}  # fmt: skip


def influences(metric, names=("a", "b")):
    return [
        {"run_id": name, "subject_code": s, "metric": metric, "influence": v}
        for name, values in zip(names, INFLUENCE.values(), strict=True) for s, v in values.items()
    ]  # fmt: skip


def recordings(*ids):
    return [
        {"run_id": run_id, "recording_code": s, "subject_code": s, "y": int(s[0] == "G"), "n_oob": 1}
        for run_id in ids for s in INFLUENCE["a"]
    ]  # fmt: skip


def estimates(metric, **values):
    return [{"run_id": r, "metric": metric, "estimator": "oob", "estimate": v} for r, v in values.items()]


def standard_error():
    """sqrt(sum over classes of n_c var_c) / n of the paired differences."""
    d = {s: INFLUENCE["a"][s] - INFLUENCE["b"][s] for s in INFLUENCE["a"]}
    classes = [np.array([v for s, v in d.items() if s[0] == c]) for c in "GH"]
    return math.sqrt(sum(c.size * c.var(ddof=1) for c in classes)) / len(d)


def test_any_two_runs_are_compared_by_subject(given):
    tables = {
        "predictions": recordings("a", "b"),
        "subject_influence": influences("auroc"),
        "metric_estimates": estimates("auroc", a=0.9, b=0.8),
    }
    row = given("FROM compare_runs('a', 'b')", **tables).iloc[0]
    se = standard_error()
    assert row["difference"] == pytest.approx(0.1)
    assert row["se"] == pytest.approx(se)
    assert (row["lo"], row["hi"]) == pytest.approx((0.1 - 1.96 * se, 0.1 + 1.96 * se))
    assert row["p"] == pytest.approx(2 * norm.sf(0.1 / se), abs=2e-7)


def test_a_run_does_not_differ_from_itself(given):
    tables = {
        "predictions": recordings("a"),
        "subject_influence": influences("auroc")[:5],
        "metric_estimates": estimates("auroc", a=0.9),
    }
    row = given("FROM compare_runs('a', 'a')", **tables).iloc[0]
    assert (row["difference"], row["se"], row["p"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("metric", "values", "p"),
    [
        ("auroc", {"a": 0.9, "b": 0.8}, 1),
        ("brier", {"a": 0.2, "b": 0.1}, None),
        ("brier", {"a": None, "b": 0.1}, None),
    ],
)
def test_without_scatter_or_estimate_there_is_no_interval_and_no_small_p(given, metric, values, p):
    same = [row | {"influence": 0.1} for row in influences(metric)]
    tables = {
        "predictions": recordings("a", "b"),
        "subject_influence": same,
        "metric_estimates": estimates(metric, **values),
    }
    row = given("FROM compare_runs('a', 'b')", **tables).iloc[0]
    assert pd.isna(row["lo"]) and pd.isna(row["hi"])
    assert pd.isna(row["p"]) if p is None else row["p"] == p


def test_baselines_stand_beside_the_champion_with_the_difference_by_subject(given):
    # The champion is b; the baseline's influence values are those of a.
    empty = {"reason": "no ages", "run_id": "old", "featurization": "age"}
    table = given(
        "SELECT * FROM v_baseline",
        essential_metrics=essential(x=(0.2, 0.99), b=(0.1, 0.8)),
        baseline_metrics=[*essential(a=(0.3, 0.7)), CELL | empty],
        predictions=recordings("a", "b"),
        subject_influence=influences("auroc"),
    ).set_index("run_id")
    assert table.loc["b", "part"] == "champion"
    assert math.isnan(table.loc["b", "auroc_difference"])
    se = standard_error()
    assert table.loc[
        "a", ["auroc_difference", "auroc_difference_lo", "auroc_difference_hi", "brier_difference"]
    ].tolist() == (pytest.approx([-0.1, -0.1 - 1.96 * se, -0.1 + 1.96 * se, 0.2]))
    assert table.loc["old", "reason"] == "no ages"


def test_supplementary_metrics_are_all_that_iterations_do_not_have_or_that_never_rank(given):
    pooled = [
        {"run_id": "a", "metric": "ici", "estimator": e, "estimate": v}
        for e, v in (("oob_pooled", 0.1), ("apparent", 0.2))
    ]
    table = given("SELECT * FROM supplementary_metrics", runs=runs("a"), metric_estimates=pooled)
    assert table["ici"].tolist() == [0.1]
    classification = {m.name: m.kind for m in load_registry().metrics.values() if m.stage == "classification"}
    essentials = set(given_columns("essential_metrics"))
    expected = [
        name for name, kind in classification.items() if kind != "essential" or name not in essentials
    ]
    assert sorted(set(table.columns) - {"run_id", *FACTORS}) == sorted(expected)


def given_columns(table):
    import src.results.builder as builder

    sql = (builder.HERE / "schema.sql").read_text()
    body = sql[sql.index(f"CREATE TABLE {table} (") :].split("\n);")[0]
    return [line.split()[0] for line in body.splitlines()[1:]]

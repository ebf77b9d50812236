"""All tables at once: their shape, what they do not depend on, and what is refused as input."""

import numpy as np
import pytest
from scipy.special import ndtr
from small_study import grid, simulated, table_of

from src.evaluation.comparisons import SCHEMA, Combinations, compare_all
from src.evaluation.comparisons.tables import table
from src.evaluation.resampling import EvaluationError


@pytest.mark.parametrize("cells", [grid(), grid()[:3], grid()[:1]], ids=["complete", "holed", "single"])
def test_every_table_has_its_columns_and_types(cells):
    tables = compare_all(simulated(cells))
    assert list(tables) == list(SCHEMA)
    for name, columns in SCHEMA.items():
        assert {column: values.dtype for column, values in tables[name].items()} == columns
        assert len({values.shape for values in tables[name].values()}) == 1


def test_texts_are_plain_strings():
    for found in compare_all(simulated()).values():
        for column in found.values():
            if column.dtype == object:
                assert all(type(value) is str for value in column)


def test_no_combination_gives_empty_tables():
    for estimates in ({"brier": [], "auroc": []}, {}):
        tables = compare_all(table_of([], [0, 0, 1, 1], estimates))
        assert all(len(columns["metric"]) == 0 for name, columns in tables.items() if name != "refusals")
        assert "needs two combinations; there are 0" in tables["refusals"]["reason"]


def test_without_brier_scores_there_is_no_champion():
    c = simulated()
    tables = compare_all(table_of(c.cells, c.y, {"auroc": c.estimates["auroc"]}, p_oob=c.p_oob))
    assert "champion" not in tables["pairwise_comparisons"]["against"]
    assert tables["winners_curse"]["run"].size == 0 and tables["confidence_set"]["run"].size == 24


def test_keys_are_unique():
    gone = ("simple", "LOF", "linear", "B")
    c = simulated([cell for cell in grid(features=("simple", "baseline")) if cell != gone], missing=[gone])
    tables = compare_all(c)
    keys = {
        "pairwise_comparisons": ("metric", "run_a", "run_b", "against"),
        "method_effects": ("metric", "featurization", "factor", "method"),
        "confidence_set": ("metric", "run"),
        "critical_differences": ("metric", "featurization", "factor", "method"),
        "nemenyi_pairs": ("metric", "featurization", "factor", "method_a", "method_b"),
        "variance_decomposition": ("metric", "featurization", "factor"),
        "winners_curse": ("metric",),
        "detectable_difference": ("metric",),
        "refusals": ("comparison", "metric", "featurization", "factor"),
    }
    for name, columns in keys.items():
        rows = list(zip(*(tables[name][column] for column in columns), strict=True))
        assert len(rows) == len(set(rows)) > 0


def test_intervals_contain_their_differences():
    tables = compare_all(simulated())
    for found, value in (
        (tables["pairwise_comparisons"], "difference"),
        (tables["method_effects"], "effect"),
    ):
        assert ((found["lo"] <= found[value]) & (found[value] <= found["hi"])).all()
        level = 2 * ndtr(-1.96)
        np.testing.assert_array_equal(found["p"] < level, (found["lo"] > 0) | (found["hi"] < 0))


def test_the_number_of_iterations_changes_no_standard_error_and_no_p_value():
    rng = np.random.default_rng(0)
    few, many = (
        compare_all(simulated(iterations={"brier": rng.random((12, b)), "auroc": rng.random((12, b))}))
        for b in (10, 1000)
    )
    for name in ("pairwise_comparisons", "method_effects"):
        for column in ("se", "lo", "hi", "p"):
            np.testing.assert_array_equal(few[name][column], many[name][column])


def test_a_metric_without_estimates_is_refused():
    with pytest.raises(EvaluationError, match="no estimates of oe_ratio; expected one of auroc, brier"):
        compare_all(simulated(), ["oe_ratio"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_oob": np.zeros((2, 4))}, r"p_oob has shape \(2, 4\); expected \(12, 4\)"),
        ({"estimates": {"brier": np.zeros(3)}}, r"the estimates of brier has shape \(3,\); expected \(12,\)"),
        ({"influence": {"brier": np.zeros((12, 3))}}, r"the influence of brier .* expected \(12, 4\)"),
        ({"iterations": {"brier": np.zeros((3, 9))}}, r"the iterations of brier .* expected \(12, 9\)"),
        ({"groups": ["a"]}, r"groups has shape \(1,\); expected \(4,\)"),
        ({"subjects": ["a"]}, r"subjects has shape \(1,\); expected \(4,\)"),
    ],
)
def test_shapes_that_disagree_are_refused(changes, message):
    c = table_of(grid(), [0, 0, 1, 1], {"brier": np.zeros(12), "auroc": np.zeros(12)})
    with pytest.raises(EvaluationError, match=message):
        Combinations(**{**vars(c), **changes})


def test_a_combination_given_twice_is_refused():
    cells = [*grid(), grid()[2]]
    with pytest.raises(EvaluationError, match=r"simple \+ truth \+ linear \+ A is there twice"):
        table_of(cells, [0, 0, 1, 1], {"brier": np.zeros(13), "auroc": np.zeros(13)})


def test_a_table_repeats_single_values_and_keeps_long_texts():
    parts = [{"metric": "brier", "run": np.arange(2), "p_value": 0.5, "included": True}] * 2
    assert table("confidence_set", parts)["run"].tolist() == [0, 1, 0, 1]
    parts[1] = parts[1] | {"metric": "a much longer name"}
    assert table("confidence_set", parts)["metric"].tolist() == ["brier"] * 2 + ["a much longer name"] * 2

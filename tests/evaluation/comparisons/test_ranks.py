"""Ranks: published numbers, other programs, and what is refused."""

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare, rankdata, studentized_range
from small_study import grid, simulated, table_of

from src.evaluation.comparisons import compare_all
from src.evaluation.comparisons.ranks import badness, critical_difference, friedman, nemenyi, ranks
from src.evaluation.resampling import EvaluationError

# Demsar 2006, Table 6: ranks of C4.5 and three variants on 14 data sets (AUC).
DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)


def test_the_published_example():
    mean_ranks = ranks(DEMSAR).mean(axis=0)
    np.testing.assert_allclose(mean_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    ties = 3 * (2**3 - 2) + (4**3 - 4)  # the published chi squared, 9.28, is not corrected for them
    chi2, p = friedman(DEMSAR)
    assert chi2 * (1 - ties / (14 * 4 * 15)) == pytest.approx(9.28, abs=5e-3)
    assert 0.01 < p < 0.02  # chi squared 10.23 with 3 degrees of freedom


@pytest.mark.parametrize(
    ("k", "q"),  # Demsar 2006, Table 5a
    [
        (2, 1.960),
        (3, 2.343),
        (4, 2.569),
        (5, 2.728),
        (6, 2.850),
        (7, 2.949),
        (8, 3.031),
        (9, 3.102),
        (10, 3.164),
    ],
)
def test_published_critical_values(k, q):
    assert critical_difference(k, 50) == pytest.approx(q * np.sqrt(k * (k + 1) / 300), rel=3e-4)


def test_ranks_are_scipys():
    values = np.random.default_rng(0).integers(0, 5, (30, 7))
    np.testing.assert_array_equal(ranks(values), rankdata(values, axis=1))


@pytest.mark.parametrize("k", [3, 5, 11])
def test_nemenyi_is_scikit_posthocs(k):
    rng = np.random.default_rng(k)
    values = rng.integers(0, 9, (40, k)) + np.arange(k)
    expected = posthoc_nemenyi_friedman(values).to_numpy()
    np.testing.assert_allclose(nemenyi(ranks(values).mean(axis=0), 40), expected, atol=1e-10)
    np.testing.assert_allclose(nemenyi(np.array([1.0, 1.0, 1.0]), 5), 1)


def test_nemenyi_finds_the_critical_difference_significant_at_5_percent():
    means = np.array([1.0, 1.0 + critical_difference(6, 20), 3, 3, 3, 3])
    assert nemenyi(means, 20)[0, 1] == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_friedman_with_ties_agrees_with_scipy(decimals):
    values = np.round(np.random.default_rng(decimals).normal(size=(9, 4)), decimals)
    expected = friedmanchisquare(*values.T)
    assert friedman(values) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_friedman_of_methods_that_always_tie_is_undefined():
    assert np.isnan(friedman(np.ones((4, 3)))).all()


@pytest.mark.parametrize("n_methods", [3, 8, 11])
def test_the_critical_difference_is_that_of_the_studentized_range(n_methods):
    q = studentized_range.ppf(0.95, n_methods, np.inf) / np.sqrt(2)
    expected = q * np.sqrt(n_methods * (n_methods + 1) / (6 * 40))
    assert critical_difference(n_methods, 40) == pytest.approx(expected, rel=1e-8)


def test_friedman_by_its_definition_without_ties():
    values = np.random.default_rng(1).random((9, 4))
    r = rankdata(values, axis=1).mean(axis=0)
    chi2 = 12 * 9 / (4 * 5) * (np.sum(r**2) - 4 * 5**2 / 4)
    assert friedman(values)[0] == pytest.approx(chi2)


def test_rank_1_is_the_best_whatever_good_means():
    # outlier methods truth, LOF, SVM in four cells each
    brier = np.repeat([0.1, 0.2, 0.3], 4)
    slope = np.repeat([1.3, 0.9, 0.5], 4)  # distance to 1: 0.3 0.1 0.5
    c = table_of(grid(), [0, 0, 1, 1], {"brier": brier, "auroc": brier, "cal_slope": slope})
    table = compare_all(c)["critical_differences"]
    for metric, expected in (("brier", [1, 2, 3]), ("auroc", [3, 2, 1]), ("cal_slope", [2, 1, 3])):
        own = (table["metric"] == metric) & (table["factor"] == "outlier_method")
        assert table["method"][own].tolist() == ["truth", "LOF", "SVM"]
        assert table["mean_rank"][own].tolist() == expected
        assert set(table["n_blocks"][own]) == {4} and set(table["n_methods"][own]) == {3}
    assert set(table["title"]) == {"descriptive: blocks share subjects"}


def test_the_tables_are_those_of_the_cells():
    c = simulated()
    tables = compare_all(c, ["auroc"])
    # grid() runs through outlier (3) x imputation (2) x classifier (2), the last fastest
    blocks = -c.estimates["auroc"].reshape(3, 4).T
    cd, pairs = tables["critical_differences"], tables["nemenyi_pairs"]
    np.testing.assert_allclose(cd["mean_rank"], rankdata(blocks, axis=1).mean(axis=0))
    expected = posthoc_nemenyi_friedman(blocks).to_numpy()
    named = list(zip(pairs["method_a"], pairs["method_b"], strict=True))
    assert named == [("truth", "LOF"), ("truth", "SVM"), ("LOF", "SVM")]
    np.testing.assert_allclose(pairs["p"], expected[np.triu_indices(3, 1)], atol=1e-10)


def reasons(combinations):
    table = compare_all(combinations, ["brier"])["refusals"]
    own = table["comparison"] == "ranks"
    return dict(zip(table["factor"][own], table["reason"][own], strict=True))


def test_what_is_refused_and_why():
    assert reasons(simulated()) == {
        "imputation_method": "needs 3 methods; there are 2",
        "classifier": "needs 3 methods; there are 2",
    }
    lone = reasons(simulated(grid(imputation=("truth",), classifier=("A",))))
    assert lone["outlier_method"] == "needs 2 blocks (cells of the other factors); there is 1"
    gone = ("simple", "LOF", "linear", "B")
    holed = reasons(simulated([cell for cell in grid() if cell != gone]))
    assert set(holed.values()) == {"needs the complete grid; missing: simple + LOF + linear + B"}
    tied = table_of(grid(), [0, 0, 1, 1], {"brier": np.tile([0.1, 0.2, 0.3, 0.4], 3), "auroc": np.ones(12)})
    assert reasons(tied)["outlier_method"] == "all methods tie in every block"


def test_a_planned_combination_without_a_result_is_missing_though_no_other_has_its_level():
    found = reasons(simulated(missing=[("simple", "PROPHET", "truth", "A")]))
    assert "simple + PROPHET + truth + A" in found["outlier_method"]


def test_a_metric_without_direction_is_refused():
    with pytest.raises(EvaluationError, match="metric beauty has no direction"):
        badness("beauty", np.ones(3))

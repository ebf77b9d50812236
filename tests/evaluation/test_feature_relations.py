"""Correlations and variance inflation against scipy, statsmodels and tables known by heart."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from statsmodels.stats.outliers_influence import variance_inflation_factor
from statsmodels.tools import add_constant

from src.evaluation.feature_relations import CONSTANT, DEPENDENT, TOO_FEW, correlations, vif
from src.evaluation.resampling import EvaluationError

NAN = float("nan")
RNG = np.random.default_rng(4)
NAMES = ["a", "b", "c", "d"]
TABLE = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) * [1, 1000, 0.001, 1] + [0, 5000, 0, -3]
TABLE[:, 3] = np.round(TABLE[:, 3])  # ties


def test_pairs_are_those_of_scipy():
    table = correlations(TABLE, NAMES)
    assert [a + b for a, b in zip(table["feature_a"], table["feature_b"], strict=True)] == [
        "ab", "ac", "ad", "bc", "bd", "cd"
    ]  # fmt: skip
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = [pearsonr(TABLE[:, a], TABLE[:, b])[0] for a, b in pairs]
    np.testing.assert_allclose(table["pearson"], expected, atol=1e-12)
    expected = [spearmanr(TABLE[:, a], TABLE[:, b])[0] for a, b in pairs]
    np.testing.assert_allclose(table["spearman"], expected, atol=1e-12)


def test_a_pair_uses_the_rows_in_which_both_are_known():
    holes = TABLE.copy()
    holes[:10, 0], holes[5:20, 1] = NAN, NAN
    table, whole = correlations(holes, NAMES), correlations(TABLE, NAMES)
    assert table["pearson"][0] == pytest.approx(pearsonr(TABLE[20:, 0], TABLE[20:, 1])[0], abs=1e-12)
    assert table["spearman"][2] == pytest.approx(spearmanr(TABLE[10:, 0], TABLE[10:, 3])[0], abs=1e-12)
    assert (table["pearson"][5], table["spearman"][5]) == (whole["pearson"][5], whole["spearman"][5])


def test_what_does_not_vary_or_is_hardly_known_has_no_correlation():
    table = np.array([[0.1, 1, 1, NAN], [0.1, 2, 4, NAN], [0.1, 3, 9, 1], [0.1, 5, 8, 2]])
    result = correlations(table, NAMES)
    undefined = [True, True, True, False, True, True]  # b and c alone; d is known twice
    assert np.isnan(result["pearson"]).tolist() == np.isnan(result["spearman"]).tolist() == undefined
    assert result["spearman"][3] == pytest.approx(0.8)  # ranks 1 2 3 4 and 1 2 4 3


def test_a_monotone_curve_has_rank_correlation_one():
    x = np.arange(9.0)
    table = correlations(np.column_stack([x, np.exp(x), -(x**3)]), ["x", "exp", "cube"])
    assert table["spearman"].tolist() == pytest.approx([1, -1, -1])
    assert table["pearson"][0] < 0.8


def test_factors_are_those_of_statsmodels():
    table = vif(TABLE, NAMES)
    design = add_constant(TABLE)
    expected = [variance_inflation_factor(design, j) for j in range(1, 5)]
    np.testing.assert_allclose(table["vif"], expected, rtol=1e-8)
    assert set(table["reason"]) == {""}


def test_factors_of_two_features_are_known_by_heart():
    # r = 0.6: 1 / (1 - 0.36)
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]) @ np.array([[1, 0.6], [0, 0.8]])
    np.testing.assert_allclose(vif(x, ["a", "b"])["vif"], [1 / 0.64] * 2)


def test_factors_come_from_the_rows_in_which_all_are_known():
    holes = np.column_stack([TABLE, np.full(60, NAN), np.full(60, 2.2)])
    holes[:7, 0], holes[5:9, 2] = NAN, NAN
    table = vif(holes, [*NAMES, "empty", "constant"])
    np.testing.assert_allclose(table["vif"][:4], vif(TABLE[9:], NAMES)["vif"])
    assert np.isnan(table["vif"][4:]).all() and table["reason"][4:].tolist() == [CONSTANT] * 2


def test_what_the_others_determine_is_infinite_and_leaves_the_rest_alone():
    total = np.column_stack([TABLE, TABLE[:, 0] - 3 * TABLE[:, 1] + 1])
    table = vif(total, [*NAMES, "total"])
    assert np.isinf(table["vif"]).tolist() == [True, True, False, False, True]
    assert table["reason"].tolist() == [DEPENDENT, DEPENDENT, "", "", DEPENDENT]
    np.testing.assert_allclose(table["vif"][2:4], vif(TABLE, NAMES)["vif"][2:4], rtol=1e-6)


def test_few_rows_determine_everything_or_nothing():
    assert np.isinf(vif(TABLE[:4], NAMES)["vif"]).all()
    few = vif(TABLE[:2], NAMES)
    assert np.isnan(few["vif"]).all() and set(few["reason"]) == {TOO_FEW}


def test_one_feature_follows_from_nothing():
    assert vif(TABLE[:, :1], ["a"])["vif"].tolist() == pytest.approx([1.0])
    assert correlations(TABLE[:, :1], ["a"])["pearson"].size == 0


@pytest.mark.parametrize("function", [correlations, vif])
def test_odd_tables_are_refused(function):
    with pytest.raises(EvaluationError, match=r"shape \(60, 4\) for 1 names"):
        function(TABLE, ["a"])
    with pytest.raises(EvaluationError, match="feature b has an infinite value"):
        function(np.array([[1.0, np.inf], [2, 3], [3, 4]]), ["a", "b"])

"""Variance decomposition against statsmodels, by hand, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from small_study import grid, simulated, table_of
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from src.evaluation.comparisons import compare_all
from src.evaluation.comparisons.variance import main_effects


def decomposition(combinations, metric="brier"):
    tables = compare_all(combinations, [metric])
    refused = tables["refusals"]
    own = refused["comparison"] == "variance decomposition"
    return tables["variance_decomposition"], dict(
        zip(refused["factor"][own], refused["reason"][own], strict=True)
    )


def test_by_hand():
    # two by two: rows 0 2 / 4 10, mean 4; rows 1 7: 4 (9 + 9) / 2 = 36; columns 2 6: 16; total 56; rest 4
    squares, df = main_effects(np.array([[0, 2], [4, 10]]))
    assert squares.tolist() == [36, 16, 4, 56] and df.tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("seed", range(3))
def test_statsmodels_agrees_on_a_three_way_grid(seed):
    cells = grid(imputation=("truth", "linear", "SAITS", "CSDI"))
    values = np.random.default_rng(seed).random(len(cells)) + np.arange(len(cells)) / 20
    c = table_of(cells, [0, 0, 1, 1], {"brier": values, "auroc": values})
    table, refused = decomposition(c)
    frame = pd.DataFrame({name: list(column) for name, column in c.factors.items()} | {"value": values})
    model = ols("value ~ C(outlier_method) + C(imputation_method) + C(classifier)", frame).fit()
    expected = anova_lm(model, typ=2)
    np.testing.assert_allclose(table["sum_of_squares"][:4], expected["sum_sq"])
    np.testing.assert_array_equal(table["df"][:4], expected["df"])
    assert table["factor"].tolist() == [
        *("outlier_method", "imputation_method", "classifier", "residual", "total")
    ]
    np.testing.assert_allclose(table["eta_squared"], table["sum_of_squares"] / table["sum_of_squares"][4])
    residual = table["sum_of_squares"][3]
    np.testing.assert_allclose(
        table["partial_eta_squared"][:3], [ss / (ss + residual) for ss in table["sum_of_squares"][:3]]
    )
    assert np.isnan(table["partial_eta_squared"][3:]).all() and refused == {}


def test_an_additive_grid_leaves_no_residual():
    parts = np.array([0, 1, 5])[:, None, None] + np.array([0, 3])[:, None] + np.array([0, 2])
    c = table_of(grid(), [0, 0, 1, 1], {"brier": parts.ravel() / 100, "auroc": np.ones(12)})
    table, _ = decomposition(c)
    assert table["eta_squared"][:3].sum() == pytest.approx(1)
    np.testing.assert_allclose(table["partial_eta_squared"][:3], 1)


def test_a_factor_with_one_level_is_left_out_and_said_so():
    table, refused = decomposition(simulated(grid(imputation=("linear",))))
    assert table["factor"].tolist() == ["outlier_method", "classifier", "residual", "total"]
    assert refused == {"imputation_method": "left out: one level only (linear)"}


def test_what_is_refused_and_why():
    gone = ("simple", "SVM", "truth", "A")
    table, refused = decomposition(simulated([cell for cell in grid() if cell != gone]))
    assert table["df"].size == 0
    assert refused == {"": "needs the complete grid; missing: simple + SVM + truth + A"}
    assert decomposition(simulated(grid(imputation=("truth",), classifier=("A",))))[1][""] == (
        "needs two factors with two levels"
    )
    constant = table_of(grid(), [0, 0, 1, 1], {"brier": np.full(12, 0.1), "auroc": np.ones(12)})
    assert decomposition(constant)[1] == {"": "all cells have the same value"}

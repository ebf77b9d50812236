"""How much of the variance between combinations each factor explains."""

from __future__ import annotations

import numpy as np

from src.evaluation.comparisons.grid import Grid
from src.evaluation.comparisons.paired import Paired
from src.evaluation.comparisons.tables import refusal

_WHERE = "variance decomposition"
_ZERO = 1e-12


def main_effects(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decompose the sum of squares of a complete grid with one value per cell.

    Parameters
    ----------
    values : array_like, one axis per factor

    Returns
    -------
    sum_of_squares : ndarray, shape (n_factors + 2,)
        Of the main effects, of the residual (which holds the interactions) and in total.
    df : ndarray of int, shape (n_factors + 2,)
        Degrees of freedom.

    References
    ----------
    Fisher 1925, Statistical Methods for Research Workers, chapter 7. In a balanced grid the types of sums of
    squares agree.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x - x.mean()
    axes = range(x.ndim)
    means = [x.mean(axis=tuple(a for a in axes if a != axis)) for axis in axes]
    main = [x.size / mean.size * float(mean @ mean) for mean in means]
    total = float(np.sum(x**2))
    df = [levels - 1 for levels in x.shape]
    return (
        np.array([*main, max(total - sum(main), 0.0), total]),
        np.array([*df, x.size - 1 - sum(df), x.size - 1]),
    )


def variance_decomposition(values: Paired, grid: Grid) -> tuple[list[dict], list[dict]]:
    """Analyse the variance of the `oob` values of one feature set's cells by main effects.

    Returns
    -------
    parts : list of dict
        Of the table `variance_decomposition`; eta squared = SS / SS_total, partial eta squared = SS / (SS +
        SS_residual).
    refused : list of dict
        Rows of `refusals`: factors with one level, which are left out, or why there is no analysis.
    """
    single = [factor for factor, levels in grid.levels.items() if len(levels) == 1]
    refused = [_refused(values, grid, f"left out: one level only ({grid.levels[f][0]})", f) for f in single]
    cells = grid.values(values.estimates).squeeze()
    if reason := grid.lacks(values.estimates):
        return [], [*refused, _refused(values, grid, f"needs the complete grid; {reason}")]
    if cells.ndim < 2:
        return [], [*refused, _refused(values, grid, "needs two factors with two levels")]
    if np.ptp(cells) < _ZERO:
        return [], [*refused, _refused(values, grid, "all cells have the same value")]
    squares, df = main_effects(cells)
    part = {
        "metric": values.metric,
        "featurization": grid.featurization,
        "factor": np.array([f for f in grid.levels if f not in single] + ["residual", "total"], dtype=object),
        "sum_of_squares": squares,
        "df": df,
        "eta_squared": squares / squares[-1],
        "partial_eta_squared": np.append(_share(squares[:-2], squares[-2]), [np.nan, np.nan]),
    }
    return [part], refused


def _share(squares: np.ndarray, residual: float) -> np.ndarray:
    """Return SS / (SS + SS_residual); NaN where both are 0."""
    total = squares + residual
    return np.divide(squares, total, out=np.full(squares.shape, np.nan), where=total > 0)


def _refused(values: Paired, grid: Grid, reason: str, factor: str = "") -> dict:
    return refusal(_WHERE, values.metric, reason, featurization=grid.featurization, factor=factor)

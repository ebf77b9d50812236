"""Smooth calibration: how far a loess curve of the outcome lies from the diagonal.

These metrics take no weights: a neighbourhood of the curve is a number of recordings.
"""

from __future__ import annotations

import numpy as np

from src.evaluation.calibration import loess
from src.evaluation.resampling import EvaluationError
from src.evaluation.rows import Rows, as_rows


def ici(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the integrated calibration index, the mean of |c(p) - p|.

    c is the `loess` curve of y over p: local quadratic, span 0.75, one pass, not clipped.

    Parameters
    ----------
    y : array_like, shape (n,) or that of `p`
        Labels 0/1.
    p : array_like, shape (n,) or (B, n), or Rows
        Predicted probabilities.
    weight : array_like, optional
        Every weight must be 1.

    Returns
    -------
    ndarray, shape () or (B,)
        At least 0; NaN where the curve is undefined for some p (a neighbourhood with one and the same p).

    Raises
    ------
    EvaluationError
        If a weight is not 1.

    References
    ----------
    Austin & Steyerberg 2019, Stat Med 38:4051, section 2.
    """
    rows = _unweighted(y, p, weight)
    return rows.result(rows.once(_distances).mean(axis=1))


def e50(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the median of |c(p) - p|; everything else as in `ici`."""
    rows = _unweighted(y, p, weight)
    return rows.result(np.quantile(rows.once(_distances), 0.5, axis=1))


def e90(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the 90 % quantile (type 7: linear between order statistics) of |c(p) - p|; see `ici`."""
    rows = _unweighted(y, p, weight)
    return rows.result(np.quantile(rows.once(_distances), 0.9, axis=1))


def emax(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the maximum of |c(p) - p| over the predictions; everything else as in `ici`."""
    rows = _unweighted(y, p, weight)
    return rows.result(rows.once(_distances).max(axis=1))


def _unweighted(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None) -> Rows:
    rows = as_rows(y, p, weight)
    if weight is not None or (rows.w != 1).any():
        raise EvaluationError(
            "the smoothed calibration metrics take no weights; repeat or select rows instead"
        )
    if rows.p.shape[1] == 0:
        raise EvaluationError("there are no predictions to smooth")
    return rows


def _distances(rows: Rows) -> np.ndarray:
    """Return |c(p) - p| of every prediction, (B, m); NaN throughout a row with an undefined value."""
    y, p = np.broadcast_arrays(rows.y, rows.p)
    apart = np.abs(np.array([loess(a, b, b) for a, b in zip(y, p, strict=True)]) - p)
    return np.where(np.isfinite(apart).all(axis=1, keepdims=True), apart, np.nan)

"""Predictions of many iterations side by side, the form all metrics work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from src.evaluation.resampling import EvaluationError


class Rows(NamedTuple):
    """Labels, predictions and weights, each (B, m) float64, and the shape a metric's result should have."""

    y: np.ndarray
    p: np.ndarray
    w: np.ndarray
    shape: tuple[int, ...]

    @property
    def n(self) -> np.ndarray:
        """Total weight of each row, shape (B,)."""
        return self.w.sum(axis=1)

    @property
    def n_cases(self) -> np.ndarray:
        """Weight of the cases of each row, shape (B,)."""
        return (self.w * self.y).sum(axis=1)


def as_rows(
    y: np.ndarray | float, p: np.ndarray, weight: np.ndarray | None = None, *, score: bool = False
) -> Rows:
    """Bring plain arrays into rows.

    Parameters
    ----------
    y : array_like, broadcast to `p`
        Labels 0/1.
    p : array_like, shape (m,) or (B, m)
        Predicted probabilities; anything, NaN included, where the weight is 0.
    weight : array_like, broadcast to or over `p`, optional
        How often a prediction counts: True and False, or counts. By default once.
    score : bool
        Whether any finite value, not only a probability, is allowed.

    Raises
    ------
    EvaluationError
        If a prediction that counts is not finite or not in [0, 1]; iteration and position are named.
    """
    p = np.asarray(p, dtype=np.float64)
    w = np.asarray(1.0 if weight is None else weight, dtype=np.float64)
    y, p, w = np.broadcast_arrays(np.asarray(y, dtype=np.float64), p, w)
    shape = p.shape[:-1]
    y, p, w = (np.atleast_2d(a) for a in (y, p, w))
    fine = np.isfinite(p) if score else (p >= 0) & (p <= 1)
    strange = ~fine & (w > 0)
    if strange.any():
        b, i = np.argwhere(strange)[0]
        raise EvaluationError(
            f"the prediction of iteration {b} for position {i} is {p[b, i]}; expected "
            + ("a finite number" if score else "a probability from 0 to 1")
        )
    return Rows(y, p if fine.all() else np.where(fine, p, 0.0), w, shape)


def compact(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort each row by prediction and cut what no row counts; the metrics do not change and cost half.

    Returns
    -------
    y, p, weight : ndarray, each (B, k), k the most predictions that count in one row
    """
    rows = as_rows(y, p, weight, score=True)
    order = np.argsort(np.where(rows.w > 0, rows.p, np.inf), axis=1)[:, : (rows.w > 0).sum(axis=1).max()]
    sorted_y, sorted_p, sorted_w = (np.take_along_axis(a, order, axis=1) for a in rows[:3])
    return sorted_y, sorted_p, sorted_w


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    result = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)

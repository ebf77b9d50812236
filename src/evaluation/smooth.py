"""Smooth calibration: a loess curve of the outcome over p, and how far it lies from the diagonal.

The metrics take no weights: a neighbourhood of the curve is a number of recordings.
"""

from __future__ import annotations

import numpy as np

from src.evaluation.resampling import EvaluationError
from src.evaluation.rows import Rows, as_rows

_NEARLY_SINGULAR = 1e-7  # least eigenvalue from which normal equations keep nine digits


def loess(y: np.ndarray, p: np.ndarray, at: np.ndarray, span: float = 0.75) -> np.ndarray:
    """Smooth y over p by local quadratic regression, tricube weights, one pass, not clipped.

    Every value is computed directly (no interpolation between vertices). Robustness iterations would treat
    the rarer outcome as outliers and are left out.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1; predicted probabilities.
    at : array_like, shape (k,)
        Where to evaluate.
    span : float
        Share of the predictions in each neighbourhood, in (0, 1].

    Returns
    -------
    ndarray, shape (k,)
        Smoothed outcome; may leave [0, 1] a little. NaN where the whole neighbourhood has one and the same p.

    References
    ----------
    Cleveland & Devlin 1988, JASA 83:596; Austin & Steyerberg 2019, Stat Med 38:4051, section 2.
    """
    outcome, x = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    places, where = np.unique(np.asarray(at, dtype=np.float64), return_inverse=True)
    reach = _reach(np.sort(x), places, max(1, int(np.floor(x.size * span + 1e-5))))
    values = np.full(places.size, np.nan)
    fit = reach > 0
    values[fit] = _local_quadratics((x - places[fit, None]) / reach[fit, None], outcome)
    return values[where]


def _reach(ordered: np.ndarray, places: np.ndarray, q: int) -> np.ndarray:
    """Return the distance from each place to its q-th nearest value: the least half-width that holds q."""
    lowest, highest = ordered[: ordered.size - q + 1], ordered[q - 1 :]
    return np.maximum(places[:, None] - lowest, highest - places[:, None]).min(axis=1)


def _local_quadratics(u: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return the weighted quadratics' values at u = 0, one per row of scaled distances u."""
    weights = np.clip(1 - np.abs(u) ** 3, 0, None) ** 3
    moments, targets, power = [], [], weights
    for _ in range(5):
        moments.append(power.sum(axis=1))
        targets.append(power @ outcome)
        power = power * u
    length = np.sqrt(np.stack(moments[::2], axis=1))
    length[length == 0] = 1.0
    gram = np.stack([np.stack(moments[k : k + 3], axis=1) for k in range(3)], axis=1)
    gram /= length[:, :, None] * length[:, None, :]
    values = np.full(len(u), np.nan)
    regular = np.linalg.eigvalsh(gram)[:, 0] > _NEARLY_SINGULAR
    right = np.stack(targets[:3], axis=1)[regular] / length[regular]
    values[regular] = np.linalg.solve(gram[regular], right[:, :, None])[:, 0, 0] / length[regular, 0]
    values[~regular] = _pseudo_quadratics(u[~regular], weights[~regular], outcome)
    return values


def _pseudo_quadratics(u: np.ndarray, weights: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return the same where fewer than three distinct values carry weight: the shortest solution."""
    root = np.sqrt(weights)
    design = root[:, :, None] * u[:, :, None] ** np.arange(3)
    length = np.linalg.norm(design, axis=1, keepdims=True)
    length[length == 0] = 1.0
    inverse = np.linalg.pinv(design / length, rcond=100 * np.finfo(float).eps)
    return np.einsum("kn,kn,n->k", inverse[:, 0], root, outcome) / length[:, 0, 0]


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
        At least 0; NaN without predictions, and where the curve is undefined for some p (a neighbourhood with
        one and the same p).

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
    return rows


def _distances(rows: Rows) -> np.ndarray:
    """Return |c(p) - p| of every prediction, (B, m); NaN throughout a row with an undefined value."""
    if rows.p.shape[1] == 0:
        return np.full((len(rows.p), 1), np.nan)
    y, p = np.broadcast_arrays(rows.y, rows.p)
    apart = np.abs(np.array([loess(a, b, b) for a, b in zip(y, p, strict=True)]) - p)
    return np.where(np.isfinite(apart).all(axis=1, keepdims=True), apart, np.nan)

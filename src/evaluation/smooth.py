"""Smooth calibration: a loess curve of the outcome over p, and how far it lies from the diagonal.

The metrics take no weights: a neighbourhood of the curve is a number of recordings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.evaluation.intervals import wilson
from src.evaluation.resampling import EvaluationError, subject_index, summed_by_subject
from src.evaluation.rows import Rows, as_rows, ratio

_BLOCK = 64  # places at once: few enough for a processor's cache
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
    places, where = np.unique(np.asarray(at, dtype=np.float64), return_inverse=True)
    outcome = np.asarray(y, dtype=np.float64)
    blocks = np.array_split(places, max(1, -(-places.size // _BLOCK)))
    return np.concatenate([loess_weights(p, block, span) @ outcome for block in blocks])[where]


def loess_weights(p: np.ndarray, at: np.ndarray, span: float = 0.75) -> np.ndarray:
    """Return what each outcome counts in the values of `loess`, which are linear in the outcomes.

    Returns
    -------
    ndarray, shape (k, n)
        A row per place; it sums to 1 and has negative entries. NaN where the value is.
    """
    x, places = np.asarray(p, dtype=np.float64), np.asarray(at, dtype=np.float64)
    reach = _reach(np.sort(x), places, max(1, int(np.floor(x.size * span + 1e-5))))
    fit = reach > 0
    scale = np.where(fit, reach, 1.0)[:, None]
    weights = _local_quadratics((x - places[:, None]) / scale)
    weights[~fit] = np.nan
    return weights


def loess_band(
    y: np.ndarray, p: np.ndarray, at: np.ndarray, groups: Sequence[str] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the `loess` curve with a pointwise 95 % sampling band: what other outcomes would give.

    A value sum l_i y_i of the curve is taken for a share among 1 / sum_s (sum of the l_i of subject s)^2
    independent subjects, and gets Wilson's interval. Recordings of one subject have one outcome.

    The predictions are taken as given: that another sample of patients also gives another model is not in the
    band, nor is the bias of smoothing. Simulated with 208 subjects (benchmark `band_coverage`), it holds the
    true curve of calibrated predictions at 0.94 to 0.98 of the places. Smoothing misses a steep end of the
    curve: at the lowest twentieth of the predictions of a good model (AUROC 0.91) the band covers 0.82, and
    0.46 if they are too extreme.

    Parameters
    ----------
    y, p, at
        As in `loess`.
    groups : sequence, length n, optional
        The subject of each recording; by default every recording is a subject.

    Returns
    -------
    curve, lo, hi : ndarray, shape (k,)
        The limits lie in [0, 1] and contain the curve where it lies there; NaN where the curve is.

    References
    ----------
    Wilson 1927, JASA 22:209; Kish 1965, Survey Sampling, section 11.7 (effective number).
    """
    weights = loess_weights(p, at)
    curve = weights @ np.asarray(y, dtype=np.float64)
    of_subjects = weights if groups is None else summed_by_subject(weights, subject_index(y, groups)[0])
    return curve, *wilson(np.clip(curve, 0, 1), ratio(np.array(1.0), np.vecdot(of_subjects, of_subjects)))


def _reach(ordered: np.ndarray, places: np.ndarray, q: int) -> np.ndarray:
    """Return the distance from each place to its q-th nearest value: the least half-width that holds q."""
    lowest, highest = ordered[: ordered.size - q + 1], ordered[q - 1 :]
    return np.maximum(places[:, None] - lowest, highest - places[:, None]).min(axis=1)


def _local_quadratics(u: np.ndarray) -> np.ndarray:
    """Return each outcome's weight in the quadratics' values at u = 0; a row per row of distances."""
    kernel, square = _tricube(u), u * u
    first, second = kernel * u, kernel * square
    pairs = ((kernel, u), (kernel, square), (first, square), (second, square))
    moments = [kernel.sum(axis=1)] + [np.vecdot(*pair) for pair in pairs]
    length = np.sqrt(np.stack(moments[::2], axis=1))
    length[length == 0] = 1.0
    gram = np.stack([np.stack(moments[k : k + 3], axis=1) for k in range(3)], axis=1)
    gram /= length[:, :, None] * length[:, None, :]
    regular = np.linalg.eigvalsh(gram)[:, 0] > _NEARLY_SINGULAR
    inverse = np.linalg.inv(np.where(regular[:, None, None], gram, np.eye(3)))[:, 0]
    factors = inverse / length / length[:, :1]
    weights = np.multiply(kernel, factors[:, :1])
    for part, factor in ((first, factors[:, 1:2]), (second, factors[:, 2:])):
        weights += np.multiply(part, factor, out=part)
    weights[~regular] = _pseudo_quadratics(u[~regular], kernel[~regular])
    return weights


def _tricube(u: np.ndarray) -> np.ndarray:
    """Return (1 - |u|^3)^3, 0 from |u| = 1 on; in place and by products, as powers take much longer."""
    inner = np.abs(u)
    inner *= u * u
    np.maximum(np.subtract(1, inner, out=inner), 0, out=inner)
    kernel = inner * inner
    kernel *= inner
    return kernel


def _pseudo_quadratics(u: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the same where fewer than three distinct values carry weight: the shortest solution."""
    root = np.sqrt(kernel)
    design = root[:, :, None] * u[:, :, None] ** np.arange(3)
    length = np.linalg.norm(design, axis=1, keepdims=True)
    length[length == 0] = 1.0
    inverse = np.linalg.pinv(design / length, rcond=100 * np.finfo(float).eps)
    return inverse[:, 0] * root / length[:, 0, :1]


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

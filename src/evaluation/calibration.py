"""Calibration: recalibration models for many iterations at once, smooth curves, groups."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, logit

from src.evaluation.rows import Rows, as_rows, ratio

CLIP = 1e-8  # predictions of 0 and 1 have no logit and are moved this far inside
_STEPS, _TOLERANCE = 100, 1e-9


def n_clipped(p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Count the predictions that are moved to 1e-8 or 1 - 1e-8 before the logit, shape () or (B,)."""
    rows = as_rows(0.0, p, weight)
    outside = (rows.p < CLIP) | (rows.p > 1 - CLIP)
    return (rows.w * outside).sum(axis=1).astype(np.int64).reshape(rows.shape)


def clipped_logit(p: np.ndarray) -> np.ndarray:
    """Return logit p, with p held to [1e-8, 1 - 1e-8]."""
    return logit(np.clip(np.asarray(p, dtype=np.float64), CLIP, 1 - CLIP))


def oe_ratio(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return observed over expected cases, sum(y) / sum(p), in [0, inf); NaN where sum(p) is 0.

    Parameters and shapes as in `src.evaluation.auc.auroc`. Source: Van Calster et al. 2024, arXiv 2412.10288.
    """
    rows = as_rows(y, p, weight)
    return ratio(rows.n_cases, (rows.w * rows.p).sum(axis=1)).reshape(rows.shape)


def cal_intercept(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return calibration in the large: the intercept a of y ~ a + offset(logit p), by maximum likelihood.

    Parameters and shapes as in `src.evaluation.auc.auroc`; p of 0 or 1 is clipped at 1e-8.

    Returns
    -------
    ndarray, shape () or (B,)
        0 is ideal, positive where risks are too low; NaN where a class is absent.

    References
    ----------
    Cox 1958, Biometrika 45:562; Van Calster et al. 2016, J Clin Epidemiol 74:167.
    """
    rows = as_rows(y, p, weight)
    a = np.full(len(rows.p), np.nan)
    defined = (rows.n_cases > 0) & (rows.n_cases < rows.n)
    if defined.any():
        a[defined] = _intercept_with_offset(clipped_logit(rows.p[defined]), rows.y[defined], rows.w[defined])
    return a.reshape(rows.shape)


def _intercept_with_offset(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Solve sum w (y - expit(a + x)) = 0 by Newton steps, halving the bracket where a step leaves it."""
    cases = (w * y).sum(axis=1)
    centre = logit(cases / w.sum(axis=1))
    low = centre - np.where(w > 0, x, -np.inf).max(axis=1)
    high = centre - np.where(w > 0, x, np.inf).min(axis=1)
    a = (low + high) / 2
    for _ in range(_STEPS):
        mu = expit(a[:, None] + x)
        excess = cases - (w * mu).sum(axis=1)
        low, high = np.where(excess >= 0, a, low), np.where(excess <= 0, a, high)
        step = a + ratio(excess, (w * mu * (1 - mu)).sum(axis=1))
        better = np.where((step > low) & (step < high), step, (low + high) / 2)
        moved, a = np.abs(better - a).max(), better
        if moved < 1e-11:
            break
    return a


def recalibration(
    y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit y ~ logit p by unpenalised maximum likelihood, for many iterations at once.

    Parameters and shapes as in `src.evaluation.auc.auroc`; p of 0 or 1 is clipped at 1e-8.

    Returns
    -------
    intercept, slope : ndarray, shape () or (B,)
        `cal_intercept_joint` and `cal_slope`; NaN where the maximum does not exist: a class is absent, p is
        constant, or a threshold separates the classes (completely, or but for ties at the threshold).

    References
    ----------
    Cox 1958, Biometrika 45:562; existence: Albert & Anderson 1984, Biometrika 71:1.
    """
    rows = as_rows(y, p, weight)
    intercept, slope = np.full((2, len(rows.p)), np.nan)
    defined = _overlap(rows)
    if defined.any():
        x = clipped_logit(rows.p[defined])
        intercept[defined], slope[defined] = _newton(x, rows.y[defined], rows.w[defined])
    return intercept.reshape(rows.shape), slope.reshape(rows.shape)


def _overlap(rows: Rows) -> np.ndarray:
    """Return whether the classes' ranges of p overlap in more than a point."""
    p = np.clip(rows.p, CLIP, 1 - CLIP)
    counts, case = rows.w > 0, rows.y == 1
    low, high = [], []
    for member in (counts & ~case, counts & case):
        low.append(np.where(member, p, np.inf).min(axis=1))
        high.append(np.where(member, p, -np.inf).max(axis=1))
    return (low[0] < high[1]) & (low[1] < high[0])


def _newton(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the intercepts and slopes of logistic models with one covariate each; NaN if not converged."""
    n = w.sum(axis=1)
    mean = (w * x).sum(axis=1) / n
    spread = np.sqrt((w * (x - mean[:, None]) ** 2).sum(axis=1) / n)
    z = (x - mean[:, None]) / spread[:, None]
    beta = np.stack([logit((w * y).sum(axis=1) / n), np.zeros(len(x))])
    active = np.arange(len(x))
    for _ in range(_STEPS):
        step, in_errors = _newton_step(beta[:, active], z[active], y[active], w[active])
        beta[:, active] += step
        active = active[in_errors > _TOLERANCE]
        if not active.size:
            break
    beta[:, active] = np.nan
    slope = beta[1] / spread
    return beta[0] - slope * mean, slope


def _newton_step(
    beta: np.ndarray, z: np.ndarray, y: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Newton step, halved where it lowers the likelihood, and its length in standard errors."""
    eta = beta[0][:, None] + beta[1][:, None] * z
    mu = expit(eta)
    residual, v = w * (y - mu), w * mu * (1 - mu)
    g0, g1 = residual.sum(axis=1), (residual * z).sum(axis=1)
    total = v.sum(axis=1)
    centre = ratio((v * z).sum(axis=1), total)
    across = ratio(g1 - centre * g0, (v * (z - centre[:, None]) ** 2).sum(axis=1))
    step = np.stack([ratio(g0, total) - centre * across, across])
    in_errors = np.sqrt(np.abs(g0 * step[0] + g1 * step[1]))
    before = _log_likelihood(eta, y, w)
    for _ in range(30):
        change = step[0][:, None] + step[1][:, None] * z
        worse = _log_likelihood(eta + change, y, w) < before - 1e-9 * np.abs(before)
        if not worse.any():
            break
        step[:, worse] /= 2
    return step, in_errors


def _log_likelihood(eta: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (w * log_expit(np.where(y == 1, eta, -eta))).sum(axis=1)


def cal_slope(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the slope of `recalibration`: 1 is ideal, below 1 the risks are too extreme."""
    return recalibration(y, p, weight)[1]


def cal_intercept_joint(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the intercept of `recalibration`; not calibration in the large, see `cal_intercept`."""
    return recalibration(y, p, weight)[0]


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
    distance = np.abs(np.asarray(at, dtype=np.float64)[:, None] - x)
    q = max(1, int(np.floor(x.size * span + 1e-5)))
    reach = np.partition(distance, q - 1, axis=1)[:, q - 1]
    values = np.full(reach.size, np.nan)
    fit = reach > 0
    u = (x - np.asarray(at, dtype=np.float64)[fit, None]) / reach[fit, None]
    root = np.sqrt(np.clip(1 - np.abs(u) ** 3, 0, None) ** 3)
    design = root[:, :, None] * u[:, :, None] ** np.arange(3)
    length = np.linalg.norm(design, axis=1, keepdims=True)
    length[length == 0] = 1.0
    inverse = np.linalg.pinv(design / length, rcond=100 * np.finfo(float).eps)
    values[fit] = np.einsum("kn,kn,n->k", inverse[:, 0], root, outcome) / length[:, 0, 0]
    return values


def calibration_groups(y: np.ndarray, p: np.ndarray, n_groups: int = 10) -> dict[str, np.ndarray]:
    """Cut the predictions into groups of equal size, in ascending p.

    Sizes differ by at most one; equal predictions at a border may fall into both groups.

    Returns
    -------
    dict of ndarray, shape (min(n_groups, n),)
        `p_lo`, `p_hi`, `p_mean` (of the group's predictions), `observed` (share of cases), `n`.
    """
    order = np.argsort(p, kind="stable")
    groups = [g for g in np.array_split(order, n_groups) if g.size]
    x, outcome = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return {
        "p_lo": np.array([x[g[0]] for g in groups]),
        "p_hi": np.array([x[g[-1]] for g in groups]),
        "p_mean": np.array([x[g].mean() for g in groups]),
        "observed": np.array([outcome[g].mean() for g in groups]),
        "n": np.array([g.size for g in groups]),
    }

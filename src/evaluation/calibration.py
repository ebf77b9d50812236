"""Calibration: recalibration models for many iterations at once, groups, bins."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, logit

from src.evaluation.rows import Rows, as_rows, ratio

CLIP = 1e-8  # predictions of 0 and 1 have no logit and are moved this far inside
N_BINS = 10
_PLAIN_STEPS, _STEPS = 12, 100
_SHORT, _TOLERANCE = 1e-6, 1e-9  # in standard errors; a plain step's error is the square of its length
_CANCELLED = 1e-8  # a variance that is a smaller share of its mean square has lost its digits
_FLAT = 1e-6  # information per prediction below which the rounding of a plain sum of risks moves the solution


def n_clipped(y: np.ndarray | float, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Count the predictions that are moved to 1e-8 or 1 - 1e-8 before the logit, shape () or (B,).

    Parameters as in `src.evaluation.auc.auroc`; y does not matter.
    """
    rows = as_rows(y, p, weight)
    outside = (rows.p < CLIP) | (rows.p > 1 - CLIP)
    return rows.result(rows.total(outside.astype(np.float64))).astype(np.int64)


def clipped_logit(p: np.ndarray) -> np.ndarray:
    """Return logit p, with p held to [1e-8, 1 - 1e-8]."""
    held = np.clip(np.asarray(p, dtype=np.float64), CLIP, 1 - CLIP)
    return np.log(held / (1 - held))


def oe_ratio(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return observed over expected cases, sum(y) / sum(p), in [0, inf); NaN where sum(p) is 0.

    Parameters and shapes as in `src.evaluation.auc.auroc`. Source: Van Calster et al. 2024, arXiv 2412.10288.
    """
    rows = as_rows(y, p, weight)
    return rows.result(ratio(rows.n_cases, rows.total(rows.p)))


def ece10(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the expected calibration error over ten equal-width bins (k/10, (k+1)/10] of p.

    The mean over the bins of |observed share - mean p|, weighted by their share n_b / n of the predictions. A
    prediction of exactly 0 lies in no bin: it counts in n and adds nothing.

    Parameters and shapes as in `src.evaluation.auc.auroc`; in [0, 1], NaN where nothing counts.

    References
    ----------
    Naeini, Cooper & Hauskrecht 2015, AAAI; bins as in Guo et al. 2017, ICML, section 3.
    """
    rows = as_rows(y, p, weight)
    gap, within = rows.unweighted(_gap), rows.unweighted(_bin)
    weighted = rows.w * gap
    cells = within + (N_BINS + 1) * np.arange(len(weighted))[:, None]
    apart = np.bincount(cells.ravel(), weighted.ravel(), minlength=len(weighted) * (N_BINS + 1))
    return rows.result(ratio(np.abs(apart.reshape(-1, N_BINS + 1)[:, 1:]).sum(axis=1), rows.n))


def _gap(rows: Rows) -> np.ndarray:
    return rows.y - rows.p


def _bin(rows: Rows) -> np.ndarray:
    """Return each prediction's bin, 1 to 10, and 0 for a prediction of 0; `searchsorted` in less time."""
    edges = np.arange(N_BINS + 1) / N_BINS
    guess = np.ceil(rows.p * N_BINS - 1e-9).astype(np.intp)  # right, or one too few
    return guess + (rows.p > edges[guess])


def cal_intercept(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
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
    defined = (rows.n_cases > 0) & (rows.n_controls > 0)
    a = np.full(np.broadcast_shapes(defined.shape, rows.shape or (1,)), np.nan)
    defined = np.broadcast_to(defined, a.shape)
    if defined.any():
        a[defined] = _offset_intercept(*(_pick(m, defined) for m in _matrices(rows.ranked)))
    return rows.result(a)


def _matrices(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logits and the weights of all and of cases, as matrices that broadcast to (B, m)."""
    return rows.unweighted(_logits), rows.w, rows.cases


def _logits(rows: Rows) -> np.ndarray:
    return clipped_logit(rows.p)


def _pick(matrix: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen rows; one row that serves all does so still."""
    return matrix if len(matrix) == 1 or chosen.all() else matrix[chosen]


def _offset_intercept(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> np.ndarray:
    """Solve sum w (y - expit(a + x)) = 0 by plain Newton steps, and with care where they do not get there."""
    n, cases, odds_against = w.sum(axis=1), wy.sum(axis=1), np.exp(-x)
    mean = np.vecdot(w, 1 / (1 + odds_against)) / n
    a = logit(cases / n) - logit(np.clip(mean, CLIP, 1 - CLIP))
    unsolved = np.ones(a.shape, dtype=bool)
    with np.errstate(all="ignore"):
        for _ in range(_PLAIN_STEPS):
            mu = 1 / (1 + np.exp(-a)[:, None] * odds_against)
            weighted = w * mu
            expected = weighted.sum(axis=1)
            information = expected - np.vecdot(weighted, mu)
            step = (cases - expected) / information
            a = a + step
            unsolved = ~((step**2 * information < _SHORT**2) & (information > _FLAT * n))
            if not unsolved.any():
                return a
    a[unsolved] = _bracketed_intercept(*(_pick(m, unsolved) for m in (x, w, wy)))
    return a


def _bracketed_intercept(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> np.ndarray:
    """Solve the same by Newton steps, halving the bracket where a step leaves it.

    A risk near 1 is counted as a whole case less its complement: whole cases cancel exactly.
    """
    cases = wy.sum(axis=1)
    centre = logit(cases / w.sum(axis=1))
    low = centre - np.where(w > 0, x, -np.inf).max(axis=1)
    high = centre - np.where(w > 0, x, np.inf).min(axis=1)
    a = (low + high) / 2
    for _ in range(_STEPS):
        eta = a[:, None] + x
        smaller = expit(-np.abs(eta))
        whole = np.where(eta > 0, w, 0.0).sum(axis=1)
        excess = (cases - whole) + (np.copysign(w, eta) * smaller).sum(axis=1)
        low, high = np.where(excess >= 0, a, low), np.where(excess <= 0, a, high)
        step = a + ratio(excess, (w * smaller * (1 - smaller)).sum(axis=1))
        better = np.where((step > low) & (step < high), step, (low + high) / 2)
        moved, a = np.abs(better - a).max(), better
        if moved < 1e-11:
            break
    return a


def recalibration(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None
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
    intercept, slope = rows.once(_recalibrated)
    return rows.result(intercept), rows.result(slope)


def _recalibrated(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    matrices = _matrices(rows.ranked)
    defined = _overlap(*matrices)
    intercept, slope = np.full((2, defined.size), np.nan)
    if defined.any():
        intercept[defined], slope[defined] = _newton(*(_pick(m, defined) for m in matrices))
    return intercept, slope


def _overlap(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> np.ndarray:
    """Return whether the classes' ranges of x, which descends, overlap in more than a point."""
    if not x.size:
        return np.zeros(len(w), dtype=bool)
    (best_control, worst_control), (best_case, worst_case) = (_ends(x, m > 0) for m in (w - wy, wy))
    return (worst_control < best_case) & (worst_case < best_control)


def _ends(x: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's first and last x that is a member, NaN where none is."""
    first, last = member.argmax(axis=1), member.shape[1] - 1 - member[:, ::-1].argmax(axis=1)
    row = np.arange(len(member))
    none = ~member[row, first]
    at = np.zeros_like(row) if len(x) == 1 else row
    return np.where(none, np.nan, x[at, first]), np.where(none, np.nan, x[at, last])


def _newton(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intercepts and slopes of logistic models with one covariate; with care where plain steps fail.

    Plain Newton steps start from the discriminant analysis, the answer were x normal in both classes.
    """
    beta, cases = np.stack(_discriminant(x, w, wy)), np.stack([wy.sum(axis=1), np.vecdot(wy, x)])
    unsolved = np.ones(beta.shape[1], dtype=bool)
    for _ in range(_PLAIN_STEPS):
        step, short = _plain_step(
            beta[:, unsolved], cases[:, unsolved], *(_pick(m, unsolved) for m in (x, w))
        )
        beta[:, unsolved] += step
        unsolved[unsolved] = ~short
        if not unsolved.any():
            return beta[0], beta[1]
    beta[:, unsolved] = _careful_newton(*np.broadcast_arrays(*(_pick(m, unsolved) for m in (x, w, wy))))
    return beta[0], beta[1]


def _discriminant(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, cases = w.sum(axis=1), wy.sum(axis=1)
    of_cases = np.vecdot(wy, x)
    low, high = (np.vecdot(w, x) - of_cases) / (n - cases), of_cases / cases
    spread = np.vecdot(w * x, x) - (n - cases) * low**2 - cases * high**2
    slope = ratio((high - low) * n, spread)
    return logit(cases / n) - slope * (low + high) / 2, slope


def _plain_step(
    beta: np.ndarray, cases: np.ndarray, x: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Newton step and whether it is so short that what it leaves is rounding.

    `cases` are the sums over the cases of 1 and of x.
    """
    with np.errstate(all="ignore"):
        mu = x * -beta[1][:, None]
        mu -= beta[0][:, None]
        np.exp(mu, out=mu)
        mu += 1
        np.divide(1, mu, out=mu)
        weighted = w * mu
        g0 = cases[0] - weighted.sum(axis=1)
        g1 = cases[1] - np.vecdot(weighted, x)
        mu *= weighted
        np.subtract(weighted, mu, out=mu)  # w mu (1 - mu)
        total, first = mu.sum(axis=1), np.vecdot(mu, x)
        mu *= x
        second, centre = np.vecdot(mu, x), first / total
        information = second - centre * first
        across = (g1 - centre * g0) / information
        along = g0 / total - centre * across
        short = (g0 * along + g1 * across < _SHORT**2) & (information > _CANCELLED * second)
        return np.stack([along, across]), short


def _careful_newton(x: np.ndarray, w: np.ndarray, wy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same by steps that never lower the likelihood; NaN if not converged."""
    n = w.sum(axis=1)
    mean = (w * x).sum(axis=1) / n
    spread = np.sqrt((w * (x - mean[:, None]) ** 2).sum(axis=1) / n)
    z = (x - mean[:, None]) / spread[:, None]
    beta = np.stack([logit(wy.sum(axis=1) / n), np.zeros(len(x))])
    in_errors = np.full(len(x), np.inf)
    for _ in range(_STEPS):
        active = in_errors > _TOLERANCE
        if not active.any():
            break
        step, in_errors[active] = _careful_step(beta[:, active], z[active], w[active], wy[active])
        beta[:, active] += step
    beta[:, ~(in_errors < _SHORT)] = np.nan  # rounding can keep huge coefficients from the last digits
    slope = beta[1] / spread
    return beta[0] - slope * mean, slope


def _careful_step(
    beta: np.ndarray, z: np.ndarray, w: np.ndarray, wy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Newton step, halved where it lowers the likelihood, and its length in standard errors."""
    eta = beta[0][:, None] + beta[1][:, None] * z
    mu, other = expit(eta), expit(-eta)  # 1 - mu would lose the digits of what is nearly certain
    residual, v = wy * other - (w - wy) * mu, w * mu * other
    g0, g1 = residual.sum(axis=1), (residual * z).sum(axis=1)
    total = v.sum(axis=1)
    centre = ratio((v * z).sum(axis=1), total)
    across = ratio(g1 - centre * g0, (v * (z - centre[:, None]) ** 2).sum(axis=1))
    step = np.stack([ratio(g0, total) - centre * across, across])
    in_errors = np.sqrt(np.abs(g0 * step[0] + g1 * step[1]))
    before = _log_likelihood(eta, w, wy)
    for _ in range(30):
        change = step[0][:, None] + step[1][:, None] * z
        worse = _log_likelihood(eta + change, w, wy) < before - 1e-9 * np.abs(before)
        if not worse.any():
            break
        step[:, worse] /= 2
    return step, in_errors


def _log_likelihood(eta: np.ndarray, w: np.ndarray, wy: np.ndarray) -> np.ndarray:
    return (wy * log_expit(eta) + (w - wy) * log_expit(-eta)).sum(axis=1)


def cal_slope(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the slope of `recalibration`: 1 is ideal, below 1 the risks are too extreme."""
    return recalibration(y, p, weight)[1]


def cal_intercept_joint(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the intercept of `recalibration`; not calibration in the large, see `cal_intercept`."""
    return recalibration(y, p, weight)[0]


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

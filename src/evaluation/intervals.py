"""Intervals: what another sample of patients would give, and how far the refitted models scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from src.evaluation.auc import delong_variance
from src.evaluation.resampling import subject_index

Z = 1.96
MIN_DEFINED = 0.9
"""Share of the iterations, or draws, in which a metric must be defined."""

N_DRAWS = 1000  # subject-level bootstrap: the Monte Carlo error of a limit is 0.08 of the standard error
BOOTSTRAP_SEED = 20230114
ROUNDING = 1e-9
"""What a value may be outside its limits by."""

_STORED = 1e-5  # predictions are stored in float32; what differs by less does not differ


class IntervalError(RuntimeError):
    """An interval that does not contain its own estimate: an error of the program."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; NaN limits and a reason where there is none."""

    lo: float
    hi: float
    method: str = ""
    reason: str = ""


def percentiles(values: np.ndarray, percent: Sequence[float] = (2.5, 97.5)) -> np.ndarray:
    """Return percentiles along the first axis, linear between neighbours as in numpy, at a third of its time.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, k)
        Without NaN.
    percent : sequence of float
        In [0, 100].

    Returns
    -------
    ndarray, shape (number of percentiles,) or (number of percentiles, k)
    """
    ordered = np.sort(values, axis=0)
    place = np.array(percent) / 100 * (len(values) - 1)
    below = place.astype(int)
    low, high = ordered[below], ordered[np.minimum(below + 1, len(values) - 1)]
    return low + ((place - below) * (high - low).T).T


def no_interval(reason: str) -> Interval:
    """Return the interval of a degenerate case."""
    return Interval(float("nan"), float("nan"), "", reason)


def containing(estimate: float, lo: float, hi: float, method: str) -> Interval:
    """Return the interval after checking that it contains its estimate, rounding apart.

    Raises
    ------
    IntervalError
        If it does not.
    """
    if not lo - ROUNDING <= estimate <= hi + ROUNDING:
        raise IntervalError(f"the {method} interval [{lo}, {hi}] does not contain its estimate {estimate}")
    return Interval(min(lo, estimate), max(hi, estimate), method)


def _standard_error_missing(se: float) -> str:
    """Say why a standard error gives no interval; empty where it does."""
    if np.isnan(se):
        return "the standard error is undefined (fewer than two subjects in a class)"
    return "the standard error is 0 (every subject counts the same)" if se < 1e-12 else ""


def auroc_logit(estimate: float, se: float) -> Interval:
    """Return logit(estimate) +- 1.96 se / (estimate (1 - estimate)), transformed back: never outside (0, 1).

    Parameters
    ----------
    estimate : float
        AUROC, `oob`.
    se : float
        DeLong standard error of the pooled out-of-bag predictions.

    References
    ----------
    Pepe 2003, The Statistical Evaluation of Medical Tests for Classification and Prediction, chapter 5.
    """
    if not 0 < estimate < 1:
        return no_interval(f"the AUROC is exactly {estimate:g}")
    reason = _standard_error_missing(se)
    if reason:
        return no_interval(reason)
    half = Z * se / (estimate * (1 - estimate))
    centre = logit(estimate)
    return containing(estimate, float(expit(centre - half)), float(expit(centre + half)), "delong logit")


def wald(estimate: float, se: float, domain: tuple[float, float], method: str) -> Interval:
    """Return estimate +- 1.96 se, cut to the domain."""
    reason = _standard_error_missing(se)
    if reason:
        return no_interval(reason)
    lo, hi = max(domain[0], estimate - Z * se), min(domain[1], estimate + Z * se)
    return containing(estimate, lo, hi, method)


def wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of Wilson's 95 % interval of shares; n need not be whole.

    Parameters
    ----------
    share : ndarray
        In [0, 1].
    n : ndarray, same shape
        Of how many, above 0; an effective number where observations are weighted or belong together.

    Returns
    -------
    lo, hi : ndarray, same shape
        In [0, 1], never both equal to the share; NaN where an argument is.

    References
    ----------
    Wilson 1927, JASA 22:209; Brown, Cai & DasGupta 2001, Stat Sci 16:101, section 3.1.1.
    """
    centre = share + Z**2 / (2 * n)
    half = Z * np.sqrt((share * (1 - share) + Z**2 / (4 * n)) / n)
    scale = 1 + Z**2 / n
    return np.clip((centre - half) / scale, 0, share), np.clip((centre + half) / scale, share, 1)


def auroc_delong(
    y: np.ndarray, p: np.ndarray, estimate: float, groups: Sequence[str] | np.ndarray | None
) -> Interval:
    """Return the Wald interval of an AUROC with its DeLong standard error, cut to [0, 1].

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837.
    """
    return wald(estimate, float(np.sqrt(delong_variance(y, p, groups))), (0.0, 1.0), "delong")


def subject_draws(
    y: np.ndarray, groups: Sequence[str] | np.ndarray, n_draws: int = N_DRAWS, seed: int = BOOTSTRAP_SEED
) -> np.ndarray:
    """Draw subjects with replacement, stratified by class; return each recording's count, (n_draws, n)."""
    index, subject_y = subject_index(np.asarray(y), groups)
    rng = np.random.default_rng(seed)
    counts = np.empty((n_draws, subject_y.size))
    for label in np.unique(subject_y):
        members = np.flatnonzero(subject_y == label)
        drawn = rng.integers(members.size, size=(n_draws, members.size), dtype=np.int32)
        cells = drawn + members.size * np.arange(n_draws)[:, None]
        counts[:, members] = np.bincount(cells.ravel(), minlength=cells.size).reshape(n_draws, -1)
    return counts.take(index, axis=1)


def percentile(estimate: float, draws: np.ndarray, method: str) -> Interval:
    """Return the 2.5 and 97.5 percentiles of an estimate's values in draws of subjects.

    Where the draws are biased so much that the percentiles leave the estimate out, no interval can stand
    beside it: there is none, with the reason.

    Parameters
    ----------
    estimate : float
        The value on the subjects themselves.
    draws : ndarray, shape (n_draws,)
        The value in each draw; NaN where undefined, in at most a tenth.
    method : str
        What the draws are.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    defined = draws[np.isfinite(draws)]
    if np.isnan(estimate):
        return no_interval("")
    if defined.size < MIN_DEFINED * draws.size:
        return no_interval(f"defined in {defined.size} of {draws.size} draws of subjects; 90 % are needed")
    if np.ptp(defined) < 1e-12:
        return no_interval("every draw of subjects gives the same value")
    lo, hi = percentiles(defined)
    if not lo - ROUNDING <= estimate <= hi + ROUNDING:
        return no_interval("the percentiles of the draws of subjects leave the estimate out")
    return containing(estimate, float(lo), float(hi), method)


def location_shifted(
    estimate: float, apparent: float, on_resamples: np.ndarray, domain: tuple[float, float]
) -> Interval:
    """Return the interval of an optimism-corrected estimate: the apparent value's, moved by the optimism.

    Where the models overfit their resamples so much more than the original sample that the percentiles leave
    the apparent value out, there is no interval.

    Parameters
    ----------
    estimate, apparent : float
        The metric after and before the correction.
    on_resamples : ndarray, shape (B,)
        The metric of each bootstrap model on its own resample.
    domain : tuple of float
        Smallest and largest value possible; the interval is cut to it.

    References
    ----------
    Noma, Shinozaki, Iba, Teramukai & Furukawa 2021, Stat Med 40:5691, section 3.1 (algorithm 1).
    """
    lo, hi = percentiles(on_resamples)
    if hi - lo < _STORED:
        return no_interval("every model has the same value on its resample, to stored precision")
    if not lo - ROUNDING <= apparent <= hi + ROUNDING:
        return no_interval("the models' values on their resamples leave the apparent value out")
    shift = apparent - estimate
    lower, upper = max(domain[0], float(lo) - shift), min(domain[1], float(hi) - shift)
    return containing(estimate, lower, upper, "location-shifted bootstrap")


def refit(values: np.ndarray) -> Interval:
    """Return the 2.5 and 97.5 percentiles over the iterations: model instability, no confidence interval.

    Where a few iterations explode (calibration slopes on a handful of cases), the mean can lie outside; such
    a band cannot stand beside that mean and is left out, with the reason.

    Parameters
    ----------
    values : ndarray, shape (B,)
        The metric per iteration; NaN where undefined.
    """
    defined = values[np.isfinite(values)]
    lo, hi = percentiles(defined)
    mean = float(defined.mean())
    if not lo - ROUNDING <= mean <= hi + ROUNDING:
        return no_interval("the mean lies outside the iterations' percentiles: a few of them dominate it")
    return containing(mean, float(lo), float(hi), "percentiles of the iterations")

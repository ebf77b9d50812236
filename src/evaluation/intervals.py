"""Intervals: what another sample of patients would give, and how far the refitted models scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from src.evaluation.auc import delong_variance
from src.evaluation.resampling import subject_index
from src.evaluation.rows import ratio

Z = 1.96
N_DRAWS = 2000  # subject-level bootstrap: the Monte Carlo error of a limit is 0.05 of its standard error
BOOTSTRAP_SEED = 20230114
_ROUNDING = 1e-9


class IntervalError(RuntimeError):
    """An interval that does not contain its own estimate: an error of the program."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; NaN limits and a reason where there is none."""

    lo: float
    hi: float
    method: str = ""
    reason: str = ""


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
    if not lo - _ROUNDING <= estimate <= hi + _ROUNDING:
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


def auroc_delong(
    y: np.ndarray, p: np.ndarray, estimate: float, groups: Sequence[str] | np.ndarray | None
) -> Interval:
    """Return the Wald interval of an AUROC with its DeLong standard error, cut to [0, 1].

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837.
    """
    return wald(estimate, float(np.sqrt(delong_variance(y, p, groups))), (0.0, 1.0), "delong")


def oob_influence_se(
    y: np.ndarray, losses: np.ndarray, left_out: np.ndarray, groups: Sequence[str] | np.ndarray
) -> float:
    """Return the standard error, over samples of subjects, of a mean loss on left-out recordings.

    The influence of a recording is its loss minus the iteration's mean loss, averaged over the iterations
    that left it out. The values are added up by subject; their variance is taken within each class, because
    the classes are sampled separately.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels.
    losses : ndarray, shape (B, n)
        Loss of each prediction; finite where left out.
    left_out : ndarray of bool, shape (B, n)
        True where an iteration did not train on the recording.
    groups : sequence, length n
        The subject of each recording.

    Returns
    -------
    float
        NaN where a class has fewer than two subjects that were ever left out.

    References
    ----------
    Efron & Tibshirani 1997, JASA 92:548 (standard error of the leave-one-out bootstrap).
    """
    w = np.asarray(left_out, dtype=np.float64)
    known = np.where(left_out, losses, 0.0)
    mean = ratio((w * known).sum(axis=1), w.sum(axis=1))
    times = w.sum(axis=0)
    influence = ratio((w * np.nan_to_num(known - mean[:, None])).sum(axis=0), times)
    used = times > 0
    index, subject_y = subject_index(np.asarray(y)[used], np.asarray(groups)[used])
    per_subject = np.bincount(index, influence[used])
    variance = 0.0
    for label in (0, 1):
        values = per_subject[subject_y == label]
        if values.size < 2:
            return float("nan")
        variance += values.size * float(values.var(ddof=1))
    return float(np.sqrt(variance)) / int(used.sum())


def subject_draws(
    y: np.ndarray, groups: Sequence[str] | np.ndarray, n_draws: int = N_DRAWS, seed: int = BOOTSTRAP_SEED
) -> np.ndarray:
    """Draw subjects with replacement, stratified by class; return each recording's count, (n_draws, n)."""
    index, subject_y = subject_index(np.asarray(y), groups)
    rng = np.random.default_rng(seed)
    counts = np.empty((n_draws, subject_y.size))
    for label in np.unique(subject_y):
        members = np.flatnonzero(subject_y == label)
        counts[:, members] = rng.multinomial(members.size, np.full(members.size, 1 / members.size), n_draws)
    return counts[:, index]


def mean_loss_bootstrap(
    estimate: float, y: np.ndarray, losses: np.ndarray, groups: Sequence[str] | np.ndarray
) -> Interval:
    """Return the percentile interval of a mean loss over draws of subjects.

    Parameters
    ----------
    estimate : float
        The mean of `losses`.
    y : ndarray, shape (n,)
        Labels; classes are drawn separately.
    losses : ndarray, shape (n,)
        Loss of each recording.
    groups : sequence, length n
        The subject of each recording; a subject's recordings are drawn together.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    counts = subject_draws(y, groups)
    draws = counts @ np.asarray(losses, dtype=np.float64) / counts.sum(axis=1)
    if np.ptp(draws) < 1e-12:
        return no_interval("every draw of subjects gives the same value")
    lo, hi = np.percentile(draws, [2.5, 97.5])
    return containing(estimate, float(lo), float(hi), "subject bootstrap")


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
    lo, hi = np.percentile(defined, [2.5, 97.5])
    mean = float(defined.mean())
    if not lo - _ROUNDING <= mean <= hi + _ROUNDING:
        return no_interval("the mean lies outside the iterations' percentiles: a few of them dominate it")
    return containing(mean, float(lo), float(hi), "percentiles of the iterations")

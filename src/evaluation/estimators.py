"""The estimates of one run: every metric, by every estimator, with its intervals or why there are none.

`oob` speaks of one model trained on one sample and is the headline. `oob_pooled` speaks of a bagged model and
is usually better. `apparent` is the model on its own training data. They are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from src.evaluation.auc import delong_variance
from src.evaluation.intervals import (
    Interval,
    auroc_delong,
    auroc_logit,
    mean_loss_bootstrap,
    no_interval,
    oob_influence_se,
    refit,
    wald,
)
from src.evaluation.metrics import METRICS, Metric, all_metrics, iteration_metrics
from src.evaluation.resampling import EvaluationError, check_labels
from src.evaluation.rows import ratio

MIN_DEFINED = 0.9
"""Share of the iterations in which a metric must be defined for its mean to be an estimate."""

Estimator = Literal["oob", "oob_pooled", "apparent"]


@dataclass(frozen=True)
class Estimate:
    """One metric of one run by one estimator; NaN where undefined, with the reason.

    `estimate_median` and the refit interval exist for `oob` only; `n_defined` counts iterations for `oob` and
    recordings with a prediction for the others.
    """

    metric: str
    estimator: Estimator
    estimate: float
    estimate_median: float
    n_defined: int
    sampling_lo: float
    sampling_hi: float
    sampling_method: str
    refit_lo: float
    refit_hi: float
    reason: str


@dataclass(frozen=True, eq=False)
class Pooled:
    """The predictions of each recording by the models that did not train on it.

    Parameters
    ----------
    mean, sd : ndarray of float64, shape (n,)
        Over the iterations that left the recording out; the sd has divisor n_oob - 1 and is NaN for one
        iteration. Both are NaN where no iteration left it out.
    n_oob : ndarray of int, shape (n,)
        Number of those iterations.
    """

    mean: np.ndarray
    sd: np.ndarray
    n_oob: np.ndarray


def left_out_mask(y_prob_all: np.ndarray, inbag_counts: np.ndarray | None) -> np.ndarray:
    """Return what each iteration left out: count 0 or, without counts, where there is a prediction."""
    if inbag_counts is None:
        return np.isfinite(y_prob_all)
    if np.shape(inbag_counts) != np.shape(y_prob_all):
        raise EvaluationError(
            f"in-bag counts of shape {np.shape(inbag_counts)} for predictions of shape "
            f"{np.shape(y_prob_all)}; expected iterations x recordings for both"
        )
    return np.asarray(inbag_counts) == 0


def pool(y_prob_all: np.ndarray, left_out: np.ndarray) -> Pooled:
    """Average each recording's predictions over the iterations that left it out; both arguments (B, n)."""
    p = np.where(left_out, np.asarray(y_prob_all, dtype=np.float64), 0.0)
    n = left_out.sum(axis=0)
    mean = ratio(p.sum(axis=0), n)
    squares = np.where(left_out, (p - mean) ** 2, 0.0).sum(axis=0)
    return Pooled(mean, np.sqrt(ratio(squares, n - 1)), n)


def estimate_all(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    inbag_counts: np.ndarray | None,
    y_prob_apparent: np.ndarray | None,
    groups: Sequence[str] | None = None,
    iterations: Mapping[str, np.ndarray] | None = None,
) -> list[Estimate]:
    """Estimate every metric of one run.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    y_prob_all : array_like, shape (B, n)
        Predictions of each iteration; NaN allowed where in-bag.
    inbag_counts : array_like, shape (B, n), optional
        0 where left out; None where only left-out predictions are known (NaN elsewhere).
    y_prob_apparent : array_like, shape (n,), optional
        Predictions of the model fitted on everybody.
    groups : sequence of str, length n, optional
        The subject of each recording; by default every recording is a subject.
    iterations : mapping of str to array_like, shape (B,), optional
        What `iteration_metrics` gives for these predictions, where it is known already.

    Returns
    -------
    list of Estimate
        Metrics of `METRICS` in order, for `oob`, `oob_pooled` and `apparent`.

    Raises
    ------
    EvaluationError
        If labels or predictions are not what is expected.
    IntervalError
        If an interval does not contain its estimate.
    """
    labels = check_labels(y)
    p = np.asarray(y_prob_all, dtype=np.float64)
    subjects = np.arange(labels.size) if groups is None else np.asarray(groups)
    run = _Run(labels, p, left_out_mask(p, inbag_counts), subjects)
    pooled = pool(p, run.left_out)
    values = iteration_metrics(run.y, run.p, run.left_out) if iterations is None else iterations
    return [
        *(_oob_estimate(metric, values[metric.name], run, pooled) for metric in METRICS),
        *_pooled(run, pooled),
        *_apparent(labels, y_prob_apparent),
    ]


@dataclass(frozen=True, eq=False)
class _Run:
    y: np.ndarray
    p: np.ndarray
    left_out: np.ndarray
    subjects: np.ndarray


def _oob_estimate(metric: Metric, values: np.ndarray, run: _Run, pooled: Pooled) -> Estimate:
    defined = values[np.isfinite(values)]
    if defined.size < MIN_DEFINED * values.size:
        reason = f"defined in {defined.size} of {values.size} iterations; 90 % are needed"
        return _estimate(metric, "oob", float("nan"), defined.size, reason=reason)
    mean = float(defined.mean())
    sampling, scatter = _oob_sampling(metric, mean, run, pooled), refit(values)
    return _estimate(metric, "oob", mean, defined.size, sampling, scatter, median=float(np.median(defined)))


def _oob_sampling(metric: Metric, mean: float, run: _Run, pooled: Pooled) -> Interval:
    """Return the sampling interval of an `oob` estimate."""
    if metric.name == "auroc":
        seen = pooled.n_oob > 0
        return auroc_logit(
            mean, float(np.sqrt(delong_variance(run.y[seen], pooled.mean[seen], run.subjects[seen])))
        )
    if metric.name == "brier":
        se = oob_influence_se(run.y, (run.p - run.y) ** 2, run.left_out, run.subjects)
        return wald(mean, se, metric.domain, "influence")
    return no_interval("sampling intervals are computed for auroc and brier")


def _pooled(run: _Run, pooled: Pooled) -> list[Estimate]:
    """Return the metrics of the mean left-out predictions."""
    seen = pooled.n_oob > 0
    y, p, subjects = run.y[seen], pooled.mean[seen], run.subjects[seen]
    unseen = int((~seen).sum())
    note = f"{unseen} of {seen.size} recordings were never left out" if unseen else ""
    values = all_metrics(y, p)
    rows = []
    for metric in METRICS:
        value = float(values[metric.name])
        interval = _pooled_sampling(metric, value, y, p, subjects)
        rows.append(_estimate(metric, "oob_pooled", value, int(seen.sum()), interval, reason=note))
    return rows


def _pooled_sampling(
    metric: Metric, value: float, y: np.ndarray, p: np.ndarray, subjects: np.ndarray
) -> Interval:
    """Return the sampling interval of an `oob_pooled` estimate."""
    if np.isnan(value):
        return no_interval("")
    if metric.name == "auroc":
        return auroc_delong(y, p, value, subjects)
    if metric.name == "brier":
        return mean_loss_bootstrap(value, y, (p - y) ** 2, subjects)
    return no_interval("sampling intervals are computed for auroc and brier")


def _apparent(y: np.ndarray, p: np.ndarray | None) -> list[Estimate]:
    """Return the metrics of the model fitted on everybody."""
    if p is None:
        reason = "there are no predictions of a model fitted on everybody"
        return [_estimate(metric, "apparent", float("nan"), 0, reason=reason) for metric in METRICS]
    values = all_metrics(y, p)
    optimistic = no_interval("no interval: scored on the recordings it was fitted on")
    return [_estimate(m, "apparent", float(values[m.name]), y.size, optimistic) for m in METRICS]


_NONE = no_interval("")


def _estimate(
    metric: Metric,
    estimator: Estimator,
    value: float,
    n_defined: int,
    sampling: Interval = _NONE,
    scatter: Interval = _NONE,
    *,
    median: float = float("nan"),
    reason: str = "",
) -> Estimate:
    """Put a row together; its reason collects everything that is missing in it."""
    if np.isnan(value) and not reason:
        reason = "undefined: a class is absent, or the predictions are constant or separate the classes"
    reasons = [
        reason,
        sampling.reason and f"sampling: {sampling.reason}",
        scatter.reason and f"refit: {scatter.reason}",
    ]
    return Estimate(
        metric=metric.name,
        estimator=estimator,
        estimate=value,
        estimate_median=median,
        n_defined=n_defined,
        sampling_lo=sampling.lo,
        sampling_hi=sampling.hi,
        sampling_method=sampling.method,
        refit_lo=scatter.lo,
        refit_hi=scatter.hi,
        reason="; ".join(r for r in reasons if r),
    )

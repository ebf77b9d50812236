"""The estimates of one run: every metric, by every estimator, with its intervals or why there are none.

`oob` speaks of one model trained on one sample and is the headline. `oob_pooled` speaks of a bagged model and
is usually better. `apparent` is the model on its own training data, and `optimism_corrected`, `b632` and
`b632plus` correct it. They are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from src.evaluation.corrections import b632, b632plus, no_information_brier, optimism
from src.evaluation.influence import delong_influence, influence_se, model_scatter, oob_influence
from src.evaluation.intervals import (
    MIN_DEFINED,
    ROUNDING,
    Interval,
    auroc_delong,
    auroc_logit,
    location_shifted,
    no_interval,
    percentile,
    refit,
    subject_draws,
    wald,
)
from src.evaluation.metrics import (
    CLOSED_METRICS,
    ITERATION_METRICS,
    METRICS,
    Metric,
    all_metrics,
    metrics_of_blocks,
)
from src.evaluation.resampling import EvaluationError, check_labels, subject_index
from src.evaluation.rows import Rows, as_rows, ranked_blocks, ratio

SATURATED = 0.99
"""Apparent AUROC from which the model knows its training data by heart."""

COVERAGE_CHECKED = frozenset(
    {("auroc", "oob"), ("brier", "oob"), ("cal_intercept", "oob"), ("oe_ratio", "oob")}
)
"""Metric and estimator of the intervals that hold the truth in 92 to 98 % of the samples of `coverage`.

That benchmark simulates samples at an AUROC of 0.5, 0.8, 0.91 and 0.95 and shows the other metrics too.
"""

Estimator = Literal["oob", "oob_pooled", "apparent", "optimism_corrected", "b632", "b632plus"]

_B632 = frozenset(
    {"auroc", "brier", "brier_scaled", "net_benefit_05", "net_benefit_10", "net_benefit_15", "net_benefit_20"}
)
_UNITS_OF_BRIER: dict[str, Callable[[float], float]] = {
    "brier": lambda share: 1.0,
    "brier_scaled": lambda share: 1 / (share * (1 - share)),
}
_NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """One metric of one run by one estimator; NaN where undefined, with the reason.

    `estimate_median` and the refit interval exist for `oob` only; `n_defined` counts iterations for `oob` and
    `optimism_corrected` and recordings with a prediction for the others. `flag` is 'apparent_saturated' where
    an optimism was measured on a model that knows its training data by heart, else empty. `coverage_checked`
    tells whether the benchmark `coverage` holds the sampling interval to 92 to 98 %.
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
    flag: str = ""
    coverage_checked: bool = False


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


@dataclass(frozen=True, eq=False)
class RunEvaluation:
    """Everything that is said about one run's predictions.

    Parameters
    ----------
    iterations : dict of str to ndarray, shape (B,)
        `iteration_metrics` of each model on what it did not train on.
    original : dict of str to ndarray, shape (B,), or None
        The same on everybody; None where predictions are missing (in-bag, in other people's stores).
    estimates : list of Estimate
        A row for every metric and estimator; undefined ones with a reason.
    influence : dict of str to ndarray, shape (n_subjects,)
        Each subject's influence on the `oob` estimates, in the unit of the metric: the squared standard error
        is sum over classes c of n_c var_c / n^2 (`src.evaluation.influence.influence_se`). For AUROC it is
        that of the pooled predictions (DeLong), whose differences reject a true null less often. NaN for a
        subject that was never left out.
    subjects : tuple of str
        The subjects of `influence`, in order of first appearance.
    pooled : Pooled
        Predictions of each recording by the models that did not train on it.
    blocks : list of Rows
        The same, iteration by iteration.
    """

    iterations: dict[str, np.ndarray]
    original: dict[str, np.ndarray] | None
    estimates: list[Estimate]
    influence: dict[str, np.ndarray]
    subjects: tuple[str, ...]
    pooled: Pooled
    blocks: list[Rows]


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


def evaluate_run(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    inbag_counts: np.ndarray | None,
    y_prob_apparent: np.ndarray | None,
    groups: Sequence[str] | None = None,
    smoothed_intervals: bool = False,
) -> RunEvaluation:
    """Evaluate one run: each model on what it left out, on its resample and on everybody, and what follows.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    y_prob_all : array_like, shape (B, n)
        Predictions of each iteration; NaN allowed where in-bag.
    inbag_counts : array_like, shape (B, n), optional
        How often each recording was drawn, 0 where left out; None where only left-out predictions are known
        (NaN elsewhere). Where no recording was ever drawn twice, what is known is who was left out, and there
        is no optimism.
    y_prob_apparent : array_like, shape (n,), optional
        Predictions of the model fitted on everybody.
    groups : sequence of str, length n, optional
        The subject of each recording; by default every recording is a subject.
    smoothed_intervals : bool
        Whether the `oob_pooled` metrics that rest on a smooth calibration curve get intervals too; that takes
        a curve per draw of subjects, a minute.

    Returns
    -------
    RunEvaluation

    Raises
    ------
    EvaluationError
        If labels or predictions are not what is expected.
    IntervalError
        If an interval does not contain its estimate.
    """
    run = _run(y, y_prob_all, inbag_counts, y_prob_apparent, groups)
    apparent = _apparent(run)
    oob = _oob(run)
    estimates = [*oob, *_pooled(run, smoothed_intervals), *apparent, *_optimism_corrected(run, apparent)]
    estimates += _b632(apparent, oob) + _b632plus(run, apparent, oob)
    subjects = tuple(str(code) for code in dict.fromkeys(run.codes.tolist()))
    return RunEvaluation(
        run.iterations, run.original, estimates, run.influence, subjects, run.pooled, run.blocks
    )


def estimate_all(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    inbag_counts: np.ndarray | None,
    y_prob_apparent: np.ndarray | None,
    groups: Sequence[str] | None = None,
) -> list[Estimate]:
    """Estimate the metrics that every iteration has, without the corrections; parameters as `evaluate_run`.

    Returns
    -------
    list of Estimate
        Metrics of `ITERATION_METRICS` in order, for `oob`, `oob_pooled` and `apparent`.
    """
    run = _run(y, y_prob_all, inbag_counts, y_prob_apparent, groups)
    names = {metric.name for metric in ITERATION_METRICS}
    return [row for row in [*_oob(run), *_pooled(run, False), *_apparent(run)] if row.metric in names]


@dataclass(frozen=True, eq=False)
class _Run:
    """A run's predictions, and each of the three passes over them, done once."""

    y: np.ndarray
    p: np.ndarray
    counts: np.ndarray | None
    p_apparent: np.ndarray | None
    codes: np.ndarray

    @cached_property
    def left_out(self) -> np.ndarray:
        return left_out_mask(self.p, self.counts)

    @cached_property
    def blocks(self) -> list[Rows]:
        """Each model's left-out predictions."""
        return ranked_blocks(self.y, self.p, self.left_out)

    @cached_property
    def everybody(self) -> list[Rows]:
        """Each model's predictions of everybody."""
        return as_rows(self.y, self.p).blocks()

    @cached_property
    def iterations(self) -> dict[str, np.ndarray]:
        return metrics_of_blocks(self.blocks)

    @cached_property
    def original(self) -> dict[str, np.ndarray] | None:
        """Each model on everybody."""
        complete = np.isfinite(self.p).all() and self.counts is not None
        return metrics_of_blocks(self.everybody, CLOSED_METRICS) if complete else None

    @cached_property
    def resamples(self) -> dict[str, np.ndarray]:
        """Each model on the resample it was trained on."""
        weights = np.array_split(np.asarray(self.counts, dtype=np.float64), self._starts)
        pairs = zip(self.everybody, weights, strict=True)
        return metrics_of_blocks([rows.reweighted(counts) for rows, counts in pairs], CLOSED_METRICS)

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where blocks of iterations begin, but for the first."""
        return np.cumsum([len(rows.p) for rows in self.everybody])[:-1]

    @cached_property
    def no_resamples(self) -> str:
        """Why a model cannot be scored on its own resample; empty where it can."""
        if self.counts is None:
            return "it is not stored how often each recording was drawn"
        if np.max(self.counts) < 2:
            return "no recording was ever drawn twice: what was left out is known, the resamples are not"
        return "" if self.original is not None else "predictions of in-bag recordings are missing"

    @cached_property
    def pooled(self) -> Pooled:
        return pool(self.p, self.left_out)

    @cached_property
    def influence(self) -> dict[str, np.ndarray]:
        pooled = delong_influence(self.y, self.pooled.mean[None], self.codes)[0]
        others = oob_influence(self.y, self.p, self.left_out, self.codes, self.iterations, self.blocks)
        return {"auroc": pooled, **others}

    @cached_property
    def model_scatter(self) -> float:
        return model_scatter(self.p, self.left_out)

    @cached_property
    def subject_y(self) -> np.ndarray:
        return subject_index(self.y, self.codes)[1]


def _run(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    inbag_counts: np.ndarray | None,
    y_prob_apparent: np.ndarray | None,
    groups: Sequence[str] | None,
) -> _Run:
    p = np.asarray(y_prob_all, dtype=np.float64)
    codes = np.arange(p.shape[1]) if groups is None else np.asarray(groups)
    return _Run(check_labels(y), p, inbag_counts, y_prob_apparent, codes)


def _oob(run: _Run) -> list[Estimate]:
    """Return the means over the iterations of the metrics on what they left out."""
    return [_oob_estimate(m, run) if m.per_iteration else _elsewhere(m, "oob") for m in METRICS]


def _elsewhere(metric: Metric, estimator: Estimator) -> Estimate:
    return _estimate(metric, estimator, _NAN, 0, reason="computed for apparent and oob_pooled only")


def _oob_estimate(metric: Metric, run: _Run) -> Estimate:
    values = run.iterations[metric.name]
    defined = values[np.isfinite(values)]
    reason = _too_rarely_defined(defined.size, values.size)
    if reason:
        return _estimate(metric, "oob", _NAN, defined.size, reason=reason)
    mean = float(defined.mean())
    sampling, scatter = _oob_sampling(metric, mean, run), refit(values)
    return _estimate(metric, "oob", mean, defined.size, sampling, scatter, median=float(np.median(defined)))


def _too_rarely_defined(defined: int, of: int) -> str:
    return f"defined in {defined} of {of} iterations; 90 % are needed" if defined < MIN_DEFINED * of else ""


def _oob_sampling(metric: Metric, mean: float, run: _Run) -> Interval:
    """Return the sampling interval of an `oob` estimate."""
    se = float(influence_se(run.influence[metric.name], run.subject_y))
    if metric.name == "auroc":
        return auroc_logit(mean, se)
    if metric.name not in _UNITS_OF_BRIER:
        return wald(mean, se, metric.domain, "influence")
    scatter = np.sqrt(run.model_scatter) * _UNITS_OF_BRIER[metric.name](run.y.mean())
    return wald(mean, float(np.hypot(se, scatter)), metric.domain, "influence and model scatter")


def _pooled(run: _Run, smoothed_intervals: bool) -> list[Estimate]:
    """Return the metrics of the mean left-out predictions."""
    seen = run.pooled.n_oob > 0
    y, p, codes = run.y[seen], run.pooled.mean[seen], run.codes[seen]
    unseen = int((~seen).sum())
    note = f"{unseen} of {seen.size} recordings were never left out" if unseen else ""
    values = all_metrics(y, p)
    draws = _redrawn(y, p, codes, smoothed_intervals)
    rows = []
    for metric in METRICS:
        value = float(values[metric.name])
        if metric.name == "auroc":
            interval = auroc_delong(y, p, value, codes)
        elif metric.name in draws:
            interval = percentile(value, draws[metric.name], "subject bootstrap")
        else:
            interval = no_interval("computed on request")
        rows.append(_estimate(metric, "oob_pooled", value, int(seen.sum()), interval, note=note))
    return rows


def _redrawn(y: np.ndarray, p: np.ndarray, codes: np.ndarray, smoothed: bool) -> dict[str, np.ndarray]:
    """Return the metrics of draws of subjects, (n_draws,) each."""
    counts = subject_draws(y, codes)
    values = all_metrics(y, p, counts, only=CLOSED_METRICS)
    curves = [m for m in METRICS if m.smoothed]
    if smoothed:
        drawn = [np.repeat(np.arange(y.size), c) for c in counts.astype(np.int64)]
        each = [all_metrics(y[rows], p[rows], only=curves) for rows in drawn]
        values |= {m.name: np.array([float(e[m.name]) for e in each]) for m in curves}
    return values


def _apparent(run: _Run) -> list[Estimate]:
    """Return the metrics of the model fitted on everybody."""
    if run.p_apparent is None:
        reason = "there are no predictions of a model fitted on everybody"
        return [_estimate(metric, "apparent", _NAN, 0, reason=reason) for metric in METRICS]
    values = all_metrics(run.y, run.p_apparent)
    optimistic = no_interval("none, scored on the recordings it was fitted on")
    return [_estimate(m, "apparent", float(values[m.name]), run.y.size, optimistic) for m in METRICS]


def _optimism_corrected(run: _Run, apparent: Iterable[Estimate]) -> list[Estimate]:
    """Return apparent performance minus the mean optimism of the models on their own resamples."""
    naive = {row.metric: row for row in apparent}
    saturated = naive["auroc"].estimate >= SATURATED
    rows = []
    for metric in METRICS:
        if metric.smoothed:
            row = _elsewhere(metric, "optimism_corrected")
        else:
            row = _corrected(metric, run, naive[metric.name], saturated)
        rows.append(replace(row, flag="apparent_saturated") if saturated else row)
    return rows


def _corrected(metric: Metric, run: _Run, apparent: Estimate, saturated: bool) -> Estimate:
    if np.isnan(apparent.estimate) or run.no_resamples or run.original is None:
        missing = f"apparent: {apparent.reason}" if np.isnan(apparent.estimate) else run.no_resamples
        return _estimate(metric, "optimism_corrected", _NAN, 0, reason=missing)
    on_resample = run.resamples[metric.name]
    too_good = optimism(on_resample, run.original[metric.name])
    defined = np.isfinite(too_good)
    reason = _too_rarely_defined(int(defined.sum()), defined.size)
    if reason:
        return _estimate(metric, "optimism_corrected", _NAN, int(defined.sum()), reason=reason)
    value = apparent.estimate - float(too_good[defined].mean())
    if not metric.domain[0] - ROUNDING <= value <= metric.domain[1] + ROUNDING:
        outside = f"the corrected value {value:.4g} is none that the metric can have"
        return _estimate(metric, "optimism_corrected", _NAN, int(defined.sum()), reason=outside)
    value = float(np.clip(value, *metric.domain))
    if saturated:
        interval = no_interval("the apparent performance is saturated, the width would be 0")
    else:
        interval = location_shifted(value, apparent.estimate, on_resample[defined], metric.domain)
    return _estimate(metric, "optimism_corrected", value, int(defined.sum()), interval)


def _b632(apparent: Iterable[Estimate], oob: Iterable[Estimate]) -> list[Estimate]:
    rows = []
    for metric, naive, left_out in zip(METRICS, apparent, oob, strict=True):
        if metric.name in _B632:
            rows.append(_mixture(metric, "b632", b632(naive.estimate, left_out.estimate), naive, left_out))
        else:
            rows.append(_estimate(metric, "b632", _NAN, 0, reason="not defined"))
    return rows


def _b632plus(run: _Run, apparent: Iterable[Estimate], oob: Iterable[Estimate]) -> list[Estimate]:
    """Return the .632+ estimates; AUROC enters as the error 1 - AUROC, without information 0.5."""
    naive, left_out = ({row.metric: row for row in rows} for rows in (apparent, oob))
    values = {"auroc": 1 - b632plus(1 - naive["auroc"].estimate, 1 - left_out["auroc"].estimate, 0.5)}
    if run.p_apparent is not None:
        chance = no_information_brier(run.y, run.p_apparent)
        values["brier"] = b632plus(naive["brier"].estimate, left_out["brier"].estimate, chance)
        share = run.y.mean()
        values["brier_scaled"] = 1 - values["brier"] / (share * (1 - share))
    rows = []
    for metric in METRICS:
        if metric.name in ("auroc", "brier", "brier_scaled"):
            value = values.get(metric.name, _NAN)
            rows.append(_mixture(metric, "b632plus", value, naive[metric.name], left_out[metric.name]))
        else:
            rows.append(_estimate(metric, "b632plus", _NAN, 0, reason="not defined"))
    return rows


def _mixture(
    metric: Metric, estimator: Estimator, value: float, apparent: Estimate, oob: Estimate
) -> Estimate:
    """Put a row together that mixes apparent and left-out performance."""
    if np.isnan(value):
        parts = [row for row in (apparent, oob) if np.isnan(row.estimate)]
        reason = "; ".join(f"{row.estimator}: {row.reason}" for row in parts)
        return _estimate(metric, estimator, _NAN, 0, reason=reason)
    nothing = no_interval("none is defined for this estimator")
    return _estimate(metric, estimator, value, apparent.n_defined, nothing)


_NONE = no_interval("")


def _estimate(
    metric: Metric,
    estimator: Estimator,
    value: float,
    n_defined: int,
    sampling: Interval = _NONE,
    scatter: Interval = _NONE,
    *,
    median: float = _NAN,
    reason: str = "",
    note: str = "",
) -> Estimate:
    """Put a row together; its reason collects everything that is missing in it, after a note."""
    if np.isnan(value) and not reason:
        reason = f"undefined: {metric.undefined}"
    if np.isnan(value):
        sampling = scatter = _NONE
    reasons = [
        note,
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
        coverage_checked=bool(np.isfinite(sampling.lo)) and (metric.name, estimator) in COVERAGE_CHECKED,
    )

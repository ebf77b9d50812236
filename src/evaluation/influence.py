"""How much each subject moves an out-of-bag estimate: the material of standard errors and comparisons.

The influence of a subject is the derivative of the estimate with respect to the subject's weight, times the
number of subjects, the classes' weights held: resampling is stratified, the study's prevalence is no chance.
Per iteration it is closed form; over iterations it is averaged over those that left the subject out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

import numpy as np
from scipy.special import expit

from src.evaluation.auc import corners, delong_components, equal_neighbours, running_sums
from src.evaluation.calibration import clipped_logit
from src.evaluation.resampling import subject_index, summed_by_subject
from src.evaluation.rows import Rows, ranked_blocks, ratio

_PAIRED_AT_ONCE = 256  # recordings held against all others: memory in proportion to their number


def influence_se(influence: np.ndarray, subject_y: np.ndarray) -> np.ndarray:
    """Return the standard error over samples of subjects, the classes drawn separately.

    Parameters
    ----------
    influence : array_like, shape (n,) or (n, k)
        From `oob_influence`, in the unit of the metric; NaN for subjects that were never left out.
    subject_y : array_like, shape (n,)
        Class of each subject.

    Returns
    -------
    ndarray, shape () or (k,)
        sqrt(sum over classes c of n_c var_c) / n, var_c with divisor n_c - 1; NaN where a class has fewer
        than two subjects with an influence.

    References
    ----------
    Efron & Tibshirani 1997, JASA 92:548, section 5 (standard error of the leave-one-out bootstrap).
    """
    values = np.asarray(influence, dtype=np.float64)
    known = np.isfinite(values)
    total = np.zeros(values.shape[1:])
    for label in (0, 1):
        member = (known.T & (np.asarray(subject_y) == label)).T
        n = member.sum(axis=0)
        mean = ratio(np.where(member, values, 0.0).sum(axis=0), n)
        squares = np.where(member, (values - mean) ** 2, 0.0).sum(axis=0)
        total = total + n * ratio(squares, n - 1)
    return np.sqrt(total) / known.sum(axis=0)


def model_scatter(y_prob_all: np.ndarray, left_out: np.ndarray) -> float:
    """Return what the sample's own models add to the variance of (out-of-bag Brier - its truth).

    The truth is the sample's own: its models are worse than the best one by Q, the mean squared distance of
    their predictions from the best ones. What made a model too good for its sample makes it bad for the
    population: where models minimise a loss, estimate and truth part by 2 Q. Q is a quadratic form of normal
    errors with the covariance K of the predictions over the iterations, so Var Q = 2 tr(K^2) / n^2. The
    influence values carry half of Var 2Q; this is the other half. The noise of K, estimated from the
    iterations that left both recordings out, is subtracted.

    Parameters
    ----------
    y_prob_all : ndarray, shape (B, n)
        Predictions; anything where not left out.
    left_out : ndarray of bool, shape (B, n)
    """
    w = left_out.astype(np.float64)
    p = np.where(left_out, y_prob_all, 0.0)
    deviation = w * (p - np.nan_to_num(ratio(p.sum(axis=0), w.sum(axis=0))))
    variance = (deviation**2).sum(axis=0) / np.maximum(w.sum(axis=0), 1)
    total = 0.0
    for start in range(0, p.shape[1], _PAIRED_AT_ONCE):
        some = slice(start, start + _PAIRED_AT_ONCE)
        both = np.maximum(w[:, some].T @ w, 1)
        covariance = deviation[:, some].T @ deviation / both
        total += float((covariance**2 - np.outer(variance[some], variance) / both).sum())
    return 4 * max(total, 0.0) / p.shape[1] ** 2


def delong_influence(y: np.ndarray, p: np.ndarray, groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return each subject's influence on the AUROC of several predictions.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1 with both classes.
    p : array_like, shape (k, n)
        Scores; a recording with a NaN in any row counts in none.
    groups : sequence, length n
        The subject of each recording.

    Returns
    -------
    ndarray, shape (k, s)
        A recording's DeLong component minus its class's mean, added up by subject (Obuchowski 1997) and
        scaled so that `influence_se` gives the DeLong standard error; subjects in order of first appearance,
        NaN where none of their recordings counts.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837; Obuchowski 1997, Biometrics 53:567, section 3.
    """
    labels, scores = np.asarray(y).astype(np.int64), np.asarray(p, dtype=np.float64)
    index, subject_y = subject_index(labels, groups)
    seen = np.isfinite(scores).all(axis=0)
    n_of_class = np.bincount(labels[seen], minlength=2)
    known = np.bincount(index[seen], minlength=subject_y.size) > 0
    if n_of_class.min() == 0:
        return np.full((len(scores), subject_y.size), np.nan)
    shares = np.empty((len(scores), seen.sum()))
    for share, row in zip(shares, scores, strict=True):
        share[:] = delong_components(labels[seen], row[seen])
    case = labels[seen] == 1
    shares[:, case] -= shares[:, case].mean(axis=1, keepdims=True)
    shares[:, ~case] -= shares[:, ~case].mean(axis=1, keepdims=True)
    result = np.full((len(scores), subject_y.size), np.nan)
    result[:, known] = summed_by_subject(known.sum() * (shares / n_of_class[labels[seen]]), index[seen])
    return result


def oob_influence(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    left_out: np.ndarray,
    groups: Sequence[str] | np.ndarray | None,
    iterations: Mapping[str, np.ndarray],
    blocks: Sequence[Rows] | None = None,
) -> dict[str, np.ndarray]:
    """Return each subject's influence on the `oob` estimates.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels 0/1.
    y_prob_all : ndarray, shape (B, n)
        Predictions; anything where not left out.
    left_out : ndarray of bool, shape (B, n)
        True where an iteration did not train on the recording.
    groups : sequence, length n, optional
        The subject of each recording; by default every recording is a subject.
    iterations : mapping of str to ndarray, shape (B,)
        The metrics of each iteration on what it left out (`src.evaluation.metrics.iteration_metrics`); an
        iteration counts where its metric is defined.
    blocks : sequence of Rows, optional
        `src.evaluation.rows.ranked_blocks` of the left-out predictions, where they are known already.

    Returns
    -------
    dict of str to ndarray, shape (n_subjects,)
        In the unit of the metric, subjects in order of first appearance; about 0 on average in each class,
        NaN for a subject that was never left out. `influence_se` gives the standard error. Closed form for
        average precision, Brier, scaled Brier, O:E and net benefit; one step of Newton's method (inverse
        information times score) for the calibration coefficients. Not for AUROC, see `delong_influence`.

    References
    ----------
    Hampel 1974, JASA 69:383 (influence curve); van der Vaart 1998, Asymptotic Statistics, section 5.3
    (one-step estimators).
    """
    index, subject_y = subject_index(y, np.arange(len(y)) if groups is None else groups)
    names = [name for name in iterations if name in _INFLUENCES]
    totals, times = np.zeros((2, len(names), len(y)))
    start = 0
    for rows in blocks or ranked_blocks(y, y_prob_all, left_out):
        chosen = slice(start, start + len(rows.w))
        start = chosen.stop
        part = {name: np.asarray(iterations[name])[chosen] for name in names}
        sets = _LeftOut(len(y), rows, part)
        member = np.asarray(left_out)[chosen]
        always = member.sum(axis=0)
        for k, name in enumerate(names):
            totals[k] += _INFLUENCES[name](sets)
            defined = np.isfinite(part[name])
            times[k] += always if defined.all() else defined.astype(np.float64) @ member
    return dict(zip(names, _by_subject(ratio(totals, times), index, subject_y.size), strict=True))


def _by_subject(influence: np.ndarray, index: np.ndarray, n_subjects: int) -> np.ndarray:
    """Add up the recordings of each subject, (k, n) to (k, n_subjects)."""
    known = np.isfinite(influence)
    result = np.full((len(influence), n_subjects), np.nan)
    for row, values, seen in zip(result, influence, known, strict=True):
        ever = np.unique(index[seen])
        row[ever] = np.bincount(index[seen], values[seen])[ever] * ever.size / seen.sum()
    return result


@dataclass(frozen=True, eq=False)
class _LeftOut:
    """Some iterations' left-out predictions, ranked, and their metrics; of n recordings in all."""

    n_recordings: int
    rows: Rows
    iterations: Mapping[str, np.ndarray]

    @cached_property
    def x(self) -> np.ndarray:
        """Logit of the predictions."""
        return clipped_logit(self.rows.p)

    @cached_property
    def recalibration(self) -> _Recalibration:
        return _Recalibration.of(self)

    def add_up(self, name: str, g: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
        """Return scale times (g minus its class mean in the iteration), added up per recording, (n,).

        Iterations in which the metric `name` is undefined do not count.
        """
        defined = np.isfinite(self.iterations[name])
        s = np.where(defined, scale, 0.0)
        if not defined.all():
            g = np.where(defined[:, None], g, 0.0)
        rows = self.rows
        high = ratio(np.vecdot(rows.cases, g), rows.n_cases)
        low = ratio(np.vecdot(rows.w, g) - np.vecdot(rows.cases, g), rows.n_controls)
        moved = g - np.where(rows.y == 1, np.nan_to_num(high)[:, None], np.nan_to_num(low)[:, None])
        moved *= s[:, None] * rows.w
        return np.bincount(cast(np.ndarray, rows.order).ravel(), moved.ravel(), minlength=self.n_recordings)


@dataclass(frozen=True, eq=False)
class _Recalibration:
    """The fits of y ~ logit p: residuals, logits minus their centre, the centre, and the information."""

    residuals: np.ndarray
    centred: np.ndarray
    centre: np.ndarray
    on_height: np.ndarray
    on_slope: np.ndarray

    @classmethod
    def of(cls, sets: _LeftOut) -> _Recalibration:
        a, b = (sets.iterations[name][:, None] for name in ("cal_intercept_joint", "cal_slope"))
        mu = expit(a + b * sets.x)
        v = sets.rows.w * (mu * (1 - mu))
        total = v.sum(axis=1)
        centre = ratio(np.vecdot(v, sets.x), total)
        centred = sets.x - centre[:, None]
        return cls(sets.rows.y - mu, centred, centre, total, np.vecdot(v, centred**2))


def _auprc(sets: _LeftOut) -> np.ndarray:
    """Average precision is the cases' mean precision at their own p.

    A case contributes its own precision and raises that of the cases no better than itself; a control lowers
    theirs.
    """
    rows = sets.rows
    tp, fp = (counts[:, 1:] for counts in rows.once(corners))
    case = rows.cases > 0
    positive = np.where(case, tp + fp, np.inf)
    raised, lowered = (_from_here_on(rows, counts / positive**2) for counts in (fp, tp))
    derivative = np.where(case, tp / positive + raised, -lowered)
    return sets.add_up("auprc", derivative, ratio(rows.n, rows.n_cases))


def _from_here_on(rows: Rows, values: np.ndarray) -> np.ndarray:
    """Return each prediction's sum of the values of all that are no better, its equals included."""
    backwards = running_sums(values[:, ::-1], equal_neighbours(rows)[:, ::-1])
    return backwards[:, :0:-1]


def _losses(rows: Rows) -> np.ndarray:
    return (rows.p - rows.y) ** 2


def _brier(sets: _LeftOut) -> np.ndarray:
    return sets.add_up("brier", sets.rows.unweighted(_losses))


def _brier_scaled(sets: _LeftOut) -> np.ndarray:
    """Brier over the variance of the outcome, which is fixed with the prevalence."""
    rows = sets.rows
    scale = -ratio(rows.n**2, rows.n_cases * rows.n_controls)
    return sets.add_up("brier_scaled", rows.unweighted(_losses), scale)


def _oe_ratio(sets: _LeftOut) -> np.ndarray:
    """Observed cases are fixed with the prevalence; only the expected ones move."""
    rows = sets.rows
    return sets.add_up("oe_ratio", rows.p, -ratio(rows.n * rows.n_cases, rows.total(rows.p) ** 2))


def _net_benefit(sets: _LeftOut, name: str, threshold: float) -> np.ndarray:
    rows = sets.rows
    gain = rows.y - (1 - rows.y) * (threshold / (1 - threshold))
    return sets.add_up(name, gain * (rows.p >= threshold))


def _cal_intercept(sets: _LeftOut) -> np.ndarray:
    """Residuals over the information on the intercept."""
    rows = sets.rows
    mu = expit(sets.iterations["cal_intercept"][:, None] + sets.x)
    information = rows.total(mu * (1 - mu))
    return sets.add_up("cal_intercept", rows.y - mu, ratio(rows.n, information))


def _cal_slope(sets: _LeftOut) -> np.ndarray:
    fit = sets.recalibration
    return sets.add_up("cal_slope", fit.residuals * fit.centred, ratio(sets.rows.n, fit.on_slope))


def _cal_intercept_joint(sets: _LeftOut) -> np.ndarray:
    """The height at the centre of the logits, less the way back from there to 0 along the slope."""
    fit = sets.recalibration
    back = (fit.centre * ratio(fit.on_height, fit.on_slope))[:, None] * fit.centred
    scale = ratio(sets.rows.n, fit.on_height)
    return sets.add_up("cal_intercept_joint", fit.residuals * (1 - back), scale)


_INFLUENCES: dict[str, Callable[[_LeftOut], np.ndarray]] = {
    "auprc": _auprc,
    "brier": _brier,
    "brier_scaled": _brier_scaled,
    "cal_intercept": _cal_intercept,
    "cal_slope": _cal_slope,
    "cal_intercept_joint": _cal_intercept_joint,
    "oe_ratio": _oe_ratio,
    "net_benefit_05": partial(_net_benefit, name="net_benefit_05", threshold=0.05),
    "net_benefit_10": partial(_net_benefit, name="net_benefit_10", threshold=0.10),
    "net_benefit_15": partial(_net_benefit, name="net_benefit_15", threshold=0.15),
    "net_benefit_20": partial(_net_benefit, name="net_benefit_20", threshold=0.20),
}

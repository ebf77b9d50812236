"""How much each subject moves an out-of-bag estimate: the material of standard errors and comparisons.

The influence of a subject is the derivative of the estimate with respect to the subject's weight, times the
number of subjects, the classes' weights held: resampling is stratified, the study's prevalence is no chance.
Per iteration it is closed form; over iterations it is averaged over those that left the subject out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import expit

from src.evaluation.calibration import clipped_logit
from src.evaluation.resampling import subject_index
from src.evaluation.rows import ratio

_BLOCK = 128  # iterations whose matrices fit a processor's cache


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


def oob_influence(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    left_out: np.ndarray,
    groups: Sequence[str] | np.ndarray | None,
    iterations: Mapping[str, np.ndarray],
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

    Returns
    -------
    dict of str to ndarray, shape (n_subjects,)
        In the unit of the metric, subjects in order of first appearance; about 0 on average in each class,
        NaN for a subject that was never left out. `influence_se` gives the standard error. Closed form for
        AUROC (DeLong components), average precision, Brier, scaled Brier, O:E and net benefit; one step of
        Newton's method (inverse information times score) for the calibration coefficients.

    References
    ----------
    Hampel 1974, JASA 69:383 (influence curve); DeLong et al. 1988, Biometrics 44:837; van der Vaart 1998,
    Asymptotic Statistics, section 5.3 (one-step estimators).
    """
    index, subject_y = subject_index(y, np.arange(len(y)) if groups is None else groups)
    names = [name for name in iterations if name in _INFLUENCES]
    totals, times = np.zeros((2, len(names), len(y)))
    for rows in np.array_split(np.arange(len(left_out)), -(-len(left_out) // _BLOCK)):
        part = {name: iterations[name][rows] for name in names}
        sets = _LeftOut(np.asarray(y), np.asarray(y_prob_all[rows], dtype=np.float64), left_out[rows], part)
        for k, name in enumerate(names):
            totals[k] += _INFLUENCES[name](sets)
            times[k] += np.isfinite(part[name]) @ sets.w
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
    """What the iterations left out, and what several influences share; matrices (B, n) are 0 where in-bag."""

    y: np.ndarray
    p_all: np.ndarray
    member: np.ndarray
    iterations: Mapping[str, np.ndarray]

    @cached_property
    def w(self) -> np.ndarray:
        return self.member.astype(np.float64)

    @cached_property
    def classes(self) -> np.ndarray:
        """Membership of the controls and of the cases, (n, 2)."""
        return np.stack([self.y == 0, self.y == 1], axis=1).astype(np.float64)

    @cached_property
    def n_class(self) -> np.ndarray:
        """Number of left-out controls and cases, (B, 2)."""
        return self.w @ self.classes

    @cached_property
    def n(self) -> np.ndarray:
        return self.n_class.sum(axis=1)

    @cached_property
    def p(self) -> np.ndarray:
        return np.where(self.member, self.p_all, 0.0)

    @cached_property
    def losses(self) -> np.ndarray:
        return self.w * (self.p - self.y) ** 2

    @cached_property
    def x(self) -> np.ndarray:
        """Logit of the predictions."""
        return np.where(self.member, clipped_logit(np.where(self.member, self.p, 0.5)), 0.0)

    @cached_property
    def ranked(self) -> _Ranked:
        return _Ranked.of(self)

    @cached_property
    def recalibration(self) -> _Recalibration:
        return _Recalibration.of(self)

    def add_up(self, name: str, g: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
        """Return scale times (g minus its class mean in the iteration), added up over the iterations, (n,).

        Iterations in which the metric `name` is undefined are left out.
        """
        s = np.where(np.isfinite(self.iterations[name]), scale, 0.0)
        g = g if s.all() else np.where(s[:, None] != 0, g, 0.0)
        means = s[:, None] * np.nan_to_num(ratio(g @ self.classes, self.n_class))
        return s @ g - (self.classes.T * (means.T @ self.w)).sum(axis=0)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Left-out predictions in ascending order, (B, k), k the most that an iteration left out.

    `controls_below`, `controls_up_to`: how many controls have a smaller p, and a p as small; so for cases.
    """

    order: np.ndarray
    counts: np.ndarray
    case: np.ndarray
    last: np.ndarray
    controls_below: np.ndarray
    controls_up_to: np.ndarray
    cases_below: np.ndarray
    cases_up_to: np.ndarray

    @classmethod
    def of(cls, sets: _LeftOut) -> _Ranked:
        keyed = np.where(sets.member, sets.p, np.inf)
        order = np.argsort(keyed, axis=1)[:, : int(sets.n.max())]
        p = np.take_along_axis(keyed, order, axis=1)
        counts = np.isfinite(p)
        case, control = counts & (sets.y[order] == 1), counts & (sets.y[order] == 0)
        first, last = _ties(p)
        tallies = []
        for member in (control, case):
            tally = np.cumsum(member, axis=1)
            tallies += [
                np.take_along_axis(tally - member, first, axis=1),
                np.take_along_axis(tally, last, axis=1),
            ]
        return cls(order, counts, case, last, *tallies)

    def spread(self, values: np.ndarray, n: int) -> np.ndarray:
        """Return values of ranked predictions at the places of their recordings, (B, n)."""
        result = np.zeros((len(values), n))
        np.put_along_axis(result, self.order, np.where(self.counts, values, 0.0), axis=1)
        return result


def _ties(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last position of the equal values each sorted value belongs to."""
    step, edge = p[:, 1:] != p[:, :-1], np.ones((len(p), 1), dtype=bool)
    position = np.arange(p.shape[1])
    first = np.maximum.accumulate(np.where(np.hstack([edge, step]), position, 0), axis=1)
    ends = np.where(np.hstack([step, edge]), position, p.shape[1])
    return first, np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]


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
        v = sets.w * mu * (1 - mu)
        total = v.sum(axis=1)
        centre = ratio((v * sets.x).sum(axis=1), total)
        centred = sets.x - centre[:, None]
        return cls(sets.w * (sets.y - mu), centred, centre, total, (v * centred**2).sum(axis=1))


def _auroc(sets: _LeftOut) -> np.ndarray:
    """DeLong components: the share of the other class that a prediction wins against."""
    r = sets.ranked
    n_controls, n_cases = sets.n_class[:, :1], sets.n_class[:, 1:]
    over_controls = (r.controls_below + r.controls_up_to) / 2
    under_cases = n_cases - (r.cases_below + r.cases_up_to) / 2
    wins = ratio(np.where(r.case, over_controls, under_cases), n_controls * n_cases)
    return sets.add_up("auroc", r.spread(np.nan_to_num(wins), sets.y.size), sets.n)


def _auprc(sets: _LeftOut) -> np.ndarray:
    """Average precision is the cases' mean precision at their own p.

    A case contributes its own precision and raises that of the cases no better than itself; a control lowers
    theirs.
    """
    r = sets.ranked
    tp = sets.n_class[:, 1:] - r.cases_below
    fp = sets.n_class[:, :1] - r.controls_below
    positive = np.where(r.case, tp + fp, np.inf)
    raised = np.take_along_axis(np.cumsum(fp / positive**2, axis=1), r.last, axis=1)
    lowered = np.take_along_axis(np.cumsum(tp / positive**2, axis=1), r.last, axis=1)
    derivative = np.where(r.case, tp / positive + raised, -lowered)
    scale = ratio(sets.n, sets.n_class[:, 1])
    return sets.add_up("auprc", r.spread(derivative, sets.y.size), scale)


def _brier(sets: _LeftOut) -> np.ndarray:
    return sets.add_up("brier", sets.losses)


def _brier_scaled(sets: _LeftOut) -> np.ndarray:
    """Brier over the variance of the outcome, which is fixed with the prevalence."""
    share = ratio(sets.n_class[:, 1], sets.n)
    return sets.add_up("brier_scaled", sets.losses, -ratio(np.ones(len(share)), share * (1 - share)))


def _oe_ratio(sets: _LeftOut) -> np.ndarray:
    """Observed cases are fixed with the prevalence; only the expected ones move."""
    expected = sets.p.sum(axis=1)
    return sets.add_up("oe_ratio", sets.p, -ratio(sets.n * sets.n_class[:, 1], expected**2))


def _net_benefit(sets: _LeftOut, name: str, threshold: float) -> np.ndarray:
    gain = np.where(sets.y == 1, 1.0, -threshold / (1 - threshold))
    return sets.add_up(name, sets.w * (gain * (sets.p >= threshold)))


def _cal_intercept(sets: _LeftOut) -> np.ndarray:
    """Residuals over the information on the intercept."""
    mu = expit(sets.iterations["cal_intercept"][:, None] + sets.x)
    information = (sets.w * mu * (1 - mu)).sum(axis=1)
    return sets.add_up("cal_intercept", sets.w * (sets.y - mu), ratio(sets.n, information))


def _cal_slope(sets: _LeftOut) -> np.ndarray:
    fit = sets.recalibration
    return sets.add_up("cal_slope", fit.residuals * fit.centred, ratio(sets.n, fit.on_slope))


def _cal_intercept_joint(sets: _LeftOut) -> np.ndarray:
    """The height at the centre of the logits, less the way back from there to 0 along the slope."""
    fit = sets.recalibration
    back = fit.centre * ratio(sets.n, fit.on_slope)
    height = sets.add_up("cal_intercept_joint", fit.residuals, ratio(sets.n, fit.on_height))
    return height - sets.add_up("cal_intercept_joint", fit.residuals * fit.centred, back)


_INFLUENCES: dict[str, Callable[[_LeftOut], np.ndarray]] = {
    "auroc": _auroc,
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

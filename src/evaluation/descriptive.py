"""What a rule "p >= t" gets right: descriptive at 0.5 and at Youden's J, improper at clinical thresholds.

Every function takes y, p and weight as `src.evaluation.auc.auroc` does, and `threshold`: a number (the rule
is p >= t), or 'youden' for the t of `threshold_youden`. Results are NaN where a denominator is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from src.evaluation.auc import corners
from src.evaluation.decision import POPULATION_PREVALENCE, positives
from src.evaluation.rows import Rows, as_rows, ratio

Threshold = float | Literal["youden"]


@dataclass(frozen=True, eq=False)
class _Counts:
    """The weights of true and false positives and negatives, (1,) or (B,) each."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def _counts(rows: Rows, threshold: Threshold) -> _Counts:
    if threshold == "youden":
        tp, fp = (counts for counts in rows.once(_youden)[1:])
    else:
        tp, fp = positives(rows, threshold)
    return _Counts(tp, fp, rows.n_cases - tp, rows.n_controls - fp)


def _youden(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return threshold, true and false positives where J is greatest; among equals at the highest p."""
    tp, fp = rows.once(corners)
    # J times cases times controls: whole numbers, in which equals are equal.
    j = tp * rows.n_controls[:, None] - fp * rows.n_cases[:, None]
    j = np.where(tp + fp > 0, j, -np.inf)
    best = np.argmax(j, axis=1)
    row = np.arange(len(j))
    thresholds = np.pad(rows.ranked.p, ((0, 0), (1, 0)), constant_values=np.nan)
    p = np.broadcast_to(thresholds, j.shape)[row, best]
    both = (rows.n_cases > 0) & (rows.n_controls > 0)
    return tuple(np.where(both, a, np.nan) for a in (p, tp[row, best], fp[row, best]))  # type: ignore[return-value]


def threshold_youden(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the predicted value t at which J = sensitivity + specificity - 1 of p >= t is greatest.

    Among equal J, the highest t. (pROC's "best" lies halfway to the next lower value: the same rule.)

    Returns
    -------
    ndarray, shape () or (B,)
        One of the values of p; NaN where a class is absent.

    References
    ----------
    Youden 1950, Cancer 3:32.
    """
    rows = as_rows(y, p, weight)
    return rows.result(rows.once(_youden)[0])


def sensitivity(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return TP / (TP + FN), in [0, 1]; NaN without cases."""
    rows = as_rows(y, p, weight)
    return rows.result(_sensitivity(rows.once(_counts, threshold)))


def _sensitivity(c: _Counts) -> np.ndarray:
    return ratio(c.tp, c.tp + c.fn)


def specificity(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return TN / (TN + FP), in [0, 1]; NaN without controls."""
    rows = as_rows(y, p, weight)
    return rows.result(_specificity(rows.once(_counts, threshold)))


def _specificity(c: _Counts) -> np.ndarray:
    return ratio(c.tn, c.tn + c.fp)


def ppv(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return TP / (TP + FP), in [0, 1], at the study's prevalence; NaN where nobody is predicted positive."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    return rows.result(ratio(c.tp, c.tp + c.fp))


def npv(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return TN / (TN + FN), in [0, 1], at the study's prevalence; NaN where nobody is predicted negative."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    return rows.result(ratio(c.tn, c.tn + c.fn))


def f1(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN), in [0, 1]; NaN where nobody is a case or predicted positive."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    return rows.result(ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn))


def balanced_accuracy(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return the mean of sensitivity and specificity, in [0, 1]; NaN where a class is absent."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    return rows.result((_sensitivity(c) + _specificity(c)) / 2)


def accuracy(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return (TP + TN) / n, in [0, 1]; NaN where nothing counts."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    return rows.result(ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn))


def mcc(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: Threshold = 0.5
) -> np.ndarray:
    """Return Matthews' correlation coefficient, in [-1, 1]; NaN where a class, true or predicted, is absent.

    References
    ----------
    Matthews 1975, Biochim Biophys Acta 405:442.
    """
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    margins = [np.sqrt(a + b) for a, b in ((c.tp, c.fp), (c.tp, c.fn), (c.tn, c.fp), (c.tn, c.fn))]
    product = margins[0] * margins[1] * margins[2] * margins[3]
    return rows.result(np.clip(ratio(c.tp * c.tn - c.fp * c.fn, product), -1, 1))


def ppv_adj(
    y: np.ndarray,
    p: np.ndarray | Rows,
    weight: np.ndarray | None = None,
    *,
    threshold: Threshold = 0.5,
    prevalence: float = POPULATION_PREVALENCE,
) -> np.ndarray:
    """Return the PPV that the rule's sensitivity and specificity mean at another prevalence, by Bayes.

    Parameters
    ----------
    y, p, weight, threshold
        As everywhere in this module.
    prevalence : float
        Assumed share of cases, in (0, 1).

    Returns
    -------
    ndarray, shape () or (B,)
        In [0, 1]; NaN where a class is absent or nobody is predicted positive.
    """
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    found, false_alarms = prevalence * _sensitivity(c), (1 - prevalence) * (1 - _specificity(c))
    return rows.result(ratio(found, found + false_alarms))


def npv_adj(
    y: np.ndarray,
    p: np.ndarray | Rows,
    weight: np.ndarray | None = None,
    *,
    threshold: Threshold = 0.5,
    prevalence: float = POPULATION_PREVALENCE,
) -> np.ndarray:
    """Return the NPV that the rule's sensitivity and specificity mean elsewhere; see `ppv_adj`."""
    rows = as_rows(y, p, weight)
    c = rows.once(_counts, threshold)
    cleared, missed = (1 - prevalence) * _specificity(c), prevalence * (1 - _sensitivity(c))
    return rows.result(ratio(cleared, cleared + missed))

"""Area under the ROC curve, its standard error after DeLong, and ROC curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.evaluation.resampling import subject_index
from src.evaluation.rows import Rows, as_rows, ratio

FPR_GRID = np.arange(101) / 100
"""False-positive rates at which the curves of the iterations are averaged."""


def auroc(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the probability that a case gets a higher p than a control, ties counting 1/2.

    Never flipped below 0.5.

    Parameters
    ----------
    y : array_like, shape (n,) or that of `p`
        Labels 0/1.
    p : array_like, shape (n,) or (B, n)
        Predicted probabilities, or any score.
    weight : array_like, broadcast to `p`, optional
        How often a prediction counts (bool or counts); by default once.

    Returns
    -------
    ndarray, shape () or (B,)
        In [0, 1]; NaN where a class is absent.

    References
    ----------
    Hanley & McNeil 1982, Radiology 143:29.
    """
    rows = as_rows(y, p, weight, score=True)
    order = np.argsort(rows.p, axis=1, kind="stable")
    y_, p_, w_ = (np.take_along_axis(a, order, axis=1) for a in rows[:3])
    controls = np.cumsum(w_ * (1 - y_), axis=1)
    first, last = _tie_edges(p_)
    at_most = np.take_along_axis(controls, last, axis=1)
    below = np.take_along_axis(controls - w_ * (1 - y_), first, axis=1)
    wins = (w_ * y_ * (below + at_most)).sum(axis=1) / 2
    return ratio(wins, rows.n_cases * (rows.n - rows.n_cases)).reshape(rows.shape)


def auprc(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the average precision: sum over the distinct p, descending, of (R_n - R_(n-1)) P_n.

    R_n and P_n are recall and precision of the rule p >= the n-th value; equal predictions enter together.
    Improper at clinical thresholds and dependent on the share of cases: descriptive only.

    Parameters
    ----------
    y, p, weight
        As in `auroc`.

    Returns
    -------
    ndarray, shape () or (B,)
        In [0, 1]; NaN where no case counts.

    References
    ----------
    Buckley & Voorhees 2000, SIGIR, 33 (as in scikit-learn; no interpolation, unlike Davis & Goadrich 2006).
    """
    rows = as_rows(y, p, weight, score=True)
    order = np.argsort(-rows.p, axis=1, kind="stable")
    y_, p_, w_ = (np.take_along_axis(a, order, axis=1) for a in rows[:3])
    last = _tie_edges(p_)[1]
    cases, all_ = (np.take_along_axis(np.cumsum(a, axis=1), last, axis=1) for a in (w_ * y_, w_))
    precision = np.nan_to_num(ratio(cases, all_))
    return ratio((w_ * y_ * precision).sum(axis=1), rows.n_cases).reshape(rows.shape)


def _tie_edges(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last position of the ties each sorted value belongs to."""
    step = p[:, 1:] != p[:, :-1]
    positions = np.arange(p.shape[1])
    edge = np.ones((len(p), 1), dtype=bool)
    starts = np.where(np.hstack([edge, step]), positions, 0)
    ends = np.where(np.hstack([step, edge]), positions, p.shape[1])
    first = np.maximum.accumulate(starts, axis=1)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    return first, last


def delong_components(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each prediction's share of wins against the other class, shape (n,).

    For a case, the share of controls below it; for a control, the share of cases above it; ties count 1/2.
    The mean over the cases and the mean over the controls are both the AUROC.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1 with both classes; scores.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837, equations 3 and 4.
    """
    case = np.asarray(y) == 1
    score = np.asarray(p, dtype=np.float64)
    shares = np.empty(score.size)
    controls, cases = np.sort(score[~case]), np.sort(score[case])
    shares[case] = _share_below(controls, score[case])
    shares[~case] = 1 - _share_below(cases, score[~case])
    return shares


def _share_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the share of `ordered` below each value, ties counting 1/2."""
    left = np.searchsorted(ordered, values, side="left")
    right = np.searchsorted(ordered, values, side="right")
    return (left + right) / (2 * ordered.size)


def delong_variance(y: np.ndarray, p: np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> float:
    """Return the variance of the AUROC over samples of subjects.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1; scores.
    groups : sequence, length n, optional
        The subject of each prediction. Several of one subject are not independent; their components are
        added up first (Obuchowski 1997). By default every prediction is a subject of its own.

    Returns
    -------
    float
        NaN where a class has fewer than two subjects.

    Raises
    ------
    EvaluationError
        If a subject is in both classes.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837; Obuchowski 1997, Biometrics 53:567, section 3
    (the term for subjects with both kinds of prediction is absent here: a subject has one diagnosis).
    """
    labels = np.asarray(y)
    index, subject_y = subject_index(labels, np.arange(labels.size) if groups is None else groups)
    if min(np.sum(subject_y == 0), np.sum(subject_y == 1)) < 2:
        return float("nan")
    shares = delong_components(labels, p)
    total = 0.0
    for label in (0, 1):
        deviation = np.where(labels == label, shares - shares[labels == label].mean(), 0.0)
        per_subject = np.bincount(index, deviation)[subject_y == label]
        n = per_subject.size
        total += n / (n - 1) * float(per_subject @ per_subject) / np.sum(labels == label) ** 2
    return total


def roc_curve(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the exact ROC curve of the rule p >= threshold.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1 with both classes; predicted probabilities.

    Returns
    -------
    fpr, tpr, threshold : ndarray, shape (number of distinct p + 1,)
        From (0, 0), with threshold infinity, to (1, 1); one point per distinct p.
    """
    case = np.asarray(y) == 1
    threshold, group = np.unique(-np.asarray(p, dtype=np.float64), return_inverse=True)
    tp = np.cumsum(np.bincount(group, case))
    fp = np.cumsum(np.bincount(group, ~case))
    with_origin = [np.concatenate([[0.0], counts / counts[-1]]) for counts in (fp, tp)]
    return with_origin[0], with_origin[1], np.concatenate([[np.inf], -threshold])


def roc_on_grid(y: np.ndarray, p: np.ndarray, weight: np.ndarray, grid: np.ndarray = FPR_GRID) -> np.ndarray:
    """Read the true-positive rate of each iteration's ROC curve at given false-positive rates.

    Between its points a curve is a straight line; on a vertical step its upper end counts.

    Parameters
    ----------
    y, p, weight : array_like
        As in `auroc`; p of shape (B, n).
    grid : ndarray, shape (k,)
        False-positive rates in [0, 1], ascending.

    Returns
    -------
    ndarray, shape (B, k)
        NaN rows where a class is absent.
    """
    rows = as_rows(y, p, weight, score=True)
    fpr, tpr = _roc_points(rows)
    defined = np.isfinite(fpr[:, -1]) & np.isfinite(tpr[:, -1])
    result = np.full((len(fpr), grid.size), np.nan)
    # One interpolation for all iterations: curve b is moved to false-positive rates 2b to 2b + 1.
    offset = 2.0 * np.arange(defined.sum())[:, None]
    x = (grid + offset).ravel()
    values = np.interp(x, (fpr[defined] + offset).ravel(), tpr[defined].ravel()) if defined.any() else x
    result[defined] = values.reshape(-1, grid.size)
    return result


def _roc_points(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves' corners, (B, m + 1); inside ties the end of the tie is repeated."""
    order = np.argsort(-rows.p, axis=1, kind="stable")
    y, p, w = (np.take_along_axis(a, order, axis=1) for a in rows[:3])
    last = _tie_edges(p)[1]
    origin = np.zeros((len(p), 1))
    curves = []
    for weight in (w * (1 - y), w * y):
        counts = np.take_along_axis(np.cumsum(weight, axis=1), last, axis=1)
        curves.append(np.hstack([origin, ratio(counts, counts[:, -1:])]))
    return curves[0], curves[1]

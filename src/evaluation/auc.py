"""Area under the ROC curve, its standard error after DeLong, partial areas, precision-recall, ROC curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from src.evaluation.resampling import subject_index
from src.evaluation.rows import Rows, as_rows, ratio

FPR_GRID = np.arange(101) / 100
"""False-positive rates at which the curves of the iterations are averaged."""

Z95 = float(ndtri(0.975))


def auroc(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the probability that a case gets a higher p than a control, ties counting 1/2.

    Never flipped below 0.5.

    Parameters
    ----------
    y : array_like, shape (n,) or that of `p`
        Labels 0/1.
    p : array_like, shape (n,) or (B, n), or Rows
        Predicted probabilities, or any score. `Rows` bring their own labels and weights.
    weight : array_like, broadcast to or over `p`, optional
        How often a prediction counts (bool or counts); by default once. Weights of shape (B, n) give B values
        for one row of predictions.

    Returns
    -------
    ndarray, shape () or (B,)
        In [0, 1]; NaN where a class is absent.

    References
    ----------
    Hanley & McNeil 1982, Radiology 143:29.
    """
    rows = as_rows(y, p, weight, score=True)
    return rows.result(rows.once(_auroc))


def corners(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the ROC curves, as the weight of true and of false positives.

    Returns
    -------
    tp, fp : ndarray, shape (1 or B, m + 1)
        Of the rules "among the k highest", k from 0 to m, with `rows.ranked`. Equal predictions enter
        together: all of them have the corner of the last, so that sums over steps need no care for ties.
    """
    ranked = rows.ranked
    inner = ranked.unweighted(equal_neighbours)
    tp, fp = (running_sums(weight, inner) for weight in (ranked.cases, ranked.w - ranked.cases))
    return tp, fp


def equal_neighbours(rows: Rows) -> np.ndarray:
    """Return whether each prediction's next one is equal, (1 or B, m - 1)."""
    return rows.p[:, 1:] == rows.p[:, :-1]


def running_sums(weight: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return running sums from 0, (B, m + 1), those of equal predictions all up to their last.

    Parameters
    ----------
    weight : ndarray, shape (B, m)
    inner : ndarray of bool, shape (1 or B, m - 1)
        True where a prediction's next one is equal.
    """
    sums = np.zeros((len(weight), weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    if not inner.any():
        return sums
    tied = np.hstack([np.zeros((len(inner), 1), dtype=bool), inner, np.zeros((len(inner), 1), dtype=bool)])
    if len(tied) == 1:
        last = np.flatnonzero(~tied[0])
        columns = np.flatnonzero(tied[0])
        sums[:, columns] = sums[:, last[np.searchsorted(last, columns)]]
        return sums
    flat, last, places = np.ascontiguousarray(sums), np.flatnonzero(~tied), np.flatnonzero(tied)
    flat.ravel()[places] = flat.ravel()[last[np.searchsorted(last, places)]]
    return flat


def _auroc(rows: Rows) -> np.ndarray:
    tp, fp = rows.once(corners)
    wins = np.vecdot(np.diff(fp, axis=1), tp[:, 1:] + tp[:, :-1]) / 2
    return ratio(wins, rows.n_cases * rows.n_controls)


def auprc(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
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
    tp, fp = rows.once(corners)
    positive = tp[:, 1:] + fp[:, 1:]
    precision = np.divide(tp[:, 1:], positive, out=np.zeros_like(positive), where=positive > 0)
    return rows.result(ratio(np.vecdot(np.diff(tp, axis=1), precision), rows.n_cases))


def tpauc(
    y: np.ndarray,
    p: np.ndarray | Rows,
    weight: np.ndarray | None = None,
    *,
    sens_min: float = 0.8,
    spec_min: float = 0.8,
) -> np.ndarray:
    """Return the two-way partial area: the integral of max(ROC - sens_min, 0) over FPR <= 1 - spec_min.

    Parameters
    ----------
    y, p, weight
        As in `auroc`.
    sens_min, spec_min : float
        Least sensitivity and specificity of interest, in [0, 1).

    Returns
    -------
    ndarray, shape () or (B,)
        Raw area under straight lines between the curve's corners, in [0, (1 - sens_min)(1 - spec_min)]; NaN
        where a class is absent.

    References
    ----------
    Yang, Lu, Lyu & Hu 2019, Stat Methods Med Res 28:184.
    """
    rows = as_rows(y, p, weight, score=True)
    return rows.result(rows.once(_tpauc, sens_min, spec_min))


def _tpauc(rows: Rows, sens_min: float, spec_min: float) -> np.ndarray:
    tp, fp = rows.once(corners)
    # Steps that begin right of the border in every row add nothing: often three quarters of them.
    begins = fp[:, :-1] < (1 - spec_min) * rows.n_controls[:, None]
    end = np.flatnonzero(begins.any(axis=0)).max(initial=-1) + 2
    tp, fp = tp[:, :end], fp[:, :end]
    x, height = ratio(fp, rows.n_controls[:, None]), ratio(tp, rows.n_cases[:, None]) - sens_min
    width = np.diff(x, axis=1)
    inside = np.clip((1 - spec_min) - x[:, :-1], 0, width)  # the part of each step left of the border
    start = height[:, :-1]
    rise = np.diff(height, axis=1) * np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
    above = np.maximum(start, 0), np.maximum(start + rise, 0)
    # The mean of max(line, 0) over a step, whose line may cross 0.
    sloping = np.divide(above[1] ** 2 - above[0] ** 2, 2 * rise, out=above[0].copy(), where=rise > 0)
    area = np.vecdot(inside, sloping)
    return np.where((rows.n_cases > 0) & (rows.n_controls > 0), area, np.nan)


def tpauc_norm(
    y: np.ndarray,
    p: np.ndarray | Rows,
    weight: np.ndarray | None = None,
    *,
    sens_min: float = 0.8,
    spec_min: float = 0.8,
) -> np.ndarray:
    """Return `tpauc` divided by its largest value (1 - sens_min)(1 - spec_min), in [0, 1]."""
    rows = as_rows(y, p, weight, score=True)
    area = rows.once(_tpauc, sens_min, spec_min)
    return rows.result(np.minimum(area / ((1 - sens_min) * (1 - spec_min)), 1))


def auroc_delong_lo(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the lower limit of the AUROC's 95 % interval: DeLong, Wald on the AUC scale, cut to [0, 1].

    Every prediction is a subject of its own; `src.evaluation.intervals.auroc_delong` knows subjects with
    several. Parameters and shapes as in `auroc`; NaN where a class has fewer than two.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837.
    """
    return _delong_limit(as_rows(y, p, weight, score=True), -1)


def auroc_delong_hi(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the upper limit of the AUROC's 95 % interval; see `auroc_delong_lo`."""
    return _delong_limit(as_rows(y, p, weight, score=True), 1)


def _delong_limit(rows: Rows, side: int) -> np.ndarray:
    limit = rows.once(_auroc) + side * Z95 * np.sqrt(rows.once(_delong_of_rows))
    return rows.result(np.clip(limit, 0, 1))


def _delong_of_rows(rows: Rows) -> np.ndarray:
    """Return DeLong's variance of each row, from the steps of its ROC curve."""
    tp, fp = rows.once(corners)
    area, n, m = rows.once(_auroc)[:, None], rows.n_cases, rows.n_controls
    of_cases = 1 - ratio((fp[:, 1:] + fp[:, :-1]) / 2, m[:, None]) - area
    of_controls = ratio((tp[:, 1:] + tp[:, :-1]) / 2, n[:, None]) - area
    variance = ratio(np.vecdot(np.diff(tp, axis=1), of_cases**2), n * (n - 1))
    return variance + ratio(np.vecdot(np.diff(fp, axis=1), of_controls**2), m * (m - 1))


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


def roc_on_grid(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, grid: np.ndarray = FPR_GRID
) -> np.ndarray:
    """Read the true-positive rate of each iteration's ROC curve at given false-positive rates.

    Between its points a curve is a straight line; on a vertical step its upper end counts.

    Parameters
    ----------
    y, p, weight
        As in `auroc`; predictions of shape (B, n).
    grid : ndarray, shape (k,)
        False-positive rates in [0, 1], ascending.

    Returns
    -------
    ndarray, shape (B, k)
        NaN rows where a class is absent.
    """
    rows = as_rows(y, p, weight, score=True)
    tp, fp = rows.once(corners)
    fpr, tpr = ratio(fp, rows.n_controls[:, None]), ratio(tp, rows.n_cases[:, None])
    defined = np.isfinite(fpr[:, -1]) & np.isfinite(tpr[:, -1])
    result = np.full((len(fpr), grid.size), np.nan)
    # One interpolation for all iterations: curve b is moved to false-positive rates 2b to 2b + 1.
    offset = 2.0 * np.arange(defined.sum())[:, None]
    x = (grid + offset).ravel()
    values = np.interp(x, (fpr[defined] + offset).ravel(), tpr[defined].ravel()) if defined.any() else x
    result[defined] = values.reshape(-1, grid.size)
    return result

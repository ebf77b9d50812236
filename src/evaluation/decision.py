"""Net benefit and decision curves, at the study's and at the population's prevalence."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from src.evaluation.calibration import clipped_logit
from src.evaluation.rows import Rows, as_rows, ratio

POPULATION_PREVALENCE = 0.0354
"""Share of people aged 40 to 80 with glaucoma: Tham et al. 2014, Ophthalmology 121:2081."""

THRESHOLDS = np.arange(1, 100) / 100
"""Thresholds of a decision curve; k / 100 is the same double as the decimal literal."""

_FROM_ZERO = np.arange(100) / 100


def net_benefit(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, threshold: float
) -> np.ndarray:
    """Return TP/n - FP/n * t/(1-t) of the rule p >= t.

    Parameters
    ----------
    y, p, weight
        As in `src.evaluation.auc.auroc`.
    threshold : float
        t in (0, 1), the decimal literal.

    Returns
    -------
    ndarray, shape () or (B,)
        In [-t/(1-t), 1]; NaN where nothing counts.

    References
    ----------
    Vickers & Elkin 2006, Med Decis Making 26:565.
    """
    rows = as_rows(y, p, weight)
    tp, fp = rows.once(positives, threshold)
    return rows.result(ratio(tp, rows.n) - ratio(fp, rows.n) * threshold / (1 - threshold))


def positives(rows: Rows, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of true and of false positives of the rule p >= t, each (1,) or (B,)."""
    positive = rows.unweighted(_positive, threshold)
    tp = np.vecdot(rows.cases, positive)
    return tp, rows.total(positive) - tp


def _positive(rows: Rows, threshold: float) -> np.ndarray:
    return (rows.p >= threshold).astype(np.float64)


def rates(
    y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sensitivity and the false-positive rate of the rule p >= t at every t in `THRESHOLDS`.

    Parameters and errors as in `src.evaluation.auc.auroc`.

    Returns
    -------
    sensitivity, fpr : ndarray, shape (99,) or (B, 99)
        NaN where a class is absent.
    """
    rows = as_rows(y, p, weight)
    n, k = int(np.prod(rows.shape)), THRESHOLDS.size + 1
    p_, w, cases = (np.broadcast_to(a, (n, rows.p.shape[1])) for a in (rows.p, rows.w, rows.cases))
    cells = _passed(p_) + k * np.arange(n)[:, None]
    result = []
    for weights in (cases, w - cases):
        counts = np.bincount(cells.ravel(), weights.ravel(), minlength=n * k)
        positive = np.cumsum(counts.reshape(n, k)[:, ::-1], axis=1)[:, ::-1]
        result.append(ratio(positive[:, 1:], positive[:, :1]).reshape(*rows.shape, -1))
    return result[0], result[1]


def _passed(p: np.ndarray) -> np.ndarray:
    """Count the thresholds that p in [0, 1] reaches: `searchsorted` at a quarter of its time."""
    guess = np.minimum((p * 100 + 1e-9).astype(np.intp), THRESHOLDS.size)  # right, or one too many
    return guess - (p < _FROM_ZERO[guess])


def treat_all(prevalence: float | np.ndarray) -> np.ndarray:
    """Return the net benefit of treating everybody at every t in `THRESHOLDS`; a column per threshold."""
    share = np.asarray(prevalence, dtype=np.float64)[..., None]
    return share - (1 - share) * THRESHOLDS / (1 - THRESHOLDS)


def decision_curve(
    y: np.ndarray, p: np.ndarray | Rows, prevalence: float | np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the net benefit of the rule p >= t at every t in `THRESHOLDS`, at a given prevalence.

    Sensitivity and specificity are those of the rule; the prevalence only weighs them.

    Parameters
    ----------
    y, p, weight
        As in `src.evaluation.auc.auroc`.
    prevalence : float or ndarray, shape (B,)
        Assumed share of cases; with the share observed among `y` this is `net_benefit`.

    Returns
    -------
    ndarray, shape (99,) or (B, 99)
        NaN where a class is absent.

    References
    ----------
    Vickers & Elkin 2006, Med Decis Making 26:565.
    """
    return weigh(*rates(y, p, weight), prevalence)


def weigh(sensitivity: np.ndarray, fpr: np.ndarray, prevalence: float | np.ndarray) -> np.ndarray:
    """Return the net benefit of `rates` at an assumed share of cases."""
    share = np.asarray(prevalence, dtype=np.float64)[..., None]
    return sensitivity * share - fpr * (1 - share) * THRESHOLDS / (1 - THRESHOLDS)


def shift_prevalence(p: np.ndarray, study: float, population: float = POPULATION_PREVALENCE) -> np.ndarray:
    """Move probabilities from one prevalence to another: logit p + logit(population) - logit(study).

    Without this a calibrated model of an enriched study looks harmful in the population.

    Parameters
    ----------
    p : array_like, any shape
        Probabilities; 0 and 1 are clipped at 1e-8, NaN stays NaN.
    study, population : float
        Prevalences in (0, 1).

    References
    ----------
    Elkan 2001, IJCAI, theorem 2, which on the logit scale is this shift.
    """
    odds = np.exp(clipped_logit(p) + logit(population) - logit(study))
    return odds / (1 + odds)

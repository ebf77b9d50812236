"""Instability: how far models from other samples scatter about the model of everybody, on the same people.

Every bootstrap model predicts all original recordings, those it was trained on too, and is held against the
original model: subject by subject, in its calibration curve and in its decision curve. That is what another
sample of the same size would change in the model; it is no confidence interval of anything.

References
----------
Riley & Collins 2023, Biometrical Journal 65:2200302 (PMC10952221).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from src.evaluation.calibration import clipped_logit, recalibration
from src.evaluation.curves import Table
from src.evaluation.decision import THRESHOLDS, decision_curve
from src.evaluation.intervals import MIN_DEFINED, percentiles
from src.evaluation.resampling import EvaluationError

CUTS = {"05": 0.05, "10": 0.10, "15": 0.15, "20": 0.20, "50": 0.50}
"""Thresholds of the flip rates, by the ending of their column."""

N_CALIBRATION = 50
_BLOCK = 125  # models whose decision curves are computed at once: what fits into the cache is faster
_SUMMARISED = ("auroc", "brier", "cal_intercept", "cal_slope", "oe_ratio")


def instability_tables(
    y: np.ndarray, y_prob_all: np.ndarray, y_prob_apparent: np.ndarray, original: Mapping[str, np.ndarray]
) -> dict[str, Table]:
    """Compute all of one run's instability.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    y_prob_all : array_like, shape (B, n)
        Each bootstrap model's probability for everybody.
    y_prob_apparent : array_like, shape (n,)
        The original model's: the one trained on everybody.
    original : mapping of str to ndarray, shape (B,)
        Metrics of each bootstrap model on everybody, `cal_intercept_joint` and `cal_slope` among them.

    Returns
    -------
    dict with the tables `instability_subjects` (`subjects`), `instability_curves` (`curves`) and
    `instability_summary` (one row: `mape_mean`, `mape_max`, the mean of each flip rate as
    `flip_rate_05_mean` .., and as `auroc_lo`, `auroc_hi` .. the 2.5 and 97.5 percentiles of some metrics of
    the bootstrap models on everybody). Undefined is NaN.

    Raises
    ------
    EvaluationError
        If a prediction is missing: instability needs every model's for everybody.
    """
    p, p_original = np.asarray(y_prob_all, dtype=np.float64), np.asarray(y_prob_apparent, dtype=np.float64)
    if p.ndim != 2 or p_original.shape != p.shape[1:] or np.isnan(p).any() or np.isnan(p_original).any():
        raise EvaluationError(
            "instability needs every model's prediction for everybody; the predictions have shape "
            f"{p.shape}, the original model's {p_original.shape}, or some are missing"
        )
    people = subjects(p, p_original)
    return {
        "instability_subjects": people,
        "instability_curves": curves(y, p, p_original, original),
        "instability_summary": _summary(people, original),
    }


def subjects(p: np.ndarray, p_original: np.ndarray) -> Table:
    """Return each recording's scatter, n rows in the order of the columns of `p`.

    Parameters
    ----------
    p : ndarray, shape (B, n)
        Of the bootstrap models.
    p_original : ndarray, shape (n,)

    Returns
    -------
    table
        `mape` (mean absolute difference from the original model), `p_lo`, `p_hi` (2.5 and 97.5 percentiles
        over the models), `flip_rate_05` .. `flip_rate_50` (share of the models whose class by the rule
        p >= t is not the original model's).
    """
    lo, _, hi = _band(p)
    table = {"mape": np.abs(p - p_original).mean(axis=0), "p_lo": lo, "p_hi": hi}
    for ending, t in CUTS.items():
        positive = np.count_nonzero(p >= t, axis=0) / len(p)
        table[f"flip_rate_{ending}"] = np.where(p_original >= t, 1 - positive, positive)
    return table


def curves(y: np.ndarray, p: np.ndarray, p_original: np.ndarray, original: Mapping[str, np.ndarray]) -> Table:
    """Return the band of the models' calibration and decision curves on everybody.

    Calibration: expit(a + b logit x), the logistic recalibration of each model, at 50 x from the original
    model's least to its greatest p. Decision: net benefit at x = 0.01 to 0.99.

    Parameters
    ----------
    y, p, p_original, original
        As in `instability_tables`.

    Returns
    -------
    table, 149 rows
        `curve` ('calibration', 'decision'), `x`, `lo`, `median`, `hi` (2.5, 50 and 97.5 percentiles over the
        models at each x; NaN where more than a tenth of the models has no recalibration, which those that
        separate the classes have not), `original` (the original model's).
    """
    x = np.linspace(p_original.min(), p_original.max(), N_CALIBRATION)
    a, b = (original[name][:, None] for name in ("cal_intercept_joint", "cal_slope"))
    own_a, own_b = recalibration(y, p_original)
    calibration = _defined_band(expit(a + b * clipped_logit(x)))
    prevalence = float(np.mean(y))
    blocks = np.array_split(p, max(1, len(p) // _BLOCK))
    decision = _defined_band(np.concatenate([decision_curve(y, block, prevalence) for block in blocks]))
    bands = np.hstack([calibration, decision])
    own = [expit(own_a + own_b * clipped_logit(x)), decision_curve(y, p_original, prevalence)]
    return {
        "curve": np.repeat(["calibration", "decision"], [x.size, THRESHOLDS.size]),
        "x": np.concatenate([x, THRESHOLDS]),
        "lo": bands[0],
        "median": bands[1],
        "hi": bands[2],
        "original": np.concatenate(own),
    }


def _summary(people: Table, original: Mapping[str, np.ndarray]) -> Table:
    values = {"mape_mean": people["mape"].mean(), "mape_max": people["mape"].max()}
    values |= {f"flip_rate_{ending}_mean": people[f"flip_rate_{ending}"].mean() for ending in CUTS}
    for name in _SUMMARISED:
        if name in original:
            values[f"{name}_lo"], _, values[f"{name}_hi"] = _defined_band(original[name][:, None])[:, 0]
    return {name: np.array([value]) for name, value in values.items()}


def _defined_band(values: np.ndarray) -> np.ndarray:
    """Return the band over the models that have a value, (3, k); NaN where too many have none."""
    defined = np.isfinite(values).all(axis=1)
    if defined.mean() < MIN_DEFINED:
        return np.full((3, values.shape[1]), np.nan)
    return _band(values[defined])


def _band(values: np.ndarray) -> np.ndarray:
    """Return the 2.5, 50 and 97.5 percentiles over the rows, (3, k)."""
    return percentiles(values, (2.5, 50, 97.5))

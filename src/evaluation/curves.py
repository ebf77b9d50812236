"""The curves of one run as tables of columns: ROC, calibration, decision curves, distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.evaluation.auc import FPR_GRID, roc_curve, roc_on_grid
from src.evaluation.calibration import calibration_groups
from src.evaluation.decision import (
    POPULATION_PREVALENCE,
    THRESHOLDS,
    decision_curve,
    shift_prevalence,
    treat_all,
)
from src.evaluation.estimators import Pooled, left_out_mask, pool
from src.evaluation.resampling import check_labels
from src.evaluation.rows import ratio
from src.evaluation.smooth import loess

N_LOESS = 100
N_BINS = 20

Table = dict[str, np.ndarray]
"""Columns of equal length by name."""


def all_curves(
    y: np.ndarray,
    y_prob_all: np.ndarray,
    inbag_counts: np.ndarray | None,
    y_prob_apparent: np.ndarray | None,
    population_prevalence: float = POPULATION_PREVALENCE,
    pooled: Pooled | None = None,
) -> dict[str, Table]:
    """Compute every curve of one run.

    Parameters
    ----------
    y, y_prob_all, inbag_counts, y_prob_apparent
        As in `src.evaluation.estimators.estimate_all`.
    population_prevalence : float
        Assumed share of cases in the population.
    pooled : Pooled, optional
        What `src.evaluation.estimators.pool` gives for these predictions, where it is known already.

    Returns
    -------
    dict of str to table
        `roc_curves`, `calibration_curves`, `calibration_bins`, `decision_curves` and
        `probability_distributions`; `estimator` is a column where a table holds several. Undefined is NaN.
    """
    labels = check_labels(y)
    p = np.asarray(y_prob_all, dtype=np.float64)
    left_out = left_out_mask(p, inbag_counts)
    mean = (pooled or pool(p, left_out)).mean
    seen = np.isfinite(mean)
    single = {"oob_pooled": (labels[seen], mean[seen])}
    if y_prob_apparent is not None:
        single["apparent"] = (labels, np.asarray(y_prob_apparent, dtype=np.float64))
    weighted = {"oob": (labels, p, left_out)}
    weighted |= {k: (outcome, q, np.ones(q.size)) for k, (outcome, q) in single.items()}
    return {
        "roc_curves": _stack(
            [_label(oob_roc(labels, p, left_out), estimator="oob")]
            + [_label(roc(*v), estimator=k) for k, v in single.items()]
        ),
        "calibration_curves": _stack(
            [_label(smooth_calibration(*v), estimator=k) for k, v in single.items()]
        ),
        "calibration_bins": _stack([_label(grouped_calibration(*v), estimator=k) for k, v in single.items()]),
        "decision_curves": _stack(
            [
                _label(table, estimator=k, population=population)
                for k, (outcome, q, w) in weighted.items()
                for population, table in decision_tables(outcome, q, w, population_prevalence).items()
            ]
        ),
        "probability_distributions": distribution(*single["oob_pooled"]),
    }


def oob_roc(y: np.ndarray, y_prob_all: np.ndarray, left_out: np.ndarray) -> Table:
    """Return the iterations' mean true-positive rate on a grid of false-positive rates, with refit band.

    Returns
    -------
    table, 101 rows
        `point`, `fpr`, `tpr`, `tpr_lo`, `tpr_hi` (2.5 and 97.5 percentiles over the iterations that left out
        both classes), `threshold` (NaN: a mean curve has none).
    """
    tpr = roc_on_grid(y, y_prob_all, left_out)
    tpr = tpr[np.isfinite(tpr[:, 0])]
    undefined = np.full(FPR_GRID.size, np.nan)
    lo, hi = np.percentile(tpr, [2.5, 97.5], axis=0) if len(tpr) else (undefined, undefined)
    mean = tpr.mean(axis=0) if len(tpr) else undefined
    return {
        "point": np.arange(FPR_GRID.size),
        "fpr": FPR_GRID,
        "tpr": mean,
        "tpr_lo": lo,
        "tpr_hi": hi,
        "threshold": undefined,
    }


def roc(y: np.ndarray, p: np.ndarray) -> Table:
    """Return the exact ROC curve: columns as in `oob_roc`, no band; the first threshold is infinity."""
    fpr, tpr, threshold = roc_curve(y, p)
    undefined = np.full(fpr.size, np.nan)
    return {
        "point": np.arange(fpr.size),
        "fpr": fpr,
        "tpr": tpr,
        "tpr_lo": undefined,
        "tpr_hi": undefined,
        "threshold": threshold,
    }


def smooth_calibration(y: np.ndarray, p: np.ndarray) -> Table:
    """Return the loess curve at 100 points from the least to the greatest p: `point`, `p`, `observed`."""
    grid = np.linspace(p.min(), p.max(), N_LOESS)
    return {"point": np.arange(N_LOESS), "p": grid, "observed": loess(y, p, grid)}


def grouped_calibration(y: np.ndarray, p: np.ndarray) -> Table:
    """Return ten groups of equal size: `bin`, `p_lo`, `p_hi`, `p_mean`, `observed`, `n`."""
    groups = calibration_groups(y, p)
    return {"bin": np.arange(groups["n"].size)} | groups


def decision_tables(
    y: np.ndarray, p: np.ndarray, weight: np.ndarray, population_prevalence: float
) -> dict[str, Table]:
    """Return the decision curves at the study's and at the population's prevalence.

    Predictions of several iterations, (B, n), give the mean of their curves (over those that left out both
    classes). At the study's prevalence, an iteration's curve uses the prevalence among what it left out. For
    the population, predictions are first moved to its prevalence; what they do unmoved is kept beside it.

    Returns
    -------
    dict with the tables 'study' and 'population', 99 rows each
        `threshold`, `net_benefit`, `treat_all`, `net_benefit_pop_unshifted` (NaN for the study).
    """
    w = np.broadcast_to(weight, np.shape(p)).astype(np.float64)
    study = ratio((w * y).sum(axis=-1), w.sum(axis=-1))
    moved = shift_prevalence(p, float(np.mean(y)), population_prevalence)
    return {
        "study": _decision_table(decision_curve(y, p, study, w), treat_all(study)),
        "population": _decision_table(
            decision_curve(y, moved, population_prevalence, w),
            treat_all(population_prevalence),
            decision_curve(y, p, population_prevalence, w),
        ),
    }


def _decision_table(model: np.ndarray, everybody: np.ndarray, unshifted: np.ndarray | None = None) -> Table:
    """Average over iterations, those of treat-all being the same as the model's."""
    rows = np.atleast_2d(model)
    defined = np.isfinite(rows).all(axis=1)
    return {
        "threshold": THRESHOLDS,
        "net_benefit": _mean_rows(rows[defined]),
        "treat_all": _mean_rows(np.broadcast_to(everybody, rows.shape)[defined]),
        "net_benefit_pop_unshifted": _mean_rows(np.atleast_2d(unshifted)[defined])
        if unshifted is not None
        else np.full(THRESHOLDS.size, np.nan),
    }


def _mean_rows(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def distribution(y: np.ndarray, p: np.ndarray) -> Table:
    """Return the histogram of p per class, 20 equal bins [lo, hi), the last one closed.

    Returns
    -------
    table, 40 rows
        `y`, `bin`, `p_lo`, `p_hi`, `n`, `share` (of the class; NaN where the class is absent).
    """
    edges = np.arange(N_BINS + 1) / N_BINS
    tables = []
    for label in (0, 1):
        n = np.histogram(p[y == label], bins=edges)[0]
        share = ratio(n.astype(np.float64), np.array(float(n.sum())))
        table = {"bin": np.arange(N_BINS), "p_lo": edges[:-1], "p_hi": edges[1:], "n": n, "share": share}
        tables.append(_label(table, y=label))
    return _stack(tables)


def _label(table: Table, **constants: Any) -> Table:
    """Put constant columns before the others."""
    length = len(next(iter(table.values())))
    return {name: np.full(length, value) for name, value in constants.items()} | table


def _stack(tables: list[Table]) -> Table:
    """Put tables with the same columns below each other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}

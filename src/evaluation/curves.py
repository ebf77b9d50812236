"""The curves of one run as tables of columns: ROC, calibration, decision curves, distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.evaluation.auc import FPR_GRID, roc_curve, roc_on_grid
from src.evaluation.calibration import calibration_groups
from src.evaluation.decision import (
    POPULATION_PREVALENCE,
    THRESHOLDS,
    rates,
    shift_prevalence,
    treat_all,
    weigh,
)
from src.evaluation.estimators import RunEvaluation, left_out_mask, pool
from src.evaluation.intervals import percentiles
from src.evaluation.resampling import check_labels
from src.evaluation.rows import Rows, as_rows, ranked_blocks, ratio
from src.evaluation.smooth import loess_band

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
    evaluated: RunEvaluation | None = None,
    groups: Sequence[str] | None = None,
) -> dict[str, Table]:
    """Compute every curve of one run.

    Parameters
    ----------
    y, y_prob_all, inbag_counts, y_prob_apparent
        As in `src.evaluation.estimators.estimate_all`.
    population_prevalence : float
        Assumed share of cases in the population.
    evaluated : RunEvaluation, optional
        What `src.evaluation.estimators.evaluate_run` gave for the same predictions, if that is known already.
    groups : sequence of str, length n, optional
        The subject of each recording; by default every recording is a subject.

    Returns
    -------
    dict of str to table
        `roc_curves`, `calibration_curves`, `calibration_bins`, `decision_curves` and
        `probability_distributions`; `estimator` is a column where a table holds several. Undefined is NaN.
    """
    labels = check_labels(y)
    p = np.asarray(y_prob_all, dtype=np.float64)
    if evaluated is None:
        left_out = left_out_mask(p, inbag_counts)
        blocks, mean = ranked_blocks(labels, p, left_out), pool(p, left_out).mean
    else:
        blocks, mean = evaluated.blocks, evaluated.pooled.mean
    seen = np.isfinite(mean)
    subjects = np.arange(labels.size) if groups is None else np.asarray(groups)
    single = {"oob_pooled": (labels[seen], mean[seen])}
    owners = {"oob_pooled": subjects[seen], "apparent": subjects}
    if y_prob_apparent is not None:
        single["apparent"] = (labels, np.asarray(y_prob_apparent, dtype=np.float64))
    every = {"oob": (float(labels.mean()), blocks)}
    every |= {k: (float(outcome.mean()), [as_rows(outcome, q)]) for k, (outcome, q) in single.items()}
    return {
        "roc_curves": _stack(
            [_label(oob_roc(blocks), estimator="oob")]
            + [_label(roc(*v), estimator=k) for k, v in single.items()]
        ),
        "calibration_curves": _stack(
            [_label(smooth_calibration(*v, owners[k]), estimator=k) for k, v in single.items()]
        ),
        "calibration_bins": _stack([_label(grouped_calibration(*v), estimator=k) for k, v in single.items()]),
        "decision_curves": _stack(
            [
                _label(table, estimator=k, population=population)
                for k, (share, rows) in every.items()
                for population, table in decision_tables(rows, share, population_prevalence).items()
            ]
        ),
        "probability_distributions": distribution(*single["oob_pooled"]),
    }


def oob_roc(blocks: Sequence[Rows]) -> Table:
    """Return the iterations' mean true-positive rate on a grid of false-positive rates, with refit band.

    Parameters
    ----------
    blocks : sequence of Rows
        The iterations' left-out predictions.

    Returns
    -------
    table, 101 rows
        `point`, `fpr`, `tpr`, `tpr_lo`, `tpr_hi` (2.5 and 97.5 percentiles over the iterations that left out
        both classes), `threshold` (NaN: a mean curve has none).
    """
    tpr = np.concatenate([roc_on_grid(rows.y, rows) for rows in blocks])
    tpr = tpr[np.isfinite(tpr[:, 0])]
    undefined = np.full(FPR_GRID.size, np.nan)
    lo, hi = percentiles(tpr) if len(tpr) else (undefined, undefined)
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


def smooth_calibration(
    y: np.ndarray, p: np.ndarray, groups: Sequence[str] | np.ndarray | None = None
) -> Table:
    """Return the loess curve at 100 points from the least to the greatest p, with its band.

    Returns
    -------
    table, 100 rows
        `point`, `p`, `observed`, `observed_lo`, `observed_hi` (`src.evaluation.smooth.loess_band`).
    """
    grid = np.linspace(p.min(), p.max(), N_LOESS)
    curve, lo, hi = loess_band(y, p, grid, groups)
    return {
        "point": np.arange(N_LOESS),
        "p": grid,
        "observed": curve,
        "observed_lo": lo,
        "observed_hi": hi,
    }


def grouped_calibration(y: np.ndarray, p: np.ndarray) -> Table:
    """Return ten groups of equal size: `bin`, `p_lo`, `p_hi`, `p_mean`, `observed`, `n`."""
    groups = calibration_groups(y, p)
    return {"bin": np.arange(groups["n"].size)} | groups


def decision_tables(blocks: Sequence[Rows], share: float, population_prevalence: float) -> dict[str, Table]:
    """Return the decision curves at the study's and at the population's prevalence.

    Predictions of several iterations give the mean of their curves (over those that left out both classes).
    At the study's prevalence, an iteration's curve uses the prevalence among what it left out. For the
    population, predictions are first moved to its prevalence; what they do unmoved is kept beside it.

    Parameters
    ----------
    blocks : sequence of Rows
        The predictions.
    share : float
        The study's share of cases, from which predictions are moved.
    population_prevalence : float
        Assumed share of cases in the population.

    Returns
    -------
    dict with the tables 'study' and 'population', 99 rows each
        `threshold`, `net_benefit`, `treat_all`, `net_benefit_pop_unshifted` (NaN for the study).
    """
    kept = _rates(blocks)
    moved = _rates([rows.rescored(shift_prevalence(rows.p, share, population_prevalence)) for rows in blocks])
    study = np.concatenate([ratio(rows.n_cases, rows.n) for rows in blocks])
    return {
        "study": _decision_table(weigh(*kept, study), treat_all(study)),
        "population": _decision_table(
            weigh(*moved, population_prevalence),
            treat_all(population_prevalence),
            weigh(*kept, population_prevalence),
        ),
    }


def _rates(blocks: Sequence[Rows]) -> tuple[np.ndarray, np.ndarray]:
    """Return `src.evaluation.decision.rates` of all iterations, (B, 99) each."""
    sensitivity, fpr = zip(*(rates(rows.y, rows) for rows in blocks), strict=True)
    return np.vstack(sensitivity), np.vstack(fpr)


def _decision_table(model: np.ndarray, everybody: np.ndarray, unshifted: np.ndarray | None = None) -> Table:
    """Average over iterations, those of treat-all being the same as the model's."""
    defined = np.isfinite(model).all(axis=1)
    return {
        "threshold": THRESHOLDS,
        "net_benefit": _mean_rows(model[defined]),
        "treat_all": _mean_rows(np.broadcast_to(everybody, model.shape)[defined]),
        "net_benefit_pop_unshifted": _mean_rows(unshifted[defined])
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

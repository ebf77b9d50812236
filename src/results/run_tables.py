"""The database rows of one run, computed from its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from src.evaluation.curves import Table, all_curves
from src.evaluation.estimators import Estimate, RunEvaluation, evaluate_run
from src.evaluation.importance import importance_table
from src.evaluation.instability import instability_tables
from src.evaluation.intervals import IntervalError
from src.evaluation.resampling import EvaluationError
from src.evaluation.selective import entropies, retention_curve
from src.results.bootstrap_table import BootstrapTable
from src.results.safe_pickle import RejectedRun
from src.results.unavailable import unavailable

TOLERANCE = {False: 1e-6, True: 1e-4}
"""Largest difference of a stored value from the recomputed one; True: file of another program."""


def run_tables(table: BootstrapTable, smoothed_intervals: bool = False) -> dict[str, Table]:
    """Compute everything the database holds about one run's predictions.

    Parameters
    ----------
    table : BootstrapTable
    smoothed_intervals : bool
        As in `src.evaluation.estimators.evaluate_run`.

    Returns
    -------
    dict of str to table
        Table name to columns, without the column `run_id`; NaN and empty text where undefined.

    Raises
    ------
    RejectedRun
        If the file's own AUROC or Brier of an iteration differs from the recomputed one, or the predictions
        cannot be evaluated.
    """
    seen = table.left_out.any(axis=0)
    if len(np.unique(table.y[seen])) < 2:
        raise RejectedRun("the iterations left out recordings of one class only")
    counts = _counts(table)
    try:
        run = evaluate_run(table.y, table.p_all, counts, table.p_apparent, table.groups, smoothed_intervals)
        _check_stored(table, run.iterations)
        tables = all_curves(
            table.y, table.p_all, counts, table.p_apparent, evaluated=run, groups=table.groups
        )
    except (EvaluationError, IntervalError) as error:
        raise RejectedRun(str(error)) from error
    tables["iteration_metrics"] = {"iteration": np.arange(table.n_iterations)} | run.iterations
    tables["metric_estimates"] = _estimates(run.estimates)
    tables["predictions"] = _predictions(table, run)
    tables["subject_influence"] = _influence(run)
    owners = np.array(table.groups)[seen]
    retention = retention_curve(table.y[seen], run.pooled.mean[seen], groups=owners)
    tables["retention_curves"] = {"point": np.arange(len(retention["retained"]))} | retention
    if run.original is not None and table.p_apparent is not None:
        tables |= _instability(table, table.p_apparent, run.original)
    if table.importances:
        tables["feature_importances"] = _importances(table)
    return tables | {"unavailable": unavailable(table, run, tables)}


def _counts(table: BootstrapTable) -> np.ndarray:
    """How often each recording was drawn; 1 for all that were not left out, where the file tells no more."""
    known = table.inbag_counts
    if known is not None and np.array_equal(known == 0, table.left_out):
        return known
    return (~table.left_out).astype(np.uint8)


def _check_stored(table: BootstrapTable, iterations: Mapping[str, np.ndarray]) -> None:
    for name, stored in (("auroc", table.stored_auroc), ("brier", table.stored_brier)):
        if stored is None:
            continue
        computed = iterations[name]
        agrees = np.isnan(computed) | (np.abs(stored - computed) <= TOLERANCE[table.foreign])
        if not agrees.all():
            b = int(np.argmin(agrees))
            raise RejectedRun(
                f"iteration {b} stores {name} {stored[b]:.6g}, but its predictions give {computed[b]:.6g}"
            )


def _estimates(estimates: list[Estimate]) -> Table:
    names = [field.name for field in fields(Estimate)]
    return {name: np.array([getattr(row, name) for row in estimates]) for name in names}


def _predictions(table: BootstrapTable, run: RunEvaluation) -> Table:
    apparent = np.full(len(table.y), np.nan) if table.p_apparent is None else table.p_apparent
    predictive, expected, mutual_information = entropies(table.p_all, table.left_out)
    return {
        "recording_code": np.array(table.codes),
        "subject_code": np.array(table.groups),
        "y": table.y,
        "p_apparent": apparent,
        "p_oob": run.pooled.mean,
        "p_oob_sd": run.pooled.sd,
        "n_oob": run.pooled.n_oob,
        "predictive_entropy": predictive,
        "expected_entropy": expected,
        "mutual_information": mutual_information,
    }


def _influence(run: RunEvaluation) -> Table:
    n = len(run.subjects)
    return {
        "subject_code": np.tile(np.array(run.subjects), len(run.influence)),
        "metric": np.repeat(np.array(list(run.influence)), n),
        "influence": np.concatenate(list(run.influence.values())),
    }


def _instability(
    table: BootstrapTable, p_apparent: np.ndarray, original: dict[str, np.ndarray]
) -> dict[str, Table]:
    tables = instability_tables(table.y, table.p_all, p_apparent, original)
    tables["instability_subjects"]["recording_code"] = np.array(table.codes)
    tables["instability_curves"]["point"] = _numbered(tables["instability_curves"]["curve"])
    return tables


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Number each row from 0 among its neighbours with the same label."""
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    return np.arange(labels.size) - np.repeat(starts, np.diff(np.append(starts, labels.size)))


def _importances(table: BootstrapTable) -> Table:
    kinds = [importance_table(values, table.features, kind) for kind, values in table.importances.items()]
    return {name: np.concatenate([rows[name] for rows in kinds]) for name in kinds[0]}

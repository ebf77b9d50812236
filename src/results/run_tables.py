"""The database rows of one run, computed from its predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from src.evaluation.curves import all_curves
from src.evaluation.estimators import estimate_all, pool
from src.evaluation.intervals import IntervalError
from src.evaluation.metrics import iteration_metrics
from src.evaluation.resampling import EvaluationError
from src.results.bootstrap_table import BootstrapTable
from src.results.safe_pickle import RejectedRun

TOLERANCE = {False: 1e-6, True: 1e-4}
"""Largest difference of a stored value from the recomputed one; True: file of another program."""

_INTERVALS = {"_lo": "sampling_lo", "_hi": "sampling_hi", "_refit_lo": "refit_lo", "_refit_hi": "refit_hi"}


def run_tables(table: BootstrapTable) -> dict[str, pd.DataFrame]:
    """Compute everything the database holds about one run's predictions.

    Parameters
    ----------
    table : BootstrapTable

    Returns
    -------
    dict of str to DataFrame
        Table name to rows, without the column `run_id`.

    Raises
    ------
    RejectedRun
        If the file's own AUROC or Brier of an iteration differs from the recomputed one, or the predictions
        cannot be evaluated.
    """
    seen = table.left_out.any(axis=0)
    if len(np.unique(table.y[seen])) < 2:
        raise RejectedRun("the iterations left out recordings of one class only")
    # Which recordings were left out is all that is read from the counts; other programs store no more.
    counts = (~table.left_out).astype(np.uint8)
    try:
        iterations = iteration_metrics(table.y, table.p_all, table.left_out)
        _check_stored(table, iterations)
        estimates = estimate_all(table.y, table.p_all, counts, table.p_apparent, table.groups, iterations)
        curves = all_curves(table.y, table.p_all, counts, table.p_apparent)
    except (EvaluationError, IntervalError) as error:
        raise RejectedRun(str(error)) from error
    frames = {name: pd.DataFrame(columns) for name, columns in curves.items()}
    frames["roc_curves"] = frames["roc_curves"].replace({"threshold": {np.inf: np.nan}})
    frames["iteration_metrics"] = pd.DataFrame(iterations).rename_axis("iteration").reset_index()
    frames["metric_estimates"] = pd.DataFrame([asdict(row) for row in estimates]).replace("", None)
    frames["predictions"] = _predictions(table)
    return frames


def essential_row(estimates: pd.DataFrame, columns: Collection[str]) -> dict[str, Any]:
    """Spread the out-of-bag estimates of one run over the columns of essential_metrics.

    Parameters
    ----------
    estimates : DataFrame
        Rows of metric_estimates of one run.
    columns : collection of str
        Columns of the table; what has no column there is left out.
    """
    values: dict[str, Any] = {}
    for row in estimates[estimates["estimator"] == "oob"].to_dict("records"):
        metric = row["metric"]
        values |= {metric: row["estimate"], f"{metric}_median": row["estimate_median"]}
        values |= {f"{metric}{suffix}": row[source] for suffix, source in _INTERVALS.items()}
    return {name: value for name, value in values.items() if name in columns}


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


def _predictions(table: BootstrapTable) -> pd.DataFrame:
    pooled = pool(table.p_all, table.left_out)
    apparent = np.full(len(table.y), np.nan) if table.p_apparent is None else table.p_apparent
    return pd.DataFrame(
        {
            "recording_code": list(table.codes),
            "subject_code": list(table.groups),
            "y": table.y,
            "p_apparent": apparent,
            "p_oob": pooled.mean,
            "p_oob_sd": pooled.sd,
            "n_oob": pooled.n_oob,
        }
    )

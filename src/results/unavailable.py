"""What a run lacks, and why: the table of that name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from src.evaluation.curves import Table
from src.evaluation.estimators import RunEvaluation
from src.evaluation.metrics import ITERATION_METRICS
from src.results.bootstrap_table import IMPORTANCES, BootstrapTable

_NEVER_LEFT_OUT = "recordings that no iteration left out"
_NO_SLOPE = next(metric.undefined for metric in ITERATION_METRICS if metric.name == "cal_slope")
_EXPECTED_NULLS = {
    "predictions.p_oob": _NEVER_LEFT_OUT,
    "predictions.p_oob_sd": "recordings that fewer than two iterations left out",
    "predictions.predictive_entropy": _NEVER_LEFT_OUT,
    "predictions.expected_entropy": _NEVER_LEFT_OUT,
    "predictions.mutual_information": _NEVER_LEFT_OUT,
    "retention_curves.auroc": "a class is absent among the most confident",
    "subject_influence.influence": "subjects that no iteration left out, or the metric is never defined",
    "instability_curves.lo": f"in more than a tenth of the models, {_NO_SLOPE}",
    "instability_curves.original": f"in the original model, {_NO_SLOPE}",
    "instability_summary.cal_slope_lo": f"in more than a tenth of the models, {_NO_SLOPE}",
    "instability_summary.cal_slope_hi": f"in more than a tenth of the models, {_NO_SLOPE}",
    "calibration_curves.observed": "three quarters of the predictions around some value are equal",
    "feature_importances.mean": "the importance is defined in no iteration",
}
_EXPECTED_NULLS |= {
    f"iteration_metrics.{m.name}": f"among what an iteration left out, {m.undefined}"
    for m in ITERATION_METRICS
}
"""Columns that can be NULL although everything is there, and when."""


def unavailable(table: BootstrapTable, run: RunEvaluation, tables: Mapping[str, Table]) -> Table:
    """List what a run's rows lack.

    Parameters
    ----------
    table : BootstrapTable
        The run's file.
    run : RunEvaluation
        What was computed from it.
    tables : mapping of str to table
        All of the run's rows.

    Returns
    -------
    table
        `quantity` (a table, or table.column), `n_missing` (rows that are NULL; 0 where there are no rows at
        all), `reason`.
    """
    rows = [(quantity, 0, reason) for quantity, reason in _absent(table, run).items()]
    for place, reason in _EXPECTED_NULLS.items():
        name, column = place.split(".")
        missing = np.isnan(tables[name][column]).sum() if name in tables else 0
        if missing:
            rows.append((place, int(missing), reason))
    quantities, numbers, reasons = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        "quantity": np.array(quantities, dtype="U"),
        "n_missing": np.array(numbers, dtype=np.int64),
        "reason": np.array(reasons, dtype="U"),
    }


def _absent(table: BootstrapTable, run: RunEvaluation) -> dict[str, str]:
    """What the file does not hold, or what cannot follow from it."""
    found = {}
    if table.p_apparent is None:
        found["predictions.p_apparent"] = "the file has no predictions of a model trained on everybody"
    if run.original is None:
        found["instability"] = "the file has the left-out predictions only; instability needs all"
    elif table.p_apparent is None:
        found["instability"] = "the file has no predictions of a model trained on everybody"
    for kind in IMPORTANCES.keys() - table.importances.keys():
        found[f"feature_importances, {kind}"] = "the file has none"
    return found

"""The database rows of one run, computed from its predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from src.evaluation.auc import FPR_GRID, roc_curve, roc_on_grid
from src.evaluation.calibration import calibration_groups, loess
from src.evaluation.decision import (
    POPULATION_PREVALENCE,
    THRESHOLDS,
    decision_curve,
    shift_prevalence,
    treat_all,
)
from src.evaluation.estimators import estimate_all
from src.evaluation.metrics import iteration_metrics
from src.results.bootstrap_table import BootstrapTable
from src.results.safe_pickle import RejectedRun

CURVE_POINTS = 100
HISTOGRAM_EDGES = np.arange(21) / 20
REFIT_QUANTILES = (0.025, 0.975)
TOLERANCE = {False: 1e-6, True: 1e-4}  # of stored per-iteration values; True for files of other programs

_INTERVALS = {"_lo": "sampling_lo", "_hi": "sampling_hi", "_refit_lo": "refit_lo", "_refit_hi": "refit_hi"}


def run_tables(table: BootstrapTable) -> dict[str, pd.DataFrame]:
    """Compute everything the database holds about one run.

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
        If the file's own AUROC or Brier of an iteration differs from the recomputed one.
    """
    iterations = iteration_metrics(table.y, table.p_all, table.left_out)
    _check_stored(table, iterations)
    pooled = _pooled(table)
    frames = {
        "iteration_metrics": _numbered(iterations, "iteration"),
        "metric_estimates": pd.DataFrame(_estimates(table)),
        "predictions": pooled,
        "decision_curves": _decision_curves(table, pooled),
        "probability_distributions": _histograms(pooled),
        "roc_curves": _oob_roc(table),
    }
    smooth: dict[str, list[pd.DataFrame]] = {"roc_curves": [frames["roc_curves"]]}
    for estimator, y, p in _vectors(table, pooled):
        for name, rows in _vector_tables(y, p).items():
            smooth.setdefault(name, []).append(rows.assign(estimator=estimator))
    return frames | {name: pd.concat(parts, ignore_index=True) for name, parts in smooth.items()}


def essential_row(estimates: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, Any]:
    """Spread the out-of-bag estimates of one run over the columns of essential_metrics.

    Parameters
    ----------
    estimates : DataFrame
        Rows of metric_estimates of one run.
    columns : mapping
        Columns of the table; those that name no estimate are left to the caller.
    """
    oob = estimates[estimates["estimator"] == "oob"].set_index("metric")
    values: dict[str, Any] = {}
    for metric, row in oob.iterrows():
        values[f"{metric}"] = row["estimate"]
        values[f"{metric}_median"] = row["estimate_median"]
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


def _estimates(table: BootstrapTable) -> list[dict[str, Any]]:
    # Which recordings were left out is all the estimators read from the counts; other programs store no more.
    counts = (~table.left_out).astype(np.uint8)
    return estimate_all(table.y, table.p_all, counts, table.p_apparent, table.groups)


def _numbered(columns: Mapping[str, np.ndarray], name: str) -> pd.DataFrame:
    frame = pd.DataFrame(dict(columns))
    frame.insert(0, name, np.arange(len(frame)))
    return frame


def _pooled(table: BootstrapTable) -> pd.DataFrame:
    """Rows of the table predictions: every recording's mean over the iterations that left it out."""
    n_oob = table.left_out.sum(axis=0)
    p = np.where(table.left_out, table.p_all, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = p.sum(axis=0) / n_oob
        squares = np.where(table.left_out, (table.p_all - mean) ** 2, 0.0).sum(axis=0)
        sd = np.sqrt(squares / np.where(n_oob > 1, n_oob - 1, np.nan))
    apparent = np.full(len(table.y), np.nan) if table.p_apparent is None else table.p_apparent
    return pd.DataFrame(
        {
            "recording_code": list(table.codes),
            "subject_code": list(table.groups),
            "y": table.y,
            "p_apparent": apparent,
            "p_oob": mean,
            "p_oob_sd": sd,
            "n_oob": n_oob,
        }
    )


def _vectors(table: BootstrapTable, pooled: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The estimators that rest on one probability per recording, where both classes have one."""
    for estimator, column in (("oob_pooled", "p_oob"), ("apparent", "p_apparent")):
        p = pooled[column].to_numpy()
        known = np.isfinite(p)
        y = table.y[known]
        if len(y) and y.min() < y.max():
            yield estimator, y, p[known]


def _vector_tables(y: np.ndarray, p: np.ndarray) -> dict[str, pd.DataFrame]:
    fpr, tpr, threshold = roc_curve(y, p)
    threshold = np.where(np.isfinite(threshold), threshold, np.nan)
    at = np.linspace(p.min(), p.max(), CURVE_POINTS)
    return {
        "roc_curves": _numbered({"fpr": fpr, "tpr": tpr, "threshold": threshold}, "point"),
        "calibration_curves": _numbered({"p": at, "observed": loess(y, p, at)}, "point"),
        "calibration_bins": _numbered(calibration_groups(y, p), "bin"),
    }


def _oob_roc(table: BootstrapTable) -> pd.DataFrame:
    """Mean curve of the iterations, with the band of the refits."""
    tpr = roc_on_grid(table.y, table.p_all, table.left_out)
    tpr = tpr[np.isfinite(tpr).all(axis=1)]
    if not len(tpr):
        return pd.DataFrame()
    low, high = np.quantile(tpr, REFIT_QUANTILES, axis=0)
    curve = {"fpr": FPR_GRID, "tpr": tpr.mean(axis=0), "tpr_lo": low, "tpr_hi": high}
    return _numbered(curve, "point").assign(estimator="oob")


def _decision_curves(table: BootstrapTable, pooled: pd.DataFrame) -> pd.DataFrame:
    study = float(table.y.mean())
    both = (table.left_out & (table.y == 1)).any(axis=1) & (table.left_out & (table.y == 0)).any(axis=1)
    frames = [
        _net_benefits(estimator, y, p, None, study, float(y.mean()))
        for estimator, y, p in _vectors(table, pooled)
    ]
    if both.any():
        weight = table.left_out[both]
        share = (weight * table.y).sum(axis=1) / weight.sum(axis=1)
        frames.append(_net_benefits("oob", table.y, table.p_all[both], weight, study, share))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _net_benefits(
    estimator: str,
    y: np.ndarray,
    p: np.ndarray,
    weight: np.ndarray | None,
    study: float,
    share: float | np.ndarray,
) -> pd.DataFrame:
    """Both populations' curves of one estimator; of several iterations the mean."""

    def curve(values: np.ndarray, prevalence: float | np.ndarray) -> np.ndarray:
        return np.atleast_2d(decision_curve(y, values, prevalence, weight)).mean(axis=0)

    population = POPULATION_PREVALENCE
    columns = {
        "study": (curve(p, share), treat_all(np.mean(share)), np.full(len(THRESHOLDS), np.nan)),
        "population": (
            curve(shift_prevalence(p, study, population), population),
            treat_all(population),
            curve(p, population),
        ),
    }
    return pd.concat(
        pd.DataFrame(
            {
                "estimator": estimator,
                "population": name,
                "threshold": THRESHOLDS,
                "net_benefit": net_benefit,
                "treat_all": everybody,
                "net_benefit_unshifted": unshifted,
            }
        )
        for name, (net_benefit, everybody, unshifted) in columns.items()
    )


def _histograms(pooled: pd.DataFrame) -> pd.DataFrame:
    frames = []
    for label, rows in pooled[np.isfinite(pooled["p_oob"])].groupby("y"):
        counts, _ = np.histogram(rows["p_oob"], HISTOGRAM_EDGES)
        columns = {
            "p_lo": HISTOGRAM_EDGES[:-1],
            "p_hi": HISTOGRAM_EDGES[1:],
            "n": counts,
            "share": counts / counts.sum(),
        }
        frames.append(_numbered(columns, "bin").assign(y=label))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

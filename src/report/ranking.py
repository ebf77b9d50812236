"""The ranking of a stage: every combination with its metrics, best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from src.registry import Metric, Registry
from src.report.question import BenchmarkError, Question
from src.results.database import MissingTable

Query = Callable[..., pd.DataFrame]

INTERVAL_ENDS = ("lo", "hi", "refit_lo", "refit_hi")
"""Suffixes of the columns beside a metric's: 95 % sampling interval, then spread over refits."""


@dataclass(frozen=True)
class Ranking:
    """Every combination of a stage, best first.

    Attributes
    ----------
    table : DataFrame
        One row per combination: `rank` (missing where undefined or a reference), factors, metrics and their
        intervals, `reference` (True where the method was given the truth it is judged by), `uses_truth`
        (True where a method was given the true mask or the true signal).
    metrics : tuple of Metric
        Those with a value in `table`, the one ranked by first.
    baseline : DataFrame
        What age achieves alone and beside the signal's features, in the columns of `table`; a row without
        values has its `reason`.
    """

    table: pd.DataFrame
    metrics: tuple[Metric, ...]
    baseline: pd.DataFrame


def read_ranking(query: Query, registry: Registry, question: Question) -> Ranking:
    """Read and rank what the database has on a question.

    Raises
    ------
    BenchmarkError
        If the database has no result for the stage of a method, no value of the metric, or not these models.
    """
    screening = question.stage == "classification"
    table = _READ[question.stage](query)
    if table.empty and not screening:
        raise BenchmarkError(f"this database has no results for {question.stage} (--stage)")
    table = _keep_models(table, question.about.models, question.models)
    metrics = _metrics_present(registry, table, question)
    ranked = rank(table, question.metric) if metrics else table.assign(rank=None)
    return Ranking(ranked, metrics, _baseline(query) if screening else table.iloc[:0])


def rank(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Order rows by a metric, best first, and number them in a first column `rank`.

    Higher or lower is better as the registry says; with a target the smallest distance to it is. Equal
    values share a rank. Rows without a value, and rows whose `reference` is True, come last and have none.
    """
    value = table[metric.name]
    if metric.target is None:
        key = -value if metric.direction == "higher" else value
    else:
        key = (value - metric.target).abs()
    place = key.mask(table["reference"]).rank(method="min").astype("Int64")
    columns = table.columns.drop("rank", errors="ignore")
    ranked = table.assign(rank=place, _key=key)
    ranked = ranked.sort_values(["rank", "reference", "_key", "run_id"], na_position="last")
    return ranked[["rank", *columns]].reset_index(drop=True)


def _keep_models(table: pd.DataFrame, column: str, models: Sequence[str]) -> pd.DataFrame:
    valid = sorted(set(table[column]))
    if unknown := [name for name in models if name not in valid]:
        raise BenchmarkError(f"no results of {column} {unknown[0]!r} (--models). Valid: {', '.join(valid)}")
    return table[table[column].isin(models or valid)]


def _metrics_present(registry: Registry, table: pd.DataFrame, question: Question) -> tuple[Metric, ...]:
    """Metrics of the stage that have a value, the one asked for first; none where there is no row at all."""
    present = [
        metric
        for metric in registry.metrics.values()
        if metric.stage == question.stage and metric.name in table and table[metric.name].notna().any()
    ]
    if question.metric not in present and len(table):
        names = ", ".join(metric.name for metric in present)
        others = f"; it has {names}" if present else f" and of no other metric of {question.stage}"
        raise BenchmarkError(f"this database has no values of {question.metric.name}{others}")
    return tuple(sorted(present, key=lambda metric: metric != question.metric))


_ESTIMATES = """
SELECT r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier, r.n_unusable, r.fit_on,
       r.tuned, r.caveat, r.unpublished_weights, r.duration_s, false AS reference,
       coalesce('ground truth' IN (o.category, i.category), false) AS uses_truth,
       m.metric, m.estimate AS value, m.estimate_median AS median,
       m.sampling_lo AS lo, m.sampling_hi AS hi, m.refit_lo, m.refit_hi
FROM runs r JOIN metric_estimates m USING (run_id)
LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = r.outlier_method
LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = r.imputation_method
WHERE r.kind = $kind AND m.estimator = 'oob'
ORDER BY r.run_id
"""
_FIXED = [
    "run_id",
    "featurization",
    "outlier_method",
    "imputation_method",
    "classifier",
    "n_unusable",
    "fit_on",
    "tuned",
    "caveat",
    "unpublished_weights",
    "duration_s",
    "reference",
    "uses_truth",
]
_BASELINES = """
SELECT * EXCLUDE (n_iterations, n_subjects, n_cases) FROM baseline_metrics ORDER BY auroc IS NULL, run_id
"""
_IMPUTATION = """
SELECT q.run_id, q.outlier_method, q.imputation_method, q.mae, q.mre, q.mse, q.unit,
       l.mae AS mae_longer_than_1_s, q.n_samples, q.fit_on, q.evaluated_on, q.duration_s,
       coalesce(m.category = 'ground truth', false) AS reference,
       coalesce('ground truth' IN (o.category, m.category), false) AS uses_truth
FROM imputation_quality q
LEFT JOIN imputation_quality l ON l.outlier_method = q.outlier_method AND l.gap = 'longer than 1 s'
     AND l.imputation_method = q.imputation_method
LEFT JOIN methods m ON m.stage = 'imputation' AND m.name = q.imputation_method
LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = q.outlier_method
WHERE q.gap = 'all' ORDER BY q.outlier_method, q.imputation_method
"""
_DETECTION = """
SELECT q.run_id, q.outlier_method, q.f1, q."precision", q.recall, q.fpr, q.n_samples, q.n_artefact,
       q.fit_on, q.evaluated_on, q.duration_s, coalesce(m.category = 'ground truth', false) AS reference,
       reference AS uses_truth
FROM outlier_quality q LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = q.outlier_method
WHERE q.artefact_type = 'all' ORDER BY q.outlier_method
"""


def _estimates(query: Query, kind: str) -> pd.DataFrame:
    """Out-of-bag estimates, one row per run: a column per metric and more for its median and intervals."""
    long = query(_ESTIMATES, {"kind": kind})
    wide = long.drop_duplicates("run_id")[_FIXED].set_index("run_id")
    columns = {}
    for metric, part in long.groupby("metric", sort=False):
        values = part.set_index("run_id")
        columns[str(metric)] = values["value"]
        columns |= {f"{metric}_{name}": values[name] for name in ("median", *INTERVAL_ENDS)}
    return pd.concat([wide, pd.DataFrame(columns, index=wide.index)], axis=1).reset_index()


def _baseline(query: Query) -> pd.DataFrame:
    """The baselines and their headline numbers as the table has them, and beside them their other estimates.

    Nothing where there is no such table: no rank hangs on it, and the part that shows baselines says so.
    """
    try:
        stored = query(_BASELINES)
    except MissingTable:
        return pd.DataFrame({"run_id": []})
    others = _estimates(query, "baseline")
    columns = ["run_id", *others.columns.difference(stored.columns, sort=False)]
    return stored.merge(others[columns], on="run_id", how="left")


_READ: Mapping[str, Callable[[Query], pd.DataFrame]] = {
    "classification": lambda query: _estimates(query, "combination"),
    "imputation": lambda query: query(_IMPUTATION),
    "outlier_detection": lambda query: query(_DETECTION),
}


_BETTER = {"higher": "higher is better", "lower": "lower is better"}


def direction(metric: Metric) -> str:
    """Which way a metric is good, in words."""
    return _BETTER.get(metric.direction) or f"closest to {metric.target:g} is best"

"""What a benchmark report is about: the question asked, and the answer read from the results database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from src.figures.style import FACTORS, Background, read_background, records
from src.registry import Metric, Registry

Query = Callable[..., pd.DataFrame]

INTERVAL_ENDS = ("lo", "hi", "refit_lo", "refit_hi")
"""Suffixes of the columns beside a metric's: 95 % sampling interval, then spread over refits."""


class BenchmarkError(ValueError):
    """A report that cannot be made as asked; the message says what to ask instead."""


@dataclass(frozen=True)
class Stage:
    """How one stage is reported.

    Attributes
    ----------
    read : callable
        Reads the results: one row per combination of `factors`, a column per metric, `reference` (True where
        the method was given the truth it is judged by), `uses_truth` (True where a method was given the true
        mask or the true signal).
    default : str
        Metric it is ranked by unless asked otherwise.
    beside : tuple of str
        Metrics always shown beside that one.
    factors : tuple of str
        Columns that name a row.
    models : str
        The one of them that `--models` filters.
    checks : str
        SQL of what every method is held to, one row per row of the report and kind of check; none if empty.
    """

    read: Callable[[Query], pd.DataFrame]
    default: str
    beside: tuple[str, ...]
    factors: tuple[str, ...]
    models: str
    checks: str = ""


@dataclass(frozen=True)
class Question:
    """What was asked: a stage, the metric to rank by, and the models to keep (all when empty)."""

    stage: str
    metric: Metric
    models: tuple[str, ...]


@dataclass(frozen=True)
class Benchmark:
    """Everything a report shows.

    Attributes
    ----------
    question : Question
    table : DataFrame
        One row per combination, best first: `rank` (missing where undefined or a reference), factors, metrics
        and their intervals.
    metrics : tuple of Metric
        Those with a value in `table`, the one ranked by first.
    champion : mapping or None
        Row of the combination chosen by the rule, of the whole database; None for other stages than
        classification.
    practical : mapping or None
        Row of the best by the same rule of those that need no ground truth; None where there is none.
    baseline : DataFrame
        What age achieves alone and beside the signal's features, in the columns of `table`; a row without
        values has its `reason`.
    left_out : DataFrame
        `run_name`, `reason` and `detail` of runs that failed, did not end or were rejected and are no cell of
        the coverage: a failed baseline is among them.
    identical : DataFrame
        Pairs of combinations (`a`, `b`) whose predictions are the same to the last bit.
    ensembles : DataFrame
        Rows of `v_ensembles`: what the ensembles are made of.
    curse : mapping or None
        What choosing the best adds to the metric ranked by, or else to the Brier score, which the rule uses.
    detectable : mapping or None
        Smallest difference in the metric ranked by that this many subjects can show.
    undecided : mapping or None
        Number of combinations `included` in the confidence set of the Brier score, and `total`.
    checks : DataFrame
        What the stage's methods are held to: rows of v_detector_checks or v_imputer_checks, else none.
    background : Background
    """

    question: Question
    table: pd.DataFrame
    metrics: tuple[Metric, ...]
    champion: Mapping[str, Any] | None
    practical: Mapping[str, Any] | None
    baseline: pd.DataFrame
    left_out: pd.DataFrame
    identical: pd.DataFrame
    ensembles: pd.DataFrame
    curse: Mapping[str, Any] | None
    detectable: Mapping[str, Any] | None
    undecided: Mapping[str, Any] | None
    checks: pd.DataFrame
    background: Background

    @property
    def stage(self) -> Stage:
        """How the stage asked for is reported."""
        return STAGES[self.question.stage]

    @property
    def factors(self) -> list[str]:
        """Columns that name a row; the feature set only where there is more than one."""
        several = len(set(self.background.coverage["featurization"])) > 1
        return [name for name in self.stage.factors if name != "featurization" or several]

    def name(self, row: Mapping[str, Any]) -> str:
        """Display names of a row's methods."""
        stages = {column: stage for stage, column in FACTORS.items()}
        return " + ".join(self.background.label(stages[column], row[column]) for column in self.factors)


def ask(
    registry: Registry, stage: str = "", metric: str = "", experiment: str = "", models: Sequence[str] = ()
) -> Question:
    """Turn the words of a command into a question.

    Parameters
    ----------
    registry : Registry
        Knows metrics in any spelling, and the stage of an experiment.
    stage : str
        'classification', 'imputation' or 'outlier_detection'; by default that of experiment or metric.
    metric : str
        Metric to rank by, in any common spelling; by default that of the stage.
    experiment : str
        Name of an MLflow experiment; stands for its stage.
    models : sequence of str
        Names to keep: classifiers, imputation methods or outlier methods, as the stage has it.

    Raises
    ------
    BenchmarkError
        If stage, experiment and metric contradict one another, or the metric may not rank.
    RegistryError
        If the metric is unknown.
    """
    if stage and stage not in STAGES:
        raise BenchmarkError(f"unknown stage {stage!r}. Valid: {', '.join(STAGES)}")
    if experiment:
        stage = _stage_of_experiment(registry, experiment, stage)
    chosen = registry.metric(metric) if metric else None
    stage = stage or (chosen.stage if chosen else "classification")
    chosen = chosen or registry.metric(STAGES[stage].default)
    _check_may_rank(registry, chosen, stage)
    return Question(stage, chosen, tuple(models))


def read_benchmark(query: Query, registry: Registry, question: Question, dataset: str = "") -> Benchmark:
    """Answer a question from the open results database.

    Parameters
    ----------
    query : callable
        Runs SQL on the results database and returns a DataFrame.
    registry : Registry
        Knows the direction of each metric.
    question : Question
    dataset : str
        Source or first letters of the cohort's hash, where the caller insists on one.

    Raises
    ------
    BenchmarkError
        If the database holds another dataset, no result for the stage or the metric, or not these models.
    """
    background = read_background(query)
    _check_dataset(background.provenance, dataset)
    stage = STAGES[question.stage]
    table = stage.read(query)
    if table.empty:
        raise BenchmarkError(f"this database has no results for {question.stage} (--stage)")
    table = _keep_models(table, stage.models, question.models)
    metrics = _metrics_present(registry, table, question)
    screening = question.stage == "classification"
    best = _best(query) if screening else table.iloc[:0]
    return Benchmark(
        question=question,
        table=rank(table, question.metric),
        metrics=metrics,
        champion=_first(best),
        practical=_first(best[~best["uses_truth"]]),
        baseline=_baseline(query) if screening else table.iloc[:0],
        left_out=query(_LEFT_OUT),
        identical=query(_IDENTICAL),
        ensembles=query("SELECT * FROM v_ensembles"),
        curse=_first(query(_CURSE, {"metric": question.metric.name})) if screening else None,
        detectable=_first(query(_DETECTABLE, {"metric": question.metric.name})) if screening else None,
        undecided=_first(query(_UNDECIDED)) if screening else None,
        checks=_checks(query, stage, table),
        background=background,
    )


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


def _stage_of_experiment(registry: Registry, experiment: str, stage: str) -> str:
    stages = {e.experiment: e.report_stage for e in registry.experiments.values() if e.report_stage}
    if experiment not in stages:
        raise BenchmarkError(f"no report for experiment {experiment!r}. Valid: {', '.join(stages)}")
    if stage and stages[experiment] != stage:
        raise BenchmarkError(
            f"experiment {experiment} holds {stages[experiment]}, but --stage is {stage}; leave one out"
        )
    return str(stages[experiment])


def _check_may_rank(registry: Registry, metric: Metric, stage: str) -> None:
    if metric.stage != stage:
        valid = [m.name for m in registry.metrics.values() if m.stage == stage and m.kind != "descriptive"]
        raise BenchmarkError(
            f"metric {metric.name} judges {metric.stage}, not {stage}. Metrics of {stage}: {', '.join(valid)}"
        )
    if metric.kind == "descriptive":
        raise BenchmarkError(
            f"metric {metric.name} is descriptive: it is improper at clinical thresholds and ranks nothing. "
            f"Rank by {STAGES[stage].default} instead"
        )


def _check_dataset(provenance: Mapping[str, Any], dataset: str) -> None:
    cohort, source = str(provenance["cohort_hash"]), str(provenance["source"])
    if dataset and dataset.lower() != source and not cohort.startswith(dataset.lower()):
        raise BenchmarkError(
            f"no dataset {dataset!r} in this database; it holds one: cohort {cohort} (source {source})"
        )


def _keep_models(table: pd.DataFrame, column: str, models: Sequence[str]) -> pd.DataFrame:
    valid = sorted(set(table[column]))
    if unknown := [name for name in models if name not in valid]:
        raise BenchmarkError(f"no results of {column} {unknown[0]!r} (--models). Valid: {', '.join(valid)}")
    return table[table[column].isin(models or valid)]


def _metrics_present(registry: Registry, table: pd.DataFrame, question: Question) -> tuple[Metric, ...]:
    """Metrics of the stage that have a value, the one asked for first."""
    present = [
        metric
        for metric in registry.metrics.values()
        if metric.stage == question.stage and metric.name in table and table[metric.name].notna().any()
    ]
    if question.metric not in present:
        names = ", ".join(metric.name for metric in present)
        raise BenchmarkError(f"this database has no values of {question.metric.name}; it has {names}")
    return tuple(sorted(present, key=lambda metric: metric != question.metric))


_ESTIMATES = """
SELECT r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier, r.n_unusable, r.fit_on,
       r.tuned, r.unpublished_weights, r.duration_s, false AS reference,
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
    "unpublished_weights",
]
_NO_BASELINE = """
SELECT run_id, featurization, outlier_method, imputation_method, classifier, reason
FROM baseline_metrics WHERE auroc IS NULL
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
_DETECTOR_CHECKS = "SELECT * FROM v_detector_checks"
_IMPUTER_CHECKS = "SELECT * FROM v_imputer_checks WHERE mae_linear IS NOT NULL"
_BEST = """
SELECT l.*, coalesce('ground truth' IN (o.category, i.category), false) AS uses_truth
FROM v_leaderboard l
LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = l.outlier_method
LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = l.imputation_method
WHERE l.brier IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY uses_truth ORDER BY l.rank, l.run_id) = 1
ORDER BY l.rank, l.run_id
"""
# Runs that stayed out have no kind and names are for people: which one was the baseline is theirs to see.
_LEFT_OUT = """
SELECT DISTINCT run_name, reason, detail FROM excluded_runs
WHERE reason IN ('failed', 'unfinished', 'rejected')
  AND run_id NOT IN (SELECT run_id FROM coverage WHERE run_id IS NOT NULL)
ORDER BY run_name, reason, detail
"""
_IDENTICAL = """
SELECT a.featurization AS a_featurization, a.outlier_method AS a_outlier_method,
       a.imputation_method AS a_imputation_method, a.classifier AS a_classifier,
       b.featurization AS b_featurization, b.outlier_method AS b_outlier_method,
       b.imputation_method AS b_imputation_method, b.classifier AS b_classifier
FROM identical_predictions i JOIN runs a ON a.run_id = i.run_id_a JOIN runs b ON b.run_id = i.run_id_b
ORDER BY i.run_id_a, i.run_id_b
"""
_CURSE = """
SELECT w.*, m.display_name FROM winners_curse w JOIN metrics m ON m.name = w.metric
WHERE w.metric IN ($metric, 'brier') ORDER BY w.metric = $metric DESC
"""
_DETECTABLE = """
SELECT d.*, m.display_name FROM detectable_difference d JOIN metrics m ON m.name = d.metric
WHERE d.metric = $metric AND d.detectable IS NOT NULL
"""
_UNDECIDED = """
SELECT count(*) FILTER (included) AS included, count(*) AS total FROM confidence_set
WHERE metric = 'brier' HAVING total > 0
"""


def _estimates(query: Query, kind: str) -> pd.DataFrame:
    """Out-of-bag estimates, one row per run: a column per metric and more for its median and intervals."""
    long = query(_ESTIMATES, {"kind": kind})
    wide = long.drop_duplicates("run_id")[[*_FIXED, "duration_s", "reference", "uses_truth"]].set_index(
        "run_id"
    )
    columns = {}
    for metric, part in long.groupby("metric", sort=False):
        values = part.set_index("run_id")
        columns[str(metric)] = values["value"]
        columns |= {f"{metric}_{name}": values[name] for name in ("median", *INTERVAL_ENDS)}
    return pd.concat([wide, pd.DataFrame(columns, index=wide.index)], axis=1).reset_index()


def _classification(query: Query) -> pd.DataFrame:
    return _estimates(query, "combination")


def _baseline(query: Query) -> pd.DataFrame:
    return pd.concat([_estimates(query, "baseline"), query(_NO_BASELINE)], ignore_index=True)


def _checks(query: Query, stage: Stage, table: pd.DataFrame) -> pd.DataFrame:
    """The checks of the methods that are in the table."""
    if not stage.checks:
        return table.iloc[:0]
    rows = query(stage.checks)
    return rows[rows[stage.models].isin(table[stage.models])]


def _best(query: Query) -> pd.DataFrame:
    """The best combination with and the best without ground truth by the rule, the better first."""
    return query(_BEST)


def _first(rows: pd.DataFrame) -> Mapping[str, Any] | None:
    return records(rows)[0] if len(rows) else None


STAGES: Mapping[str, Stage] = {
    "classification": Stage(
        read=_classification,
        default="auroc",
        beside=("auroc", "brier", "cal_slope"),
        factors=("featurization", "outlier_method", "imputation_method", "classifier"),
        models="classifier",
    ),
    "imputation": Stage(
        read=lambda query: query(_IMPUTATION),
        default="mae",
        beside=("mae", "mre", "mse"),
        factors=("outlier_method", "imputation_method"),
        models="imputation_method",
        checks=_IMPUTER_CHECKS,
    ),
    "outlier_detection": Stage(
        read=lambda query: query(_DETECTION),
        default="f1",
        beside=("f1", "precision", "recall", "fpr"),
        factors=("outlier_method",),
        models="outlier_method",
        checks=_DETECTOR_CHECKS,
    ),
}

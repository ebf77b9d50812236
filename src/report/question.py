"""What a benchmark report is asked: a stage, the metric to rank by, the models to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.registry import Metric, Registry


class BenchmarkError(ValueError):
    """A report that cannot be made as asked; the message says what to ask instead."""


@dataclass(frozen=True)
class Stage:
    """How one stage is reported.

    Attributes
    ----------
    default : str
        Metric it is ranked by unless asked otherwise.
    beside : tuple of str
        Metrics always shown beside that one.
    factors : tuple of str
        Columns that name a row.
    models : str
        The one of them that `--models` filters.
    """

    default: str
    beside: tuple[str, ...]
    factors: tuple[str, ...]
    models: str


STAGES: Mapping[str, Stage] = {
    "classification": Stage(
        default="auroc",
        beside=("auroc", "brier", "cal_slope"),
        factors=("featurization", "outlier_method", "imputation_method", "classifier"),
        models="classifier",
    ),
    "imputation": Stage(
        default="mae",
        beside=("mae", "mre", "mse"),
        factors=("outlier_method", "imputation_method"),
        models="imputation_method",
    ),
    "outlier_detection": Stage(
        default="f1",
        beside=("f1", "precision", "recall", "fpr"),
        factors=("outlier_method",),
        models="outlier_method",
    ),
}


@dataclass(frozen=True)
class Question:
    """What was asked: a stage, the metric to rank by, and the models to keep (all when empty)."""

    stage: str
    metric: Metric
    models: tuple[str, ...]

    @property
    def about(self) -> Stage:
        """How the stage asked for is reported."""
        return STAGES[self.stage]


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

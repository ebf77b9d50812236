"""Questions and rankings, against tables small enough to rank by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src.registry import RegistryError, load_registry
from src.report.question import BenchmarkError, ask
from src.report.ranking import rank

REGISTRY = load_registry()


def table(metric, values, reference=()):
    rows = pd.DataFrame({"run_id": [f"r{i}" for i in range(len(values))], metric: values})
    return rows.assign(reference=[i in reference for i in range(len(values))])


def ranked(metric, values, reference=()):
    """Run and rank, in the order of the ranking."""
    rows = rank(table(metric, values, reference), REGISTRY.metric(metric))
    return [
        (run, None if pd.isna(place) else int(place))
        for run, place in zip(rows["run_id"], rows["rank"], strict=True)
    ]


def test_higher_is_better():
    assert ranked("auroc", [0.7, 0.9, 0.8]) == [("r1", 1), ("r2", 2), ("r0", 3)]


def test_lower_is_better():
    assert ranked("brier", [0.20, 0.10, 0.15]) == [("r1", 1), ("r2", 2), ("r0", 3)]


def test_target_is_ranked_by_distance_from_both_sides():
    assert ranked("cal_slope", [1.4, 0.9, 1.05, 0.2]) == [("r2", 1), ("r1", 2), ("r0", 3), ("r3", 4)]
    assert ranked("cal_intercept", [-0.1, 0.3, 0.05]) == [("r2", 1), ("r0", 2), ("r1", 3)]
    assert ranked("oe_ratio", [2.0, 0.75, 1.0]) == [("r2", 1), ("r1", 2), ("r0", 3)]


def test_equal_values_share_a_rank():
    assert ranked("auroc", [0.9, 0.8, 0.9]) == [("r0", 1), ("r2", 1), ("r1", 3)]


def test_undefined_comes_last_without_a_rank():
    assert ranked("auroc", [np.nan, 0.8]) == [("r1", 1), ("r0", None)]


def test_a_reference_has_no_rank_however_good():
    assert ranked("mae", [0.0, 0.2, 0.1], reference=[0]) == [("r2", 1), ("r1", 2), ("r0", None)]


def test_ranking_again_replaces_the_rank():
    rows = rank(table("auroc", [0.7, 0.9]), REGISTRY.metric("auroc")).assign(brier=[0.2, 0.1])
    again = rank(rows, REGISTRY.metric("brier"))
    assert list(again.columns).count("rank") == 1
    assert list(again["run_id"]) == ["r0", "r1"]


@pytest.mark.parametrize(
    ("words", "stage", "metric"),
    [
        ({}, "classification", "auroc"),
        ({"metric": "test_auroc"}, "classification", "auroc"),
        ({"metric": "AUROC"}, "classification", "auroc"),
        ({"metric": "test_MAE"}, "imputation", "mae"),
        ({"stage": "imputation"}, "imputation", "mae"),
        ({"stage": "outlier_detection"}, "outlier_detection", "f1"),
        ({"experiment": "PLR_OutlierDetection"}, "outlier_detection", "f1"),
        ({"experiment": "PLR_Classification", "metric": "Brier"}, "classification", "brier"),
    ],
)
def test_words_become_a_question(words, stage, metric):
    question = ask(REGISTRY, **words)
    assert (question.stage, question.metric.name) == (stage, metric)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"stage": "sorting"},
            "unknown stage 'sorting'. Valid: classification, imputation, outlier_detection",
        ),
        ({"stage": "imputation", "metric": "auroc"}, "auroc judges classification, not imputation.*mae"),
        ({"stage": "imputation", "experiment": "PLR_Classification"}, "leave one out"),
        ({"experiment": "PLR_Imputation", "metric": "auroc"}, "auroc judges classification"),
        ({"experiment": "PLR_Featurization"}, "no report for experiment.*PLR_Imputation"),
    ],
)
def test_contradictions_are_refused(words, message):
    with pytest.raises(BenchmarkError, match=message):
        ask(REGISTRY, **words)


def test_unknown_metric_lists_the_known():
    with pytest.raises(RegistryError, match="auroc"):
        ask(REGISTRY, metric="aurok")


def test_descriptive_metrics_never_rank():
    descriptive = {"brier": replace(REGISTRY.metric("brier"), kind="descriptive")}
    registry = replace(REGISTRY, metrics={**REGISTRY.metrics, **descriptive})
    with pytest.raises(BenchmarkError, match=r"brier is descriptive.*Rank by auroc"):
        ask(registry, metric="brier")

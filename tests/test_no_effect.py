"""Where there is nothing to find nothing is found, and a leak is: the check has to be able to fail."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.no_effect import METHODS, auroc_of, excludes_chance, full_rows, plan, quick_rows
from src.cohort import Cohort
from src.combination import Combination, Step
from src.evaluation.estimators import estimate_all
from src.pipeline import find_finished, open_tracking
from src.results.bootstrap_pickle import load

SEED = 0


class LabelReader:
    """A featuriser that cheats as far as the cohort it is given lets it: the label, half buried in noise."""

    def fit(self, pupil: np.ndarray, cohort: Cohort) -> LabelReader:
        return self

    def transform(self, pupil: np.ndarray, cohort: Cohort) -> pd.DataFrame:
        noise = np.random.default_rng(1).normal(scale=1.0, size=len(cohort))
        return pd.DataFrame({"cheat": cohort.labels + noise})


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohorts")


def cheating(honest: Combination) -> Combination:
    reader = Step("features", "label-reader", f"{__name__}.LabelReader", {})
    return replace(honest, steps={**honest.steps, "features": reader})


def undefined_features(combination: Combination) -> float:
    run = open_tracking(combination).find("PLR_Featurization", combination.keys()["features"])
    assert run is not None
    return run.metrics["n_undefined"]


def test_nothing_is_found_in_a_cohort_without_effect(cohorts: Path, tracking_uri: str):
    for outlier, imputation in product(*METHODS.values()):
        estimate, lo, hi = auroc_of(plan(cohorts, tracking_uri, SEED, outlier, imputation))
        assert lo < estimate < hi, (outlier, imputation)
        assert not excludes_chance(estimate, lo, hi), (outlier, imputation, estimate, lo, hi)


def test_a_featuriser_sees_no_labels(cohorts: Path, tracking_uri: str):
    combination = cheating(plan(cohorts, tracking_uri, SEED, "pupil-gt", "linear"))
    estimate, lo, hi = auroc_of(combination)
    assert undefined_features(combination) == 208
    # every prediction is the same, so every pair is a tie and there is no spread to make an interval from
    assert estimate == 0.5
    assert math.isnan(lo) and math.isnan(hi)
    assert not excludes_chance(estimate, lo, hi)


def test_labels_that_reach_a_featuriser_are_caught(
    cohorts: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Cohort, "blind", lambda cohort: cohort)
    combination = cheating(plan(cohorts, tracking_uri, SEED, "pupil-gt", "linear"))
    estimate, lo, hi = auroc_of(combination)
    assert undefined_features(combination) == 0
    assert estimate > 0.7  # of two normal distributions one SD apart: 0.76
    assert lo < estimate < hi
    assert excludes_chance(estimate, lo, hi)


def test_scoring_the_training_rows_is_caught(cohorts: Path, tracking_uri: str):
    combination = plan(cohorts, tracking_uri, SEED, "pupil-gt", "linear", "XGBoost", n_iterations=60)
    assert not excludes_chance(*auroc_of(combination))
    tracking = open_tracking(combination)
    run = find_finished(combination, tracking)
    assert run is not None
    stored = load(tracking.artifacts(run) / "bootstrap_results.pkl")
    as_if_left_out = np.where(stored["inbag_counts"] == 0, 1, 0)  # the two roles exchanged
    rows = estimate_all(stored["y"], stored["y_prob_all"], as_if_left_out, stored["y_prob_apparent"])
    leaked = next(row for row in rows if (row.metric, row.estimator) == ("auroc", "oob"))
    assert leaked.estimate > 0.95
    assert excludes_chance(leaked.estimate, leaked.sampling_lo, leaked.sampling_hi)


@pytest.mark.parametrize(
    ("estimate", "lo", "hi", "found"),
    [
        (0.55, 0.49, 0.61, False),
        (0.55, 0.50, 0.60, False),
        (0.55, 0.51, 0.59, True),
        (0.45, 0.41, 0.49, True),
        (1.0, math.nan, math.nan, True),
        (0.5, math.nan, math.nan, False),
    ],
)
def test_the_check_itself(estimate: float, lo: float, hi: float, found: bool):
    assert excludes_chance(estimate, lo, hi) is found


def test_an_undefined_auroc_is_no_all_clear():
    with pytest.raises(ValueError, match="the AUROC is undefined"):
        excludes_chance(math.nan, math.nan, math.nan)


def test_every_cohort_has_resamples_of_its_own(cohorts: Path, tracking_uri: str):
    first, second = (plan(cohorts, tracking_uri, seed, "pupil-gt", "linear") for seed in (3, 4))
    assert (first.seed, second.seed) == (3, 4)
    assert first.cohort.content_hash != second.cohort.content_hash


def four_blocks(means: list[float], half_width: float = 0.05) -> np.ndarray:
    """160 cohorts; those of a block lie at its mean, or 0.01 from it on either side."""
    estimate = np.concatenate([mean + np.tile([-0.01, 0.01], 20) for mean in means])
    return np.column_stack([estimate, estimate - half_width, estimate + half_width])


def test_a_block_may_stray_but_not_all_of_them():
    values = four_blocks([0.525, 0.5, 0.505, 0.49])
    mean, error, lowest, highest, excluded = full_rows("a x b", values)
    assert [mean.value, lowest.value, highest.value] == pytest.approx([0.505, 0.49, 0.525])
    assert error.value == pytest.approx(np.std(values[:, 0], ddof=1) / math.sqrt(160))
    assert [row.met for row in (mean, error, lowest, highest, excluded)] == [True, None, None, None, True]
    assert (excluded.value, excluded.unit, excluded.requirement) == (0, "of 160", "at most 24")
    assert not full_rows("a x b", four_blocks([0.525, 0.525, 0.525, 0.51]))[0].met


def test_intervals_without_chance_are_counted():
    values = four_blocks([0.5] * 4)
    values[:24, 1] = 0.501
    assert full_rows("a x b", values)[4].met
    values[24, 1] = 0.501
    assert not full_rows("a x b", values)[4].met
    assert [row.met for row in quick_rows("a x b", values[:6])] == [None] * 3

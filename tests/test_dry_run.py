"""What a command would do: what cannot run is named before anything is computed, and how long it takes."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from dummy_methods import Clocked

from src.combination import CohortCard, Combination, Step
from src.dry_run import look_ahead
from src.evaluation.tuning import Tuning

LABELS = pd.array([0] * 9 + [1] * 7 + [None], dtype="Int8")


def step(stage: str, target: str, **parameters) -> Step:
    return Step(stage, target.rpartition(".")[2], target, parameters)


@pytest.fixture
def planned(tracking_uri) -> Combination:
    steps = {
        "outlier": step("outlier", "dummy_methods.Watcher"),
        "imputation": step("imputation", "dummy_methods.Constant"),
        "features": step("features", "dummy_methods.MeanSize"),
        "classifier": step("classifier", "dummy_methods.Clocked", single_s=3.0, stack_s=5.0),
    }
    cohort = CohortCard(Path("c.duckdb"), "c", "synthetic", "mm", pd.DataFrame({"label": LABELS}))
    return Combination("combination", steps, cohort, 1000, 0, 2, 5, tracking_uri, None, "", "")


def tuned(combination: Combination, **search) -> Combination:
    classifier = replace(combination.steps["classifier"], search=search)
    steps = {**combination.steps, "classifier": classifier}
    return replace(combination, steps=steps, tuning=Tuning(n_trials=4, n_folds=3, seed=0))


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The time is what the fits of `Clocked` say it is."""
    monkeypatch.setattr("src.dry_run.perf_counter", lambda: Clocked.now)


SPACE = {"single_s": {"type": "float", "low": 1, "high": 9}}


def test_a_search_that_cannot_run_is_not_ready(planned, monkeypatch):
    assert "the classifier has no search space" in look_ahead(tuned(planned))["error"]
    monkeypatch.setattr("src.requirements.find_spec", lambda name: None)
    status = look_ahead(tuned(planned, **SPACE))
    assert status["state"] == "not ready" and "pip install 'foundation-plr[tune]'" in status["error"]


def test_a_parameter_that_does_not_exist_is_not_ready(planned):
    wrong = step("outlier", "dummy_methods.EveryNth", n=2, no_such_parameter=1)
    status = look_ahead(replace(planned, steps={**planned.steps, "outlier": wrong}))
    assert status["state"] == "not ready" and "no_such_parameter" in status["error"]


def test_resamples_are_projected_from_a_stack_where_fits_go_together_and_trials_from_single_fits(planned):
    """A stack of 10 takes 5 s, a single fit 3 s: 1000 resamples on 2 cores, and 4 trials of 3 folds."""
    assert look_ahead(planned)["seconds"] == pytest.approx(1000 / 10 * 5 / 2)
    assert look_ahead(tuned(planned, **SPACE))["seconds"] == pytest.approx(250 + 4 * 3 * 3)
    alone = step("classifier", "dummy_methods.ClockedAlone", single_s=3.0)
    status = look_ahead(replace(planned, steps={**planned.steps, "classifier": alone}))
    assert (status["state"], status["seconds"]) == ("planned", pytest.approx(1000 * 3 / 2))

"""What a command would do: which combinations are there already, and how long the others may take."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from src.combination import Combination, Step
from src.evaluation.fits import Fits
from src.pipeline import find_finished, open_tracking

_N_FEATURES = 8  # the size of the default feature set; the time of a fit hardly depends on it


def look_ahead(combination: Combination) -> dict[str, Any]:
    """Say whether a combination is finished or cannot run, and project the time of its fits from a few.

    Returns
    -------
    dict
        `state` ('reusable', 'planned' or 'not ready'), `run_name`, `metrics` (empty), `seconds` (projected),
        and for one that is not ready `error`, with which it would fail before its first stage.
    """
    status = {"run_name": combination.run_name, "metrics": {}}
    if find_finished(combination, open_tracking(combination)) is not None:
        return status | {"state": "reusable", "seconds": 0.0}
    try:
        for stage in combination.steps:
            combination.check_ready(stage)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run would end with it
        return status | {"state": "not ready", "seconds": 0.0, "error": str(error)}
    labels = combination.cohort.subjects["label"].dropna().to_numpy(dtype=np.int8)
    step, tuning = combination.steps["classifier"], combination.tuning
    seconds = combination.n_iterations / combination.n_jobs * _seconds_per_fit(step, labels, _resample)
    if tuning is not None:
        seconds += tuning.n_trials * tuning.n_folds * _seconds_per_fit(step, labels, _fit_alone)
    return status | {"state": "planned", "seconds": seconds}


_timed: dict[tuple[str, Callable[..., int]], float] = {}  # a sweep times each classifier once


def _seconds_per_fit(step: Step, y: np.ndarray, fit: Callable[..., int]) -> float:
    """Time fits on random numbers of the cohort's size, after others that pay for imports."""
    key = step.key(), fit
    if key not in _timed:
        X = np.random.default_rng(0).normal(size=(y.size, _N_FEATURES)) + y[:, None]
        for _ in range(2):
            estimator = step.build()
            started = perf_counter()
            with threadpool_limits(1):
                fits = fit(estimator, X, y)
            _timed[key] = (perf_counter() - started) / fits
    return _timed[key]


def _resample(classifier: Any, X: np.ndarray, y: np.ndarray) -> int:
    """Do a step of the loop over resamples; return the number of its fits, which may be done together."""
    at_once = getattr(classifier, "resamples_at_once", 1)
    counts = np.ones((at_once + 1, y.size), dtype=np.uint8)
    Fits(classifier, X, y, counts, seed=0, permutation_every=0).some(0, np.zeros(at_once, dtype=np.int64))
    return at_once


def _fit_alone(classifier: Any, X: np.ndarray, y: np.ndarray) -> int:
    """Do what a fold of the search for parameters does."""
    classifier.fit(X, y).predict_proba(X)
    return 1

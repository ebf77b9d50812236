"""What a command would do: which combinations are there already, and how long the others may take."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from src.combination import Combination, Step
from src.pipeline import find_finished, open_tracking

_N_FEATURES = 8  # the size of the default feature set; the time of a fit hardly depends on it


def look_ahead(combination: Combination) -> dict[str, Any]:
    """Say whether a combination is finished or cannot run, and project the time of its fits from one of them.

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
    labels = combination.cohort.subjects["label"].dropna().to_numpy(dtype=int)
    step = combination.steps["classifier"]
    if step.key() not in _timed:
        _timed[step.key()] = _seconds_per_fit(step, labels)
    fit, tuning = _timed[step.key()], combination.tuning
    fits = combination.n_iterations / combination.n_jobs
    fits += 0 if tuning is None else tuning.n_trials * tuning.n_folds
    return status | {"state": "planned", "seconds": fit * fits}


_timed: dict[str, float] = {}  # of this process; a sweep times each classifier once


def _seconds_per_fit(step: Step, y: np.ndarray) -> float:
    """Time a fit on random numbers of the cohort's size, after one that pays for imports."""
    X = np.random.default_rng(0).normal(size=(y.size, _N_FEATURES)) + y[:, None]
    seconds = 0.0
    for _ in range(2):
        estimator = step.build()
        started = time.perf_counter()
        estimator.fit(X, y).predict_proba(X)
        seconds = time.perf_counter() - started
    return seconds

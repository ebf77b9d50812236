"""The resampling loop against the bare loop of the same fits, and two workers against one."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from benchmarks import Row, at_least, at_most
from benchmarks.timing import fastest
from src.classifiers.catboost import CatBoost
from src.classifiers.logistic_regression import LogisticRegression
from src.classifiers.xgboost import XGBoost
from src.evaluation.loop import bootstrap
from src.evaluation.resampling import inbag_counts, random_states, train_rows

CLASSIFIERS = (LogisticRegression, XGBoost, CatBoost)
MAX_OVERHEAD, MIN_SHARE = 1.10, 0.9
SEED = 1
CODES = [f"S{i:03d}" for i in range(208)]


def run(quick: bool) -> list[Row]:
    """Do 1000 iterations of each classifier (`quick`: 200), in turns; the best of three counts."""
    return [row for c in CLASSIFIERS for row in _rows(c(), 200 if quick else 1000, 2 if quick else 3)]


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return 208 x 8 features with some holes, and labels, 152 controls and 56 cases."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [152, 56])
    X = rng.normal(size=(208, 8)) + 0.5 * y[:, None]
    X[rng.random(X.shape) < 0.02] = np.nan
    return X, y


def _rows(classifier: Any, n: int, turns: int) -> list[Row]:
    """Return the ratios of one classifier; processor time is beside the clock for a busy machine."""
    costs = fastest(
        {
            "bare": lambda: _bare_loop(classifier, 0, n),
            "loop": lambda: _loop(classifier, n, 1),
            "bare, two": lambda: _bare_processes(classifier, n),
            "loop, two": lambda: _loop(classifier, n, 2),
        },
        turns,
    )
    name = type(classifier).__name__
    bare, own, bare_two, own_two = costs.values()
    gain_bare, gain = bare.clock / bare_two.clock, own.clock / own_two.clock
    return [
        Row(f"{name}: a bare fit", bare.processor / n * 1e3, "ms"),
        at_most(f"{name}: {n} iterations / bare loop", own.clock / bare.clock, MAX_OVERHEAD),
        Row(f"{name}: the same in processor time", own.processor / bare.processor),
        Row(f"{name}: gain of two bare processes", gain_bare),
        Row(f"{name}: gain of two workers", gain),
        at_least(f"{name}: share of the possible gain", gain / gain_bare, MIN_SHARE),
        Row(f"{name}: the same in processor time", bare_two.processor / own_two.processor),
    ]


def _bare_loop(classifier: Any, first: int, stop: int) -> None:
    """Do the fits and predictions of iterations `first` to `stop` and nothing else."""
    X, y = table()
    counts, states = inbag_counts(y, CODES, stop, SEED), random_states(SEED, stop)
    with threadpool_limits(1):
        for b in range(first, stop):
            rows = train_rows(counts[b])
            model = clone(classifier).set_params(random_state=int(states[b]))
            model.fit(X[rows], y[rows]).predict_proba(X)


def _bare_processes(classifier: Any, n: int) -> None:
    """Do the same fits in two processes, half each."""
    context = multiprocessing.get_context("fork")
    halves = ((0, n // 2), (n // 2, n))
    processes = [context.Process(target=_bare_loop, args=(classifier, *half)) for half in halves]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def _loop(classifier: Any, n: int, n_jobs: int) -> None:
    X, y = table()
    bootstrap(classifier, X, y, CODES, CODES, n, SEED, n_jobs, start_method="fork")

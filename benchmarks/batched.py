"""A thousand resamples fitted many at a time, against fitting them one by one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import yaml
from sklearn.base import clone

from benchmarks import Row, at_most
from benchmarks.loop import CODES, SEED, table
from src.combination import Step
from src.evaluation.loop import bootstrap
from src.evaluation.resampling import inbag_counts, random_states, train_rows
from src.train import CONFIGS

LIMITS_S = {"LogisticRegression": 1.0, "TabM": 120.0, "MLP": None}


def run(quick: bool) -> list[Row]:
    """Do 1000 iterations with two workers and as configured (`quick`: 100, scaled up to 1000)."""
    return [row for name, limit in LIMITS_S.items() for row in _rows(name, limit, quick)]


def _rows(name: str, limit: float | None, quick: bool) -> list[Row]:
    config = yaml.safe_load((CONFIGS / "classifier" / f"{name}.yaml").read_text(encoding="utf-8"))
    classifier = Step.from_config("classifier", name, config, "quick").build()
    X, y = table()
    _loop(classifier, X, y, 2 * classifier.resamples_at_once, 1)  # imports
    n = 100 if quick else 1000
    thousand = _loop(classifier, X, y, n, 2) * 1000 / n
    few = classifier.resamples_at_once
    together, alone, difference = _compare(classifier, X, y, few)
    what = f"{name}: 1000 iterations on two workers"
    return [
        Row(what, thousand, "s") if limit is None else at_most(what, thousand, limit, "s"),
        Row(f"{name}: a single fit", alone / few * 1e3, "ms"),
        Row(f"{name}: a fit among {few}", together / few * 1e3, "ms"),
        Row(f"{name}: ratio", together / alone),
        at_most(f"{name}: largest difference of a probability", difference, classifier.equal_within),
    ]


def _loop(classifier: Any, X: np.ndarray, y: np.ndarray, n: int, n_jobs: int) -> float:
    started = time.perf_counter()
    bootstrap(classifier, X, y, CODES, CODES, n, SEED, n_jobs, start_method="fork")
    return time.perf_counter() - started


def _compare(classifier: Any, X: np.ndarray, y: np.ndarray, n: int) -> tuple[float, float, float]:
    """Return the seconds of n fits together and one by one, and how far apart their predictions are."""
    counts, states = inbag_counts(y, CODES, n, SEED), random_states(SEED, n)
    started = time.perf_counter()
    together = classifier.fit_resamples(X, y, counts, states)
    between = time.perf_counter()
    alone = []
    for drawn, state in zip(counts, states.tolist(), strict=True):
        rows = train_rows(drawn)
        alone.append(clone(classifier).set_params(random_state=state).fit(X[rows], y[rows]))
    ended = time.perf_counter()
    pairs = zip(together, alone, strict=True)
    difference = max(np.abs(a.predict_proba(X) - b.predict_proba(X)).max() for a, b in pairs)
    return between - started, ended - between, float(difference)

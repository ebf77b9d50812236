"""The resampling loop against the bare loop of the same fits, and two workers against one."""

from __future__ import annotations

from typing import Any

from benchmarks import Row, at_least, at_most
from benchmarks.evaluation import bare_loop, bare_processes, fastest, loop
from src.classifiers.catboost import CatBoost
from src.classifiers.logistic_regression import LogisticRegression
from src.classifiers.xgboost import XGBoost

CLASSIFIERS = (LogisticRegression, XGBoost, CatBoost)
MAX_OVERHEAD, MIN_SHARE = 1.10, 0.9


def run(quick: bool) -> list[Row]:
    """Do 1000 iterations of each classifier (`quick`: 200), in turns; the best of three counts."""
    return [row for c in CLASSIFIERS for row in _rows(c(), 200 if quick else 1000, 2 if quick else 3)]


def _rows(classifier: Any, n: int, turns: int) -> list[Row]:
    """Return the ratios of one classifier; processor time is beside the clock for a busy machine."""
    costs = fastest(
        {
            "bare": lambda: bare_loop(classifier, 0, n),
            "loop": lambda: loop(classifier, n, 1),
            "bare, two": lambda: bare_processes(classifier, n),
            "loop, two": lambda: loop(classifier, n, 2),
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

"""What the resampling loop costs beside its fits, and what a second worker gains.

    python benchmarks/evaluation.py [--quick]

Everything is measured in this one run, as ratios, on a table of 208 subjects and 8 features. The machine may
be shared: the variants take turns, the fastest of several turns counts, and processor time stands beside the
time on the clock wherever two processes compete with whatever else is running.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from src.classifiers.catboost import CatBoost
from src.classifiers.logistic_regression import LogisticRegression
from src.classifiers.xgboost import XGBoost
from src.evaluation.curves import all_curves
from src.evaluation.estimators import estimate_all
from src.evaluation.loop import bootstrap
from src.evaluation.metrics import iteration_metrics
from src.evaluation.resampling import inbag_counts, random_states, train_rows

SEED = 1
CODES = [f"S{i:03d}" for i in range(208)]


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return 208 x 8 features with some holes, and labels, 152 controls and 56 cases."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [152, 56])
    X = rng.normal(size=(208, 8)) + 0.5 * y[:, None]
    X[rng.random(X.shape) < 0.02] = np.nan
    return X, y


def bare_loop(classifier: Any, first: int, stop: int) -> None:
    """Do the fits and predictions of iterations `first` to `stop` and nothing else."""
    X, y = table()
    counts, states = inbag_counts(y, CODES, stop, SEED), random_states(SEED, stop)
    with threadpool_limits(1):
        for b in range(first, stop):
            rows = train_rows(counts[b])
            model = clone(classifier).set_params(random_state=int(states[b]))
            model.fit(X[rows], y[rows]).predict_proba(X)


def bare_processes(classifier: Any, n: int) -> None:
    """Do the same fits in two processes, half each."""
    context = multiprocessing.get_context("fork")
    halves = ((0, n // 2), (n // 2, n))
    processes = [context.Process(target=bare_loop, args=(classifier, *half)) for half in halves]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def loop(classifier: Any, n: int, n_jobs: int) -> None:
    X, y = table()
    bootstrap(classifier, X, y, CODES, CODES, n, SEED, n_jobs, start_method="fork")


class Cost(NamedTuple):
    """Seconds on the clock, and seconds of processors, those of child processes included."""

    clock: float
    processor: float


def cost(work: Callable[[], Any]) -> Cost:
    """Do the work once and measure it."""
    before, started = processor_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, processor_time() - before)


def processor_time() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def fastest(variants: dict[str, Callable[[], Any]], turns: int) -> dict[str, Cost]:
    """Measure the variants in turn; return the least of each one's costs."""
    costs = [{name: cost(work) for name, work in variants.items()} for _ in range(turns)]
    return {name: Cost(*(min(c[name][k] for c in costs) for k in (0, 1))) for name in variants}


def measure(classifier: Any, n: int, turns: int) -> None:
    seconds = fastest(
        {
            "bare": lambda: bare_loop(classifier, 0, n),
            "loop": lambda: loop(classifier, n, 1),
            "bare, two processes": lambda: bare_processes(classifier, n),
            "loop, two workers": lambda: loop(classifier, n, 2),
        },
        turns,
    )
    bare, own = seconds["bare"], seconds["loop"]
    bare_two, own_two = seconds["bare, two processes"], seconds["loop, two workers"]
    gain_bare, gain_own = bare.clock / bare_two.clock, own.clock / own_two.clock
    print(f"{type(classifier).__name__}: {n} iterations, {bare.processor / n * 1e3:.2f} ms a fit")
    print(
        f"  loop / bare fits: {own.clock / bare.clock:.3f} on the clock, "
        f"{own.processor / bare.processor:.3f} of processor time (at most 1.10)"
    )
    print(
        f"  gain of two workers {gain_own:.2f}, of two bare processes {gain_bare:.2f}: share "
        f"{gain_own / gain_bare:.2f} on the clock, {bare_two.processor / own_two.processor:.2f} of processor "
        "time (at least 0.90)"
    )


def measure_metrics(turns: int) -> None:
    """Print the cost of all metrics of one run of 1000 iterations, once its fits are done."""
    X, y = table()
    run = bootstrap(LogisticRegression(), X, y, CODES, CODES, 1000, SEED)
    arrays = (y, run.y_prob_all, run.inbag_counts, run.y_prob_apparent)
    seconds = fastest(
        {
            "metrics of every iteration": lambda: iteration_metrics(y, run.y_prob_all, run.inbag_counts == 0),
            "estimates and intervals": lambda: estimate_all(*arrays, CODES),
            "curves": lambda: all_curves(*arrays),
        },
        turns,
    )
    for name, value in seconds.items():
        print(f"{name}: {value.processor * 1e3:.0f} ms of processor time for 1000 x 208")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer tree fits, three turns")
    quick = parser.parse_args().quick
    turns = 3 if quick else 5
    for classifier, n in ((LogisticRegression(), 1000), (XGBoost(), 300), (CatBoost(), 300)):
        measure(classifier, n if quick else 1000, turns)
    measure_metrics(turns)


if __name__ == "__main__":
    main()

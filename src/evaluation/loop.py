"""The resampling loop: one classifier, fitted on every resample, predicting everybody every time."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from src.evaluation.auc import auroc
from src.evaluation.fits import Fits, Part
from src.evaluation.metrics import brier
from src.evaluation.resampling import (
    EvaluationError,
    apparent_random_state,
    check_labels,
    inbag_counts,
    left_out,
    random_states,
    resample_id,
    train_rows,
)
from src.isolation import THREAD_VARIABLES, die_with_parent

CHUNK = 20  # iterations a worker does between two reports: 20 ms to 0.3 s of work against 0.3 ms of messages

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class BootstrapResult:
    """Everything one combination's resampling produced; n recordings, B iterations.

    Parameters
    ----------
    subject_codes : tuple of str, length n
        Recordings, unique.
    groups : tuple of str, length n
        The subject of each recording.
    y : ndarray of int8, shape (n,)
        Labels.
    n_iterations, seed : int
        Of the resampling.
    resample_id : str
        Names the resamples; equal where combinations are paired.
    inbag_counts : ndarray of uint8, shape (B, n)
        How often each recording was trained on.
    random_states : ndarray of int64, shape (B,)
        Of each iteration's fit.
    y_prob_all : ndarray of float32, shape (B, n)
        Probability of class 1 from each iteration's model, for everybody.
    y_prob_apparent : ndarray of float32, shape (n,)
        From the model fitted on everybody.
    auroc, brier : ndarray of float64, shape (B,)
        On the left-out recordings, from the float32 probabilities; NaN where a class is not among them.
    feature_importance : ndarray of float32, shape (B, k)
        What each iteration's model says of the features, each row adding up to 1; NaN where it says nothing.
    permutation_importance : ndarray of float32, shape (B, k)
        Drop in left-out AUROC when a feature is permuted; NaN rows where it was not computed or has none.
    fit_seconds : float
        Wall-clock time of the loop.
    """

    subject_codes: tuple[str, ...]
    groups: tuple[str, ...]
    y: np.ndarray
    n_iterations: int
    seed: int
    resample_id: str
    inbag_counts: np.ndarray
    random_states: np.ndarray
    y_prob_all: np.ndarray
    y_prob_apparent: np.ndarray
    auroc: np.ndarray
    brier: np.ndarray
    feature_importance: np.ndarray
    permutation_importance: np.ndarray
    fit_seconds: float

    @property
    def train_indices(self) -> list[np.ndarray]:
        """Rows of each resample, with repeats."""
        return [train_rows(counts) for counts in self.inbag_counts]

    @property
    def test_indices(self) -> list[np.ndarray]:
        """Rows each resample left out."""
        return [np.flatnonzero(out) for out in left_out(self.inbag_counts)]

    @property
    def y_true(self) -> list[np.ndarray]:
        """Labels of the left-out rows, per iteration."""
        return [self.y[out] for out in left_out(self.inbag_counts)]

    @property
    def y_prob(self) -> list[np.ndarray]:
        """Probabilities of the left-out rows, per iteration."""
        return [p[out] for p, out in zip(self.y_prob_all, left_out(self.inbag_counts), strict=True)]


def bootstrap(
    classifier: Any,
    X: np.ndarray,
    y: np.ndarray,
    subject_codes: Sequence[str],
    groups: Sequence[str],
    n_iterations: int,
    seed: int,
    n_jobs: int = 1,
    progress: Progress | None = None,
    start_method: str | None = None,
    permutation_every: int = 10,
) -> BootstrapResult:
    """Fit a classifier on stratified bootstrap resamples and predict every recording each time.

    Iteration b clones the classifier, gives it the random state that belongs to (`seed`, b), fits it on the
    rows of its resample (repeated as often as drawn) and predicts all rows. Beside that it asks the model for
    its `feature_importances_`, if it has any, and every few iterations measures permutation importances. A
    classifier with `fit_resamples` (`src.classifiers.tabular`) is given many resamples at once instead. The
    result does not depend on `n_jobs`, the predictions not on `permutation_every`.

    Parameters
    ----------
    classifier : estimator
        scikit-learn's `fit` and `predict_proba`, with a `random_state` parameter. `feature_importances_`, an
        attribute of some when fitted, are not negative and add up to 1.
    X : ndarray, shape (n, k)
        Features; NaN where undefined.
    y : array_like, shape (n,)
        Labels 0/1.
    subject_codes : sequence of str, length n
        Recordings, unique.
    groups : sequence of str, length n
        The subject of each recording; a subject's recordings are drawn or left out together.
    n_iterations : int
        Number of resamples B.
    seed : int
        Not negative.
    n_jobs : int
        Processes, at least 1; each holds every library to one thread.
    progress : callable, optional
        Called with (iterations done, B) after every few iterations.
    start_method : {'fork', 'forkserver', 'spawn'}, optional
        How workers start. By default a process with a single thread forks (milliseconds, nothing is
        imported again) and any other uses a fork server (a second, once per process). A caller whose other
        threads hold no locks may ask for 'fork'; one that was itself started by a fork server should, since
        it cannot use that server again.
    permutation_every : int
        Permutation importances are measured in iterations 0, `permutation_every`, ...; 0: in none.

    Returns
    -------
    BootstrapResult

    Raises
    ------
    EvaluationError
        If labels or groups cannot be resampled, the classifier fails (the iteration is named), a probability
        is not a number in [0, 1], there is not one importance per feature, or a worker process dies.
    """
    started = time.perf_counter()
    labels = check_labels(y)
    features = np.ascontiguousarray(X, dtype=np.float64)
    _check_inputs(features, labels, subject_codes)
    _check_numbers(n_jobs, permutation_every)
    counts = inbag_counts(labels, groups, n_iterations, seed)
    states = random_states(seed, n_iterations)
    everybody = np.ones_like(counts[:1])
    fits = Fits(classifier, features, labels, np.vstack([counts, everybody]), seed, permutation_every)
    p, own, permuted = parts = fits.room(n_iterations + 1)
    done = 0
    for first, chunk in _run(fits, np.append(states, apparent_random_state(seed)), n_jobs, start_method):
        for whole, part in zip(parts, chunk, strict=True):
            whole[first : first + len(part)] = part
        done += len(chunk.p)
        if progress is not None:
            progress(min(done, n_iterations), n_iterations)
    out = left_out(counts)
    return BootstrapResult(
        subject_codes=tuple(map(str, subject_codes)),
        groups=tuple(map(str, groups)),
        y=labels,
        n_iterations=n_iterations,
        seed=seed,
        resample_id=resample_id(seed, n_iterations, subject_codes, labels, groups),
        inbag_counts=counts,
        random_states=states,
        y_prob_all=p[:-1],
        y_prob_apparent=p[-1],
        auroc=auroc(labels, p[:-1], out),
        brier=brier(labels, p[:-1], out),
        feature_importance=own[:-1],
        permutation_importance=permuted[:-1],
        fit_seconds=time.perf_counter() - started,
    )


def _check_inputs(X: np.ndarray, y: np.ndarray, codes: Sequence[str]) -> None:
    """Refuse rows that do not belong together."""
    if X.ndim != 2 or len(X) != y.size or len(codes) != y.size:
        raise EvaluationError(
            f"{y.size} labels for features of shape {X.shape} and {len(codes)} recordings; "
            "expected one row of features and one recording code per label"
        )
    if len(set(codes)) != len(codes):
        twice = next(code for code in codes if list(codes).count(code) > 1)
        raise EvaluationError(f"recording {twice!r} occurs twice; expected each recording once")


def _check_numbers(n_jobs: int, permutation_every: int) -> None:
    if n_jobs < 1:
        raise EvaluationError(f"n_jobs is {n_jobs}; expected the number of processes, at least 1")
    if permutation_every < 0:
        raise EvaluationError(
            f"permutation_every is {permutation_every}; expected 0 (never), 1 (every iteration) or more"
        )


def _run(fits: Fits, states: np.ndarray, n_jobs: int, start_method: str | None) -> Iterator[tuple[int, Part]]:
    """Yield (first iteration, results) of every chunk, in any order."""
    size = fits.at_once or CHUNK
    chunks = [(first, states[first : first + size]) for first in range(0, len(fits), size)]
    if n_jobs == 1:
        with threadpool_limits(1):
            for first, part in chunks:
                yield first, fits.some(first, part)
    else:
        context = multiprocessing.get_context(start_method or _start_method())
        yield from _run_in_processes(fits, chunks, min(n_jobs, len(chunks)), context)


def _run_in_processes(
    fits: Fits, chunks: list[tuple[int, np.ndarray]], n_workers: int, context: BaseContext
) -> Iterator[tuple[int, Part]]:
    """Spread the chunks over processes; the data travel once, with the start of a process."""
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__, type(fits.classifier).__module__])
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start_worker, initargs=(fits,))
    done = 0
    try:
        with _one_thread_environment():
            futures = {pool.submit(_work, *chunk): chunk[0] for chunk in chunks}
        for future in as_completed(futures):
            yield futures[future], future.result()
            done += 1
    except BrokenProcessPool as error:
        raise EvaluationError(
            f"a worker process died after {done} of {len(chunks)} chunks of iterations (killed, or out of "
            "memory): free memory or run with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_method() -> str:
    """Choose 'fork' where this process has one thread, so that no lock can be held, else 'forkserver'."""
    tasks = Path("/proc/self/task")
    return "fork" if tasks.is_dir() and len(list(tasks.iterdir())) == 1 else "forkserver"


@contextmanager
def _one_thread_environment() -> Iterator[None]:
    """Tell libraries that a new fork server will import to start with one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_fits: Fits | None = None  # what this worker process works on


def _start_worker(fits: Fits) -> None:
    global _fits
    die_with_parent()
    threadpool_limits(1)
    _fits = fits


def _work(first: int, states: np.ndarray) -> Part:
    assert _fits is not None
    return _fits.some(first, states)

"""Processes that work on many files at once, a bounded number at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from src.isolation import THREAD_VARIABLES, die_with_parent
from src.results.safe_pickle import RejectedRun

T = TypeVar("T")

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""What glibc reads: arrays of a few MB come and go, and giving them back to the system costs a tenth."""

_TOO_FEW = 8  # starting processes takes longer than so many files
_AHEAD = 2  # files in work or waiting, with their results, per process: this bounds the memory


class WorkerDiedError(RuntimeError):
    """A process was killed or crashed; the message says what to do."""


class Workers:
    """One process per core, started when there is enough to do, and ended on leaving.

    Parameters
    ----------
    number : int, optional
        Processes; by default as many as cores this process may use.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = number or _cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[Path], T], paths: Sequence[Path]) -> Iterator[T | RejectedRun]:
        """Do the work for every file.

        Parameters
        ----------
        work : callable
            A module-level function of one path; it may raise `RejectedRun`.
        paths : sequence of Path

        Yields
        ------
        object
            In the order of `paths`, what `work` returns, or the `RejectedRun` it raised.

        Raises
        ------
        WorkerDiedError
            If a process is killed or crashes.
        """
        if self.number == 1 or len(paths) < _TOO_FEW:
            for path in paths:
                yield attempt(work, path)
            return
        pool, waiting = self._started(), deque[Future[T | RejectedRun]]()
        try:
            for path in paths:
                waiting.append(pool.submit(attempt, work, path))
                if len(waiting) >= _AHEAD * self.number:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a process that evaluates runs was killed, most likely for want of memory; run it again with "
                "more memory or fewer cores"
            ) from error

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            for variable in THREAD_VARIABLES:  # read by the libraries the processes import
                os.environ.setdefault(variable, "1")
            for variable, value in _KEEP_MEMORY.items():
                os.environ.setdefault(variable, value)
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.number, context, initializer=die_with_parent)
        return self._pool


def attempt(work: Callable[[Path], T], path: Path) -> T | RejectedRun:
    """Return what the work on a file gives, or why the file is rejected."""
    try:
        return work(path)
    except RejectedRun as error:
        return error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Several combinations at once on one machine: threads, each of which waits for a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from src.isolation import start_server

STAGES = ("outlier", "imputation", "features")
"""Stages whose results combinations share, each made from those before it."""


class Stopped(RuntimeError):
    """Somebody stopped the command, and what runs ends with it."""


@dataclass
class _Workers:
    pool: ThreadPoolExecutor
    number: int
    work: list[Future[Any]] = field(default_factory=list)
    stopped_by: BaseException | None = None


_workers: _Workers | None = None


@contextmanager
def workers(number: int) -> Iterator[None]:
    """Let up to `number` pieces of work, that are handed in with `submit`, be done at once; wait for all.

    An error, whether in the work or in the block, is raised when everything that was handed in is done.
    Ctrl-C and `stop` end it.
    """
    global _workers
    start_server()
    pool = ThreadPoolExecutor(number)
    _workers = group = _Workers(pool, number)
    try:
        yield
        for work in group.work:
            with suppress(CancelledError):
                work.exception()
    except KeyboardInterrupt as interruption:
        stop(interruption)
        raise
    finally:
        pool.shutdown()
        _workers = None
    if group.stopped_by is not None:
        raise group.stopped_by
    for work in group.work:
        work.result()


def number_of_workers() -> int:
    """Return how many pieces of work may be done at once; 1 outside `workers`."""
    return 1 if _workers is None else _workers.number


def submit(work: Callable[[], Any]) -> None:
    """Hand in work; without workers it is done now."""
    if _workers is None:
        work()
    elif _workers.stopped_by is not None:
        raise _workers.stopped_by
    else:
        _workers.work.append(_workers.pool.submit(work))


def stop(reason: BaseException) -> BaseException:
    """Begin no more work, and end what runs as soon as it asks `check_going_on`.

    Returns the reason that `workers` will raise: of several the first one.
    """
    if _workers is None:
        return reason
    _workers.stopped_by = _workers.stopped_by or reason
    _workers.pool.shutdown(wait=False, cancel_futures=True)
    return _workers.stopped_by


def check_going_on() -> None:
    """Raise `Stopped` if the command was stopped; work that takes long asks now and then."""
    if _workers is not None and _workers.stopped_by is not None:
        raise Stopped("the command was stopped")


def in_turns(jobs: Sequence[Sequence[str]]) -> list[int]:
    """Return an order of jobs in which neighbours share few stages: of two that do, one would wait.

    Each job is a list of overrides, `stage=method` among them. Those that are the first to need a result come
    first, and take turns in the results they are made from.
    """
    seen: dict[tuple[Any, ...], int] = {}
    ranks = []
    for words in jobs:
        named = [word for word in words if word.partition("=")[0] in (*STAGES, "classifier")]
        chosen = dict(word.split("=", 1) for word in named)
        other = tuple(word for word in words if word not in named)
        shared = [(other, *(chosen.get(stage) for stage in STAGES[: k + 1])) for k in range(len(STAGES))]
        ranks.append([seen.get(results, 0) for results in reversed(shared)])
        seen |= {results: seen.get(results, 0) + 1 for results in shared}
    return sorted(range(len(jobs)), key=lambda k: ranks[k])

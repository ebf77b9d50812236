"""Processes that work on many files at once, a bounded number at a time."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, TypeAlias, TypeVar, cast

from src.isolation import THREAD_VARIABLES, available_cores, die_with_parent
from src.results.safe_pickle import RejectedRun

T = TypeVar("T")
_Task: TypeAlias = "tuple[Path, Future[Any]] | None"

_ROOT = Path(__file__).resolve().parents[2]
_TOO_FEW = 8  # starting processes takes longer than so many files
_AHEAD = 8  # files in work or waiting, with their results, per process: this bounds the memory
_ASKED = 2  # files a process knows of: it need not wait for the next one
_ENVIRONMENT = dict.fromkeys(THREAD_VARIABLES, "1")
_ALLOCATIONS = 100_000  # between two looks for garbage; Python's own number is 700
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers


class WorkerDiedError(RuntimeError):
    """A process was killed or crashed; the message says what to do."""


class Workers:
    """One process per core, started when there is enough to do, and ended on leaving.

    Unlike those of `multiprocessing`, they never run the caller's script again.

    Parameters
    ----------
    number : int, optional
        Processes; by default as many as cores this process may use.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = number or available_cores()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        for process in self._processes:
            process.communicate()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()

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
        self._start()
        tasks, waiting = SimpleQueue[_Task](), deque[Future[T | RejectedRun]]()
        with ThreadPoolExecutor(self.number) as threads:
            for process in self._processes:
                threads.submit(_converse, process, work, tasks)
            try:
                for path in paths:
                    waiting.append(Future())
                    tasks.put((path, waiting[-1]))
                    if len(waiting) >= _AHEAD * self.number:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                if waiting:  # the caller has left before the end: nobody wants what is in work
                    self._kill()
                _empty(tasks)
                tasks.put(None)

    def _start(self) -> None:
        """Start the processes, in the thread whose end they do not survive."""
        places = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(places)}
        command = [sys.executable, "-c", "from src.results.workers import serve; serve()"]
        while len(self._processes) < self.number:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pipesize=2**20
            )
            self._processes.append(process)


def _converse(process: subprocess.Popen[bytes], work: Callable[[Path], T], tasks: SimpleQueue[_Task]) -> None:
    """Have a process do tasks until there is None left; the next one is there before one is done."""
    asked = deque[Future[T | RejectedRun]]()
    task: _Task = None
    try:
        while True:
            while len(asked) < _ASKED and (task := _next(tasks, wait=not asked)):
                asked.append(task[1])
                _send((work, task[0]), cast(IO[bytes], process.stdin))
            if not asked:
                return
            answer = pickle.load(cast(IO[bytes], process.stdout))  # noqa: S301 - from our own process
            asked.popleft().set_result(answer)
    except Exception as error:  # the caller waits for an answer to what was asked, whatever went wrong
        told = _died(error) if isinstance(error, (EOFError, OSError, pickle.UnpicklingError)) else error
        for future in asked:
            future.set_exception(told)
        raise


def _died(error: Exception) -> WorkerDiedError:
    died = WorkerDiedError(
        "a process that evaluates runs died, perhaps for want of memory; what it said stands above"
    )
    died.__cause__ = error
    return died


def _next(tasks: SimpleQueue[_Task], wait: bool) -> _Task:
    """The next task; None at the end, or where there is none and it is not to be waited for."""
    try:
        task = tasks.get(block=wait)
    except Empty:
        return None
    if task is None:
        tasks.put(None)  # the end is the end for every process, and not only once
    return task


def _empty(tasks: SimpleQueue[_Task]) -> None:
    while not tasks.empty():
        tasks.get()


def prefer_speed() -> None:
    """Spend some memory for time in this process, in which arrays of a few MB come and go all the time.

    The C library keeps what is freed: giving it back to the system costs a fifth of the time (without glibc
    nothing changes). Python looks for cyclic garbage seldom: the thousands of arrays of a file set it off.
    """
    gc.set_threshold(_ALLOCATIONS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**30)


def serve() -> None:
    """Do the work that comes in on standard input, and answer on standard output, until there is no more."""
    die_with_parent()
    prefer_speed()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    while True:
        try:
            work, path = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        except EOFError:
            return
        _send(attempt(work, path), answers)


def _send(message: Any, stream: IO[bytes]) -> None:
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def attempt(work: Callable[[Path], T], path: Path) -> T | RejectedRun:
    """Return what the work on a file gives, or why the file is rejected."""
    try:
        return _rejecting(work, path)
    except RejectedRun as error:
        return error


def _rejecting(work: Callable[[Path], T], path: Path) -> T:
    """Do the work; whatever an odd file makes it trip over costs that file, not the others."""
    try:
        return work(path)
    except RejectedRun:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise RejectedRun(f"{path.name} cannot be evaluated: {type(error).__name__} {reason}") from error

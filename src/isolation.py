"""Run work in a child process, so that whatever kills it costs one combination and not the sweep."""

from __future__ import annotations

import ctypes
import errno
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What libraries read at import to know how many threads they may start."""


_HEARTBEAT_S = 1.0
_CLEARED_AWAY_S = 5.0
_PR_SET_PDEATHSIG = 1


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ProcessDied(RuntimeError):
    """The child process ended without an answer."""


def run_isolated(work: Callable[..., Any], *arguments: Any, on_message: Callable[[Any], None]) -> Any:
    """Call `work(*arguments, send)` in a child process and return its result; what it logs is logged here.

    Parameters
    ----------
    work : callable
        A module-level function; its last argument is a function that sends a message to the parent.
    *arguments
        Must be picklable.
    on_message : callable
        Called in the parent with each message, and with None every second without one.

    Raises
    ------
    ProcessDied
        If the child was killed or crashed, with its exit code; or if `work` raised, with what it raised.
    """
    context = _server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, work, arguments))
    try:
        _start(process.start)
    except (EOFError, OSError) as error:
        reason = f"{type(error).__name__} {error}".strip()
        raise ProcessDied(f"the server of processes died, or could not start one ({reason})") from error
    finally:
        sender.close()
    try:
        while True:
            while not receiver.poll(_HEARTBEAT_S):
                on_message(None)
            kind, value = _received(receiver)
            if kind == "message":
                on_message(value)
                continue
            if kind == "log":
                _log(value)
                continue
            process.join()
            if kind == "error":
                raise ProcessDied(value)
            return value
    except EOFError:
        process.join()
        raise ProcessDied(f"the process died with exit code {process.exitcode}") from None
    finally:
        if process.is_alive():
            process.terminate()
            process.join()


def _received(receiver: Connection) -> tuple[str, Any]:
    try:
        return receiver.recv()
    except OSError as error:  # the sender died within a message
        raise EOFError from error


def die_with_parent() -> None:
    """End this process when the one that started it ends, however that happens; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # The kernel does it without a thread, and a process of one thread may fork its workers safely.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    elif (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def start_server() -> None:
    """Start loading the libraries that the child processes will have, before the first one needs them."""
    _server()
    _start(ensure_running)


def _start(start: Callable[[], None]) -> None:
    """Start a process, or the server; one that was killed may refuse until the system has cleared it away."""
    deadline = time.monotonic() + _CLEARED_AWAY_S
    while True:
        try:
            return _starter().submit(start).result()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_CLEARED_AWAY_S / 100)
        except OSError as error:
            if error.errno is None and "too long" in str(error):  # what Python says of a socket's name
                reason = "its name is too long for the sockets of processes (set TMPDIR to a shorter one)"
                raise OSError(errno.ENAMETOOLONG, reason, tempfile.gettempdir()) from error
            raise


@cache
def _starter() -> ThreadPoolExecutor:
    """A thread that starts processes and stays: the server ends with the thread that started it."""
    return ThreadPoolExecutor(1, "starter")


@cache
def _server() -> Any:
    """Start the process that children are forked from: it has loaded the heavy libraries once.

    Libraries read their thread counts at import, so they are set before, whatever the user's environment says
    of them: a worker has its share of the cores. A stage that wants more threads asks its library for them.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["src.preload"])
    return context


def _child(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    die_with_parent()
    to_parent = _ToParent(sender)
    logging.root.handlers = [to_parent]
    logging.root.setLevel(logging.INFO)
    if not sys.warnoptions:  # libraries' warnings; `python -W default -m src.train` shows them
        warnings.simplefilter("ignore")
    try:
        result = work(*arguments, lambda message: to_parent.send("message", message))
    except Exception as error:  # noqa: BLE001 - the parent raises it, and the traceback goes to stderr
        traceback.print_exc()
        to_parent.send("error", f"the process ended with {type(error).__name__}: {error}")
    else:
        to_parent.send("result", result)


class _ToParent(QueueHandler):
    """Sends answers to the parent, and what is logged: its log file is the parent's to write."""

    def __init__(self, sender: Connection) -> None:
        super().__init__(sender)  # type: ignore[arg-type]
        self.sender = sender
        self.pid = os.getpid()

    def send(self, kind: str, value: Any) -> None:
        """Send one message; other threads wait."""
        self.acquire()
        try:
            self.sender.send((kind, value))
        finally:
            self.release()

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record; a process forked from this one must not write between its messages."""
        if os.getpid() == self.pid:
            self.send("log", record)
        elif logging.lastResort is not None and record.levelno >= logging.WARNING:
            logging.lastResort.handle(record)


def _log(record: logging.LogRecord) -> None:
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _exit_after(sentinel: Any) -> None:
    wait([sentinel])
    os._exit(1)

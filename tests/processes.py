"""Processes that a command has started, as the system lists them (/proc)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State, parent and session of a process; None once it is gone."""
    fields = read_of(pid, "stat").rpartition(")")[2].split()
    return (fields[0], int(fields[1]), int(fields[3])) if fields else None


def living() -> dict[int, tuple[int, int]]:
    """Parent and session of every process that is no zombie."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = {pid: _stat(pid) for pid in pids}
    return {pid: (stat[1], stat[2]) for pid, stat in found.items() if stat and stat[0] not in "ZX"}


def in_session(leader: int) -> list[int]:
    """Processes of the session that a command leads, itself included."""
    return [pid for pid, (_, session) in living().items() if session == leader]


def children(pid: int) -> list[int]:
    """Processes that a process has started and that are there."""
    return [child for child, (parent, _) in living().items() if parent == pid]


def forkservers(command: int) -> list[int]:
    """The process beside a command that forks those that compute combinations, if there is one."""
    return [child for child in children(command) if "forkserver" in read_of(child, "cmdline")]


def combinations(command: int) -> list[int]:
    """Processes of a command that compute combinations: forked by the server."""
    return [
        worker
        for server in forkservers(command)
        for worker in children(server)
        if read_of(worker, "cmdline") == read_of(server, "cmdline")  # no program that it asks something
    ]


def read_of(pid: int, what: str) -> str:
    """What the system says of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kill(pid: int) -> bool:
    """Send SIGKILL; return whether the process was there to get it."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for(what: Callable[[], list[int]], process: subprocess.Popen[str]) -> list[int]:
    """Return processes as soon as there are some; none if the command ends before."""
    while process.poll() is None:
        if found := what():
            return found
        time.sleep(0.01)
    return []


def wait_until_gone(leader: int, seconds: float = 30) -> None:
    """Wait until a command has left no process behind; fail if that takes too long."""
    deadline = time.monotonic() + seconds
    while left := in_session(leader):
        assert time.monotonic() < deadline, f"still there: {[read_of(pid, 'cmdline') for pid in left]}"
        time.sleep(0.05)

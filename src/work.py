"""One job of a sweep as it was composed: what it takes to do it in any process, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from src.cluster import running_task
from src.combination import Combination
from src.isolation import ProcessDied, run_isolated
from src.logs import LOG, events, log_file
from src.parallel import Stopped, check_going_on, number_of_workers, stop
from src.pipeline import find_finished, log_failure, open_tracking, run_combination, run_status
from src.progress import Progress
from src.tracking import StoreAway, TrackingError


@dataclass(frozen=True)
class Work:
    """A job as it was composed: all it takes to do it, in any process.

    Parameters
    ----------
    combination : Combination
    baselines : tuple of Combination
        To be run after it unless they are there.
    path : Path
        Of the record that says what became of it.
    planned : int
        Number of jobs, of which this is one.
    """

    combination: Combination
    baselines: tuple[Combination, ...]
    path: Path
    planned: int

    @property
    def progress(self) -> Progress:
        """What shows it."""
        return progress_of(self.planned)

    def __call__(self) -> dict[str, Any]:
        """Run what is not finished yet; leave and return the record.

        Where the store, or the disk, takes no results, the command ends.
        """
        with ending_all():
            with log_file(self.path.with_name(LOG)):
                status = _run(self.combination, self.progress)
                errors = {b.run_name: _ensure_baseline(b, self.progress) for b in self.baselines}
            status["baseline_errors"] = {name: error for name, error in errors.items() if error}
            self.leave(status)
            self.progress.ends(status)
        return status

    def leave(self, status: dict[str, Any]) -> None:
        """Write the record."""
        status["sweep_id"] = self.combination.sweep_id
        write_json(self.path, status)

    def record(self) -> dict[str, Any] | None:
        """Return the record, or None while there is none."""
        try:
            status = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return status if status["sweep_id"] == self.combination.sweep_id else None

    def is_finished(self) -> bool:
        """Whether nothing of it needs to be computed."""
        tracking = open_tracking(self.combination)
        return all(find_finished(c, tracking) for c in (self.combination, *self.baselines))

    def give_up(self, reason: str) -> None:
        """Leave the record that what was to do it died."""
        tracking, started = open_tracking(self.combination), time.time()
        run = find_finished(self.combination, tracking)
        if run is None:
            status = log_failure(self.combination, tracking, self._stage(), ProcessDied(reason), started)
        else:  # it died later, in a baseline
            status = run_status(self.combination, "finished", run, started)
        lost = [b.run_name for b in self.baselines if find_finished(b, tracking) is None]
        status["baseline_errors"] = dict.fromkeys(lost, reason)
        with log_file(self.path.with_name(LOG)):
            events.error("lost %s: %s", self.combination.run_name, reason)
        self.leave(status)

    def _stage(self) -> str:
        """Return the stage its log file says it was in."""
        log = self.path.with_name(LOG)
        begun = re.findall(r" INFO (\w+) \S+: being computed", log.read_text("utf-8") if log.exists() else "")
        return begun[-1] if begun else "setup"


def _run(combination: Combination, progress: Progress) -> dict[str, Any]:
    """Run a combination unless it is finished already; its log file says what became of it."""
    events.info("begins %s%s", combination.run_name, f" in SLURM task {t}" if (t := running_task()) else "")
    status = _run_or_reuse(combination, progress)
    end = f"{status['state']} {status['run_name']}, {status['seconds']:.1f} s, run {status['run_id']}"
    if status["state"] == "failed":
        events.error("%s, in %s: %s", end, status["stage"], status["error"])
    else:
        events.info(end)
    return status


def _run_or_reuse(combination: Combination, progress: Progress) -> dict[str, Any]:
    """Run a combination in a process of its own, unless it is finished already."""
    started = time.time()
    tracking = open_tracking(combination)
    stage = "setup"

    def show(message: Any) -> None:
        nonlocal stage
        check_going_on()
        if message is not None and message[0] == "stage":
            stage = message[1]
        progress.message(message)

    try:
        run = find_finished(combination, tracking)
        if run is not None:
            return run_status(combination, "reused", run, started)
        progress.starts(combination.run_name)
        status = run_isolated(run_combination, combination, on_message=show)
        if status["state"] == "not logged":
            raise status["error"]
    except (ProcessDied, ModuleNotFoundError) as error:
        return log_failure(combination, tracking, stage, error, started)
    if status["state"] == "finished" and combination.kind == "combination" and stage != "classifier":
        status["state"] = "reused"  # nothing was fitted: while this one waited, another sweep finished it
    return status


_one_asks = Lock()  # of the workers


@cache
def seen_baselines() -> set[str]:
    """Keys of the baselines this process has seen to."""
    return set()


def _ensure_baseline(baseline: Combination, progress: Progress) -> str:
    """Run a baseline of the cohort if this process has not seen to it; return why it failed, or nothing."""
    key = baseline.keys()["classifier"]
    with _one_asks:
        if key in seen_baselines():
            return ""
        seen_baselines().add(key)
    return _run(baseline, progress).get("error", "")


@cache
def progress_of(total: int) -> Progress:
    """Return what shows the progress of so many jobs: one for all workers of this process."""
    return Progress(total, number_of_workers())


@contextmanager
def ending_all() -> Iterator[None]:
    """End the command, not one combination, where no results can be kept; of its workers one says so."""
    try:
        yield
    except (OSError, TrackingError) as error:
        end = SystemExit(os.EX_TEMPFAIL if isinstance(error, StoreAway) else 2)
        with _one_asks:
            if stop(end) is end:
                tell(error)
        raise stop(end) from error
    except Stopped as error:  # another one has said why
        raise stop(error) from error


def tell(error: Exception) -> None:
    """Tell a user what to mend."""
    if isinstance(error, BrokenPipeError):
        print("nobody reads any more what this prints: stopped; repeat the command to go on", file=sys.stderr)
    elif isinstance(error, OSError):
        where, do = error.filename or "a file", "make room there or choose another place"
        print(f"cannot use {where}: {error.strerror or error}; {do}, and repeat the command", file=sys.stderr)
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


def write_json(path: Path, contents: Any) -> None:
    """Write a file as a whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(contents, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise

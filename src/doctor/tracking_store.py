"""The tracking store: can it be read and written, and are its addresses those of where it lies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from src.doctor.finding import OK, PROBLEM, WARNING, Finding, Repair, count, reason
from src.doctor.places import Places
from src.tracking import StoredRun, Tracking, TrackingError, is_complete, is_dead, is_local, path_of

_WAIT_S = 2.0
_LOCKED = "is locked by another program: wait until it is done, or end it"
_GET_RIGHT = "get the right to read it and its folder"
_RESTORE = "restore it from a copy, or move it away and run the sweeps again"


def check_store(places: Places) -> Iterator[Finding]:
    """Whether the store answers, is sound and can be written."""
    path = places.sqlite
    try:
        if path is not None and not path.is_file():
            yield Finding("tracking store", WARNING, f"there is no {path} yet: the first run makes it")
            return
        n_runs, odd = len(places.store.runs), tuple(places.store.unreadable)
        trouble = "" if path is None else _damage(path) or _not_writable(path)
    except TrackingError as error:
        yield Finding("tracking store", PROBLEM, _unreadable(path, str(error)))
        return
    except OSError as error:
        yield Finding("tracking store", PROBLEM, f"{reason(error)}; {_GET_RIGHT}")
        return
    if trouble:
        yield Finding("tracking store", PROBLEM, trouble)
    elif odd:
        sentence = f"{places.uri}: {count(n_runs, 'run')}, and rows that are none: they are left alone"
        yield Finding("tracking store", WARNING, sentence, odd)
    else:
        yield Finding("tracking store", OK, f"{places.uri}: {count(n_runs, 'run')}")


def _unreadable(path: Path | None, error: str) -> str:
    if path is None:
        return error
    if "locked" in error:
        return f"{path} {_LOCKED}"
    return f"{error}; {_GET_RIGHT if 'unable to open' in error else _RESTORE}"


def _damage(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            answer = connection.execute("PRAGMA integrity_check(3)").fetchall()
    except sqlite3.DatabaseError as error:
        answer = [(str(error),)]
    if answer == [("ok",)]:
        return ""
    said = "; ".join(" ".join(str(line).split()) for (line,) in answer)
    return f"{path} is damaged ({said}): {_RESTORE}"


def _not_writable(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return f"{path} {_LOCKED}"
        return f"{path} cannot be written ({error}): give yourself the right to, or free disk space"
    return ""


def check_unfinished_runs(places: Places) -> Iterator[Finding]:
    """Whether runs are RUNNING whose process is gone."""
    running = [run for run in places.store.runs if run.status == "RUNNING"]
    dead = [run for run in running if is_dead(run.tags.get("process", ""))]
    if not dead:
        other = f"; {count(len(running), 'run')} of living processes or other machines" if running else ""
        yield Finding("unfinished runs", OK, f"none left by a process that died{other}")
        return

    def close() -> str:
        tracking = Tracking(places.uri, tuple({run.experiment for run in dead}), places.artifacts)
        return f"{count(tracking.close_dead_runs(), 'run')} marked KILLED"

    yield Finding(
        "unfinished runs",
        WARNING,
        f"{count(len(dead), 'run')} left by processes that died: the next run closes them, or --clean now",
        tuple(f"{run.run_name} ({run.run_id})" for run in dead),
        Repair(f"Mark {count(len(dead), 'run')} whose process is gone as KILLED?", close),
    )


@dataclass(frozen=True)
class _Addresses:
    """Finished runs by what became of their artifacts.

    Those that are here, in the store's own place, are stale if the store says another one.
    """

    here: list[StoredRun]
    stale: list[StoredRun]
    elsewhere: list[StoredRun]
    gone: list[StoredRun]


def check_addresses(places: Places) -> Iterator[Finding]:
    """Whether artifacts lie where the store says: a store that was moved or copied says otherwise."""
    root, path = places.artifacts, places.sqlite
    if root is None or path is None:
        yield Finding("artifacts", OK, "are the server's to look after")
        return
    found = _sorted_by_place(places.store.runs, root)
    meant = found.elsewhere and not found.stale  # somebody may have chosen that other place
    locations = [] if meant else _stale_locations(path, root)
    if found.stale or locations:
        yield _moved(places, found, locations)
    elif not found.elsewhere and not found.gone:
        yield Finding("artifacts", OK, f"all in {root}")
    if found.elsewhere:
        sentence = (
            f"{count(len(found.elsewhere), 'finished run')} with artifacts outside {root}: pass "
            "--artifact-root if they are meant to lie there, or copy them here"
        )
        yield Finding("artifacts", WARNING, sentence, _names(found.elsewhere))
    if found.gone:
        yield _without_artifacts(places, root, found)


def _without_artifacts(places: Places, root: Path, found: _Addresses) -> Finding:
    gone = count(len(found.gone), "finished run")
    sentence = (
        f"{gone} without artifacts, or not with all of them: copy them into {root}, or repeat the sweep, "
        "which makes again what is needed, and then delete the others with --clean"
    )
    repair = Repair(
        f"Delete {gone} whose artifacts are gone, with what is left of them?",
        partial(_delete_gone, places, root, {run.run_id for run in found.gone}),
    )
    # Where none has any, they may be on a disk that is not mounted now.
    return Finding("artifacts", PROBLEM, sentence, _names(found.gone), repair if found.here else None)


def _delete_gone(places: Places, root: Path, listed: set[str]) -> str:
    """Delete the runs that were listed and are without artifacts still; nothing reads what is left of those.

    A run's folder that is a link leads out of this store's own place, and its run is left alone.
    """
    gone = [run for run in _sorted_by_place(places.read_again().runs, root).gone if run.run_id in listed]
    folders = [(run, folder) for run in gone if not (folder := _own(run, root).parent).is_symlink()]
    tracking = Tracking(places.uri, tuple({run.experiment for run, _ in folders}), places.artifacts)
    for run, folder in folders:
        folder.mkdir(parents=True, exist_ok=True)  # to be set aside, as all of a run that is discarded is
        tracking.discard(run, folder)
    return f"{count(len(folders), 'run')} deleted"


def _moved(places: Places, found: _Addresses, locations: list[str]) -> Finding:
    root, path = places.artifacts, places.sqlite
    assert root is not None and path is not None

    def rewrite() -> str:
        stale = _sorted_by_place(places.read_again().runs, root).stale
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection, connection:
            connection.executemany(
                "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?",
                [((_own(run, root)).as_uri(), run.run_id) for run in stale],
            )
            connection.executemany(
                "UPDATE experiments SET artifact_location = ? WHERE name = ?",
                [((root / name).as_uri(), name) for name in _stale_locations(path, root)],
            )
        return f"the addresses of {count(len(stale), 'run')} say {root}"

    sentence = (
        f"the store was moved or copied: the addresses of {count(len(found.stale), 'finished run')} and "
        f"{count(len(locations), 'experiment')} are those of another place, where new runs would be written; "
        "--clean corrects them"
    )
    return Finding(
        "artifacts",
        PROBLEM if locations else WARNING,
        sentence,
        _names(found.stale),
        Repair(f"Write {root} into the store as the place of its artifacts?", rewrite),
    )


def _sorted_by_place(runs: list[StoredRun], root: Path) -> _Addresses:
    """Sort runs, oldest first; of those that are gone the ones that were made again do not count."""
    here, elsewhere, experiments = [], [], _experiments()
    gone: dict[tuple[str, str], list[StoredRun]] = {}
    for run in runs:
        if run.status != "FINISHED":
            continue
        key = run.experiment, run.tags.get("stage_key") or run.run_id
        if is_complete(run, _own(run, root)):
            here.append(run)
            gone.pop(key, None)
        elif _may_be_elsewhere(run):
            elsewhere.append(run)
            gone.pop(key, None)
        elif run.experiment in experiments:
            gone.setdefault(key, []).append(run)
    stale = [run for run in here if not _is_stored_as(run, _own(run, root))]
    return _Addresses(here, stale, elsewhere, [run for same in gone.values() for run in same])


def _may_be_elsewhere(run: StoredRun) -> bool:
    """Whether the artifacts are where the store says, or that cannot be told here."""
    try:
        return not is_local(run) or is_complete(run, path_of(run.artifact_uri))
    except PermissionError:
        return True
    except OSError:  # a name that no file can have
        return False


def _is_stored_as(run: StoredRun, own: Path) -> bool:
    try:
        return own.samefile(path_of(run.artifact_uri))
    except (OSError, ValueError):  # there is no such place, or may be none
        return False


def _own(run: StoredRun, root: Path) -> Path:
    return root.absolute() / run.experiment / run.run_id / "artifacts"


def _stale_locations(path: Path, root: Path) -> list[str]:
    """Experiments of this program whose new runs would be written into another folder than the store's."""
    own = _experiments()
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    places = {name: path_of(place or "") for name, place in rows if name in own}
    return [name for name, place in places.items() if place != root.absolute() / name]


def _experiments() -> set[str]:
    from src.registry import load_registry

    return {experiment.experiment for experiment in load_registry().experiments.values()}


def _names(runs: list[StoredRun]) -> tuple[str, ...]:
    return tuple(f"{run.run_name} ({run.experiment}/{run.run_id})" for run in runs)

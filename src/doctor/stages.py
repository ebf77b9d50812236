"""Stages that no combination rests on, and folders of artifacts that no run refers to."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from src.doctor.finding import OK, WARNING, Finding, Repair, count, left_behind, shown, size_of
from src.doctor.places import Places
from src.doctor.results import stages_of
from src.registry import FACTORS, load_registry
from src.results.bootstrap_table import FACTORS as CELL
from src.results.selection import sweeps
from src.results.stores import Store
from src.tracking import RUN_ID, StoredRun, Tracking, TrackingError, is_dead, is_sqlite

_LINKS = tuple(f"{factor.removesuffix('_method')}_run_id" for factor in FACTORS.values())
_STAGE_KEY = re.compile(r"[0-9a-f]+")


def check_orphans(places: Places) -> Iterator[Finding]:
    """Whether there are stages that no combination rests on, and that no planned one waits for."""
    orphans = orphan_stages(places.store, stages_of(places.database))
    if not orphans:
        yield Finding("orphan stages", OK, "none: combinations rest on every stage, or wait for it")
        return
    folders = [folder for run in orphans if (folder := _folder(places, run))]
    size = shown(size_of(folders))
    sentence = (
        f"no combination rests on {count(len(orphans), 'stage')} ({size}): repeat the command that was "
        "interrupted, if one was, or delete them with --clean"
    )
    details = tuple(f"{run.run_name} ({run.experiment}/{run.run_id})" for run in orphans)
    repair = Repair(
        f"Delete {count(len(folders), 'stage')} that no combination rests on ({size})?",
        partial(_discard, places, {run.run_id for run in orphans}),
    )
    yield Finding("orphan stages", WARNING, sentence, details, repair if folders else None)


def _discard(places: Places, listed: set[str]) -> str:
    """Delete what was listed and is an orphan still."""
    found = orphan_stages(places.read_again(), stages_of(places.database))
    folders = [(run, folder) for run in found if run.run_id in listed and (folder := _folder(places, run))]
    tracking = Tracking(places.uri, tuple({run.experiment for run, _ in folders}), places.artifacts)
    for run, folder in folders:
        with tracking.lock(run.tags["stage_key"]):
            tracking.discard(run, folder)
    return f"{count(len(folders), 'stage')} deleted"


def _folder(places: Places, run: StoredRun) -> Path | None:
    """The folder of a run in this store's own place; never that of the store it was copied from.

    What a row says is a part of its path and of its lock's, which must not lead elsewhere.
    """
    is_own = (
        RUN_ID.fullmatch(run.run_id or "")
        and run.experiment in _experiments()
        and _STAGE_KEY.fullmatch(run.tags.get("stage_key") or "")
    )
    if places.artifacts is None or not is_own:
        return None
    folder = places.artifacts / run.experiment / run.run_id
    return folder if folder.is_dir() and not folder.is_symlink() else None


def _experiments() -> list[str]:
    return [experiment.experiment for experiment in load_registry().experiments.values()]


def orphan_stages(store: Store, shown_elsewhere: set[str]) -> list[StoredRun]:
    """Return finished stages that nothing rests on or waits for.

    Kept are those whose rows are in the results database (`shown_elsewhere`), those of living processes and
    of other machines, members of ensembles that are used, and what a planned combination that is not finished
    yet would reuse.
    """
    finished = [run for run in store.runs if run.status == "FINISHED"]
    stages = [run for run in finished if run.tags.get("kind") == "stage"]
    needed = _needed(finished, stages)
    missing = _missing_cells(store, finished)
    return [
        run
        for run in stages
        if run.run_id not in needed | shown_elsewhere
        and is_dead(run.tags.get("process", ""))
        and not any(_may_wait(cell, run) for cell in missing.get(run.tags.get("cohort_hash", ""), []))
    ]


def _needed(finished: list[StoredRun], stages: list[StoredRun]) -> set[str]:
    """Ids of all runs that finished combinations and baselines rest on."""
    by_id = {run.run_id: run for run in stages}
    needed: set[str] = set()
    todo = [run for run in finished if run.tags.get("kind") in ("combination", "baseline")]
    while todo:
        run = todo.pop()
        below = [run.tags.get(link, "") for link in _LINKS] + _members(run, stages)
        new = [run_id for run_id in below if run_id in by_id and run_id not in needed]
        needed.update(new)
        todo += [by_id[run_id] for run_id in new]
    return needed


def _members(ensemble: StoredRun, stages: list[StoredRun]) -> list[str]:
    """Ids of the stages that an ensemble was made of: they are not linked, but were made from the same."""
    names = set((ensemble.tags.get("members") or "").split(", ")) - {""}
    same = ("cohort_hash", "outlier_run_id") if "imputation_method" in ensemble.params else ("cohort_hash",)
    factor = "imputation_method" if "imputation_method" in ensemble.params else "outlier_method"
    return [
        run.run_id
        for run in stages
        if names
        and run.experiment == ensemble.experiment
        and run.params.get(factor) in names
        and all(run.tags.get(tag) == ensemble.tags.get(tag) for tag in same)
    ]


def _missing_cells(store: Store, finished: list[StoredRun]) -> dict[str, list[dict[str, str]]]:
    """Cohort -> planned combinations that are not finished."""
    done = {
        (run.tags.get("cohort_hash"), run.tags.get("resample_id"), *(run.params.get(name) for name in CELL))
        for run in finished
        if run.tags.get("kind") == "combination"
    }
    missing: dict[str, list[dict[str, str]]] = {}
    for sweep in sweeps(store)[0]:
        for cell in sweep.cells:
            if (sweep.cohort_hash, sweep.resample_id, *cell) not in done:
                missing.setdefault(sweep.cohort_hash, []).append(dict(zip(CELL, cell, strict=True)))
    return missing


def _may_wait(cell: dict[str, str], run: StoredRun) -> bool:
    """Whether a combination would reuse a stage: of the same methods, or of members of its ensemble."""
    return all(
        run.params[name] == method or _is_ensemble(name, method)
        for name, method in cell.items()
        if name in run.params
    )


def _is_ensemble(factor: str, method: str) -> bool:
    stage = next(stage for stage, name in FACTORS.items() if name == factor)
    entry = next((m for m in load_registry().methods.values() if (m.stage, m.name) == (stage, method)), None)
    return entry is not None and entry.category == "ensemble"


def check_folders(places: Places) -> Iterator[Finding]:
    """Whether there are folders of artifacts that no run of the store refers to."""
    if places.own_root is not None or places.artifacts is None or places.sqlite is None:
        return  # in a folder of somebody's choice other stores may have theirs
    try:
        lost = _lost_folders(places.artifacts, places.sqlite)
    except TrackingError as error:
        sentence = f"cannot tell which ones no run refers to: {error}; move that file away if it is no store"
        yield Finding("artifact folders", WARNING, sentence)
        return
    yield left_behind(
        "artifact folders",
        lost,
        "artifact folder",
        ok="a run refers to every one",
        sentence="no run refers to {}: delete them with --clean, unless a store in another folder uses them",
        question="Delete {} that no run refers to?",
        do=partial(_delete_lost, places.artifacts, places.sqlite, lost),
    )


def _delete_lost(root: Path, path: Path, listed: list[Path]) -> str:
    try:
        lost = [folder for folder in _lost_folders(root, path) if folder in listed]
    except TrackingError as error:
        return f"nothing is deleted: {error}"
    for folder in lost:
        shutil.rmtree(folder)
    return f"{count(len(lost), 'folder')} deleted"


def _run_ids(path: Path) -> set[str]:
    """Ids of all runs of a sqlite store, deleted ones too; none if the file is another one."""
    try:
        if not is_sqlite(path):
            return set()
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            runs = connection.execute("SELECT run_uuid FROM runs") if ("runs",) in tables else ()
            return {run_id for (run_id,) in runs}
    except sqlite3.Error as error:
        raise TrackingError(f"{path} cannot be read ({error})") from error


def _lost_folders(root: Path, path: Path) -> list[Path]:
    # Before the runs, as a run comes before its folder.
    folders = [folder for name in _experiments() for folder in sorted((root / name).glob("*"))]
    runs = set().union(*map(_run_ids, path.parent.glob("*")))  # stores beside this one share the folder
    return [
        folder
        for folder in folders
        if folder.is_dir()
        and not folder.is_symlink()
        and RUN_ID.fullmatch(folder.name)
        and folder.name not in runs
    ]

"""The results database, and the room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from src.doctor.finding import OK, PROBLEM, WARNING, Finding, count, shown, size_of
from src.doctor.places import ROOT, Places
from src.tracking import DOWNLOADS

_SCARCE, _NONE_LEFT = 5e9, 5e8  # bytes: a sweep of 440 combinations takes some 3 GB
_EXTRACT = "python scripts/extract_results.py"
_REJECTED = "SELECT run_id, run_name, detail FROM excluded_runs WHERE reason = 'rejected' ORDER BY ALL"


def check_database(places: Places) -> Iterator[Finding]:
    """Whether the results database is there, of this version, and has what the store has."""
    from src.results.database import ResultsError, open_results

    runs = places.store.runs
    ended = [r.end_time for r in runs if r.tags.get("kind") in ("combination", "baseline") and r.end_time]
    if not places.database.is_file():
        status = WARNING if ended else OK
        yield Finding("results database", status, f"there is no {places.database} yet; make it: {_EXTRACT}")
        return
    try:
        with open_results(places.database) as database:
            built = database.query("SELECT epoch_ms(created_at) AS built FROM provenance")["built"].iloc[0]
            rejected = database.query(_REJECTED)
    except ResultsError as error:
        yield Finding("results database", PROBLEM, str(error))
        return
    newer = [end for end in ended if end > built]
    if newer:
        sentence = f"{count(len(newer), 'run')} ended after it was built; take them in: {_EXTRACT}"
        yield Finding("results database", WARNING, sentence)
    left_out = rejected[rejected["run_id"].isin([run.run_id for run in runs])]
    if len(left_out):
        sentence = (
            f"{count(len(left_out), 'run')} of the store left out because something is wrong with what is "
            "there: mend that, or delete such a run (mlflow runs delete --run-id ...) and repeat the sweep; "
            f"then take it in: {_EXTRACT}"
        )
        details = tuple(f"{run.run_name} ({run.run_id}): {run.detail}" for run in left_out.itertuples())
        yield Finding("results database", WARNING, sentence, details)
    if not newer and not len(left_out):
        yield Finding("results database", OK, f"{places.database} has every run of the store")


def stages_of(path: Path) -> set[str]:
    """Return the ids of the stage runs that a results database has rows of; none if it cannot be read."""
    from src.results.database import ResultsError, open_results

    if not path.is_file():
        return set()
    try:
        with open_results(path) as database:
            return set(database.query("SELECT run_id FROM stage_runs")["run_id"])
    except ResultsError:  # `check_database` says so
        return set()


def check_disk(places: Places) -> Iterator[Finding]:
    """How much room each kind of file takes, and how much is left."""
    from src.networks.weights import place_of

    root = places.artifacts
    kinds: dict[str, list[Path]] = {
        "cohorts": [places.data / "cohorts"],
        "weights": [place_of("")],
        "results database": [places.database],
        "figures and reports": [places.here / "figures", places.here / "results"],
        "sweeps' folders and logs": [places.here / "multirun", places.here / "outputs"],
    }
    if places.sqlite is not None:
        kinds["tracking store"] = list(places.sqlite.parent.glob(f"{places.sqlite.name}*"))
    kinds["downloads from servers (you may delete them)"] = [DOWNLOADS]
    if root is not None and root.is_dir():
        kinds["checkpoints"] = [root / ".unfinished"]
        kinds |= {f"artifacts {f.name}": [f] for f in sorted(root.iterdir()) if not f.name.startswith(".")}
    sizes = {kind: size_of(path for path in paths if path.exists()) for kind, paths in kinds.items()}
    details = tuple(f"{kind}: {shown(size)}" for kind, size in sizes.items() if size)
    place = next(p for p in (root, *(root.parents if root else ()), ROOT) if p is not None and p.is_dir())
    free = shutil.disk_usage(place).free
    status = OK if free > _SCARCE else WARNING if free > _NONE_LEFT else PROBLEM
    sentence = f"{shown(sum(sizes.values()))} used, {shown(free)} free"
    sentence += "" if status == OK else ": make room, or use another tracking.uri"
    yield Finding("disk", status, sentence, details)

"""What interrupted work left behind: checkpoints, drafts of files, temporary folders."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from src.doctor.finding import OK, WARNING, Finding, Repair, count, shown, size_of
from src.doctor.places import Places
from src.tracking import HERE, is_alive

_DRAFT = re.compile(r"\..+\.(?P<pid>\d+)(\.building.*)?")
_TEMPORARY = re.compile(r"\.writing-\w+|\.removed-\w+|\..+\.part|plr-(artifacts|study)-\w+")
_HOUR_S, _DAY_S = 3600, 24 * 3600


def check_checkpoints(places: Places) -> Iterator[Finding]:
    """Whether trainings that were interrupted left checkpoints."""
    root = places.artifacts or HERE
    left = [folder for folder in _checkpoints(root) if not _in_use(root, folder.name)]
    if not left:
        yield Finding("checkpoints", OK, "none left by an interrupted training")
        return
    size = shown(size_of(left))
    yield Finding(
        "checkpoints",
        WARNING,
        f"{count(len(left), 'interrupted training')} ({size}): repeat the command, which goes on there, or "
        "give them up with --clean",
        tuple(str(folder) for folder in left),
        Repair(
            f"Delete the checkpoints of {count(len(left), 'interrupted training')} ({size})?",
            partial(_give_up, root, left),
        ),
    )


def _checkpoints(root: Path) -> list[Path]:
    return sorted(folder for folder in (root / ".unfinished").glob("*") if folder.is_dir())


def _in_use(root: Path, key: str) -> bool:
    """Whether a process of this store computes the stage: it holds the lock then."""
    if not (root / ".locks" / key).exists():
        return False
    try:
        with FileLock(root / ".locks" / key, timeout=0):
            return False
    except Timeout:
        return True


def _give_up(root: Path, listed: list[Path]) -> str:
    n_deleted = 0
    for folder in listed:
        if folder.is_dir() and not _in_use(root, folder.name):
            shutil.rmtree(folder)
            n_deleted += 1
    return f"checkpoints of {count(n_deleted, 'training')} deleted"


def check_drafts(places: Places) -> Iterator[Finding]:
    """Whether processes that died left files half written."""
    left = _drafts(places)
    if not left:
        yield Finding("half-written files", OK, "none")
        return
    size = shown(size_of(left))
    yield Finding(
        "half-written files",
        WARNING,
        f"{len(left)} left by processes that died ({size}): nothing reads them; delete them with --clean",
        tuple(str(path) for path in left),
        Repair(f"Delete {count(len(left), 'half-written file')} ({size})?", partial(_delete, places, left)),
    )


def _delete(places: Places, listed: list[Path]) -> str:
    left = [path for path in _drafts(places) if path in listed]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return f"{count(len(left), 'half-written file')} deleted"


def _drafts(places: Places) -> list[Path]:
    """Drafts whose writer is gone; another machine's are told by their age, those without a writer too."""
    from src.networks.weights import place_of

    folders = [places.database.parent, Path(tempfile.gettempdir()), places.data / "cohorts"]
    folders += [] if places.sqlite is None else [places.sqlite.parent]
    found = [path for folder in folders for path in folder.glob("*")]
    deep = [places.here / "multirun", places.here / "outputs", places.data / "private", place_of("")]
    deep += [places.artifacts or HERE]
    found += [path for folder in deep for path in folder.rglob(".*")]
    return sorted({path.absolute() for path in found if not path.is_symlink() and _is_left(path)})


def _is_left(path: Path) -> bool:
    try:
        age_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if draft := _DRAFT.fullmatch(path.name):
        return age_s > _HOUR_S and not is_alive(int(draft["pid"]))
    return age_s > _DAY_S and _TEMPORARY.fullmatch(path.name) is not None

"""What interrupted work left behind: checkpoints, drafts of files, temporary folders."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from src.doctor.finding import Finding, count, left_behind
from src.doctor.places import Places
from src.tracking import HERE, is_alive

_PID = r"\.(?P<pid>[0-9]{1,7})"
_RANDOM = "[a-z0-9_]{8}"  # as tempfile ends its names
_HOUR_S, _DAY_S = 3600, 24 * 3600


def check_checkpoints(places: Places) -> Iterator[Finding]:
    """Whether trainings that were interrupted left checkpoints."""
    root = places.artifacts or HERE
    left = [folder for folder in _checkpoints(root) if not _in_use(root, folder.name)]
    yield left_behind(
        "checkpoints",
        left,
        "interrupted training",
        ok="none left by an interrupted training",
        sentence="{}: repeat the command, which goes on there, or give them up with --clean",
        question="Delete the checkpoints of {}?",
        do=partial(_give_up, root, left),
    )


def _checkpoints(root: Path) -> list[Path]:
    found = (root / ".unfinished").glob("*")
    return sorted(folder for folder in found if folder.is_dir() and not folder.is_symlink())


def _in_use(root: Path, key: str) -> bool:
    """Whether a process of this store computes the stage: it holds the lock then."""
    try:
        if not (root / ".locks" / key).exists():
            return False
        with FileLock(root / ".locks" / key, timeout=0):
            return False
    except (Timeout, PermissionError):  # somebody else's lock cannot be tried
        return True


def _give_up(root: Path, listed: list[Path]) -> str:
    n_deleted = 0
    for folder in listed:
        if folder in _checkpoints(root) and not _in_use(root, folder.name):
            shutil.rmtree(folder)
            n_deleted += 1
    return f"checkpoints of {count(n_deleted, 'training')} deleted"


def check_drafts(places: Places) -> Iterator[Finding]:
    """Whether processes that died left files half written."""
    left = _drafts(places)
    yield left_behind(
        "half-written files",
        left,
        "half-written file",
        ok="none",
        sentence="{} left by processes that died: nothing reads them; delete them with --clean",
        question="Delete {}?",
        do=partial(_delete, places, left),
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
    return sorted(
        {
            path.absolute()
            for paths, names in _written(places)
            for path in paths
            if (name := re.fullmatch(names, path.name)) and _is_left(path, name.groupdict().get("pid"))
        }
    )


def _written(places: Places) -> Iterator[tuple[Iterator[Path], str]]:
    """What lies where this program writes, and how it names its drafts there; others have files there too."""
    from src.networks.weights import load_weights, place_of

    database, page = re.escape(places.database.name), re.escape(places.database.stem)
    yield (
        places.database.parent.glob(".*"),
        rf"\.({database}|{page}_dictionary\.html){_PID}(\.building.*)?",
    )
    yield Path(tempfile.gettempdir()).glob("plr-*"), f"plr-(artifacts|study)-{_RANDOM}"
    yield (places.data / "cohorts").glob(".*"), rf"\.writing-{_RANDOM}"
    yield (places.data / "private").rglob(".*"), rf"\.writing-{_RANDOM}"
    for name in ("multirun", "outputs"):
        yield (places.here / name).rglob(".*"), rf"\.(status|planned)\.json{_PID}"
    for name, weights in load_weights().items():
        yield place_of(name).rglob(".*"), rf"\.({'|'.join(map(re.escape, weights.files))})\.part"
    root = places.artifacts or HERE
    yield (root / ".unfinished").rglob(".*"), rf"\.network-\d+\.pt{_PID}"
    yield root.rglob(".*"), rf"\.removed-[0-9a-f]{{32}}|\.{_RANDOM}\.part"
    if places.sqlite is not None:
        yield places.sqlite.parent.glob(".*"), rf"\.{re.escape(places.sqlite.name)}{_PID}"


def _is_left(path: Path, pid: str | None) -> bool:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    age_s, is_own = time.time() - facts.st_mtime, facts.st_uid == os.geteuid()
    if path.is_symlink() or not is_own:
        return False
    return age_s > _DAY_S if pid is None else age_s > _HOUR_S and not is_alive(int(pid))

"""Replacing a database in one step: readers see the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from src.results.database import CONFIG, damage, is_locked

log = logging.getLogger(__name__)

_MAGIC = slice(8, 12)  # of the file: where every DuckDB file says that it is one


class PublishingError(RuntimeError):
    """The database cannot be put in its place; the message says why."""


@contextmanager
def new_version(target: Path) -> Iterator[Path]:
    """Build a new version of a results database beside it and move it into place at the end.

    One process at a time; others wait. An exception or a kill leaves the old version as it was; what a killed
    process left behind is removed by the next.

    Parameters
    ----------
    target : Path
        The database; its folder is made if need be.

    Yields
    ------
    Path
        Where to build the new version.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    PublishingError
        If `target` is a file that is no results database, or so damaged that nobody can tell.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.building")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        _refuse_other_file(target)
        _remove_drafts(target)
        try:
            yield draft
            draft.replace(target)
        finally:
            _remove_drafts(target)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    # The lock file stays: removing it would let two waiting processes lock two different files.
    file = target.with_name(f".{target.name}.lock")
    file.touch()  # FileLock takes a folder where no file can be made for one where another process is busy
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Another extraction is writing %s; waiting for it", target)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_drafts(target: Path) -> None:
    for left in target.parent.glob(f".{target.name}.*.building*"):
        left.unlink()


def _refuse_other_file(target: Path) -> None:
    """Nobody's cohort file is replaced because of a mistyped option."""
    if not target.exists():
        return
    try:
        with duckdb.connect(str(target), read_only=True, config=CONFIG) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    except duckdb.Error as error:
        if is_locked(error):
            raise PublishingError(f"{target} is open in another program; close it there") from error
        if (reason := damage(error)) and _is_duckdb(target):
            raise PublishingError(
                f"{target} cannot be opened ({reason}); if it is a damaged results database, delete it and "
                "repeat the command, otherwise choose another --db"
            ) from error
        raise PublishingError(f"{target} exists and is no results database; choose another --db") from error
    if ("provenance",) not in tables:
        raise PublishingError(f"{target} exists and is no results database; choose another --db")


def _is_duckdb(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(_MAGIC.stop)[_MAGIC] == b"DUCK"

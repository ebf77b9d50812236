"""What the database now in place holds, so that the next extraction need not compute it again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path

import duckdb

from src.results.bootstrap_table import FACTORS
from src.results.database import CONFIG, damage
from src.results.run_evaluation import Identity
from src.results.run_facts import RunFacts

log = logging.getLogger(__name__)

_SRC = Path(__file__).resolve().parents[1]
_ROOMS = ("evaluation", "results")
_LIBRARIES = ("numpy", "scipy")


@dataclass(frozen=True)
class StageFile:
    """A stage run whose rows are there: digest of its files' states, and what was counted in them."""

    stage: str
    files: str
    n_unusable: int | None
    n_recordings: int | None


@dataclass(frozen=True)
class Previous:
    """Runs whose rows can be taken over; nothing, where there is no database of this code."""

    cohort_hash: str = ""
    resample_id: str = ""
    runs: Mapping[str, RunFacts] = field(default_factory=dict)
    factors: Mapping[str, dict[str, str]] = field(default_factory=dict)
    stages: Mapping[str, StageFile] = field(default_factory=dict)

    def of(self, cohort_hash: str, resample_id: str) -> Previous:
        """Return itself if it is about this cohort and these resamples, otherwise nothing."""
        return self if (self.cohort_hash, self.resample_id) == (cohort_hash, resample_id) else Previous()

    def unchanged(self, run_id: str, path: Path) -> RunFacts | None:
        """What is known of the run, if its file is still the one its rows come from."""
        facts = self.runs.get(run_id)
        return facts and facts.still_of(path)

    def identity(self, run_id: str, path: Path) -> Identity | None:
        """What the run's file is about, if it is known."""
        facts = self.unchanged(run_id, path)
        if facts is None:
            return None
        return Identity(self.factors[run_id], facts.cohort_hash, facts.resample_id, facts.is_foreign)


def evaluation_code() -> str:
    """Digest of the sources and libraries that decide what the rows of a run are.

    Everything in the rooms `evaluation` and `results` counts, schema and views included: their tables are
    those of the database that is taken over.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for room in _ROOMS for path in (_SRC / room).rglob("*")):
        if path.suffix in (".py", ".sql"):
            digest.update(f"{path.relative_to(_SRC).as_posix()}\n".encode() + path.read_bytes())
    digest.update(" ".join(version(library) for library in _LIBRARIES).encode())
    return digest.hexdigest()


def read_previous(path: Path, code: str) -> Previous:
    """Read what can be taken over from a database: nothing, with a warning, where any of it is damaged.

    Parameters
    ----------
    path : Path
        A results database, or a file that does not exist.
    code : str
        `evaluation_code`: a database made by other code gives nothing.
    """
    if not path.exists():
        return Previous()
    try:
        with duckdb.connect(str(path), read_only=True, config=CONFIG) as connection:
            return _read(connection) if _is_of(connection, code) else Previous()
    except duckdb.Error as error:
        if not (reason := damage(error)):
            raise
        log.warning("%s is damaged (%s): nothing is taken over, every run is evaluated again", path, reason)
        return Previous()


def _read(connection: duckdb.DuckDBPyConnection) -> Previous:
    _read_every_block(connection)
    where = connection.execute("SELECT cohort_hash, resample_id FROM provenance").fetchone() or ("", "")
    names = [f.name for f in fields(RunFacts)]
    files = connection.execute(f"SELECT run_id, {', '.join(names)} FROM run_files").fetchall()
    cells = connection.execute(f"SELECT run_id, {', '.join(FACTORS)} FROM runs").fetchall()
    stages = connection.execute(
        "SELECT run_id, stage, files, n_unusable, n_recordings FROM stage_runs"
    ).fetchall()
    return Previous(
        cohort_hash=where[0],
        resample_id=where[1],
        runs={run_id: RunFacts(*values) for run_id, *values in files},
        factors={run_id: dict(zip(FACTORS, cell, strict=True)) for run_id, *cell in cells},
        stages={run_id: StageFile(*values) for run_id, *values in stages},
    )


def _read_every_block(connection: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB check what is going to be copied unread: damage would only be found by who needs it."""
    for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        connection.execute(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {table}").fetchall()


def _is_of(connection: duckdb.DuckDBPyConnection, code: str) -> bool:
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'provenance'"
    ).fetchall()
    if ("evaluation_code",) not in columns:
        return False
    return connection.execute("SELECT evaluation_code FROM provenance").fetchall() == [(code,)]

"""A small study to be disturbed: its commands, its processes, and what must be the same afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
from commands import ROOT, env
from processes import in_session, kill, read_of, wait_until_gone

from src.doctor.examination import examine
from src.doctor.finding import PROBLEM
from src.doctor.places import Places
from src.tracking import list_runs

KILLS = int(os.environ.get("FAULT_KILLS", "3"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
REPORT = os.environ.get("FAULT_REPORT")

CELLS = ("outlier=pupil-gt,SpeedMAD,Hampel", "imputation=linear,PCHIP", "classifier=LogisticRegression")
N_CELLS = 6
SMALL = ("data=smoke", "profile=smoke", "evaluation.n_iterations=20", "evaluation.n_jobs=1")
TWO_WORKERS = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
NOT_COMPARED = (
    {"created_at", "started_at", "modified_ns", "duration_s", "fit_seconds"}
    | {"digest", "files"}  # of files with times in them
    | {"sweep_id", "code_commit", "file_bytes"}  # somebody may commit while tests run, and files say so
)
"""Columns in which two undisturbed databases may differ."""
TRACES = ("failed", "unfinished")
"""Why runs that a disturbance ended are left out of a database; an undisturbed one has none of them."""
STAGE_LINKS = ("outlier_run_id", "imputation_run_id", "featurization_run_id")


class Study:
    """A store of runs, a database, and the commands that fill them.

    Parameters
    ----------
    folder : Path
        Everything but temporary files is written there.
    store : Path
        An empty store of runs, which is copied unless the folder has one.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # A short path: names of sockets, which lie there, have at most a hundred letters.
        self.temporary = Path(tempfile.mkdtemp(prefix="plr-t-"))
        weakref.finalize(self, shutil.rmtree, self.temporary, ignore_errors=True)
        self.started: list[subprocess.Popen[str]] = []
        if not (folder / "mlflow.db").exists():
            (folder / "mlflow.db").write_bytes(store.read_bytes())
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.db = folder / "results" / "results.db"

    def sweep(self, *words: str) -> tuple[str, ...]:
        """The command that runs all cells; each time it is made it has another folder for the jobs."""
        places = f"tracking.uri={self.uri}", f"hydra.sweep.dir={self.folder}/multirun/{time.time_ns()}"
        return "-m", "src.train", "-m", *CELLS, *SMALL, *places, *words

    def extraction(self, *words: str) -> tuple[str, ...]:
        """The command that builds the database."""
        return "scripts/extract_results.py", "--tracking-uri", self.uri, "--db", str(self.db), *words

    def start(self, command: tuple[str, ...]) -> subprocess.Popen[str]:
        """Start a command in a session of its own, by which its processes can be found."""
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env(ROOT) | {"TMPDIR": str(self.temporary)},
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def complete(self, command: tuple[str, ...]) -> str:
        """Run a command that must succeed; return what it printed."""
        process = self.start(command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, f"exit {process.returncode} of {' '.join(command)}\n{output}"
        wait_until_gone(process.pid)
        return output

    def close(self) -> list[int]:
        """End what is still there of its commands; return the processes that were."""
        left = [pid for process in self.started for pid in in_session(process.pid) if self._owns(pid)]
        for pid in left:
            kill(pid)
        for process in self.started:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self.started = []
        return left

    def _owns(self, pid: int) -> bool:
        """Whether a process is of this study: ids of ended ones are given to others."""
        return f"TMPDIR={self.temporary}\0" in read_of(pid, "environ")


@dataclass(frozen=True)
class Undisturbed:
    """A study that nothing happened to, and how long its commands took."""

    study: Study
    sweep_s: float
    extraction_s: float

    @property
    def db(self) -> Path:
        """Its database."""
        return self.study.db


# --- databases ---------------------------------------------------------------------------------------


def differences(reference: Path, other: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return, for each table in which two databases differ, rows missing in the other and rows too many.

    Every value of every column counts to the last bit, but for `NOT_COMPARED` and the order of rows; ids of
    runs are replaced by what was run.
    """
    expected, found = contents(reference), contents(other)
    different = {}
    for table in sorted(expected | found):
        a, b = expected.get(table, Counter()), found.get(table, Counter())
        if a != b:
            different[table] = list((a - b).elements()), list((b - a).elements())
    return different


def assert_same_results(reference: Path, other: Path) -> None:
    """Fail, with a few rows of each table, if two databases differ."""
    lines = []
    for table, (missing, extra) in differences(reference, other).items():
        lines.append(f"{table}: {len(missing)} rows missing, {len(extra)} too many")
        lines += [f"  missing {row[:300]}" for row in missing[:3]] + [
            f"  extra {row[:300]}" for row in extra[:3]
        ]
    assert not lines, "\n".join(lines)


def rows_lost(reference: Path, other: Path) -> int:
    """Return how many rows of a database are not in the other, as they are."""
    return sum(len(missing) for missing, _ in differences(reference, other).values())


def contents(database: Path) -> dict[str, Counter[str]]:
    """Return what is compared: the rows of each table, its first one the names of its columns."""
    return _contents(database, database.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _contents(database: Path, _changed: int) -> dict[str, Counter[str]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        names = _names_of_runs(connection)
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        return {table: Counter(_rows(connection, table, names)) for (table,) in tables}


def _rows(connection: duckdb.DuckDBPyConnection, table: str, names: dict[str, str]) -> Iterator[str]:
    columns = [column[0] for column in connection.execute(f'FROM "{table}" LIMIT 0').description]
    yield repr(columns)
    kept = [column for column in columns if column not in NOT_COMPARED]
    ids = [k for k, column in enumerate(kept) if "run_id" in column]
    chosen = ", ".join(f'"{column}"' for column in kept)
    condition = f"reason NOT IN {TRACES}" if table == "excluded_runs" else "TRUE"
    for row in connection.execute(f'SELECT {chosen} FROM "{table}" WHERE {condition}').fetchall():
        named = [names.get(row[k], row[k]) for k in ids]
        yield f"{named} {[value for k, value in enumerate(row) if k not in ids]}"


def _names_of_runs(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Id of a run -> its cell; of a stage -> the first cell that rests on it."""
    cells = connection.execute(
        "SELECT concat_ws(' ', kind, featurization, outlier_method, imputation_method, classifier) AS cell, "
        f"run_id, {', '.join(STAGE_LINKS)} FROM runs ORDER BY cell"
    ).fetchall()
    names: dict[str, str] = {}
    for cell, run_id, *stages in cells:
        assert run_id not in names, f"{cell} is there twice"
        names[run_id] = f"the run {cell}"
        for link, stage in zip(STAGE_LINKS, stages, strict=True):
            if stage is not None:
                names.setdefault(stage, f"the {link.removesuffix('_run_id')} of {cell}")
    return names


# --- stores and files --------------------------------------------------------------------------------


def assert_sound(study: Study, reference: Path) -> None:
    """Fail unless a study has what an undisturbed one has, nothing twice, and nothing unfinished."""
    assert_same_results(reference, study.db)
    runs = list_runs(study.uri)
    assert not [run.run_name for run in runs if run.status == "RUNNING"]
    keys = Counter(
        run.tags["stage_key"] for run in runs if run.status == "FINISHED" and "stage_key" in run.tags
    )
    assert not [key for key, n in keys.items() if n > 1], "a stage was computed twice"
    assert_whole_files(study)
    findings = examine(Places(study.uri, study.db, study.folder, data=study.folder / "data"))
    of_study = [finding for finding in findings if finding.check != "half-written files"]  # of the machine
    assert not [finding for finding in of_study if finding.status == PROBLEM or finding.repair]


def assert_whole_files(study: Study) -> None:
    """Fail if a file lies half written where somebody would look for it."""
    for path in (study.folder / "multirun").rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_text(encoding="utf-8"))
    page = study.db.with_name(f"{study.db.stem}_dictionary.html")
    assert {path.name for path in study.db.parent.glob("[!.]*")} <= {study.db.name, page.name}
    if page.exists():
        assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")

"""Reading runs from any MLflow store, or from a plain `mlruns` folder without MLflow."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import yaml

from src.results.bootstrap_pickle import FILE_NAME
from src.results.safe_pickle import RejectedRun
from src.tracking import (
    RUN_ID,
    NoArtifacts,
    StoredRun,
    Tracking,
    TrackingError,
    artifact_folder,
    default_artifact_root,
    is_local,
    is_sqlite,
    list_runs,
)

MAX_LETTERS = 500
"""Longest text of a store that is shown or stands in many rows."""

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_MAX_TEXT = 2**20
_MAX_META = 2**16
_STEPS = 1000  # of SQLite between two looks at their number
_MAX_DEFAULT = 100  # a row may do without it, and have it all the same
_TABLES = ("params", "tags", "latest_metrics", "experiments", "runs")
_STORED_THINGS = re.compile(r"CREATE (TABLE|INDEX|UNIQUE INDEX|TRIGGER)\s", re.IGNORECASE)
_NAME_TAG = "mlflow.runName"
_NO_ID = "its id is none of MLflow's; expected 32 hexadecimal digits"


@dataclass(frozen=True)
class Store:
    """The runs of one store, oldest first.

    Attributes
    ----------
    kind : str
        'sqlite', 'http' or 'mlruns folder'.
    runs : list of StoredRun
    unreadable : dict of str to str
        Runs that could not be read: run id to reason.
    artifacts : callable
        Gives the local folder with a run's artifacts; raises `RejectedRun` where there is none.
    """

    kind: str
    runs: list[StoredRun]
    unreadable: dict[str, str]
    artifacts: Callable[[StoredRun], Path]


def open_store(uri: str | Path, artifact_root: Path | None = None) -> Store:
    """Read the list of runs of a store.

    Parameters
    ----------
    uri : str or Path
        Address of an MLflow store (`sqlite:////absolute/path.db`, `http://...`), path of its sqlite file, or
        a classic `mlruns` folder copied from anywhere.
    artifact_root : Path, optional
        Folder that holds `<experiment>/<run id>/artifacts`, where a store was moved and its stored addresses
        are stale. A classic folder needs none: its artifacts lie beside the runs.

    Returns
    -------
    Store

    Raises
    ------
    TrackingError
        If there is no store at that place, or it cannot be read.
    """
    try:
        return _open(str(uri), artifact_root)
    except OSError as error:
        raise TrackingError(f"the store {error.filename or uri} cannot be read: {error.strerror}") from error
    except sqlite3.Error as error:
        raise TrackingError(f"the store {uri} cannot be read: {error}") from error


def _open(text: str, artifact_root: Path | None) -> Store:
    if text.startswith("file:") or "://" not in text:
        path = Path(unquote(urlparse(text).path) if text.startswith("file:") else text).resolve()
        if path.is_dir():
            return _folder_store(path)
        if not path.is_file():
            raise TrackingError(
                f"there is no store {path}; expected an MLflow sqlite file or an mlruns folder"
            )
        if not is_sqlite(path):
            raise TrackingError(
                f"{path} is no sqlite file; expected an MLflow sqlite file or an mlruns folder"
            )
        text = f"sqlite:///{path}"
    elif not text.startswith(("sqlite:///", "http://", "https://")):
        raise TrackingError(
            f"there is no store {text}; expected sqlite:////absolute/path.db or http://server:port"
        )
    return _mlflow_store(text, artifact_root)


def can_be_shown(text: object) -> bool:
    """Whether this is a text that can stand in the database: not empty, printable and not too long.

    Letters that UTF-8 has no bytes for are not printable.
    """
    return isinstance(text, str) and 0 < len(text) <= MAX_LETTERS and text.isprintable()


def shown(text: str) -> str:
    """The text, cut, and with question marks for what cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_LETTERS])


def read_artifact(folder: Path, name: str) -> Path:
    """Path of one artifact.

    Raises
    ------
    RejectedRun
        If it is missing, or is a link or lies elsewhere: artifacts of a store never lead out of it.
    """
    path = folder / name
    try:
        found = path.is_file()
    except OSError as error:
        raise RejectedRun(f"the artifact {name} cannot be read: {error.strerror}") from error
    if not found:
        raise RejectedRun(f"the artifact {name} is missing")
    if path.is_symlink() or path.resolve().parent != folder.resolve():
        raise RejectedRun(f"the artifact {name} is a link out of the run's folder")
    return path


def _mlflow_store(uri: str, artifact_root: Path | None) -> Store:
    is_file = uri.startswith("sqlite:")
    runs, unreadable = _sqlite_runs(Path(uri.removeprefix("sqlite:///"))) if is_file else (list_runs(uri), {})
    opened: list[Tracking] = []

    def artifacts(run: StoredRun) -> Path:
        try:
            folder = artifact_folder(run, artifact_root or default_artifact_root(uri))
            is_there = folder.is_dir()
        except OSError as error:  # a name no file can have
            raise RejectedRun(f"the address of its artifacts cannot be used: {error.strerror}") from error
        if is_there:
            return folder
        if is_file or is_local(run):
            raise RejectedRun("its artifacts are not where the store says; pass --artifact-root")
        if not opened:
            opened.append(Tracking(uri, (), artifact_root))
        try:
            # Of runs of other programs on a server one file is of use, whatever else they keep there.
            return opened[0].artifacts(run, "" if "kind" in run.tags else FILE_NAME)
        except NoArtifacts as error:
            raise RejectedRun(str(error)) from error

    return Store("sqlite" if is_file else "http", runs, unreadable, artifacts)


class _Bound:
    """Ends reading a sqlite file that gives more than it holds: its pages may lead in circles.

    Of sound stores a byte takes less than 0.1 steps; 1.4 where all texts are empty and there is no index.
    """

    def __init__(self, n_bytes: int) -> None:
        self.steps = self.n_bytes = 2**20 + 4 * n_bytes

    def step(self) -> bool:
        """Count `_STEPS` of SQLite's steps, and say whether they are too many."""
        self.steps -= _STEPS
        return self.is_over

    def text(self, text: bytes) -> str:
        """Count a text and decode it: a column of SQLite may hold anything, whatever its type says."""
        self.n_bytes -= len(text)
        if self.is_over:
            raise sqlite3.DatabaseError
        return text.decode("utf-8", "replace")

    @property
    def is_over(self) -> bool:
        """Whether more was read than a sound file gives."""
        return min(self.steps, self.n_bytes) < 0


def _bytes_of(path: Path) -> int:
    """Size of a sqlite file and of its log of changes."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _sqlite_runs(path: Path) -> tuple[list[StoredRun], dict[str, str]]:
    """Every run of a sqlite file, oldest first, and those without a usable id, with the reason.

    By SQL, as importing MLflow takes two seconds.
    """
    if not path.is_file():
        raise TrackingError(
            f"no MLflow store at {path}; expected the file a sweep writes: run one, or pass --tracking-uri"
        )
    bound = _Bound(_bytes_of(path))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = bound.text
            connection.set_progress_handler(bound.step, _STEPS)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT)
            connection.execute("BEGIN")  # all answers from one moment
            _check_schema(connection)
            params = _by_run(connection, f"{_text_of('value')} FROM params")
            tags = _by_run(
                connection,
                f"{_text_of('value')} FROM tags WHERE (key NOT LIKE 'mlflow.%' OR key = '{_NAME_TAG}')",
            )
            metrics = _by_run(
                connection,
                "CASE WHEN is_nan OR typeof(value) = 'text' THEN NULL ELSE CAST(value AS REAL) END "
                "FROM latest_metrics",
            )
            experiments = dict(
                connection.execute(
                    f"SELECT CAST(experiment_id AS TEXT), {_text_of('name')} FROM experiments "
                    "WHERE lifecycle_stage = 'active'"
                )
            )
            rows = connection.execute(
                f"SELECT {_text_of('run_uuid')}, CAST(name AS TEXT), CAST(experiment_id AS TEXT), "
                f"{_text_of('status')}, start_time, end_time, {_text_of('artifact_uri')} FROM runs "
                "WHERE lifecycle_stage = 'active' ORDER BY start_time, run_uuid"
            ).fetchall()
    except sqlite3.Error as error:
        why = "it is damaged, and gives more than it holds" if bound.is_over else error
        raise TrackingError(
            f"the store {path} cannot be read: {why}; expected an MLflow sqlite file"
        ) from error
    of_experiments = [row for row in rows if row[2] in experiments]
    unreadable = {shown(row[0]): _NO_ID for row in of_experiments if not RUN_ID.fullmatch(row[0])}
    runs = {
        run_id: StoredRun(
            *(run_id, shown(_run_name(name, tags.get(run_id, {}))), experiments[experiment], shown(status)),
            *(_milliseconds(start) or 0, _milliseconds(end)),
            params=params.get(run_id, {}),
            tags={k: v for k, v in tags.get(run_id, {}).items() if k != _NAME_TAG},
            metrics={k: float("nan") if v is None else v for k, v in metrics.get(run_id, {}).items()},
            artifact_uri=uri,
        )
        for run_id, name, experiment, status, start, end, uri in of_experiments
        if RUN_ID.fullmatch(run_id)
    }
    return list(runs.values()), unreadable


def _run_name(name: str | None, tags: dict[str, str]) -> str:
    return tags.get(_NAME_TAG, "") if name is None else name


def _check_schema(connection: sqlite3.Connection) -> None:
    """Views, virtual tables, generated columns and long defaults give more than the file holds, or no end."""
    for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if not isinstance(sql, str) or not _STORED_THINGS.match(sql):
            raise sqlite3.DatabaseError(f"it holds {shown(str(sql))[:40]!r}, and MLflow makes tables only")
    for name in _TABLES:
        for *_, default, _, hidden in connection.execute(f"PRAGMA main.table_xinfo({name})"):
            if hidden or len(str(default)) > _MAX_DEFAULT:
                raise sqlite3.DatabaseError(f"its table {name} has values that are not stored")


def _text_of(column: str) -> str:
    return f"coalesce(CAST({column} AS TEXT), '')"


def _by_run(connection: sqlite3.Connection, value_from: str) -> dict[str, dict[str, Any]]:
    """Run id -> key -> value."""
    found: dict[str, dict[str, Any]] = {}
    sql = f"SELECT {_text_of('run_uuid')}, {_text_of('key')}, {value_from}"
    for run_id, key, value in connection.execute(sql):
        found.setdefault(run_id, {})[key] = value
    return found


def _folder_store(root: Path) -> Store:
    if not _experiments(root) and (root / "mlruns").is_dir():
        root = root / "mlruns"
    if not _experiments(root):
        raise TrackingError(f"{root} is no mlruns folder; expected <experiment id>/meta.yaml in it")
    runs: list[StoredRun] = []
    unreadable: dict[str, str] = {}
    for experiment in _experiments(root):
        name = _experiment_name(experiment)
        for folder in _run_folders(experiment):
            try:
                runs += _run(folder, name)
            except RejectedRun as error:
                unreadable[shown(folder.name)] = str(error)
    runs.sort(key=lambda run: (run.start_time, run.run_id))

    def artifacts(run: StoredRun) -> Path:
        # The stored address is from the machine that wrote it; what counts is what lies beside the run.
        folder = Path(run.artifact_uri)
        if not folder.is_dir():
            raise RejectedRun("it has no folder of artifacts")
        return folder

    return Store("mlruns folder", runs, unreadable, artifacts)


def _experiments(root: Path) -> list[Path]:
    return [folder for folder in sorted(root.iterdir()) if _is_own(folder) and _is_experiment(folder)]


def _is_experiment(folder: Path) -> bool:
    """A copy may lack the file that names the experiment, and hold its runs all the same."""
    return (folder / "meta.yaml").is_file() or any(
        (run.parent / "artifacts").is_dir() for run in folder.glob("*/meta.yaml")
    )


def _experiment_name(folder: Path) -> str:
    """Name of an experiment; empty where its folder does not tell."""
    if not (folder / "meta.yaml").is_file():
        return ""
    try:
        return str(_meta(folder).get("name", ""))
    except RejectedRun as error:
        raise TrackingError(
            f"the experiment {shown(str(folder))} cannot be named: {error}; repair or remove that file"
        ) from error


def _run_folders(experiment: Path) -> list[Path]:
    beside = {"tags", "datasets", "models", "traces"}  # MLflow's own folders, beside those of the runs
    return [f for f in sorted(experiment.iterdir()) if _is_own(f) and f.name not in beside]


def _is_own(folder: Path) -> bool:
    """A real folder: nothing outside the store is read through links, and hidden ones hold deleted runs."""
    return folder.is_dir() and not folder.is_symlink() and not folder.name.startswith(".")


def _run(folder: Path, experiment: str) -> list[StoredRun]:
    """The run in this folder; none if it was deleted."""
    if not RUN_ID.fullmatch(folder.name):
        raise RejectedRun(_NO_ID)
    meta = _meta(folder)
    if meta.get("lifecycle_stage") == "deleted":
        return []
    tags = dict(_texts(folder / "tags"))
    status = meta.get("status")
    run = StoredRun(
        run_id=folder.name,
        run_name=shown(str(meta.get("run_name") or tags.get(_NAME_TAG, ""))),
        experiment=experiment,
        status=_STATUS.get(status, "FINISHED")
        if isinstance(status, int)
        else shown(str(status or "FINISHED")),
        start_time=_milliseconds(meta.get("start_time")) or 0,
        end_time=_milliseconds(meta.get("end_time")),
        params=dict(_texts(folder / "params")),
        tags={name: value for name, value in tags.items() if not name.startswith("mlflow.")},
        metrics=dict(_last_values(folder / "metrics")),
        artifact_uri=str(folder / "artifacts"),
    )
    return [run]


class _PlainYaml(yaml.SafeLoader):
    """YAML without aliases, by which a few lines become millions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node; an alias is an error."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _meta(folder: Path) -> dict[str, Any]:
    """What MLflow notes of a run or an experiment: numbers and texts."""
    text = _text(folder / "meta.yaml", _MAX_META)
    try:
        meta = yaml.load(text, _PlainYaml)
    except Exception as error:  # whatever numbers and dates there are none of make the parser trip over
        raise RejectedRun("its meta.yaml is damaged") from error
    if not isinstance(meta, dict) or not all(map(_is_noted, meta.values())):
        raise RejectedRun("its meta.yaml is damaged")
    return meta


def _is_noted(value: Any) -> bool:
    """Whether MLflow may have noted this value; of lists only the empty one of a run's tags."""
    if isinstance(value, int):
        return abs(value) < 2**63
    return not value or isinstance(value, (str, float, date))


def _milliseconds(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**43 else None  # until 2248


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and content of every file below; a name with slashes is stored in folders."""
    if not _is_own(folder):
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(folder.resolve()):
            yield path.relative_to(folder).as_posix(), _text(path).strip("\n")


def _last_values(folder: Path) -> Iterator[tuple[str, float]]:
    """Newest value of every metric: lines of time, value, step."""
    for name, text in _texts(folder):
        fields = text.rsplit("\n", 1)[-1].split()
        try:
            yield name, float(fields[1])
        except (IndexError, ValueError) as error:
            raise RejectedRun(f"its metric {shown(name)} is damaged") from error


def _text(path: Path, limit: int = _MAX_TEXT) -> str:
    """Content of a small text file."""
    name = shown(path.name)
    if path.is_symlink() or not path.is_file():
        raise RejectedRun(f"its {name} is missing")
    if path.stat().st_size > limit:
        raise RejectedRun(f"its {name} has more than {limit} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RejectedRun(f"its {name} is no text") from error
    except OSError as error:
        raise RejectedRun(f"its {name} cannot be read: {error.strerror}") from error

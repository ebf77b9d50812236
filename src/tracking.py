"""MLflow, the only store of runs: log a stage or a run, find it again, read its artifacts."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlparse

from filelock import FileLock

from src.cluster import running_task

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # MLflow's 7 take minutes where no server is

ROOT = Path(__file__).resolve().parents[1]
SCHEMA_VERSION = "1"
_PATIENCE_S = 20  # with others who use a file
_PAGE = 1000  # search_runs returns no more than this at once, without saying so

log = logging.getLogger(__name__)


class TrackingError(RuntimeError):
    """The store of runs cannot be used; the message says which, and what to do."""


@dataclass(frozen=True)
class StoredRun:
    """One run as the store has it; times in milliseconds since 1970."""

    run_id: str
    run_name: str
    experiment: str
    status: str
    start_time: int
    end_time: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    artifact_uri: str


@dataclass(frozen=True)
class Record:
    """What is logged about one run, in as few calls as MLflow allows.

    `artifacts` writes the run's files into the folder it is given.
    """

    experiment: str
    run_name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    artifacts: Callable[[Path], None]
    started: float
    status: str = "FINISHED"


def load_libraries() -> None:
    """Import what a sqlite store needs; it takes a second, so do it before forking processes that need it."""
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401

    _let_us_log()


def default_tracking_uri() -> str:
    """Return the address of the store in the repository."""
    return f"sqlite:///{ROOT / 'mlflow.db'}"


class Tracking:
    """A store of runs that is ready for use by several processes.

    Parameters
    ----------
    uri : str
        `sqlite:///` with an absolute path, or the address of an MLflow server.
    experiments : iterable of str
        Experiments that must exist.
    artifact_root : Path, optional
        Folder of the artifacts; beside the sqlite file by default, the server's choice otherwise.

    Raises
    ------
    TrackingError
        If the store cannot be opened.
    """

    def __init__(self, uri: str, experiments: tuple[str, ...], artifact_root: Path | None = None) -> None:
        self.uri = uri
        self._root = artifact_root or default_artifact_root(uri)
        self._locks = self._root / ".locks" if self._root else None
        _check_address(uri)
        _create_file(uri, self._root)
        self._client = _client(uri)
        self._experiments = self._prepare(experiments)

    def find(self, experiment: str, stage_key: str) -> StoredRun | None:
        """Return the newest finished run with this key, or None."""
        condition = f"tags.stage_key = '{stage_key}' and attributes.status = 'FINISHED'"
        found = self._client.search_runs([self._experiments[experiment]], condition, max_results=1)
        run = _stored(found[0], experiment) if found else None
        if run is not None and self._root is not None and not artifact_folder(run, self._root).is_dir():
            log.warning("%s is finished, but its artifacts are gone: it is made again", run.run_name)
            return None
        return run

    def find_failure(self, experiment: str, failed_key: str, sweep_id: str) -> StoredRun | None:
        """Return a failed run of this sweep whose stage with this key was what failed, or None."""
        condition = f"tags.failed_key = '{failed_key}' and tags.sweep_id = '{sweep_id}'"
        found = self._client.search_runs([self._experiments[experiment]], condition, max_results=1)
        return _stored(found[0], experiment) if found else None

    def find_deaths(self, experiment: str, died_key: str, sweep_id: str) -> StoredRun | None:
        """Return the newest of at least two runs of this sweep whose process died in this stage, or None.

        One death may have come from outside; with a second it is taken for the stage's own doing.
        """
        condition = f"tags.died_key = '{died_key}' and tags.sweep_id = '{sweep_id}'"
        found = self._client.search_runs([self._experiments[experiment]], condition, max_results=2)
        return _stored(found[0], experiment) if len(found) == 2 else None

    def log(self, record: Record) -> StoredRun:
        """Write a run; it is finished, and so visible to `find`, only when all of it is there."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        tags = {key: str(value) for key, value in record.tags.items()}
        tags |= {"schema_version": SCHEMA_VERSION, "process": _process()}
        tags |= {"slurm_job": task} if (task := running_task()) else {}
        run = self._client.create_run(
            self._experiments[record.experiment], int(record.started * 1000), tags, record.run_name
        )
        run_id = run.info.run_id
        status = "FAILED"
        try:
            self._client.log_batch(
                run_id,
                metrics=[Metric(name, value, now, 0) for name, value in record.metrics.items()],
                params=[Param(name, str(value)) for name, value in record.params.items()],
            )
            with TemporaryDirectory(prefix="plr-artifacts-") as folder:
                record.artifacts(Path(folder))
                self._client.log_artifacts(run_id, folder)
            status = record.status
        finally:
            self._client.set_terminated(run_id, status)
        return _stored(self._client.get_run(run_id), record.experiment)

    def artifacts(self, run: StoredRun) -> Path:
        """Return the local folder with a run's artifacts (downloaded once, if they are on a server)."""
        local = artifact_folder(run, self._root)
        if local.is_dir():
            return local
        from mlflow.artifacts import download_artifacts

        return Path(download_artifacts(run_id=run.run_id, tracking_uri=self.uri))

    @contextmanager
    def lock(self, stage_key: str) -> Iterator[None]:
        """Hold the right to compute a stage, where processes share the artifact folder."""
        if self._locks is None:
            yield
            return
        self._locks.mkdir(parents=True, exist_ok=True)
        # The lock file stays: removing it would let two waiting processes lock two different files.
        with FileLock(self._locks / stage_key):
            yield

    def unfinished(self, stage_key: str) -> Path:
        """Return the folder, which need not exist, for what a stage keeps while it is computed."""
        return (self._root or ROOT / "mlartifacts") / ".unfinished" / stage_key

    def discard(self, run: StoredRun, folder: Path) -> None:
        """Delete a run and the folder of its own that holds its artifacts.

        The folder goes first, under another name, so that nobody finds half of it.
        """
        aside = folder.with_name(f".removed-{folder.name}")
        folder.rename(aside)
        self._client.delete_run(run.run_id)
        shutil.rmtree(aside)

    def close_dead_runs(self) -> int:
        """Mark runs that a killed process of this machine left RUNNING as KILLED; return how many."""
        return self._close(lambda tags: is_dead(tags.get("process", "")))

    def close_runs_of_sweep(self, sweep_id: str) -> int:
        """Mark runs that a sweep of which nothing runs any more left RUNNING as KILLED; return how many."""
        return self._close(lambda tags: tags.get("sweep_id") == sweep_id)

    def _close(self, is_left: Callable[[Mapping[str, str]], bool]) -> int:
        running = self._client.search_runs(
            list(self._experiments.values()), "attributes.status = 'RUNNING'", max_results=_PAGE
        )
        left = [run for run in running if is_left(run.data.tags)]
        for run in left:
            self._client.set_terminated(run.info.run_id, "KILLED")
        return len(left)

    def _prepare(self, experiments: tuple[str, ...]) -> dict[str, str]:
        """Return the ids of the experiments, after creating those that are missing."""
        known = self._known()
        if all(name in known for name in experiments):
            return known
        with _creation(self._root):
            known = self._known()
            for name in experiments:
                if name not in known:
                    location = None if self._root is None else (self._root / name).as_uri()
                    known[name] = self._client.create_experiment(name, artifact_location=location)
        return known

    def _known(self) -> dict[str, str]:
        with _answers(self.uri):
            return {e.name: e.experiment_id for e in self._client.search_experiments()}


def share_between_machines(uri: str) -> None:
    """Make a sqlite store, created if there is none, one that several machines may use; a server is one.

    The mode it has otherwise keeps an index in memory that only processes of one machine share.

    Raises
    ------
    TrackingError
        If somebody else has the file open.
    """
    _check_address(uri)
    path = _sqlite_path(uri)
    if path is None:
        return
    _create_file(uri, default_artifact_root(uri))  # and leave it closed
    connection = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path} cannot be prepared for several machines: {error}; expected a file that can be written "
            "and that nobody uses now: stop mlflow ui and other sweeps, or use a server"
        ) from error
    finally:
        connection.close()
    if mode != "delete":
        raise TrackingError(f"{path} stays in journal mode {mode}; several machines cannot use it")


def list_runs(uri: str) -> list[StoredRun]:
    """Return every run of every experiment, oldest first.

    Raises
    ------
    TrackingError
        If there is no store at `uri`.
    """
    _check_address(uri)
    path = _sqlite_path(uri)
    if path is not None and not path.exists():
        raise TrackingError(
            f"no MLflow store at {path}; expected the file a sweep writes: run one, or pass --tracking-uri"
        )
    client = _client(uri)
    with _answers(uri):
        names = {e.experiment_id: e.name for e in client.search_experiments()}
    runs: list[StoredRun] = []
    token = None
    while True:
        page = client.search_runs(list(names), max_results=_PAGE, page_token=token)
        runs += [_stored(run, names[run.info.experiment_id]) for run in page]
        token = page.token
        if not token:
            return sorted(runs, key=lambda run: (run.start_time, run.run_id))


def default_artifact_root(uri: str) -> Path | None:
    """Return the folder of the artifacts beside a sqlite store; None for a server, which has its own."""
    path = _sqlite_path(uri)
    return None if path is None else path.parent / "mlartifacts"


def artifact_folder(run: StoredRun, artifact_root: Path | None = None) -> Path:
    """Return where a run's artifacts should lie on this machine; the folder need not exist.

    The stored address is absolute and goes stale when a store is moved; with `artifact_root` the place
    is worked out from that folder, the experiment and the run instead.
    """
    stored = Path(unquote(urlparse(run.artifact_uri).path))
    if artifact_root is None or stored.is_dir():
        return stored
    return artifact_root / run.experiment / run.run_id / "artifacts"


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    _let_us_log()
    with _answers(uri):
        return MlflowClient(uri)


def _let_us_log() -> None:
    """Take from MLflow, once imported, what it set up for its log: ours decides where lines go."""
    for library in ("mlflow", "alembic"):
        logger = logging.getLogger(library)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True


@contextmanager
def _answers(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise at the first questions into one sentence."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).splitlines()[0]
        raise TrackingError(f"the store at {uri} does not answer: {reason}") from error


def _check_address(uri: str) -> None:
    path = _sqlite_path(uri)
    if path is not None and not path.is_absolute():
        raise TrackingError(f"tracking.uri {uri} is relative; write sqlite:/// followed by an absolute path")
    if "://" not in uri:
        raise TrackingError(
            f"tracking.uri {uri!r} is no address; expected sqlite:////absolute/path.db or http://server:port"
        )


def _create_file(uri: str, artifact_root: Path | None) -> None:
    """Make the sqlite file if there is none, one process at a time: MLflow would let them collide."""
    path = _sqlite_path(uri)
    if path is None or path.exists():
        return
    with _creation(artifact_root):
        if not path.exists():
            log.info("Creating the MLflow store (a few seconds, once)")
            _initialise_sqlite(path)


@contextmanager
def _creation(artifact_root: Path | None) -> Iterator[None]:
    if artifact_root is None:
        yield
        return
    artifact_root.mkdir(parents=True, exist_ok=True)
    with FileLock(artifact_root / ".create.lock"):
        yield


def _initialise_sqlite(path: Path) -> None:
    """Build the file under another name, so that a kill cannot leave half a schema behind.

    A process of its own does it: no connection to the draft may be open when it gets its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    code = "import sys; from mlflow.tracking import MlflowClient as C; C(sys.argv[1]).search_experiments()"
    command = [sys.executable, "-c", code, f"sqlite:///{draft}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        draft.unlink(missing_ok=True)
        raise TrackingError(f"MLflow could not create {path}: {done.stderr.strip().splitlines()[-1]}")
    connection = sqlite3.connect(draft)
    # Readers and a writer do not block each other in this mode, and it stays with the file.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    draft.replace(path)


def _stored(run: Any, experiment: str) -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        info.run_id,
        info.run_name or "",
        experiment,
        info.status,
        info.start_time,
        info.end_time,
        data.params,
        {key: value for key, value in data.tags.items() if not key.startswith("mlflow.")},
        data.metrics,
        info.artifact_uri,
    )


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def is_dead(process: str) -> bool:
    """Whether a process a run was logged by (its tag `process`) was on this machine and is gone."""
    host, _, pid = process.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""MLflow, the only store of runs: log a stage or a run, find it again, read its artifacts."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import ParseResult, quote, unquote, urlparse
from uuid import uuid4

from filelock import FileLock

from src.cluster import running_task
from src.patience import PATIENCE_S, GaveUp, Patience

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # a server that takes longer is asked again
# Ours is the only patience: MLflow's would create a run twice where the answer to the first request was lost.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

ROOT = Path(__file__).resolve().parents[1]
SCHEMA_VERSION = "1"
HERE = Path(os.environ.get("PLR_LOCAL") or ROOT / "mlartifacts").absolute()
"""Where this machine keeps what it cannot keep beside a store's artifacts: locks, checkpoints, downloads."""

DOWNLOADS = HERE / ".downloads"

RUN_ID = re.compile(r"[0-9a-f]{32}")
"""What an id of MLflow's looks like: it becomes a part of paths, so nothing else may."""

_PATIENCE_S = 20  # with others who use a file
_PAGE = 1000  # search_runs returns no more than this at once, without saying so
_PROCESS = re.compile(r"(?P<host>.+):(?P<pid>[0-9]{1,7})")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHT = (errno.EROFS, errno.EACCES, errno.EPERM)
_SQLITE_WRITES_NOT = ("disk I/O error", "database or disk is full", "readonly database", "unable to open")

log = logging.getLogger(__name__)


class TrackingError(RuntimeError):
    """The store of runs cannot be used; the message says which, and what to do."""


class StoreAway(TrackingError):
    """The store did not answer for as long as there was patience."""


class NotWritable(TrackingError):
    """The store takes no results: there is no room, or no right to write."""


class NoArtifacts(TrackingError):
    """A run's artifacts are not where the store says."""


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
    patience_s : float
        How long every method waits for a store that does not answer.

    Raises
    ------
    TrackingError
        If the store cannot be opened, from every method if it refuses what is asked, and `StoreAway` if it
        does not answer.
    """

    def __init__(
        self,
        uri: str,
        experiments: tuple[str, ...],
        artifact_root: Path | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.uri = uri
        self._root = artifact_root or default_artifact_root(uri)
        _check_address(uri)
        if artifact_root is not None and _sqlite_path(uri) is None and not artifact_root.is_dir():
            raise TrackingError(
                f"there is no folder {artifact_root}; make or mount it, or correct artifact_root"
            )
        _create_file(uri, self._own)
        self._client = _Client(uri, patience_s)
        self._experiments = self._prepare(experiments)

    @property
    def is_shared(self) -> bool:
        """Whether the artifacts lie in a folder of this machine, and locks with them."""
        return self._root is not None

    @property
    def _own(self) -> Path:
        """Folder for what is not the store's."""
        return self._root or HERE

    def find(self, experiment: str, stage_key: str) -> StoredRun | None:
        """Return the newest finished run with this key, or None."""
        condition = f"tags.stage_key = '{stage_key}' and attributes.status = 'FINISHED'"
        found = self._client.search_runs([self._experiments[experiment]], condition, max_results=1)
        run = _stored(found[0], experiment) if found else None
        if run is not None and is_local(run) and not artifact_folder(run, self._root).is_dir():
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
        info = self._create(record, tags).info
        run_id, status = info.run_id, "FAILED"
        try:
            self._client.log_batch(
                run_id,
                metrics=[Metric(name, value, now, 0) for name, value in record.metrics.items()],
                params=[Param(name, str(value)) for name, value in record.params.items()],
            )
            with TemporaryDirectory(prefix="plr-artifacts-") as folder:
                with _writing(folder):
                    record.artifacts(Path(folder))
                with _writing(self._root or self.uri):
                    self._client.log_artifacts(run_id, folder)
            status = record.status
        except NotWritable:
            if _is_local(info.artifact_uri):  # what is there of them takes room that others need
                shutil.rmtree(path_of(info.artifact_uri), ignore_errors=True)
            raise
        finally:
            self._client.set_terminated(run_id, status)
        return _stored(self._client.get_run(run_id), record.experiment)

    def _create(self, record: Record, tags: Mapping[str, str]) -> Any:
        """Create a run; when asked again, look first whether only the answer was lost."""
        experiment, own = self._experiments[record.experiment], uuid4().hex
        attempts = count()

        def create(client: Any) -> Any:
            if next(attempts):
                found = client.search_runs([experiment], f"tags.record = '{own}'", max_results=1)
                if found:
                    return found[0]
            started = int(record.started * 1000)
            return client.create_run(experiment, started, {**tags, "record": own}, record.run_name)

        return self._client.ask(create)

    def artifacts(self, run: StoredRun, name: str = "") -> Path:
        """Return the local folder with a run's artifacts; from a server they are downloaded, once.

        Parameters
        ----------
        run : StoredRun
        name : str, optional
            The only file that is needed.

        Raises
        ------
        NoArtifacts
            If there are none.
        """
        local = artifact_folder(run, self._root)
        if name and not is_local(run) and not local.is_dir():
            local = local.with_name(f"{local.name}-{name}")
        if local.is_dir():
            return local
        if is_local(run):
            raise NoArtifacts(
                f"run {run.run_id} has its artifacts in {local}, which is not on this machine; if they lie "
                "in another folder, name it with tracking.artifact_root"
            )
        return self._download(run, local, name)

    def _download(self, run: StoredRun, place: Path, name: str) -> Path:
        if not RUN_ID.fullmatch(run.run_id):
            raise NoArtifacts(f"the store has a run with the id {run.run_id!r}, which is none of MLflow's")
        if name and not any(file.path == name for file in self._client.list_artifacts(run.run_id)):
            raise NoArtifacts(f"run {run.run_id} has no {name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", suffix=".part", dir=place.parent) as drafts:
            draft = Path(drafts) / place.name
            draft.mkdir()
            self._client.download_artifacts(run.run_id, name, str(draft))
            if not any(draft.iterdir()):
                raise NoArtifacts(
                    f"run {run.run_id} has no artifacts on the server any more; delete it, and it is made "
                    f"again: mlflow runs delete --run-id {run.run_id}"
                )
            try:
                draft.rename(place)
            except OSError:
                if not place.is_dir():  # another process was faster
                    raise
        return place

    @contextmanager
    def lock(self, stage_key: str) -> Iterator[None]:
        """Hold the right to compute a stage, where processes share the artifact folder, or this machine."""
        # The lock file stays: removing it would let two waiting processes lock two different files.
        with _locked(self._own / ".locks" / stage_key):
            yield

    def unfinished(self, stage_key: str) -> Path:
        """Return the folder, which need not exist, for what a stage keeps while it is computed."""
        return self._own / ".unfinished" / stage_key

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
        if not known.keys() >= set(experiments):
            with _creation(self._own):
                self._create_experiments(experiments)
            known = self._known()
        for name in experiments:
            self._find_folder(known[name].artifact_location)
        return {name: experiment.experiment_id for name, experiment in known.items()}

    def _create_experiments(self, experiments: tuple[str, ...]) -> None:
        known = self._known()
        for name in experiments:
            if name in known:
                continue
            location = None if self._root is None else (self._root / name).as_uri()
            try:
                self._client.create_experiment(name, artifact_location=location)
            except StoreAway:
                raise
            except TrackingError:
                if name not in self._known():  # another machine was faster, or the first answer was lost
                    raise

    def _find_folder(self, location: str) -> None:
        """See that the folder is here in which a server lets clients write; it is the place of the locks."""
        if _sqlite_path(self.uri) is not None or not _is_local(location):
            return
        folder = path_of(location).parent
        if not folder.is_dir():
            raise TrackingError(
                f"the server at {self.uri} has its artifacts in {folder}, which is not on this machine; "
                "mount it under the same path, or start the server without --default-artifact-root"
            )
        self._root = self._root or folder

    def _known(self) -> dict[str, Any]:
        return {e.name: e for e in self._client.search_experiments()}


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
    _create_file(uri, default_artifact_root(uri) or HERE)  # and leave it closed
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
    client = _Client(uri, patience_s=0)
    names = {e.experiment_id: e.name for e in client.search_experiments()}
    runs: list[StoredRun] = []
    token = None
    while True:
        page = client.search_runs(list(names), max_results=_PAGE, page_token=token)
        runs += [_stored(run, names[run.info.experiment_id]) for run in page]
        token = page.token
        if not token:
            return sorted(runs, key=lambda run: (run.start_time, run.run_id))


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database.

    SQLite itself is asked: a process that opens and closes such a file by other means drops the locks of
    its own connections (sqlite.org/howtocorrupt.html, section 2.2).
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        if "not a database" not in str(error):
            raise
        return False
    return True


def default_artifact_root(uri: str) -> Path | None:
    """Return the folder of the artifacts beside a sqlite store; None for a server, which has its own."""
    path = _sqlite_path(uri)
    return None if path is None else path.parent / "mlartifacts"


def artifact_folder(run: StoredRun, artifact_root: Path | None = None) -> Path:
    """Return where a run's artifacts should lie on this machine; the folder need not exist.

    The stored address is absolute and goes stale when a store is moved; with `artifact_root` the place
    is worked out from that folder, the experiment and the run instead. What a server keeps to itself has a
    place for its download.
    """
    own = None if artifact_root is None else artifact_root / run.experiment / run.run_id / "artifacts"
    if is_local(run):
        stored = path_of(run.artifact_uri)
        return stored if own is None or stored.is_dir() else own
    if own is not None and own.is_dir():
        return own
    return DOWNLOADS / f"{Path(run.run_id).name}-{run.end_time}"  # a run that goes on may get more


def is_complete(run: StoredRun, folder: Path) -> bool:
    """Whether a run's folder of artifacts is there, with every file and size that its tag `files` lists."""
    if not folder.is_dir():
        return False
    files = json.loads(run.tags.get("files") or "{}")
    return all(_has_size(folder / name, size) for name, size in files.items())


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def is_local(run: StoredRun) -> bool:
    """Whether a run's artifacts are files that this process can read itself, if they are on this machine."""
    return _is_local(run.artifact_uri)


def _is_local(address: str) -> bool:
    return _parts(address).scheme in ("", "file")


def path_of(address: str) -> Path:
    """Return the path in an address, whatever a store has for one."""
    return Path(unquote(_parts(address).path))


def _parts(address: str) -> ParseResult:
    """Return the parts of an address; one that cannot be parsed is taken for a path."""
    try:
        return urlparse(address)
    except ValueError:
        return urlparse(quote(address))


class _Client:
    """MLflow's client, whose every call waits for a store that is away; what it refuses is one sentence."""

    def __init__(self, uri: str, patience_s: float) -> None:
        self._uri = uri
        self._patience = Patience(f"the store at {uri}", patience_s, partial(_why_away, uri))
        self._client: Any = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self.ask(lambda client: getattr(client, name)(*arguments, **named))

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return what a question, which is given MLflow's own client and may be asked again, returns."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return self._patience.ask(lambda: question(self._connected()))
        except GaveUp as error:
            raise StoreAway(f"{error}; {_when_away(self._uri)}: what was finished is kept") from error
        except (MlflowException, RequestException, SQLAlchemyError) as error:
            if _is_not_written(error):
                raise _not_writable(self._uri, str(error).partition("\n")[0]) from error
            raise TrackingError(_refusal(self._uri, error)) from error

    def _connected(self) -> Any:
        """MLflow's client; one of a database connects when it is made."""
        from mlflow.tracking import MlflowClient

        if self._client is None:
            _let_us_log()
            self._client = MlflowClient(self._uri)
        return self._client


def _why_away(uri: str, error: Exception) -> str:
    """Return why the store is away, if it is that this error means; otherwise nothing."""
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    if _sqlite_path(uri) is not None:
        cause = _behind(error, sqlite3.Error)
        return "it is locked by another program" if "database is locked" in str(cause) else ""
    if request := _behind(error, RequestException):
        return _why_failed(request)
    if "while downloading" in str(error):  # MLflow keeps of what went wrong with each file the text only
        return "" if "Client Error" in str(error) else _end_of(str(error).splitlines()[-1])
    database = _behind(error, OperationalError)
    return _end_of(str(database.orig).partition("\n")[0]) if database else ""


def _behind(error: BaseException | None, kind: type[BaseException]) -> Any:
    """Return the error of a kind that led to another one; None if none did."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _why_failed(error: Any) -> str:
    """Return why a request failed if it may succeed later: no connection, no answer, 5xx, too many."""
    from requests import exceptions as known

    passing = (known.ConnectionError, known.Timeout, known.RetryError, known.ChunkedEncodingError)
    if isinstance(error, known.SSLError) or not isinstance(error, passing):
        return ""
    return _end_of(str(getattr(error.args[0], "reason", error) if error.args else error))


def _end_of(text: str) -> str:
    """Return the last part of what libraries say about an error, which says what it was."""
    return text.rpartition(": ")[2].strip(" '\"()")


def _when_away(uri: str) -> str:
    do = "start it" if _sqlite_path(uri) is None else "end the program that has locked it"
    return f"{do} and repeat the command"


def _refusal(uri: str, error: Exception) -> str:
    """Return a sentence on what a store refused, and what to do."""
    from requests import RequestException
    from sqlalchemy.exc import DBAPIError

    answer = getattr(_behind(error, RequestException), "response", None)
    status = getattr(error, "get_http_status_code", lambda: None)() if answer is None else answer.status_code
    database = _behind(error, DBAPIError)
    reason = str(database.orig if database else error).partition("\n")[0][:500]
    if _sqlite_path(uri) is not None:
        return f"the store at {uri} cannot be used: {reason}; python scripts/doctor.py may know more"
    if status in (401, 403):
        who = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"the store at {uri} lets nobody in without the right to ({status}): set {who} ({reason})"
    if "failed with error code 404" in reason or "valid JSON" in reason:
        return f"no MLflow server is at {uri}: correct tracking.uri ({reason})"
    return f"the store at {uri} refuses what it was asked: {reason}"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = FileLock(file)
    with _writing(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(place: Path | str) -> Iterator[None]:
    """Say in one sentence that files cannot be written, and where."""
    try:
        yield
    except OSError as error:
        if not _is_not_written(error):
            raise
        raise _not_writable(place, error.strerror or str(error)[-200:]) from error


def _is_not_written(error: Exception) -> bool:
    """Whether an error means that there is no room or no right; of some the text is all there is."""
    codes = [f"[Errno {code}]" for code in (*_NO_ROOM, *_NO_RIGHT)]
    return any(words in str(error) for words in (*codes, *_SQLITE_WRITES_NOT))


def _not_writable(place: Path | str, reason: str) -> NotWritable:
    return NotWritable(
        f"{place} takes no results ({reason}); make room there, or get the right to write, and repeat the "
        "command: what was finished is kept"
    )


def _let_us_log() -> None:
    """Take from MLflow, once imported, what it set up for its log: ours decides where lines go."""
    for library in ("mlflow", "alembic"):
        logger = logging.getLogger(library)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True
    # It prints a traceback for each try to use a database that is locked or away; we say so ourselves.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _check_address(uri: str) -> None:
    path = _sqlite_path(uri)
    if path is not None and not path.is_absolute():
        raise TrackingError(f"tracking.uri {uri} is relative; write sqlite:/// followed by an absolute path")
    if "://" not in uri:
        raise TrackingError(
            f"tracking.uri {uri!r} is no address; expected sqlite:////absolute/path.db or http://server:port"
        )
    if urlparse(uri).password:
        raise TrackingError(
            "tracking.uri holds a password, which would stand in every run; take it out and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )


def _create_file(uri: str, folder: Path) -> None:
    """Make the sqlite file if there is none, one process at a time: MLflow would let them collide."""
    path = _sqlite_path(uri)
    if path is not None and path.exists() and not path.is_file():
        raise TrackingError(f"{path} is no file; expected the place of an MLflow sqlite file in tracking.uri")
    if path is None or path.exists():
        return
    with _creation(folder):
        if not path.exists():
            log.info("Creating the MLflow store (a few seconds, once)")
            _initialise_sqlite(path)


@contextmanager
def _creation(folder: Path) -> Iterator[None]:
    with _locked(folder / ".create.lock"):
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
        reason = (done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"])[-1]
        raise TrackingError(f"MLflow could not create {path}: {reason}")
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


def is_dead(process: str | None) -> bool:
    """Whether a process a run was logged by (its tag `process`) was on this machine and is gone.

    Of a tag that names no process nothing is known.
    """
    named = _PROCESS.fullmatch(process or "")
    return named is not None and named["host"] == socket.gethostname() and not is_alive(int(named["pid"]))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""A store that goes away in the middle of the work: nothing is lost or written twice, and there is an end."""

from __future__ import annotations

import json
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from test_combination import combination
from test_tracking import record

import src.tracking
import src.work
from src.doctor.finding import OK, PROBLEM
from src.doctor.places import Places
from src.doctor.tracking_store import check_store
from src.parallel import submit, workers
from src.pipeline import run_combination
from src.registry import RegistryError
from src.settings import read_combination
from src.sweep import clear_errors
from src.tracking import (
    NoArtifacts,
    StoreAway,
    StoredRun,
    Tracking,
    TrackingError,
    artifact_folder,
    list_runs,
)
from src.train import CONFIGS, register_resolvers
from src.work import Work, ending_all

HTML = "<html>sign in</html>"
EMPTY = json.dumps({"experiments": []})


class Server:
    """Gives the next of its answers to each request, and the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = [(200, EMPTY)]
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                status, body = server.answers[0] if len(server.answers) == 1 else server.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_fails_is_asked_again(server, status):
    server.answers = [(status, HTML), (status, "{}"), (200, EMPTY)]
    Tracking(server.uri, (), patience_s=60)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, "who are you", r"\(401\): set MLFLOW_TRACKING_USERNAME"),
        (403, "not you", r"\(403\): set MLFLOW_TRACKING_USERNAME"),
        (404, "nothing here", r"no MLflow server is at http.*: correct tracking\.uri"),
        (200, HTML, r"no MLflow server is at http.*: correct tracking\.uri"),
        (400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "too long"}', "refuses .*too long"),
    ],
)
def test_what_a_server_refuses_is_not_asked_again(server, status, body, advice):
    server.answers = [(status, body)]
    with pytest.raises(TrackingError, match=advice) as refused:
        Tracking(server.uri, (), patience_s=60)
    assert not isinstance(refused.value, StoreAway)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_named_with_what_to_do(server):
    server.close()
    message = (
        rf"^the store at {server.uri} has not answered since .* UTC \(\[Errno 111\] Connection refused\); "
    )
    with pytest.raises(
        StoreAway, match=message + "start it and repeat the command: what was finished is kept$"
    ):
        Tracking(server.uri, (), patience_s=0)
    with pytest.raises(StoreAway, match=message):
        list_runs(server.uri)


def test_the_doctor_says_that_a_server_is_away(server, tmp_path):
    places = Places(server.uri, tmp_path / "results.db", tmp_path)
    (finding,) = check_store(places)
    assert (finding.status, finding.sentence) == (OK, f"{server.uri}: 0 runs")
    server.close()
    (finding,) = check_store(Places(server.uri, tmp_path / "results.db", tmp_path))
    assert finding.status == PROBLEM and "start it and repeat the command" in finding.sentence
    assert "from a copy" not in finding.sentence


@pytest.mark.parametrize("uri", ["http://somebody:secret@127.0.0.1:5000", "postgresql://a:secret@host/db"])
def test_a_password_in_an_address_is_refused_and_not_repeated(uri):
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        Tracking(uri, ())
    assert "secret" not in str(refused.value)


def locked(why: str = "database is locked") -> Exception:
    """What MLflow raises after it has waited for a sqlite file."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
    from sqlalchemy.exc import OperationalError

    cause = sqlite3.OperationalError(why)
    error = OperationalError("INSERT INTO tags", ("error", "database is locked"), cause)
    error.add_detail("raised as a result of Query-invoked autoflush")
    error.__cause__ = cause
    raised = MlflowException(message=error, error_code=TEMPORARILY_UNAVAILABLE)
    raised.__cause__ = error
    return raised


def test_another_fault_of_a_file_is_no_reason_to_wait(tracking_uri):
    tracking = Tracking(tracking_uri, ("A",), patience_s=60)

    def fail(*arguments: Any) -> None:
        raise locked("database disk image is malformed")

    tracking._client._client = SimpleNamespace(create_run=fail)
    with pytest.raises(
        TrackingError, match=r"mlflow\.db cannot be used: database disk image is malformed; "
    ) as refused:
        tracking.log(record())
    assert not isinstance(refused.value, StoreAway)


class Faulty:
    """MLflow's client for a store that is locked once for each of some calls, before or after it obeys."""

    def __init__(self, client: Any, when: str, names: tuple[str, ...]) -> None:
        self.client, self.when, self.names = client, when, list(names)
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.asked.append(name)
            strikes = name in self.names
            if strikes:
                self.names.remove(name)
            if strikes and self.when == "before":
                raise locked()
            answer = getattr(self.client, name)(*arguments, **named)
            if strikes:
                raise locked()
            return answer

        return call


CALLS = ("create_run", "log_batch", "log_artifacts", "set_terminated", "get_run")


@pytest.mark.parametrize("when", ["before", "after"])
def test_each_write_may_fail_once_and_there_is_one_run_all_the_same(tracking_uri, when):
    tracking = Tracking(tracking_uri, ("A",), patience_s=60)
    faulty = Faulty(tracking._client._connected(), when, CALLS)
    tracking._client._client = faulty
    logged = tracking.log(record())
    assert faulty.names == [], "each was hit"
    assert faulty.asked.count("create_run") == (2 if when == "before" else 1)
    assert list_runs(tracking_uri) == [logged]
    assert (logged.status, logged.params, logged.metrics) == ("FINISHED", {"p": "1"}, {"m": 0.5})
    assert (tracking.artifacts(logged) / "note.txt").read_text() == "k"


def test_a_store_that_stays_away_is_not_waited_for_again_and_its_run_can_be_closed(tracking_uri, monkeypatch):
    tracking = Tracking(tracking_uri, ("A",), patience_s=0)
    faulty = Faulty(tracking._client._connected(), "before", ("log_batch", "set_terminated"))
    tracking._client._client = faulty
    with pytest.raises(
        StoreAway, match=r"it is locked by another program.*end the program that has locked it"
    ):
        tracking.log(record())
    assert faulty.asked == ["create_run", "log_batch", "set_terminated"]
    assert [run.status for run in list_runs(tracking_uri)] == ["RUNNING"]
    monkeypatch.setattr(src.tracking, "is_dead", lambda process: True)  # as it is at the next start
    assert tracking.close_dead_runs() == 1
    assert [run.status for run in list_runs(tracking_uri)] == ["KILLED"]


def test_an_experiment_that_another_machine_makes_first_is_used(tracking_uri, monkeypatch):
    connected, other = src.tracking._Client._connected, Tracking(tracking_uri, ())

    def late(self: Any) -> Any:
        client = connected(self)

        def create(name: str, **named: Any) -> str:
            connected(other._client).create_experiment(name)
            return client.create_experiment(name, **named)

        return SimpleNamespace(search_experiments=client.search_experiments, create_experiment=create)

    monkeypatch.setattr(src.tracking._Client, "_connected", late)
    assert set(Tracking(tracking_uri, ("A",))._experiments) == {"A", "Default"}


# --- artifacts of a server ----------------------------------------------------------------------------


def kept_by_server(**changed: Any) -> StoredRun:
    run = StoredRun("a" * 32, "run", "A", "FINISHED", 1, 2, {}, {}, {}, "mlflow-artifacts:/1/aaa/artifacts")
    return replace(run, **changed)


class Files:
    """The artifacts of a server."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.downloads: list[str] = []

    def list_artifacts(self, run_id: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(path=name) for name in self.names]

    def download_artifacts(self, run_id: str, path: str, place: str) -> str:
        self.downloads.append(path)
        for name in [path] if path else self.names:
            (Path(place) / name).write_text(name)
        return place


@pytest.fixture
def remote(server, tmp_path, monkeypatch) -> tuple[Tracking, Files]:
    monkeypatch.setattr(src.tracking, "HERE", tmp_path / "here")
    monkeypatch.setattr(src.tracking, "DOWNLOADS", tmp_path / "here" / ".downloads")
    tracking, files = Tracking(server.uri, (), patience_s=0), Files("one.txt", "two.txt")
    tracking._client._client = files
    return tracking, files


def test_artifacts_are_downloaded_once(remote, tmp_path):
    tracking, files = remote
    run = kept_by_server()
    for _ in range(2):
        folder = tracking.artifacts(run)
        assert folder == artifact_folder(run) and folder.is_relative_to(tmp_path)
        assert sorted(path.name for path in folder.iterdir()) == ["one.txt", "two.txt"]
    assert files.downloads == [""]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "no draft is left"
    tracking.artifacts(replace(run, end_time=3))  # the run went on
    assert files.downloads == ["", ""]


def test_one_file_of_a_run_does_not_pass_for_all_of_them(remote):
    tracking, files = remote
    run = kept_by_server()
    assert [path.name for path in tracking.artifacts(run, "two.txt").iterdir()] == ["two.txt"]
    assert len(list(tracking.artifacts(run).iterdir())) == 2
    assert files.downloads == ["two.txt", ""]
    with pytest.raises(NoArtifacts, match=r"has no three\.txt"):
        tracking.artifacts(kept_by_server(run_id="b" * 32), "three.txt")


def test_artifacts_that_are_gone_are_not_remembered_as_none(remote):
    tracking, files = remote
    files.names = ()
    with pytest.raises(NoArtifacts, match="mlflow runs delete --run-id aaaa"):
        tracking.artifacts(kept_by_server())
    assert not artifact_folder(kept_by_server()).exists()


@pytest.mark.parametrize("run_id", ["../../../etc", "a" * 31, ""])
def test_a_download_goes_nowhere_else(remote, run_id):
    with pytest.raises(NoArtifacts, match="none of MLflow's"):
        remote[0].artifacts(kept_by_server(run_id=run_id))


def test_a_folder_of_the_server_that_is_not_here_is_refused(server, tmp_path):
    folder = tmp_path / "shared"
    experiment = {"experiment_id": "1", "name": "A", "artifact_location": f"{folder}/1"}
    server.answers = [(200, json.dumps({"experiments": [experiment]}))]
    with pytest.raises(TrackingError, match=f"artifacts in {folder}, which is not on this machine"):
        Tracking(server.uri, ("A",))
    folder.mkdir()
    tracking = Tracking(server.uri, ("A",))
    assert tracking.is_shared
    with tracking.lock("key"):
        assert (folder / ".locks" / "key").exists()
    with pytest.raises(NoArtifacts, match="not on this machine"):
        tracking.artifacts(kept_by_server(artifact_uri=f"{folder}/1/aaa/artifacts"))


def test_workers_of_one_machine_share_locks_where_the_server_keeps_the_artifacts(remote, tmp_path):
    tracking, _ = remote
    assert not tracking.is_shared
    with tracking.lock("key"):
        assert (tmp_path / "here" / ".locks" / "key").exists()


# --- a sweep ------------------------------------------------------------------------------------------


def test_a_combination_that_cannot_be_logged_says_so_to_its_parent(server):
    server.close()
    status = run_combination(replace(combination(), tracking_uri=server.uri, patience_s=0))
    told = pickle.loads(pickle.dumps(status))  # noqa: S301 - as its process sends it
    assert told["state"] == "not logged"
    assert isinstance(told["error"], StoreAway) and str(told["error"]) == str(status["error"])


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize(("kind", "code"), [(StoreAway, 75), (TrackingError, 2)])
def test_a_sweep_whose_results_cannot_be_logged_ends_with_one_sentence(
    n_workers, kind, code, tmp_path, monkeypatch, capsys
):
    begun = []

    def run(*arguments: Any) -> None:
        begun.append(1)
        raise kind("the store is gone")

    monkeypatch.setattr(src.work, "_run", run)

    def sweep() -> None:
        for k in range(9):
            submit(Work(combination(), (), tmp_path / str(k), 9))

    with pytest.raises(SystemExit) as stopped, clear_errors():
        if n_workers:
            with workers(n_workers):
                sweep()
        else:
            sweep()
    assert stopped.value.code == code
    assert capsys.readouterr().err == f"{kind.__name__}: the store is gone\n"
    assert 1 <= len(begun) <= max(n_workers, 1)
    assert list(tmp_path.glob("*")) == []


def test_who_waits_when_another_one_ends_the_sweep_ends_with_it(server, capsys):
    """The command's own thread, that composes the next job, included."""
    server.close()
    waits = threading.Event()

    def give_up() -> None:
        waits.wait(30)
        with ending_all():
            raise StoreAway("gone")

    with pytest.raises(SystemExit) as stopped, workers(1):
        submit(give_up)
        with clear_errors(), ending_all():
            waits.set()
            Tracking(server.uri, (), patience_s=600)
    assert stopped.value.code == 75
    assert capsys.readouterr().err == "StoreAway: gone\n"


# --- settings -----------------------------------------------------------------------------------------


def composed(*words: str) -> Any:
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", ["data=smoke", *words], return_hydra_config=True)


def test_the_server_is_named_by_the_environment(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "PLR_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    tracking = composed("tracking=server").tracking
    assert (tracking.uri, tracking.artifact_root, tracking.patience_s) == ("http://127.0.0.1:5000", None, 120)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example.org")
    monkeypatch.setenv("PLR_ARTIFACT_ROOT", "/shared/artifacts")
    tracking = composed("tracking=server").tracking
    assert (tracking.uri, tracking.artifact_root) == ("https://tracking.example.org", "/shared/artifacts")


@pytest.mark.parametrize("patience", ["long", "-1", "null", ".inf"])
def test_what_is_no_time_to_wait_is_refused(patience):
    config = composed(f"tracking.patience_s={patience}")
    with pytest.raises(RegistryError, match=r"tracking\.patience_s is .*; expected a number of seconds"):
        read_combination(config, "", config.hydra.runtime.choices)

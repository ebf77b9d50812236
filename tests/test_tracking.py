import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import src.tracking
from src.tracking import Record, Tracking, TrackingError, artifact_folder, is_complete, list_runs


def record(key: str = "k", status: str = "FINISHED", **tags: str) -> Record:
    def write(folder: Path) -> None:
        (folder / "note.txt").write_text(key)

    return Record(
        "A", f"run {key}", {"p": "1"}, {"stage_key": key, **tags}, {"m": 0.5}, write, time.time(), status
    )


def test_what_was_logged_is_found_and_read_back(tracking_uri):
    tracking = Tracking(tracking_uri, ("A", "B"))
    logged = tracking.log(record())
    found = Tracking(tracking_uri, ("A", "B")).find("A", "k")
    assert found == logged
    assert (found.params, found.metrics, found.tags["stage_key"]) == ({"p": "1"}, {"m": 0.5}, "k")
    assert (tracking.artifacts(found) / "note.txt").read_text() == "k"
    assert tracking.find("B", "k") is None
    assert tracking.find("A", "other") is None


def test_only_finished_runs_are_found_and_the_newest_of_them(tracking_uri):
    tracking = Tracking(tracking_uri, ("A",))
    tracking.log(record(status="FAILED"))
    assert tracking.find("A", "k") is None
    tracking.log(replace(record(), started=time.time() - 100))
    newest = tracking.log(record())
    assert tracking.find("A", "k").run_id == newest.run_id


def test_a_run_whose_artifacts_are_gone_is_not_found(tracking_uri, caplog):
    tracking = Tracking(tracking_uri, ("A",))
    run = tracking.log(record())
    shutil.rmtree(tracking.artifacts(run))
    assert tracking.find("A", "k") is None
    assert "artifacts of it are gone" in caplog.text


@pytest.mark.parametrize("hurt", [Path.unlink, lambda path: path.write_text("")])
def test_a_run_that_lacks_a_file_or_a_part_of_it_is_not_found(tracking_uri, hurt):
    tracking = Tracking(tracking_uri, ("A",))
    run = tracking.log(record())
    hurt(tracking.artifacts(run) / "note.txt")
    assert tracking.find("A", "k") is None
    again = tracking.log(record())
    assert tracking.find("A", "k") == again


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("{}", True),
        ('{"a": 1}', True),
        ('{"a": 2}', False),
        ('{"a/b": 1}', False),
        ('{"b": 1}', False),
        ('{"\\u0000": 1}', False),
        (json.dumps({"x" * 300: 1}), False),
        ("[1]", False),
        ("3", False),
        ("{", False),
        ("[" * 100_000, False),
    ],
)
def test_files_of_a_run_whatever_its_tag_says(tracking_uri, tmp_path, told, expected):
    run = Tracking(tracking_uri, ("A",)).log(record())
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_text("1")
    assert is_complete(replace(run, tags={"files": told}), tmp_path / "files") is expected
    assert not is_complete(replace(run, tags={"files": told}), tmp_path / "nowhere")
    assert is_complete(replace(run, tags={}), tmp_path / "files")


def test_a_run_whose_files_cannot_be_written_is_failed(tracking_uri):
    def write(folder: Path) -> None:
        raise OSError("disk full")

    tracking = Tracking(tracking_uri, ("A",))
    with pytest.raises(OSError, match="disk full"):
        tracking.log(replace(record(), artifacts=write))
    assert [run.status for run in list_runs(tracking_uri)] == ["FAILED"]


def test_a_failure_is_found_in_its_sweep_only(tracking_uri):
    tracking = Tracking(tracking_uri, ("A",))
    failed = tracking.log(record(status="FAILED", failed_key="stage", sweep_id="1"))
    assert tracking.find_failure("A", "stage", "1").run_id == failed.run_id
    assert tracking.find_failure("A", "stage", "2") is None


def test_a_moved_store_still_finds_its_artifacts(tracking_uri, tmp_path):
    Tracking(tracking_uri, ("A",)).log(record())
    moved = tmp_path / "elsewhere" / "moved"
    moved.mkdir(parents=True)
    for path in tmp_path.glob("mlflow.db*"):
        shutil.copy(path, moved)
    shutil.move(tmp_path / "mlartifacts", moved)
    tracking = Tracking(f"sqlite:///{moved / 'mlflow.db'}", ("A",))
    assert (tracking.artifacts(tracking.find("A", "k")) / "note.txt").read_text() == "k"
    run = list_runs(tracking.uri)[0]
    assert not artifact_folder(run).exists()
    assert artifact_folder(run, moved / "mlartifacts").is_dir()


def test_listing_turns_all_pages(tracking_uri, monkeypatch):
    monkeypatch.setattr(src.tracking, "_PAGE", 2)
    tracking = Tracking(tracking_uri, ("A",))
    for i in range(5):
        tracking.log(record(str(i)))
    assert [run.tags["stage_key"] for run in list_runs(tracking_uri)] == ["0", "1", "2", "3", "4"]


def test_runs_left_by_a_killed_process_are_closed(tracking_uri):
    tracking = Tracking(tracking_uri, ("A",))
    left = tracking.log(record("left", status="RUNNING"))
    mine = tracking.log(record("mine", status="RUNNING"))
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    host = left.tags["process"].rpartition(":")[0]
    tracking._client.set_tag(left.run_id, "process", f"{host}:{int(child.stdout)}")
    assert tracking.close_dead_runs() == 1
    status = {run.run_id: run.status for run in list_runs(tracking_uri)}
    assert (status[left.run_id], status[mine.run_id]) == ("KILLED", "RUNNING")
    assert mine.tags["process"].endswith(str(os.getpid()))


def test_several_processes_may_open_a_new_store_at_once(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    code = f"from src.tracking import Tracking; print(sorted(Tracking({uri!r}, ('A', 'B'))._experiments))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for child in children:
        assert child.communicate()[0].strip() == "['A', 'B', 'Default']"
        assert child.returncode == 0


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(TrackingError, match=r"is no file; expected the place of an MLflow sqlite file"):
        Tracking(f"sqlite:///{tmp_path}", ())


@pytest.mark.parametrize("uri", ["sqlite:///relative.db", "mlruns"])
def test_an_address_that_cannot_work_is_explained(uri):
    with pytest.raises(TrackingError, match=r"tracking\.uri"):
        Tracking(uri, ("A",))


def test_a_file_that_is_no_store_is_named(tmp_path):
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(TrackingError, match=r"text\.db cannot be used: .*not a database"):
        list_runs(f"sqlite:///{tmp_path / 'text.db'}")


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrackingError, match=r"no MLflow store at .*nothing.db"):
        list_runs(f"sqlite:///{tmp_path / 'nothing.db'}")

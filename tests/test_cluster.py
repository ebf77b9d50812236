"""What the command does with a cluster, which is played by processes of this machine."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import fake_slurm
import pandas as pd
import pytest
from commands import ROOT
from fake_slurm import Piece
from hydra import compose, initialize_config_dir

import src.tracking
from src.cluster import ClusterError, Slurm, check, compute, queued_tasks, running_task, send_and_wait
from src.combination import CohortCard, Combination, Step
from src.parallel import submit
from src.pipeline import open_tracking
from src.registry import load_registry
from src.sweep import SweepCallback, _left_to_do, on_slurm
from src.tracking import Record, StoreAway, Tracking, TrackingError, list_runs, share_between_machines
from src.train import CONFIGS, register_resolvers
from src.work import Work, seen_baselines

FAST = {"minutes": 1, "poll_s": 0.1, "grace_s": 0.3}


class Cluster:
    """The commands of a cluster on PATH, and the folder of a sweep."""

    def __init__(self, folder: Path) -> None:
        self.state, self.sweep = folder / "cluster", folder / "sweep"
        self.state.mkdir()
        self.sweep.mkdir()
        self.records: list[dict] = []
        self.put("asked")

    def put(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)

    def pieces(self, *does: str) -> list[Piece]:
        return [Piece(what, self.sweep / f"{k} {what}") for k, what in enumerate(does)]

    def send(self, pieces: list[Piece], **settings) -> list[dict]:
        """Send work and return what became of each piece, in their order."""
        slurm = Slurm(**{**FAST, **settings})
        send_and_wait(pieces, slurm, "plr-test", self.sweep / "slurm", ended=self.records.append)
        assert sorted(r["piece"] for r in self.records) == [piece.path.name for piece in pieces]
        return sorted(self.records, key=lambda record: record["piece"])

    @property
    def asked(self) -> list[str]:
        return (self.state / "asked").read_text().splitlines()

    @property
    def scripts(self) -> list[str]:
        return [path.read_text() for path in sorted((self.sweep / "slurm").glob("*_submission.sh"))]


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Cluster:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        (programs / name).write_text(f"#!{sys.executable}\n" + Path(fake_slurm.__file__).read_text())
        (programs / name).chmod(0o755)
    cluster = Cluster(tmp_path)
    monkeypatch.setenv("FAKE_SLURM", str(cluster.state))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    return cluster


def test_arrays_are_as_large_as_slurm_takes_them_and_work_is_dealt_out_in_turns(cluster):
    cluster.put("size", "2")
    settings = {"partition": "long", "setup": ["export SET_UP=yes"], "sbatch": {"gres": "gpu:1"}}
    pieces = cluster.pieces(*["record"] * 5)
    records = cluster.send(pieces, combinations_per_task=2, array_parallelism=3, memory="2G", **settings)
    assert {record["state"] for record in records} == {"done"}
    array, single = cluster.scripts
    for line in ("array=0-1%2", "partition=long", "gres=gpu:1", "mem=2G", "time=2", "cpus-per-task=1"):
        assert f"#SBATCH --{line}\n" in array
    assert "\nexport SET_UP=yes\n" in array and "srun" not in array
    assert "--array" not in single and "wckey" not in array
    order = [record["order"] for record in records]
    assert order[0] < order[3] and order[1] < order[4]  # in a task: 0 and 3, 1 and 4, 2


def test_a_task_that_dies_costs_its_work_and_an_error_only_its_piece(cluster):
    cluster.put("known", "JobId=7 JobState=OUT_OF_MEMORY Reason=OutOfMemory ExitCode=0:125 BatchHost=n1")
    does = ("die", "raise", "record", "record", "record", "record")
    records = cluster.send(cluster.pieces(*does), combinations_per_task=2)
    assert [r["state"] for r in records] == ["lost", "lost", "done", "lost", "done", "done"]
    assert ["task 1_0 " in r["reason"] for r in (records[0], records[3], records[1])] == [True, True, False]
    told = ": OUT_OF_MEMORY, reason OutOfMemory, exit 0:125 on n1; its output: "
    assert records[0]["reason"].endswith(told + "slurm/1_0_0_log.err")
    assert "this piece is broken" in (cluster.sweep / "slurm" / "1_1_0_log.err").read_text()


def test_a_controller_that_does_not_answer_ends_nothing(cluster, caplog):
    cluster.put("down")
    dead, slow = pieces = cluster.pieces("die", "wait")
    before = []

    def answer_again() -> None:
        before.append(dead.record())
        (cluster.state / "down").unlink()
        slow.path.with_name("go").touch()

    with after(lambda: sum("squeue" in line for line in cluster.asked) > 10, answer_again):
        records = cluster.send(pieces)
    assert before == [None]
    assert [record["state"] for record in records] == ["lost", "done"]
    assert "SLURM knows no reason any more" in records[0]["reason"]
    assert caplog.text.count("squeue refuses: slurm_load_jobs error: Unable to contact slurm controller") == 1


@contextmanager
def after(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Act beside the block when the condition holds; it must within a minute."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    other = threading.Thread(target=wait)
    other.start()
    yield
    other.join()


def test_a_record_that_is_seen_late_is_waited_for(cluster, monkeypatch):
    """As on a disk whose listings are kept for a while."""
    (piece,) = cluster.pieces("record")
    there, looks = Piece.record, []

    def record(self) -> dict | None:
        looks.append(self.path.exists())
        return there(self) if sum(looks) > 3 else None

    monkeypatch.setattr(Piece, "record", record)
    assert cluster.send([piece], grace_s=60)[0]["state"] == "done"


REFUSED = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed"


def test_what_sbatch_refuses_is_said_in_its_words(cluster, capfd):
    cluster.put("refuse", REFUSED)
    words = "sbatch refuses: invalid partition specified: nope; Batch job submission failed"
    with pytest.raises(ClusterError, match=words):
        check(Slurm(minutes=1, partition="nope"), 1)
    with pytest.raises(ClusterError, match=words):
        cluster.send(cluster.pieces("record"))
    assert "sbatch" not in capfd.readouterr().err
    (cluster.state / "refuse").unlink()
    check(Slurm(minutes=5, sbatch={"qos": "long"}), 2)
    sent, cancelled = cluster.asked[-2:]
    assert "--hold" in sent and {"--time=5", "--qos=long", "--cpus-per-task=2"} < set(sent.split())
    assert cancelled == "scancel 3"


def test_a_later_array_that_is_refused_costs_its_work(cluster):
    cluster.put("size", "2")
    cluster.put("taken", "1")
    cluster.put("refuse", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
    records = cluster.send(cluster.pieces("record", "record", "record"))
    assert [record["state"] for record in records] == ["done", "done", "lost"]
    assert records[2]["reason"] == "sbatch refuses: QOSMaxSubmitJobPerUserLimit"


def test_without_slurm_the_command_says_where_to_start_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ClusterError, match=r"there is no sbatch on PATH; .* start it on the cluster's login"):
        check(Slurm(minutes=1), 1)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(
            (n, v, "a whole number, at least 1")
            for n in ("minutes", "array_parallelism")
            for v in (0, True, "1")
        ),
        ("combinations_per_task", 0, "a whole number, at least 1"),
        *(("poll_s", v, "seconds, at least 0.01") for v in (-1, 0, "x")),
        ("grace_s", -1, "seconds, at least 0"),
        ("setup", "module load python", "a list of lines of shell"),
        ("setup", [1], "a list of lines of shell"),
        ("sbatch", "x", "options of sbatch and their values"),
    ],
)
def test_settings_that_would_fail_after_the_jobs_are_sent_are_refused(name, value, expected):
    words = f"hydra.launcher.{name} is {value!r}; expected {expected}"
    with pytest.raises(ClusterError, match=re.escape(words)):
        Slurm(**{**FAST, name: value})


def test_why_tasks_wait_is_said_once(cluster, capsys):
    cluster.put("pending", "PartitionTimeLimit")
    (slow,) = pieces = cluster.pieces("wait")

    def start() -> None:
        (cluster.state / "pending").unlink()
        slow.path.with_name("go").touch()

    with after(lambda: sum("squeue" in line for line in cluster.asked) > 3, start):
        cluster.send(pieces)
    assert capsys.readouterr().out.count("tasks of plr-test: 1 pending (PartitionTimeLimit)\n") == 1


def test_an_error_lets_the_tasks_run_and_says_how_to_end_them(cluster, capsys):
    def fail(record: dict) -> None:
        raise ValueError("the disk of the records is gone")

    pieces = cluster.pieces("record", "wait")
    with pytest.raises(ValueError, match="the disk of the records is gone"):
        send_and_wait(pieces, Slurm(**FAST), "plr-test", cluster.sweep / "slurm", ended=fail)
    cancel = f"scancel --user={os.getuid()} --name=plr-test"
    assert f"the SLURM tasks of plr-test run on; to end them: {cancel}\n" in capsys.readouterr().err
    assert queued_tasks("plr-test") == {"1_1": "running"}
    subprocess.run(cancel.split(), check=True)


def test_an_interruption_cancels_what_was_sent(cluster, capsys):
    pieces = cluster.pieces("record", "wait", "wait")

    def interrupt(record: dict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_and_wait(pieces, Slurm(**FAST), "plr-test", cluster.sweep / "slurm", ended=interrupt)
    assert "cancelling the SLURM tasks of plr-test" in capsys.readouterr().err
    assert cluster.asked[-1] == f"scancel --user={os.getuid()} --name=plr-test"
    assert queued_tasks("plr-test") == {}


def test_a_task_that_slurm_starts_again_does_not_repeat_what_has_a_record(cluster):
    pieces = cluster.pieces("record", "record")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        compute(pieces[:1])
        before = pieces[0].record()
        compute(pieces)
        with pytest.raises(SystemExit, match="ended by SLURM with SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert before == pieces[0].record() and pieces[1].record()


def test_a_task_knows_its_name(monkeypatch):
    assert running_task() == ""
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert running_task() == "14"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert running_task() == "12_3"


def mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


def test_a_store_for_several_machines_keeps_no_index_in_memory(tracking_uri, tmp_path):
    path = tmp_path / "mlflow.db"
    assert mode(path) == "wal"
    for _ in range(2):
        share_between_machines(tracking_uri)
        assert mode(path) == "delete"
    share_between_machines("http://somewhere:5000")


def test_a_store_in_use_is_refused(tracking_uri, tmp_path, monkeypatch):
    monkeypatch.setattr(src.tracking, "_PATIENCE_S", 0.1)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(TrackingError, match=r"cannot be prepared for several machines: .* nobody uses"):
            share_between_machines(tracking_uri)


def test_runs_that_a_sweep_left_running_are_closed(tracking_uri, monkeypatch):
    class Killed(BaseException):
        pass

    def die(folder: Path) -> None:
        raise Killed

    tracking = Tracking(tracking_uri, ("A",))
    monkeypatch.setattr(tracking._client, "set_terminated", lambda *words: None)
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    for sweep in ("1", "2"):
        with pytest.raises(Killed):
            tracking.log(Record("A", "r", {}, {"sweep_id": sweep}, {}, die, time.time()))
    assert Tracking(tracking_uri, ("A",)).close_runs_of_sweep("1") == 1
    runs = list_runs(tracking_uri)
    assert {run.tags["sweep_id"]: run.status for run in runs} == {"1": "KILLED", "2": "RUNNING"}
    assert {run.tags["slurm_job"] for run in runs} == {"14"}


@pytest.fixture
def work(tracking_uri, tmp_path) -> Work:
    """A combination that cannot be run here, with a baseline."""
    subjects = pd.DataFrame({"label": [0, 1], "age": [50, 60]})
    card = CohortCard(tmp_path / "none.duckdb", "abc", "synthetic", "mm", subjects)
    names = {"outlier": "A", "imputation": "B", "features": "C", "classifier": "D"}
    steps = {stage: Step(stage, name, f"dummy_methods.{name}", {}) for stage, name in names.items()}
    one = Combination("combination", steps, card, 9, 3, 1, 5, tracking_uri, None, "s1", "a: 1")
    baseline = replace(one, kind="baseline", steps={k: steps[k] for k in ("features", "classifier")})
    return Work(one, (baseline,), tmp_path / "status.json", 1)


def pretend_finished(combination: Combination) -> None:
    tags = {"kind": combination.kind, "stage_key": combination.keys()["classifier"], "versions": "{}"}
    experiment = load_registry().experiments["classifier"].experiment
    record = Record(experiment, "r", {}, tags, {"test_auroc": 0.7}, write_nothing, time.time())
    open_tracking(combination).log(record)


def write_nothing(folder: Path) -> None:
    (folder / "note.txt").touch()


def test_what_is_lost_is_a_failed_run_with_the_stage_it_was_in(work):
    work.give_up("the node died")
    assert (work.record()["state"], work.record()["stage"]) == ("failed", "setup")
    line = "2026-11-21T10:00:00.000Z INFO {}\n"
    told = ["outlier A: computed, run 1", "imputation B: being computed"]
    work.path.with_name("run.log").write_text("".join(line.format(text) for text in told))
    work.give_up("the node died")
    record = work.record()
    assert (record["stage"], record["error"]) == ("imputation", "ProcessDied: the node died")
    assert record["baseline_errors"] == {"C__none__none__D": "the node died"}
    failed = [run.tags for run in list_runs(work.combination.tracking_uri) if run.status == "FAILED"]
    assert [tags["failed_stage"] for tags in failed] == ["setup", "imputation"]
    assert failed[1]["died_key"] == work.combination.keys()["imputation"]
    assert work.path.with_name("run.log").read_text().endswith("the node died\n")


def test_what_was_lost_after_its_run_was_finished_has_lost_its_baseline_alone(work):
    pretend_finished(work.combination)
    work.give_up("the node died")
    record = work.record()
    assert (record["state"], record["metrics"]) == ("finished", {"test_auroc": 0.7})
    assert record["baseline_errors"] == {"C__none__none__D": "the node died"}
    assert not work.is_finished()
    pretend_finished(work.baselines[0])
    assert work.is_finished()
    assert replace(work, combination=replace(work.combination, sweep_id="s2")).record() is None


def test_what_slurm_refuses_is_on_no_record(cluster, tracking_uri, tmp_path, capsys):
    cluster.put("refuse", REFUSED)
    register_resolvers()
    folder = tmp_path / "refused"
    words = ["hydra/launcher=slurm", f"hydra.sweep.dir={folder}", f"tracking.uri={tracking_uri}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", words, return_hydra_config=True)
        with pytest.raises(SystemExit) as stop:
            SweepCallback().on_multirun_start(config)
    register_resolvers()  # the launcher's cores are one
    assert stop.value.code == 2
    assert "ClusterError: sbatch refuses: invalid partition specified: nope" in capsys.readouterr().err
    assert list(folder.iterdir()) == [] and list_runs(tracking_uri) == []


DRIVER = """
from fake_slurm import Piece
from pathlib import Path
from src.cluster import Slurm, send_and_wait
pieces = [Piece("wait", Path(r"{folder}") / name) for name in "ab"]
send_and_wait(pieces, Slurm(minutes=1), "plr-test", Path(r"{folder}") / "slurm")
"""


def test_a_killed_command_loses_nothing_that_was_sent(cluster):
    code = DRIVER.format(folder=cluster.sweep)
    with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "sent to SLURM as 1, named plr-test, tasks: 2\n"
        driver.kill()
    assert queued_tasks("plr-test").keys() == {"1_0", "1_1"}
    (cluster.sweep / "go").touch()
    deadline = time.monotonic() + 60
    while queued_tasks("plr-test") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [Piece("wait", cluster.sweep / name).record()["state"] for name in "ab"] == ["done", "done"]


def test_what_is_finished_is_not_sent_again(cluster, work, tmp_path, capsys):
    """As the same command finds it, after one that was killed."""
    for combination in (work.combination, *work.baselines):
        pretend_finished(combination)
    with on_slurm(Slurm(**FAST)):
        submit(work)
    assert work.record()["state"] == "reused"
    assert "[1/1] reused   C__A__B__D  AUROC 0.700" in capsys.readouterr().out
    assert cluster.asked == []


def test_a_baseline_goes_with_the_first_that_has_it(work):
    second = replace(work, path=work.path.with_name("second"))
    seen_baselines.cache_clear()
    assert [len(left.baselines) for left in _left_to_do([work, second])] == [1, 0]
    seen_baselines.cache_clear()


def test_a_store_that_goes_away_ends_the_command_and_closes_no_run_of_its_tasks(work, monkeypatch, capsys):
    def gone(*arguments: object) -> None:
        raise StoreAway("the store is gone")

    monkeypatch.setattr("src.sweep.send_and_wait", gone)
    monkeypatch.setattr(Tracking, "close_runs_of_sweep", lambda *_: pytest.fail("its tasks go on"))
    with pytest.raises(SystemExit) as end, on_slurm(Slurm(**FAST)):
        submit(work)
    assert end.value.code == 75 and capsys.readouterr().err == "StoreAway: the store is gone\n"

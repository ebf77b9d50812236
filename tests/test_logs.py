"""A run's log file: a line per event, in the right file, and nothing of what libraries say."""

import logging
import re
import threading
import warnings

import pytest
from commands import run

from src.isolation import ProcessDied, run_isolated
from src.logs import ForTerminal, log_file

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \S.*")
SMALL = ("data=smoke", "profile=smoke", "evaluation.n_iterations=10", "evaluation.n_jobs=1")


def talk(send):
    warnings.warn("torch is slow", UserWarning, stacklevel=1)
    logging.getLogger("mlflow.store").warning("migrated")
    logging.getLogger("alembic.runtime").info("upgrade")
    logging.getLogger("src.pipeline").warning("two\nlines \x1b[31m and a colour")
    logging.getLogger("mlflow.store").error("the server is gone")
    send("said all")


def talk_and_die(send):
    logging.getLogger("src.events").info("about to die")
    raise ValueError("dead")


@pytest.fixture
def log_lines(tmp_path):
    """What a run's file holds, at the level that configs/hydra/job_logging sets."""
    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    with log_file(tmp_path / "run.log"):
        yield lambda: (tmp_path / "run.log").read_text().splitlines()
    root.setLevel(before)


def test_what_the_child_logs_is_logged_by_its_parent(log_lines, capfd):
    run_isolated(talk, on_message=lambda message: None)
    assert [re.sub(r"^\S+Z ", "", line) for line in log_lines()] == ["WARNING two lines ?[31m and a colour"]
    assert all(LINE.fullmatch(line) for line in log_lines())
    assert "torch is slow" not in capfd.readouterr().err


def test_what_was_logged_before_a_death_is_in_the_file(log_lines):
    with pytest.raises(ProcessDied):
        run_isolated(talk_and_die, on_message=lambda message: None)
    assert [line.split(" ", 1)[1] for line in log_lines()] == ["INFO about to die"]


def test_every_worker_has_a_file_of_its_own(tmp_path, log_lines):
    """Two threads log in turns."""
    turns = [threading.Barrier(2, timeout=10) for _ in range(3)]

    def work(name: str) -> None:
        with log_file(tmp_path / name):
            for turn in turns:
                turn.wait()
                logging.getLogger("src.sweep").info("%s in turn %d", name, turns.index(turn))

    workers = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for name in ("a", "b"):
        lines = (tmp_path / name).read_text().splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == [f"{name} in turn {n}" for n in range(3)]
    assert not (tmp_path / "run.log").exists()


def test_the_terminal_has_no_events_and_of_libraries_errors_only():
    shown = {
        (name, level): bool(ForTerminal().filter(logging.LogRecord(name, level, "", 0, "", None, None)))
        for name in ("src.pipeline", "src.events", "mlflow.store", "srcery")
        for level in (logging.INFO, logging.WARNING, logging.ERROR)
    }
    assert [place for place, is_shown in shown.items() if is_shown] == [
        *(("src.pipeline", level) for level in (logging.INFO, logging.WARNING, logging.ERROR)),
        *((name, logging.ERROR) for name in ("mlflow.store", "srcery")),
    ]


def test_every_combination_of_a_sweep_has_a_log_file(tmp_path, tracking_uri):
    where = (f"tracking.uri={tracking_uri}", f"hydra.sweep.dir={tmp_path}/sweep")
    words = ("outlier=SpeedMAD", "imputation=linear", "classifier=LogisticRegression,TabPFN")
    done = run("-m", "src.train", "-m", *words, *SMALL, *where, expect=1)
    first, second = ((tmp_path / "sweep" / name / "run.log").read_text().splitlines() for name in ("0", "1"))
    assert all(LINE.fullmatch(line) for line in first + second)
    told = [re.sub(r"^\S+ (\w+ .*?)(, \d.*|, run .*)?$", r"\1", line) for line in first]
    name = "simple__SpeedMAD__linear__LogisticRegression"
    assert told[0] == f"INFO begins {name}"
    stages = ("outlier SpeedMAD", "imputation linear", "features simple", "classifier LogisticRegression")
    assert told[1:9] == [f"INFO {s}: {what}" for s in stages for what in ("being computed", "computed")]
    assert told[9] == f"INFO finished {name}"
    assert "INFO outlier SpeedMAD: reused" in told[10:]  # for the baseline with age
    assert re.search("ERROR failed .*TabPFN.* in classifier: NotReady: ", second[-1])
    assert "begins" not in done.stdout + done.stderr

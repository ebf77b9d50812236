"""A run's log file: a line per event, in the right file, and nothing of what libraries say."""

import logging
import re
import warnings

import pytest
from commands import run

from src.isolation import ProcessDied, run_isolated
from src.logs import OneLine, Own

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
    """Lines of a file that is written as configs/hydra/job_logging says; root's level is put back."""
    handler = logging.FileHandler(tmp_path / "run.log")
    handler.setFormatter(OneLine())
    handler.addFilter(Own())
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: (tmp_path / "run.log").read_text().splitlines()
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


def test_what_the_child_logs_is_logged_by_its_parent(log_lines, capfd):
    run_isolated(talk, on_message=lambda message: None)
    assert [re.sub(r"^\S+Z ", "", line) for line in log_lines()] == [
        "WARNING two lines ?[31m and a colour",
        "ERROR the server is gone",
    ]
    assert all(LINE.fullmatch(line) for line in log_lines())
    assert "torch is slow" not in capfd.readouterr().err


def test_what_was_logged_before_a_death_is_in_the_file(log_lines):
    with pytest.raises(ProcessDied):
        run_isolated(talk_and_die, on_message=lambda message: None)
    assert [line.split(" ", 1)[1] for line in log_lines()] == ["INFO about to die"]


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

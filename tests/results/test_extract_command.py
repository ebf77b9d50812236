import os
import re
import resource
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_store import FakeStore

from src.results.database import open_results

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "extract_results.py"
CELLS = [("simple", "LOF", "linear", name) for name in ("CatBoost", "XGBoost", "LogisticRegression")]
QUERIES = (
    "SELECT * EXCLUDE (created_at) FROM provenance",
    "FROM essential_metrics ORDER BY run_id",
    "FROM iteration_metrics ORDER BY run_id, iteration",
    "FROM coverage ORDER BY classifier",
)


@pytest.fixture
def store(tmp_path):
    store = FakeStore(tmp_path / "mlruns")
    for seed, cell in enumerate(CELLS):
        store.combination(cell, seed)
    return store


def command(store, database):
    return [sys.executable, str(SCRIPT), "--tracking-uri", str(store.root), "--db", str(database)]


@pytest.fixture
def main(store, tmp_path, capsys):
    """The command in this process: exit status, output, errors."""
    module = runpy.run_path(str(SCRIPT))

    def run(*options):
        status = module["main"](["--tracking-uri", str(store.root), "--db", str(tmp_path / "a.db"), *options])
        return status, *capsys.readouterr()

    return run


def contents(database):
    with open_results(database) as results:
        return [results.query(sql) for sql in QUERIES]


def test_the_command_builds_prints_and_exits(store, main, tmp_path):
    status, output, _ = main()
    assert status == 0
    assert "3 combinations, 0 baselines, source synthetic" in output
    assert "coverage: 3 finished" in output
    assert str(tmp_path / "a.db") in output

    broken = store.combination((*CELLS[0][:3], "NoSuchMethod"), 5)
    status, output, _ = main()
    assert status == 0
    assert f"rejected {broken.name}: classifier 'NoSuchMethod' is not in the registry" in output
    assert main("--strict")[0] == 1


def test_nothing_usable_is_one_sentence_and_status_1(main, tmp_path):
    status, _, errors = main("--cohort", "nothing")
    assert status == 1
    assert errors.startswith("No database was built: there is no cohort 'nothing'")
    assert not (tmp_path / "a.db").exists()


def test_runs_of_an_unknown_experiment_are_rejected_and_those_of_a_nameless_one_are_not(store, main):
    (store.root / "4" / "meta.yaml").rename(store.root / "4.yaml")
    assert "3 combinations" in main()[1]
    (store.root / "4" / "meta.yaml").write_text("name: Toys\n")
    status, _, errors = main()
    assert status == 1
    assert errors.count("experiment 'Toys' is not in the registry") == 3


def test_where_every_run_is_rejected_all_are_listed_with_reasons(store, main):
    runs = [path.parent for path in store.root.glob("4/*/params")]
    for run in runs:
        (run / "params" / "classifier").write_text(f"No{run.name}")
    status, _, errors = main()
    assert status == 1
    for run in runs:
        assert f"rejected {run.name}: classifier 'No{run.name}' is not in the registry" in errors
    for run in runs:
        (run / "params" / "classifier").unlink()
    status, _, errors = main()
    assert status == 1
    for run in runs:
        assert f"rejected {run.name}: the parameter classifier is missing" in errors


@pytest.mark.parametrize("place", ["file/r.db", "/proc/r.db"])
def test_a_place_that_cannot_be_written_is_one_sentence_and_status_2(main, tmp_path, place):
    (tmp_path / "file").write_text("x")
    status, _, errors = main("--db", str(tmp_path / place))
    assert status == 2
    assert errors.startswith("cannot write ")
    assert errors.endswith("; choose another --db or make room there\n")
    assert errors.count("\n") == 1


def test_what_is_no_store_is_one_sentence(main, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for address in (str(tmp_path / "notes.txt"), "foo://bar"):
        status, _, errors = main("--tracking-uri", address)
        assert (status, errors.count("\n")) == (1, 1)
        assert address in errors
    status, _, errors = main("--artifact-root", str(tmp_path / "nowhere"))
    assert (status, errors.count("\n")) == (2, 1)
    assert "nowhere" in errors


def test_a_full_disk_is_one_sentence_and_leaves_nothing(store, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    limits = (400_000, 400_000)  # no file may grow beyond, as on a full disk
    result = subprocess.run(
        command(store, folder / "a.db"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert re.search(r"No database was built: .*a\.db cannot be written \(.*\); is there room", result.stderr)
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".lock")] == []


def test_intervals_of_the_smoothed_metrics_come_on_request(store, main, tmp_path):
    sql = "SELECT count(sampling_lo) AS n FROM metric_estimates WHERE metric IN ('ici', 'e50', 'e90', 'emax')"
    assert main()[0] == 0
    with open_results(tmp_path / "a.db") as results:
        assert results.query(sql)["n"][0] == 0
    status, output, _ = main("--smoothed-intervals")
    assert status == 0 and "evaluated: 3 runs, taken over: 0" in output
    with open_results(tmp_path / "a.db") as results:
        assert results.query(sql)["n"][0] > 0
    assert "evaluated: 0 runs, taken over: 3" in main("--smoothed-intervals")[1]


def test_killed_at_any_moment_the_same_command_completes(store, tmp_path):
    """Kill after the draft has appeared, at several moments; then compare with an undisturbed extraction."""
    for pause in (0.0, 0.15, 0.4):
        child = subprocess.Popen(
            command(store, tmp_path / "killed.db"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while child.poll() is None and not list(tmp_path.glob(".killed.db.*.building")):
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    for name in ("killed.db", "undisturbed.db"):
        done = subprocess.run(command(store, tmp_path / name), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for one, other in zip(
        contents(tmp_path / "killed.db"), contents(tmp_path / "undisturbed.db"), strict=True
    ):
        assert one.equals(other)
    assert not list(tmp_path.glob(".*building*"))

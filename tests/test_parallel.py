"""Two workers through the real command: results are those of one, a killed worker costs its combination."""

from __future__ import annotations

import importlib.util
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, run, start, summary
from omegaconf import OmegaConf
from processes import combinations, kill, wait_for

from src.parallel import Stopped, check_going_on, in_turns, number_of_workers, submit, workers
from src.pipeline import PipelineError
from src.results.bootstrap_pickle import load
from src.sweep import _check_workers, _lock
from src.tracking import artifact_folder, list_runs
from src.train import main

CELLS = ("outlier=pupil-gt,LOF", "imputation=linear", "classifier=LogisticRegression,XGBoost")
SMALL = ("data=smoke", "profile=smoke", "evaluation.n_iterations=20")
TWO = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SAME = ("y_prob_all", "y_prob_apparent", "feature_importance", "permutation_importance", "inbag_counts")


def places(folder: Path) -> tuple[str, ...]:
    return (
        f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",
        f"hydra.sweep.dir={folder}/multirun/{time.time_ns()}",
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory, empty_store) -> dict[str, Path]:
    """The same sweep by one worker after the other, and by two."""
    folders = {}
    for name, words in (("one", ("evaluation.n_jobs=2",)), ("two", TWO)):
        folders[name] = tmp_path_factory.mktemp(name)
        (folders[name] / "mlflow.db").write_bytes(empty_store.read_bytes())
        done = run("-m", "src.train", "-m", *CELLS, *SMALL, *words, *places(folders[name]))
        assert summary(done.stdout) == {"planned": 4, "finished": 4, "reused": 0, "failed": 0}
        assert "locked" not in done.stdout + done.stderr
        lines = re.findall(r"^\[(\d)/4\] finished", done.stdout, re.MULTILINE)
        assert lines == ["1", "2", "3", "4"]
    return folders


def stored(folder: Path) -> dict[str, dict]:
    """What is on record, without times, names of runs and what they link to."""
    facts = {}
    for r in list_runs(f"sqlite:///{folder / 'mlflow.db'}"):
        metrics = {name: value for name, value in r.metrics.items() if name != "duration_s"}
        own = ("sweep_id", "process", "record", "files")  # a config holds the name of the folder
        tags = {k: v for k, v in r.tags.items() if k not in own and "_run_id" not in k}
        key = r.tags.get("stage_key", r.run_name if r.tags["kind"] != "sweep" else "sweep")
        assert key not in facts, "computed twice"
        facts[key] = {"params": r.params, "metrics": metrics, "tags": tags, "status": r.status}
    return facts


def test_records_and_keys_are_those_of_one_worker(stores):
    one, two = stored(stores["one"]), stored(stores["two"])
    assert len(one) == 2 + 2 + 4 + 4 + 2 + 1  # masks, signals, features, cells, baselines, plan
    assert one == two


def test_predictions_are_those_of_one_worker_bit_by_bit(stores):
    results = {}
    for name, folder in stores.items():
        runs = list_runs(f"sqlite:///{folder / 'mlflow.db'}")
        paths = {r.run_name: artifact_folder(r) / "bootstrap_results.pkl" for r in runs}
        results[name] = {n: load(path) for n, path in paths.items() if path.exists()}
    assert len(results["one"]) == 6 and set(results["one"]) == set(results["two"])
    for name, contents in results["one"].items():
        for array in SAME:
            np.testing.assert_array_equal(contents[array], results["two"][name][array])


def compare(*words: object) -> int:
    spec = importlib.util.spec_from_file_location("compare_stores", ROOT / "scripts" / "compare_stores.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.main([str(word) for word in words])


def test_the_script_that_compares_stores_finds_the_same_and_differences(stores, empty_store, capsys):
    one, two = (folder / "mlflow.db" for folder in stores.values())
    assert compare(two, one, "--writers", 2) == 0
    assert capsys.readouterr().out == "the same: 14 finished runs, 2 at a time at most\n"
    assert compare(one, two, "--writers", 2) == 1
    assert "1 processes at most were at work at once, not 2" in capsys.readouterr().out
    assert compare(one, empty_store) == 1
    assert capsys.readouterr().out.count("is in one store only") == 14


def test_the_script_that_compares_stores_takes_no_part_of_an_option(capsys):
    with pytest.raises(SystemExit):
        compare("sqlite:////nowhere.db", "--write", "2")
    assert "unrecognized arguments: --write" in capsys.readouterr().err


def test_a_killed_worker_costs_its_combination_and_the_command_completes_again(stores):
    words = ("-m", "src.train", "-m", *CELLS, *SMALL, *TWO, "evaluation.seed=7")
    process = start(*words, *places(stores["two"]))
    assert kill(wait_for(lambda: combinations(process.pid), process)[0])
    output, _ = process.communicate(timeout=120)
    assert summary(output) == {"planned": 4, "finished": 3, "reused": 0, "failed": 1}
    assert process.returncode == 1
    assert "the process died with exit code -9" in output
    again = run(*words, *places(stores["two"]))
    assert summary(again.stdout) == {"planned": 4, "finished": 1, "reused": 3, "failed": 0}
    runs = list_runs(f"sqlite:///{stores['two'] / 'mlflow.db'}")
    keys = [r.tags["stage_key"] for r in runs if r.status == "FINISHED" and r.tags["kind"] != "sweep"]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("number", [True, 0, -1, "many"])
def test_what_is_no_number_of_workers_is_refused(number):
    with pytest.raises(PipelineError, match=f"n_jobs is {number!r}; expected a number of workers"):
        _check_workers(OmegaConf.create({"n_jobs": number}))


def test_two_sweeps_in_one_folder_are_refused(tmp_path):
    first = _lock(tmp_path)
    with pytest.raises(PipelineError, match=r"another sweep runs in .*; give this one a hydra\.sweep\.dir"):
        _lock(tmp_path)
    first.release()
    _lock(tmp_path).release()


def test_work_is_done_at_once_and_its_errors_come_when_all_of_it_is_done():
    together, done = threading.Barrier(2, timeout=30), []

    def meet(name: str) -> None:
        together.wait()
        done.append(name)
        if name == "a":
            raise ValueError("a went wrong")

    with pytest.raises(ValueError, match="a went wrong"), workers(2):
        assert number_of_workers() == 2
        for name in "abcd":
            submit(lambda name=name: meet(name))
    assert sorted(done) == list("abcd")
    assert number_of_workers() == 1


def test_without_workers_work_is_done_now():
    done = []
    submit(lambda: done.append(1))
    assert done == [1]
    check_going_on()


def test_an_interruption_stops_what_runs_and_what_waits():
    began, ended = threading.Event(), []

    def work() -> None:
        began.set()
        try:
            while True:
                check_going_on()
                time.sleep(0.01)
        except Stopped:
            ended.append(1)
            raise

    with pytest.raises(KeyboardInterrupt), workers(1):
        submit(work)
        submit(work)
        began.wait(30)
        raise KeyboardInterrupt
    assert ended == [1]


def test_ctrl_c_ends_the_command_with_a_sentence(monkeypatch, capsys):
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("src.train._job", stopped)
    monkeypatch.setattr("sys.argv", ["train"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "stopped; the same command goes on where this one was\n"


def jobs(**methods: str) -> list[list[str]]:
    grid = [[]]
    for stage, names in methods.items():
        grid = [[*job, f"{stage}={name}"] for job in grid for name in names.split(",")]
    return grid


def test_neighbours_share_no_stage_where_they_need_not():
    grid = jobs(outlier="a,b,c,d", imputation="x,y,z", classifier="p,q,r")
    order = [grid[k] for k in in_turns(grid)]
    assert sorted(order) == sorted(grid)
    firsts = order[:12]  # each the first to need its signal
    assert len({tuple(job[:2]) for job in firsts}) == 12
    assert [job[0] for job in firsts] == ["outlier=a", "outlier=b", "outlier=c", "outlier=d"] * 3
    assert {job[2] for job in firsts} == {"classifier=p"}


def test_another_cohort_shares_nothing():
    grid = [[f"data.seed={seed}", *job] for seed in (1, 2) for job in jobs(outlier="a", classifier="p,q")]
    assert in_turns(grid) == [0, 2, 1, 3]

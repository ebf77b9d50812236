"""Full and read-only disks, and files that change while a sweep runs, each for real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT, env
from faults import KILLS

from src.tracking import list_runs

CELLS = ("outlier=SpeedMAD,Hampel", "imputation=linear", "classifier=LogisticRegression")
SMALL = ("data=smoke", "profile=smoke", "evaluation.n_iterations=5", "baseline.features=age")
heavy = pytest.mark.skipif(KILLS <= 3, reason="takes long: make test-faults")
UNLIKE = "sweep_id|process|record|.*_run_id"  # tags
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
EDITS = {
    Path("configs/outlier/Hampel.yaml"): ("n_sds: 4.0", "n_sds: 2.0"),
    Path("src/outliers/hampel.py"): ("> self.n_sds", "> 0.5 * self.n_sds"),
    Path("src/evaluation/metrics.py"): ("from __future__", "# edited\nfrom __future__"),
}
"""Files of which something is replaced: a parameter, the source of a method, and a source that all share."""
BROKEN = tuple(
    Path("configs") / name for name in ("evaluation/bootstrap.yaml", "mlflow_registry/methods.yaml")
)
DELETED, ADDED = Path("configs/classifier/LogisticRegression.yaml"), Path("configs/outlier/New.yaml")


class Copy:
    """A copy of the project whose files may be edited, with a store of its own."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.root, self.store = folder / "project", store
        ignore = shutil.ignore_patterns("__pycache__", "*.duckdb", "private")
        for name in ("src", "configs", "hydra_plugins", "data"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignore)

    def start(self, store: str, *words: str) -> subprocess.Popen[str]:
        """Start a sweep into a store, which is made if there is none."""
        folder = self.root / store
        if not folder.exists():
            folder.mkdir()
            shutil.copy(self.store, folder / "mlflow.db")
        places = (f"tracking.uri={self.uri(store)}", f"hydra.sweep.dir={folder}/multirun/{time.time_ns()}")
        return subprocess.Popen(
            [sys.executable, "-m", "src.train", "-m", *CELLS, *SMALL, *places, *words],
            cwd=self.root,
            env=env(self.root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def uri(self, store: str) -> str:
        return f"sqlite:///{self.root / store / 'mlflow.db'}"

    def records(self, store: str) -> dict[str, tuple]:
        """What is on record of each finished stage, without times, ids and the sweep it belongs to."""
        found = {}
        for run in list_runs(self.uri(store)):
            tags = {
                k: v for k, v in run.tags.items() if k not in ("sweep_id", "process") and "_run_id" not in k
            }
            metrics = {name: value for name, value in run.metrics.items() if name != "duration_s"}
            key = run.tags.get("stage_key") or run.tags["kind"]
            assert key not in found, "computed twice"
            found[key] = run.status, run.params, tags, metrics
        return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory, empty_store) -> Copy:
    """A copy of the project, with the records of an undisturbed sweep in the store `undisturbed`."""
    copy = Copy(tmp_path_factory.mktemp("copy"), empty_store)
    output, _ = (process := copy.start("undisturbed")).communicate()
    assert process.returncode == 0, output
    return copy


@pytest.fixture
def edits(copy) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Edit files of the copy; mend what is broken. At the end all is as it was."""
    kept = {path: (copy.root / path).read_text() for path in (*EDITS, *BROKEN, DELETED)}

    def edit() -> None:
        for path, (old, new) in EDITS.items():
            assert old in kept[path]
            (copy.root / path).write_text(kept[path].replace(old, new))
        for path in (*BROKEN, ADDED):
            (copy.root / path).write_text("no: [yaml")
        (copy.root / DELETED).unlink()

    def mend() -> None:
        for path in (*BROKEN, DELETED):
            (copy.root / path).write_text(kept[path])
        (copy.root / ADDED).unlink(missing_ok=True)

    yield edit, mend
    mend()
    for path in EDITS:
        (copy.root / path).write_text(kept[path])


def test_what_is_edited_while_a_sweep_runs_is_for_the_next_one(copy, edits):
    edit, mend = edits
    process = copy.start("basic")
    wait_for_line(process, "[1/2]")
    edit()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert copy.records("basic") == copy.records("undisturbed")
    mend()
    output, _ = copy.start("basic", *JOBLIB).communicate()
    assert "planned 2, finished 2, reused 0, failed 0" in output  # a source they share was edited
    old, new = copy.records("undisturbed"), copy.records("basic")
    assert old.items() <= new.items()
    masks = [params for key, (params, _, _) in new.items() if key not in old and "outlier.n_sds" in params]
    assert [params["outlier.n_sds"] for params in masks] == ["2.0"]


@heavy
def test_workers_run_what_was_there_when_the_sweep_began(copy, edits):
    """They are handed all jobs as soon as the sweep is planned."""
    process = copy.start("joblib", *JOBLIB)
    wait_for_line(process, "combinations x")
    for path in (*(path for path in EDITS if path.suffix == ".yaml"), *BROKEN, DELETED):
        (copy.root / path).write_text("no: [yaml")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert copy.records("joblib") == copy.records("undisturbed")


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read what a command prints up to a line with this text."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the command ended without {text!r}")

"""Full and read-only disks, and files that change while a sweep runs, each for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ROOT, env
from faults import KILLS, assert_same_results
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf
from processes import wait_until_gone

from src.config_snapshot import KeptConfigs
from src.tracking import list_runs

CELLS = ("outlier=SpeedMAD,Hampel", "imputation=linear", "classifier=LogisticRegression")
SMALL = ("profile=smoke", "evaluation.n_iterations=5", "baseline.features=age", "evaluation.n_jobs=1")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
UNLIKE = "sweep_id|process|record|files|.*_run_id"  # tags in which two undisturbed sweeps differ
EDITS = {
    "configs/outlier/Hampel.yaml": ("n_sds: 4.0", "n_sds: 2.0"),
    "src/outliers/hampel.py": ("> self.n_sds", "> 0.5 * self.n_sds"),
    "src/evaluation/metrics.py": ("from __future__", "# edited\nfrom __future__"),
}
"""What is put in the place of what: a parameter, a method's source, and a source that all share."""
BROKEN = ("configs/evaluation/bootstrap.yaml", "configs/mlflow_registry/methods.yaml")
DELETED, ADDED = "configs/classifier/LogisticRegression.yaml", "configs/outlier/New.yaml"

heavy = pytest.mark.skipif(KILLS <= 3, reason="takes long: make test-faults")


class Project:
    """A copy of the project whose files may be edited, and its commands."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.root, self.empty_store = folder / "project", store
        ignore = shutil.ignore_patterns("__pycache__", "*.duckdb", "private")
        for name in ("src", "configs", "hydra_plugins", "scripts"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignore)
        self.done(0, "scripts/make_cohort.py", "data=smoke", "--out", str(self.root / "trace.png"))
        (self.cohort,) = (self.root / "data" / "cohorts").glob("*.duckdb")

    def start(self, *words: str, kib: int | None = None) -> subprocess.Popen[str]:
        """Start a command, which cannot make a file larger than some KiB."""
        limited = "unlimited" if kib is None else str(kib)
        return subprocess.Popen(
            ["bash", "-c", 'ulimit -f "$1"; shift; exec "$@"', "bash", limited, sys.executable, *words],
            cwd=self.root,
            env=env(self.root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def done(self, expect: int, *words: str, kib: int | None = None) -> str:
        """Run a command to its end; return what it printed, in which there is no traceback."""
        process = self.start(*words, kib=kib)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == expect, f"exit {process.returncode}\n{output}"
        assert "Traceback" not in output, output
        wait_until_gone(process.pid)
        return output

    def sweep(self, store: str, *words: str) -> tuple[str, ...]:
        """A sweep of two combinations into a store, which is made if there is none."""
        folder = self.root / store
        if not folder.exists():
            folder.mkdir()
            shutil.copy(self.empty_store, folder / "mlflow.db")
        data = () if any(word.startswith("data=") for word in words) else ("data=smoke",)
        places = (f"tracking.uri={self.uri(store)}", f"hydra.sweep.dir={folder}/multirun/{time.time_ns()}")
        return "-m", "src.train", "-m", *CELLS, *SMALL, *data, *places, *words

    def extraction(self, store: str, *words: str) -> tuple[str, ...]:
        """The command that builds a store's database."""
        return (
            *("scripts/extract_results.py", "--tracking-uri", self.uri(store)),
            *("--db", str(self.database(store)), *words),
        )

    def uri(self, store: str) -> str:
        return f"sqlite:///{self.root / store / 'mlflow.db'}"

    def database(self, store: str) -> Path:
        return self.root / store / "results" / "results.db"

    def records(self, store: str) -> dict[str, tuple]:
        """What is on record of each finished stage, by key, without times, ids and the sweep it was in."""
        found: dict[str, tuple] = {}
        for run in list_runs(self.uri(store)):
            key = run.tags.get("stage_key")
            if run.status == "FINISHED" and key:
                assert key not in found, "computed twice"
                tags = {name: text for name, text in run.tags.items() if not re.fullmatch(UNLIKE, name)}
                metrics = {name: value for name, value in run.metrics.items() if name != "duration_s"}
                found[key] = run.params, tags, metrics
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory, empty_store) -> Project:
    """A copy of the project, with an undisturbed sweep and its database in the store `undisturbed`."""
    project = Project(tmp_path_factory.mktemp("copy"), empty_store)
    assert "planned 2, finished 2" in project.done(0, *project.sweep("undisturbed"))
    project.done(0, *project.extraction("undisturbed"))
    return project


# --- files that are edited ---------------------------------------------------------------------------


@pytest.fixture
def edits(project) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Edit files of the copy; mend what is broken. At the end all is as it was."""
    kept = {path: (project.root / path).read_text() for path in (*EDITS, *BROKEN, DELETED)}

    def edit() -> None:
        for path, (old, new) in EDITS.items():
            assert old in kept[path]
            (project.root / path).write_text(kept[path].replace(old, new))
        for path in (*BROKEN, ADDED):
            (project.root / path).write_text("no: [yaml")
        (project.root / DELETED).unlink()

    def mend() -> None:
        for path in (*BROKEN, DELETED):
            (project.root / path).write_text(kept[path])
        (project.root / ADDED).unlink(missing_ok=True)

    yield edit, mend
    mend()
    for path in EDITS:
        (project.root / path).write_text(kept[path])


def test_what_is_edited_while_a_sweep_runs_is_for_the_next_one(project, edits):
    edit, mend = edits
    process = project.start(*project.sweep("edited"))
    wait_for_line(process, "[1/2]")
    edit()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert project.records("edited") == project.records("undisturbed")
    mend()
    output = project.done(0, *project.sweep("edited", *JOBLIB))
    assert "planned 2, finished 2, reused 0, failed 0" in output  # a source that both share was edited
    old, new = project.records("undisturbed"), project.records("edited")
    assert old.items() <= new.items()
    masks = [params for key, (params, _, _) in new.items() if key not in old and "outlier.n_sds" in params]
    assert [params["outlier.n_sds"] for params in masks] == ["2.0"]


@heavy
def test_workers_run_what_was_there_when_the_sweep_began(project, edits):
    """They are handed all jobs as soon as the sweep is planned."""
    process = project.start(*project.sweep("workers", *JOBLIB))
    wait_for_line(process, "combinations x")
    for path in (*BROKEN, DELETED, "configs/outlier/Hampel.yaml"):
        (project.root / path).write_text("no: [yaml")
    output, _ = process.communicate(timeout=300)
    (project.root / "configs/outlier/Hampel.yaml").write_text(
        (ROOT / "configs/outlier/Hampel.yaml").read_text()
    )
    assert process.returncode == 0, output
    assert project.records("workers") == project.records("undisturbed")


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read what a command prints up to a line with this text."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the command ended without {text!r}")


def test_kept_configs_are_what_hydra_would_have_read(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    hydras, kept = (kind("main", f"file://{tmp_path}/configs") for kind in (FileConfigSource, KeptConfigs))
    names = sorted(path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*"))
    before = [told(hydras, str(name)) for name in names]
    assert len(before) > 50 and before == [told(kept, str(name)) for name in names]
    assert kept.available() and kept.list("", None) == hydras.list("", None)
    shutil.rmtree(tmp_path / "configs")
    assert before == [told(kept, str(name)) for name in names]


def told(source, name: str) -> tuple:
    """All that a source of configs says about a name."""
    groups = {kind: source.list(name, kind) for kind in (None, *ObjectType)} if source.is_group(name) else {}
    result = source.load_config(name) if source.is_config(name) else None
    # As text: compared as configs, what depends on the time is worked out, and differs.
    text = None if result is None else (OmegaConf.to_yaml(result.config), replace(result, config=None))
    return source.is_group(name), source.is_config(name), groups, text


def test_a_mistake_in_a_config_is_said_of_the_file_somebody_can_mend(project, edits):
    (project.root / BROKEN[0]).write_text("no: [yaml")
    process = project.start(*project.sweep("undisturbed", "dry_run=true"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f'"{project.root / BROKEN[0]}", line 1' in output


def test_a_cohort_file_that_changes_fails_what_is_left_and_keeps_old_results_apart(project):
    file = project.root / "cohort.duckdb"
    shutil.copy(project.cohort, file)
    other = ("data=smoke", "data.seed=7", "--out", str(project.root / "trace.png"))
    project.done(0, "scripts/make_cohort.py", *other)
    (new,) = set(project.cohort.parent.glob("*.duckdb")) - {project.cohort}
    sweep = project.sweep("changing", "data=cohort", f"data.path={file}")
    process = project.start(*sweep)
    wait_for_line(process, "imputation linear")  # by now the first combination has read it
    new.replace(file)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "finished 1, reused 0, failed 1" in output
    assert "cohort.duckdb changed after this run was planned; start the command again" in output
    assert "planned 2, finished 2, reused 0" in project.done(0, *sweep)
    hashes = {tags["cohort_hash"] for _, tags, _ in project.records("changing").values()}
    assert len(hashes) == 2
    text = project.done(0, *project.extraction("changing"))
    assert "coverage: 2 finished" in text and "other cohort" in text


# --- full disks --------------------------------------------------------------------------------------


def test_a_sweep_on_a_full_disk_ends_and_completes_when_there_is_room(project):
    output = project.done(2, *project.sweep("full"), kib=900)
    assert re.search(r"NotWritable: \S+mlflow.db takes no results \(.*\); make room there", output)
    assert len(project.records("full")) < len(project.records("undisturbed"))
    project.done(0, *project.sweep("full"))
    assert project.records("full") == project.records("undisturbed")
    project.done(0, *project.extraction("full"))
    assert_same_results(project.database("undisturbed"), project.database("full"))


def test_an_extraction_on_a_full_disk_leaves_the_old_database(project):
    database = project.database("undisturbed")
    before, files = database.read_bytes(), {path.name for path in database.parent.iterdir()}
    rebuilding = project.extraction("undisturbed", "--rebuild")
    output = project.done(1, *rebuilding, kib=200)
    assert f"{database} cannot be written" in output and "is there room on the disk?" in output
    assert database.read_bytes() == before
    assert {path.name for path in database.parent.iterdir()} == files


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("scripts/make_figures.py", "--only", "roc", "--jobs", "1"), "roc.png"),
        (("scripts/run_benchmark.py",), "benchmark_results.json"),
    ],
    ids=["figures", "report"],
)
def test_what_was_drawn_or_reported_stays_where_there_is_no_room_for_more(project, tmp_path, words, kept):
    (tmp_path / kept).write_text("old")
    database = ("--db", str(project.database("undisturbed")), "--out", str(tmp_path))
    output = project.done(2, *words, *database, kib=4)
    assert re.search(
        rf"cannot write {tmp_path}/\w+\.\w+: .*; choose another --out or make room there", output
    )
    assert (tmp_path / kept).read_text() == "old"
    assert all(not path.name.startswith(".") for path in tmp_path.iterdir())


def test_commands_leave_no_bytecode_of_which_a_full_disk_could_keep_a_part(project):
    project.done(0, "scripts/run_benchmark.py", "--help")
    project.done(0, "-m", "src.train", "--help")
    written = {path.name.partition(".")[0] for path in project.root.rglob("*.pyc")}
    assert written <= {"__init__"}  # of src itself, which says so, and is shorter than any block of a disk


def test_no_half_cohort_is_left_where_there_is_no_room(project, tmp_path):
    command = ("scripts/make_cohort.py", "data=smoke", f"data.folder={tmp_path}")
    output = project.done(2, *command, kib=20)
    assert re.search(rf"CohortError: {tmp_path}/\S+ cannot be written \(.*\); make room", output)
    assert not list(tmp_path.iterdir())


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something over a folder; skip the test where that is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@heavy
def test_a_sweep_ends_where_its_artifacts_find_no_room(project):
    sweep = project.sweep("small", f"tracking.artifact_root={project.root / 'small' / 'artifacts'}")
    with mounted(project.root / "small" / "artifacts", "-t", "tmpfs", "-o", "size=300k", "tmpfs") as folder:
        output = project.done(2, *sweep)
        assert f"NotWritable: {folder} takes no results (No space left on device); make room" in output
        finished = {run.run_id for run in list_runs(project.uri("small")) if run.status == "FINISHED"}
        assert {path.parent.name for path in folder.glob("*/*/artifacts")} == finished
        subprocess.run(["mount", "-o", "remount,size=10m", str(folder)], check=True)
        project.done(0, *sweep)
        assert project.records("small") == project.records("undisturbed")


@heavy
def test_tables_find_no_room(project, tmp_path):
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=100k", "tmpfs") as folder:
        output = project.done(2, *project.extraction("undisturbed", "--parquet", str(folder / "tables")))
        assert re.search(
            rf"cannot write {folder}/\S+: .*; choose another --parquet or make room there", output
        )
        assert not list(folder.iterdir())


# --- read-only folders -------------------------------------------------------------------------------


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, which for root takes a mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid():
        folder.chmod(0o500)
        try:
            yield
        finally:
            folder.chmod(0o700)
        return
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield


def test_an_extraction_into_a_read_only_folder_is_refused(project, tmp_path):
    with read_only(tmp_path / "results"):
        output = project.done(
            2, *project.extraction("undisturbed", "--db", str(tmp_path / "results" / "a.db"))
        )
    assert re.search(
        rf"cannot write {tmp_path}/results\S+: .*; choose another --db or make room there", output
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "mlartifacts",
            r"NotWritable: \S+/mlartifacts\S* takes no results \(.*\); .* the right to write",
        ),
        pytest.param(
            ".", r"NotWritable: \S+mlflow.db takes no results \(.*\); .* the right to write", marks=heavy
        ),
        pytest.param("multirun", r"cannot use \S+multirun\S+: .*choose another place", marks=heavy),
    ],
    ids=["artifacts", "store", "multirun"],
)
def test_a_sweep_into_a_read_only_folder_is_refused_before_anything_is_computed(project, place, sentence):
    store = f"read-only-{place.strip('.')}"
    sweep = project.sweep(store)
    if place == ".":
        sweep = (*sweep, f"hydra.sweep.dir={project.root}/multirun")
    with read_only(project.root / store / place):
        output = project.done(2, *sweep)
    assert re.search(sentence, output), output
    assert "outlier SpeedMAD" not in output and not project.records(store)

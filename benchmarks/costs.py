"""What a run costs in tracking, stage files and extraction, and what a grid of a million would cost."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import Row
from benchmarks.extraction import STUDY, extract
from benchmarks.many_runs import ManyRuns
from benchmarks.sweep import ONE, launch
from src.registry import load_registry
from src.tracking import Record, StoredRun, Tracking, artifact_folder, list_runs

GRID = {"cohorts": 10, "detectors": 100, "imputers": 50, "classifiers": 20}
STAGES = {"outlier": "mask", "imputation": "signal", "features": "feature table", "classifier": "predictions"}
N_LOGGED, WRITERS = 40, (1, 2)
N_PARAMS, N_METRICS, N_TAGS, ARTIFACT = 20, 30, 12, b"x" * 2**20
SIZES = (1_000, 100_000)  # of stores to look something up in
N_LOOKED_UP = 5
LOOK_UPS = 7
"""Of a combination whose stages are there: the predictions before, in and under the lock, and each stage."""


@dataclass(frozen=True)
class Stage:
    """Means over the runs of a stage."""

    seconds: float
    megabytes: float


def run(quick: bool) -> list[Row]:
    """Measure single runs, and multiply (`quick`: smoke sweep, 50 runs, smaller stores, no projection)."""
    with TemporaryDirectory(prefix="plr-costs-") as name:
        folder = Path(name)
        written = {n: _written(folder / f"writers{n}", n) for n in WRITERS}
        found = {n: _found(folder / f"store{n}", n) for n in SIZES[: 1 if quick else None]}
        stages, composed = _stages(folder / "sweep", "smoke" if quick else "quick")
        extracted = _extracted(folder / "extraction", 50 if quick else STUDY)
    rows = [Row(f"a run is logged, {n} at once", 1000 * s, "ms") for n, s in written.items()]
    rows += [Row(f"a stage is looked up among {n} runs", 1000 * s, "ms") for n, s in found.items()]
    rows.append(Row("a combination is composed, found finished and passed over", 1000 * composed, "ms"))
    for stage, what in STAGES.items():
        rows += [Row(f"{what}: computed", stages[stage].seconds, "s")]
        rows += [Row(f"{what}: stored", stages[stage].megabytes, "MB")]
    rows += [Row("a run is extracted", extracted.seconds, "s")]
    rows += [Row("a run in the database", extracted.megabytes, "MB")]
    if quick:
        return rows
    return rows + list(_projected(written[1], found, composed, stages, extracted))


def _projected(
    written: float,
    found: Mapping[int, float],
    composed: float,
    stages: Mapping[str, Stage],
    extracted: Stage,
) -> Iterator[Row]:
    """What the grid would cost if everything were proportional; a look-up is, to the number of runs."""
    n = _runs_of_stages()
    runs, cells = sum(n.values()), n["classifier"]
    hours = {stage: n[stage] * stages[stage].seconds / 3600 for stage in n}
    yield Row("grid: combinations", cells)
    yield Row("grid: runs of stages before them", runs - cells)
    for stage, what in STAGES.items():
        yield Row(f"grid: {what}, computed", hours[stage], "core h")
        yield Row(f"grid: {what}, stored", n[stage] * stages[stage].megabytes / 1e3, "GB")
    largest = max(found)
    # Half of the runs are there on average.
    look_up = found[largest] * runs / largest / 2
    yield Row("grid: composed by one command", cells * composed / 3600, "h")
    yield Row("grid: logged by one writer after the other", runs * written / 3600, "h")
    yield Row("grid: looked up, one after the other", LOOK_UPS * cells * look_up / 3600, "h")
    yield Row("grid: extracted on this machine", cells * extracted.seconds / 3600, "h")
    yield Row("grid: database", cells * extracted.megabytes / 1e3, "GB")


def _runs_of_stages() -> dict[str, int]:
    """Runs of each stage in the grid: one per choice of the methods up to it, with one set of features."""
    cohorts, detectors, imputers, classifiers = GRID.values()
    masks = cohorts * detectors
    signals = masks * imputers
    return {
        "outlier": masks,
        "imputation": signals,
        "features": signals,
        "classifier": signals * classifiers,
    }


def _written(folder: Path, writers: int) -> float:
    """Seconds on the clock per run that is logged, where so many processes log at once."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    Tracking(uri, ("costs",))
    with ProcessPoolExecutor(writers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_log, [uri] * writers, [1] * writers))  # imports, connections
        started = time.perf_counter()
        list(pool.map(_log, [uri] * writers, [N_LOGGED] * writers))
        return (time.perf_counter() - started) / (writers * N_LOGGED)


def _log(uri: str, times: int) -> None:
    tracking = Tracking(uri, ("costs",))
    record = Record(
        "costs",
        "a run",
        {f"param{i}": str(i) for i in range(N_PARAMS)},
        {f"tag{i}": str(i) for i in range(N_TAGS)},
        {f"metric{i}": float(i) for i in range(N_METRICS)},
        _artifact,
        time.time(),
    )
    for _ in range(times):
        tracking.log(record)


def _artifact(folder: Path) -> None:
    (folder / "results.pkl").write_bytes(ARTIFACT)


def _found(folder: Path, n: int) -> float:
    """Median seconds to look a stage up among `n` runs."""
    experiment = load_registry().experiments["imputation"].experiment
    database = folder / "mlflow.db"
    tracking = Tracking(f"sqlite:///{database}", (experiment,))
    _fill(database, experiment, n)
    seconds = []
    for _ in range(N_LOOKED_UP + 1):  # the first one opens the file
        started = time.perf_counter()
        tracking.find(experiment, f"{n:016x}")
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def _fill(database: Path, experiment: str, n: int) -> None:
    """Write `n` finished runs without artifacts."""
    ids = [uuid.uuid4().hex for _ in range(n)]
    with sqlite3.connect(database) as connection:
        (number,) = connection.execute(
            "SELECT experiment_id FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        connection.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
            "lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?, '', 'LOCAL', '', 'FINISHED', 0, 1, 'active', '', ?)",
            [(run_id, number) for run_id in ids],
        )
        tags = [("stage_key", f"{i:016x}", run_id) for i, run_id in enumerate(ids)]
        tags += [(f"tag{k}", "x", run_id) for run_id in ids for k in range(N_TAGS)]
        connection.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
    connection.close()


def _stages(folder: Path, sweep: str) -> tuple[dict[str, Stage], float]:
    """Run a sweep by two workers and look at what it left; return the seconds of a run that is reused, too.

    Those are of the further ones: the command itself starts once.
    """
    folder.mkdir()
    launch(folder, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", reused=False, sweep=sweep)
    (again, n), (single, _) = launch(folder, sweep=sweep), launch(folder, *ONE, sweep=sweep)
    runs = [r for r in list_runs(f"sqlite:///{folder / 'mlflow.db'}") if r.status == "FINISHED"]
    experiments = load_registry().experiments
    of = {
        stage: [
            r
            for r in runs
            if r.experiment == experiments[stage].experiment and r.tags["kind"] in ("stage", "combination")
        ]
        for stage in STAGES
    }
    stages = {
        stage: Stage(
            float(np.mean([r.metrics["duration_s"] for r in found])), float(np.mean([*map(_size, found)]))
        )
        for stage, found in of.items()
    }
    return stages, (again.clock - single.clock) / (n - 1)


def _size(run: StoredRun) -> float:
    return sum(file.stat().st_size for file in artifact_folder(run).rglob("*") if file.is_file()) / 1e6


def _extracted(folder: Path, n: int) -> Stage:
    """Seconds and megabytes of extraction per run."""
    folder.mkdir()
    store = ManyRuns(folder)
    store.grow(n)
    seconds, _ = extract(store, folder / "results.db")
    return Stage(seconds / n, (folder / "results.db").stat().st_size / 1e6 / n)

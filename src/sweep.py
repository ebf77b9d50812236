"""A sweep around Hydra's jobs: its plan, its progress, the records of its jobs, and its summary."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig

from src.cluster import FOLDER, ClusterError, Slurm, send_and_wait
from src.cohort import CohortError
from src.combination import Combination
from src.evaluation.resampling import EvaluationError, inbag_counts, resample_id
from src.parallel import number_of_workers, others, submit
from src.pipeline import PipelineError, open_tracking
from src.progress import duration
from src.registry import FACTORS, RegistryError, load_registry
from src.settings import baselines_of, is_baseline, read_combination, tuned_name
from src.tracking import Record, TrackingError, share_between_machines
from src.work import Work, ending_all, progress_of, seen_baselines, tell, write_json

PLAN = "planned.json"
STATUS = "status.json"
_MANY = 150  # combinations; composing one takes a tenth of a second, and more for ensembles
_EXPECTED = (ClusterError, CohortError, EvaluationError, PipelineError, RegistryError, TrackingError)


def run_job(config: DictConfig) -> None:
    """Run the job Hydra composed: a combination, and after it its cohort's baselines if they are missing.

    Where there are workers, one of them does so, and this returns at once. A failure is recorded; only a
    single run exits with 1 for it, a sweep does so at its end.
    """
    hydra_config = HydraConfig.get()
    single = hydra_config.mode == RunMode.RUN
    plan = {} if single else json.loads((Path(hydra_config.sweep.dir) / PLAN).read_text(encoding="utf-8"))
    with clear_errors(), ending_all():
        combination = read_combination(config, plan.get("sweep_id", ""))
        _check_resampling(combination)
        baselines = baselines_of(config, combination, plan.get("first", hydra_config.overrides.task))
        if single:
            open_tracking(combination).close_dead_runs()
    path, planned = Path(hydra_config.runtime.output_dir) / STATUS, plan.get("jobs", 1)
    work, progress = Work(combination, tuple(baselines), path, planned), progress_of(planned)
    if not (single or config.dry_run):
        submit(work)
        return
    # What is timed to look ahead is timed alone.
    if config.dry_run:
        from src.dry_run import look_ahead  # what it measures with takes a second to load

        status = look_ahead(combination)
        status["seconds"] /= number_of_workers()
        work.leave(status)
        progress.ends(status)
    else:
        status = work()
    if single:
        progress.close()
        print(_closing([status], 1, config.dry_run))
        if _went_wrong([status], 1):
            raise Failed(1)


@contextmanager
def on_slurm(slurm: Slurm) -> Iterator[None]:
    """Have SLURM do what is composed in this block and not finished yet; wait for it."""
    with others(slurm.array_parallelism) as composed:
        yield
        left = _left_to_do(composed)
        if not left:
            return
        first = left[0]
        sent = [replace(work, planned=slurm.combinations_per_task) for work in left]
        cores = max(work.combination.n_jobs for work in left)
        name, folder = f"plr-{first.combination.sweep_id}", first.path.parents[1] / FOLDER
        with clear_errors(), ending_all():
            try:
                send_and_wait(sent, slurm, name, folder, cores, first.progress.ends)
            except KeyboardInterrupt:
                _close_runs(first.combination)
                raise
            _close_runs(first.combination)


def _close_runs(combination: Combination) -> None:
    """Close what died in the middle of writing to the store: on a machine that is not this one."""
    open_tracking(combination).close_runs_of_sweep(combination.sweep_id)


def _left_to_do(composed: list[Work]) -> list[Work]:
    """Return what is to be computed, each baseline with the first that has it; show what is finished."""
    left = []
    for work in composed:
        keys = {baseline.keys()["classifier"]: baseline for baseline in work.baselines}
        new = replace(work, baselines=tuple(b for key, b in keys.items() if key not in seen_baselines()))
        if new.is_finished():
            new()
        else:
            seen_baselines().update(keys)
            left.append(new)
    return left


class Failed(SystemExit):
    """The exit of a command whose runs failed; they have said why."""


class SweepCallback(Callback):
    """Plans a sweep before its first job and sums it up after its last."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the plan, into the folder of the sweep and into the store."""
        with clear_errors(), ending_all():
            sweep_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
            jobs = _jobs(config)
            _check_workers(config.hydra.launcher)
            self.folder = Path(config.hydra.sweep.dir).absolute()
            self.folder.mkdir(parents=True, exist_ok=True)
            check = getattr(get_class(config.hydra.launcher._target_), "check", None)
            if check is not None and not config.dry_run:
                check(config)
            self.alone = _lock(self.folder)
            name = config.hydra.runtime.choices.get("sweeps") or "ad hoc"
            plan = {"sweep_id": sweep_id, "sweep": name, "jobs": len(jobs), "first": jobs[0].words}
            write_json(self.folder / PLAN, plan)
            for cohort_jobs in _by_cohort(jobs):
                _log_plan(plan, cohort_jobs, dry_run=config.dry_run, on_machines=check is not None)
            self.jobs, self.dry_run, self.sweep_id = len(jobs), config.dry_run, sweep_id

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print what became of the jobs; exit with 1 if any failed."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in self.folder.glob(f"*/{STATUS}")]
        records = [record for record in records if record["sweep_id"] == self.sweep_id]
        progress_of(self.jobs).close()
        print(_closing(records, self.jobs, self.dry_run))
        self.alone.release()
        if _went_wrong(records, self.jobs):
            raise Failed(1)


def _lock(folder: Path) -> BaseFileLock:
    """Keep other sweeps out of the folder of this one while it runs."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise PipelineError(
            f"another sweep runs in {folder}; give this one a hydra.sweep.dir of its own"
        ) from None
    return lock


@dataclass(frozen=True)
class _Job:
    """One job of a sweep: its overrides outside the stages, and its method in each stage."""

    other: tuple[str, ...]
    methods: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        """All its overrides."""
        return [*self.other, *(f"{stage}={name}" for stage, name in self.methods.items())]


def _jobs(config: DictConfig) -> list[_Job]:
    """Expand a sweep the way Hydra's sweeper does."""
    words = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides(words + list(config.hydra.overrides.task))
    jobs = []
    for job in BasicSweeper.split_arguments(overrides, None)[0]:
        methods = dict(word.split("=", 1) for word in job if word.partition("=")[0] in FACTORS)
        other = tuple(word for word in job if word.partition("=")[0] not in FACTORS)
        jobs.append(_Job(other, {stage: name.strip("'\"") for stage, name in methods.items()}))
    return jobs


def _check_workers(launcher: DictConfig) -> None:
    """Refuse a number of workers that is none before the sweep is on record."""
    n_jobs = launcher.get("n_jobs", 1)
    if type(n_jobs) is not int or n_jobs < 1:
        raise PipelineError(f"hydra.launcher.n_jobs is {n_jobs!r}; expected a number of workers, at least 1")


def _by_cohort(jobs: list[_Job]) -> list[list[_Job]]:
    groups: dict[tuple[str, ...], list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.other, []).append(job)
    return list(groups.values())


def _log_plan(plan: Mapping[str, Any], jobs: list[_Job], dry_run: bool, on_machines: bool = False) -> None:
    """Log which cells of the design are planned on one cohort, so that a missing one can be named."""
    composed = compose(config_name="train", overrides=list(jobs[0].other), return_hydra_config=True)
    choices = composed.hydra.runtime.choices
    combination = read_combination(composed, plan["sweep_id"], choices)
    _check_resampling(combination)
    methods = [{stage: job.methods.get(stage, choices[stage]) for stage in FACTORS} for job in jobs]
    if combination.tuning is not None:
        methods = [m | {"classifier": tuned_name(m["classifier"])} for m in methods]
    cells = [{FACTORS[s]: m[s] for s in FACTORS} for m in methods if not is_baseline(m["features"])]
    _announce(combination, len(jobs))
    if dry_run:
        return
    if on_machines:
        share_between_machines(combination.tracking_uri)
    tracking = open_tracking(combination)
    tracking.close_dead_runs()
    if not tracking.is_shared:
        print("the server keeps the artifacts: another machine may compute the same stage at the same time")
    cohort = combination.cohort
    tags = {"kind": "sweep", "sweep_id": plan["sweep_id"], "cohort_hash": cohort.content_hash}
    tags |= {"source": cohort.source, "resample_id": _resample_id(combination), "unit": cohort.unit}
    contents = {"sweep_id": plan["sweep_id"], "sweep": plan["sweep"], "cells": cells}
    experiment = load_registry().experiments["classifier"].experiment
    tracking.log(
        Record(
            experiment,
            f"sweep {plan['sweep']} {plan['sweep_id']}",
            params={"sweep": plan["sweep"], "n_planned": str(len(cells))},
            tags=tags,
            metrics={},
            artifacts=lambda folder: write_json(folder / PLAN, contents),
            started=time.time(),
        )
    )


def _announce(combination: Combination, n_jobs: int) -> None:
    cohort = combination.cohort
    labels = cohort.subjects["label"]
    n = {name: int((labels == label).sum()) for name, label in (("controls", 0), ("glaucoma", 1))}
    people = (
        f"{n['controls']} controls, {n['glaucoma']} glaucoma, {int(labels.isna().sum())} without a diagnosis"
    )
    size = f"{n_jobs} combinations x {combination.n_iterations} iterations"
    print(f"{size} on {cohort.path.name} ({cohort.source})")
    print(f"{len(labels)} recordings: {people}", flush=True)
    if n_jobs >= _MANY:
        print("composing their configurations takes a minute or two before the first starts", flush=True)


def _check_resampling(combination: Combination) -> None:
    """Refuse what cannot be resampled before hours are spent on cleaning it."""
    if combination.n_jobs < 1 or combination.seed < 0:
        raise EvaluationError(
            f"evaluation.n_jobs is {combination.n_jobs} and evaluation.seed {combination.seed}; "
            "expected at least 1 process and a seed of at least 0"
        )
    labelled = combination.cohort.subjects.dropna(subset="label")
    y, groups = labelled["label"].to_numpy(dtype=float), list(labelled["code"])
    try:
        inbag_counts(y, groups, min(combination.n_iterations, 1), combination.seed)
    except EvaluationError as error:
        raise EvaluationError(f"{combination.cohort.path.name}: {error}") from error


def _resample_id(combination: Combination) -> str:
    labelled = combination.cohort.subjects.dropna(subset="label")
    y = labelled["label"].to_numpy(dtype=np.int8)
    codes, groups = list(labelled["recording"]), list(labelled["code"])
    return resample_id(combination.seed, combination.n_iterations, codes, y, groups)


def _went_wrong(records: list[dict[str, Any]], planned: int) -> bool:
    failed = any(record["state"] == "failed" or record.get("baseline_errors") for record in records)
    return failed or len(records) < planned


def _closing(records: list[dict[str, Any]], planned: int, dry_run: bool) -> str:
    """Return the summary of a sweep or of a single run."""
    count = {state: sum(r["state"] == state for r in records) for state in ("finished", "reused", "failed")}
    if dry_run:
        reusable, lacking = (sum(r["state"] == state for r in records) for state in ("reusable", "not ready"))
        left = duration(sum(r["seconds"] for r in records))
        counts = f"planned {planned}, reusable {reusable}, not ready {lacking}"
        return f"{counts}, projected for the rest: {left} of fits"
    lines = [f"planned {planned}, " + ", ".join(f"{state} {n}" for state, n in count.items())]
    lines += [
        f"  failed {r['run_name']} in {r['stage']}: {r['error']}" for r in records if r["state"] == "failed"
    ]
    lines += [f"  failed the baseline {n}: {e}" for r in records for n, e in r["baseline_errors"].items()]
    if len(records) < planned:
        lines.append(f"  {planned - len(records)} ended without a record: repeat the command to run them")
    return "\n".join(lines)


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the command with one sentence for what a user can mend, with a traceback for what is our fault.

    Hydra turns exceptions in callbacks into warnings, so both become SystemExit.
    """
    try:
        yield
    except (*_EXPECTED, OSError) as error:
        tell(error)
        raise SystemExit(2) from error
    except HydraException as error:
        print(*filter(None, map(str, (error, error.__cause__ or ""))), sep="\n", file=sys.stderr)
        raise SystemExit(1) from error
    except Exception as error:
        traceback.print_exc()
        raise SystemExit(2) from error

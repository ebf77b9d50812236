"""Cohorts without effect through the whole pipeline: what is found there is a leak, or chance.

Cohorts of 208 subjects in which nothing distinguishes the classes, each with resamples of its own (their seed
is the cohort's), 200 iterations, two detectors x two imputers x logistic regression.

Chance alone moves the AUROC of one cohort by sqrt((n + 1) / (12 n0 n1)) = 0.045 (152 and 56 subjects), and
the mean of forty by 0.007. For forty cohorts 0.5 +- 0.02 is 2.8 such standard errors wide, and a sound
program misses it now and then; for four times as many it is 5.6 wide, and what misses it is a leak. Hence
four blocks of forty: the requirements are on all of them, and the lowest and the highest block are shown.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hydra import compose, initialize_config_dir
from tqdm import tqdm

from benchmarks import Row, at_most, within
from src.combination import Combination
from src.pipeline import open_tracking, run_combination
from src.settings import read_combination
from src.train import CONFIGS, register_resolvers

METHODS = {"outlier": ("pupil-gt", "LOF"), "imputation": ("pupil-gt", "linear")}
N_BLOCKS, IN_BLOCK, N_COHORTS_QUICK, N_ITERATIONS = 4, 40, 6, 200
MAX_EXCLUDED = 6  # of a block: with intervals that miss 5 % of the time, 7 or more have a chance of 0.3 %
WORKERS = 2


def plan(
    folder: Path,
    tracking_uri: str,
    seed: int,
    outlier: str,
    imputation: str,
    classifier: str = "LogisticRegression",
    n_iterations: int = N_ITERATIONS,
) -> Combination:
    """Return a combination on the cohort and the resamples that belong to `seed`, kept in `folder`."""
    choices = {
        "data": "no_effect",
        "outlier": outlier,
        "imputation": imputation,
        "features": "simple",
        "classifier": classifier,
    }
    settings = {
        **choices,
        "data.folder": f"'{folder}'",
        "data.n_recordings": 208,
        "data.seed": seed,
        "evaluation.n_iterations": n_iterations,
        "evaluation.seed": seed,
        "evaluation.n_jobs": 1,
        "tracking.uri": f"'{tracking_uri}'",
    }
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(config_name="train", overrides=[f"{key}={value}" for key, value in settings.items()])
        return read_combination(config, choices=choices)


def excludes_chance(estimate: float, lo: float, hi: float) -> bool:
    """Whether an AUROC with this 95 % sampling interval speaks of more, or less, than chance.

    An AUROC of exactly 0 or 1, and one without any spread, has no interval: it stands for itself.

    Raises
    ------
    ValueError
        If there is no estimate.
    """
    if math.isnan(estimate):
        raise ValueError("the AUROC is undefined; expected a number to hold against 0.5")
    if math.isnan(lo) or math.isnan(hi):
        return estimate != 0.5
    return not lo <= 0.5 <= hi


def auroc_of(combination: Combination) -> tuple[float, float, float]:
    """Run a combination; return its out-of-bag AUROC with its sampling interval (NaN where undefined).

    Raises
    ------
    RuntimeError
        If the combination fails.
    """
    status = run_combination(combination)
    if status["state"] == "failed":
        raise RuntimeError(f"{status['run_name']} failed in {status['stage']}: {status['error']}")
    metrics: Mapping[str, float] = status["metrics"]
    estimate, lo, hi = (metrics.get(f"test_auroc{end}", math.nan) for end in ("", "_lo", "_hi"))
    return estimate, lo, hi


def run(quick: bool) -> list[Row]:
    """Run all cohorts in two processes that share one store."""
    seeds = range(N_COHORTS_QUICK if quick else N_BLOCKS * IN_BLOCK)
    with TemporaryDirectory(prefix="plr-no-effect-") as name:
        folder = Path(name)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        found = _all_cohorts(folder, uri, seeds)
    rows = []
    for number, cell in enumerate(product(*METHODS.values())):
        values = np.array([found[seed][number] for seed in seeds])
        rows += quick_rows(" x ".join(cell), values) if quick else full_rows(" x ".join(cell), values)
    return rows


def _all_cohorts(folder: Path, uri: str, seeds: range) -> dict[int, list[tuple[float, float, float]]]:
    open_tracking(plan(folder, uri, seeds[0], "pupil-gt", "pupil-gt"))  # the store is made once
    context = multiprocessing.get_context("spawn")
    found = {}
    with ProcessPoolExecutor(min(WORKERS, os.cpu_count() or 1), mp_context=context) as pool:
        futures = {pool.submit(_cohort, folder, uri, seed): seed for seed in seeds}
        for future in tqdm(as_completed(futures), total=len(futures), unit="cohort", desc="  no effect"):
            found[futures[future]] = future.result()
    return found


def _cohort(folder: Path, uri: str, seed: int) -> list[tuple[float, float, float]]:
    """Return what each combination finds in one cohort, which is deleted again."""
    cells = [
        plan(folder, uri, seed, outlier, imputation) for outlier, imputation in product(*METHODS.values())
    ]
    found = [auroc_of(combination) for combination in cells]
    cells[0].cohort.path.unlink()
    return found


def quick_rows(cell: str, values: np.ndarray) -> list[Row]:
    """Return what a few cohorts say of a combination: no requirement, as chance is too large.

    Parameters
    ----------
    cell : str
        Name of the combination.
    values : ndarray, shape (n, 3)
        Estimate, lo and hi of each cohort.
    """
    n = len(values)
    error = float(values[:, 0].std(ddof=1)) / math.sqrt(n)
    return [
        Row(f"{cell}: mean AUROC", float(values[:, 0].mean())),
        Row(f"{cell}: its standard error over cohorts", error),
        Row(
            f"{cell}: intervals without 0.5", sum(excludes_chance(*row) for row in values.tolist()), f"of {n}"
        ),
    ]


def full_rows(cell: str, values: np.ndarray) -> list[Row]:
    """Return what all blocks say of a combination, held against the requirements (see `quick_rows`)."""
    mean, error, excluded = quick_rows(cell, values)
    blocks = values[:, 0].reshape(N_BLOCKS, IN_BLOCK).mean(axis=1)
    return [
        within(mean.measure, mean.value, 0.5, 0.02),
        error,
        Row(f"{cell}: lowest block of {IN_BLOCK}", float(blocks.min())),
        Row(f"{cell}: highest block of {IN_BLOCK}", float(blocks.max())),
        at_most(excluded.measure, excluded.value, N_BLOCKS * MAX_EXCLUDED, excluded.unit),
    ]

"""From a results file to the rows of its run: what the processes of `workers` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from src.results.bootstrap_pickle import load
from src.results.bootstrap_table import normalise
from src.results.columns import arrow_table
from src.results.run_facts import RunFacts, facts_of
from src.results.run_tables import run_tables
from src.results.safe_pickle import RejectedRun

MAX_RECORDINGS = 20_000
"""A calibration curve takes minutes for so many; its time grows with their square."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A run's file, and its rows per table, without the column `run_id`."""

    facts: RunFacts
    tables: dict[str, pa.Table]


@dataclass(frozen=True)
class Identity:
    """Which combination, cohort and resamples a file of another program is about.

    `factors` are those the file names; hashes stand in for the cohort and the resamples where it is foreign.
    """

    factors: dict[str, str]
    cohort_hash: str
    resample_id: str
    is_foreign: bool


def evaluate_file(path: Path, smoothed_intervals: bool = False) -> Evaluated:
    """Read and evaluate a results file; the second argument as in `src.evaluation.estimators.evaluate_run`.

    Raises
    ------
    RejectedRun
        If it cannot be used.
    """
    table = normalise(load(path))
    if len(table.y) > MAX_RECORDINGS:
        raise RejectedRun(f"{len(table.y)} recordings; at most {MAX_RECORDINGS} can be evaluated")
    tables = {name: arrow_table(columns) for name, columns in run_tables(table, smoothed_intervals).items()}
    return Evaluated(facts_of(path, table), tables)


def identify_file(path: Path) -> Identity:
    """Read what a results file is about, as `evaluate_file`."""
    table = normalise(load(path))
    return Identity(table.factors or {}, table.cohort_hash, table.resample_id, table.foreign)

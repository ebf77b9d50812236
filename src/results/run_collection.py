"""Reading the chosen runs one after the other and writing their rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.results.bootstrap_pickle import FILE_NAME, load
from src.results.bootstrap_table import BootstrapTable, normalise
from src.results.builder import ResultsWriter
from src.results.run_tables import essential_row, run_tables
from src.results.safe_pickle import RejectedRun
from src.results.selection import Candidate, Exclusion, Selection
from src.results.stores import Store, read_artifact
from src.tracking import StoredRun

SOURCES = ("synthetic", "measured", "unstated")
_RUNS_PER_INSERT = 25


@dataclass(frozen=True, eq=False)
class Included:
    """What is remembered of a run after its rows are written.

    Attributes
    ----------
    candidate : Candidate
    source : str
        Where its recordings come from.
    subjects, predictions : str
        Digests of recordings, subjects, outcomes and left-out sets; of the left-out probabilities.
    y : ndarray, shape (n,)
    codes : tuple of n str
        Recordings.
    n_subjects, n_iterations : int
    essential : dict
        Columns of essential_metrics.
    details : mapping
        What its file says about itself.
    """

    candidate: Candidate
    source: str
    subjects: str
    predictions: str
    y: np.ndarray
    codes: tuple[str, ...]
    n_subjects: int
    n_iterations: int
    essential: dict[str, Any]
    details: Mapping[str, Any]

    @property
    def run(self) -> StoredRun:
        """The run in the store."""
        return self.candidate.run

    def fact(self, name: str) -> str | None:
        """A tag of the run, or what its file says; None if neither says anything that can be shown."""
        value = self.run.tags.get(name) or self.details.get(name)
        return value if isinstance(value, str) and value.isprintable() else None


@dataclass
class Collection:
    """The runs that went in, and those that did not.

    `no_ages` holds baseline runs without results, `rejected` the reason why a combination has no usable run.
    """

    included: list[Included] = field(default_factory=list)
    no_ages: list[Candidate] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    rejected: dict[tuple[str, ...], str] = field(default_factory=dict)

    def exclude(self, run: StoredRun, reason: str, detail: str) -> None:
        """Note a run that stays out."""
        self.excluded.append(Exclusion(run.run_id, run.run_name, reason, detail))


def collect_runs(store: Store, selection: Selection, writer: ResultsWriter, progress: bool) -> Collection:
    """Read, check and write the runs of a selection.

    Parameters
    ----------
    store : Store
    selection : Selection
    writer : ResultsWriter
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Collection
    """
    collection = Collection()
    essential = writer.tables["essential_metrics"]
    waiting: dict[str, list[pd.DataFrame]] = defaultdict(list)
    bar = tqdm(selection.finished.values(), "extracting runs", disable=None if progress else True, unit="run")
    for number, candidates in enumerate(bar, start=1):
        for name, rows in _first_sound(store, selection, candidates, essential, collection).items():
            waiting[name].append(rows)
        if number % _RUNS_PER_INSERT == 0:
            _flush(writer, waiting)
    _flush(writer, waiting)
    _remove_odd_ones(collection, writer)
    return collection


def _first_sound(
    store: Store,
    selection: Selection,
    candidates: list[Candidate],
    essential: Mapping[str, str],
    collection: Collection,
) -> dict[str, pd.DataFrame]:
    """Rows of the newest run that can be used; what is older is superseded."""
    for position, candidate in enumerate(candidates):
        run, frames = candidate.run, dict[str, pd.DataFrame]()
        if candidate.kind == "baseline" and run.tags.get("reason"):
            collection.no_ages.append(candidate)
        else:
            try:
                included, frames = _read(store, selection, candidate, essential)
            except RejectedRun as error:
                collection.exclude(run, "rejected", str(error))
                collection.rejected[candidate.cell] = str(error)
                continue
            collection.included.append(included)
        collection.rejected.pop(candidate.cell, None)
        for older in candidates[position + 1 :]:
            collection.exclude(older.run, "superseded", f"by run {run.run_id}")
        return {name: rows.assign(run_id=run.run_id) for name, rows in frames.items()}
    return {}


def _read(
    store: Store, selection: Selection, candidate: Candidate, essential: Mapping[str, str]
) -> tuple[Included, dict[str, pd.DataFrame]]:
    table = normalise(load(read_artifact(store.artifacts(candidate.run), FILE_NAME)))
    if (table.cohort_hash, table.resample_id) != (selection.cohort_hash, selection.resample_id):
        raise RejectedRun("the cohort hash or resample id in its file is not that of its tags")
    frames = run_tables(table)
    included = Included(
        candidate=candidate,
        source=_source(candidate.run, table),
        subjects=_digest(np.array(table.codes), np.array(table.groups), table.y, table.left_out),
        predictions=_digest(table.p_all[table.left_out]),
        y=table.y,
        codes=table.codes,
        n_subjects=len(set(table.groups)),
        n_iterations=table.n_iterations,
        essential=essential_row(frames["metric_estimates"], essential),
        details=table.details,
    )
    return included, frames


def _source(run: StoredRun, table: BootstrapTable) -> str:
    told = {str(text) for text in (run.tags.get("source"), table.details.get("source")) if text}
    if len(told) > 1 or not told <= set(SOURCES):
        raise RejectedRun(f"its source is {' and '.join(sorted(told))}; expected one of {', '.join(SOURCES)}")
    return told.pop() if told else "unstated"


def _flush(writer: ResultsWriter, waiting: dict[str, list[pd.DataFrame]]) -> None:
    for name, frames in waiting.items():
        writer.insert(name, pd.concat(frames, ignore_index=True))
    waiting.clear()


def _remove_odd_ones(collection: Collection, writer: ResultsWriter) -> None:
    """Take out runs whose subjects, outcomes or resamples differ from those of most runs."""
    number = Counter(run.subjects for run in collection.included)
    odd = [run for run in collection.included if run.subjects != number.most_common(1)[0][0]]
    for run in odd:
        why = "its subjects, outcomes or left-out sets are not those of the other runs"
        collection.included.remove(run)
        collection.exclude(run.run, "rejected", why)
        collection.rejected[run.candidate.cell] = why
        writer.delete_run(run.run.run_id)


def _digest(*arrays: np.ndarray) -> str:
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

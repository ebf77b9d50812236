"""Taking over or evaluating the chosen runs, and writing their rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from src.results.bootstrap_pickle import FILE_NAME
from src.results.builder import ResultsWriter
from src.results.columns import stacked_by
from src.results.previous import Previous
from src.results.run_evaluation import Evaluated
from src.results.run_facts import RunFacts
from src.results.safe_pickle import RejectedRun
from src.results.selection import Candidate, Exclusion, Selection, exclusion
from src.results.stores import Store, read_artifact
from src.results.workers import Workers, attempt
from src.tracking import StoredRun

SOURCES = ("synthetic", "measured", "unstated")
OTHER_SETTINGS = ", of other parameters or sources"
"""What is said of a superseded run that is not merely an older one of the same."""

_RUNS_PER_INSERT = 100  # rows lie in memory until then


@dataclass(frozen=True, eq=False)
class Included:
    """A run whose rows are in the database: what the store and its file say about it."""

    candidate: Candidate
    facts: RunFacts

    @property
    def run(self) -> StoredRun:
        """The run in the store."""
        return self.candidate.run

    @property
    def source(self) -> str:
        """Where its recordings come from."""
        return self.run.tags.get("source") or self.facts.source or "unstated"

    def fact(self, name: str) -> str | None:
        """A tag of the run, or what its file says; None if neither says anything that can be shown."""
        value = self.run.tags.get(name) or getattr(self.facts, name)
        return value if value and value.isprintable() else None


@dataclass
class Collection:
    """The runs that went in, and those that did not.

    `no_ages` holds baseline runs without results, `rejected` the reason why a combination has no usable run,
    `taken_over` the runs that were not evaluated,
    `classified` the codes of the recordings, which are those of every run.
    """

    included: list[Included] = field(default_factory=list)
    no_ages: list[Candidate] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    rejected: dict[tuple[str, ...], str] = field(default_factory=dict)
    taken_over: set[str] = field(default_factory=set)
    classified: list[str] = field(default_factory=list)

    def reject(self, candidate: Candidate, why: str) -> None:
        """Note a run that stays out."""
        self.excluded.append(exclusion(candidate.run, "rejected", why))
        self.rejected[candidate.cell] = why


def collect_runs(
    store: Store,
    selection: Selection,
    writer: ResultsWriter,
    previous: Previous,
    workers: Workers,
    evaluate: Callable[[Path], Evaluated],
    progress: bool,
) -> Collection:
    """Read, check and write the runs of a selection.

    Parameters
    ----------
    store : Store
    selection : Selection
    writer : ResultsWriter
        Of an empty database, or of the one that `previous` describes.
    previous : Previous
        Runs that need not be evaluated again.
    workers : Workers
    evaluate : callable
        `src.results.run_evaluation.evaluate_file`, with or without options.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Collection
    """
    collector = _Collector(store, selection, writer, previous, evaluate)
    open_ = [left for candidates in selection.finished.values() if (left := collector.settle(candidates))]
    writer.delete_runs(previous.runs.keys() & {candidates[0].run.run_id for candidates, _ in open_})
    bar = tqdm(open_, "evaluating runs", disable=None if progress else True, unit="run")
    results = workers.map(evaluate, [path for _, path in open_])
    for (candidates, _), result in zip(bar, results, strict=True):
        collector.take(candidates, result)
    collector.finish()
    return collector.collection


class _Collector:
    """Goes through the candidates of every combination, newest first, until one can be used."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        writer: ResultsWriter,
        previous: Previous,
        evaluate: Callable[[Path], Evaluated],
    ) -> None:
        self.store = store
        self.selection = selection
        self.writer = writer
        self.previous = previous
        self.evaluate = evaluate
        self.collection = Collection()
        self._waiting: dict[str, list[tuple[str, pa.Table]]] = defaultdict(list)
        self._n_waiting = 0

    def settle(self, candidates: list[Candidate]) -> tuple[list[Candidate], Path] | None:
        """Settle what needs no evaluation.

        Returns
        -------
        tuple or None
            Candidates the first of which has to be evaluated, and its file; None where all is settled.
        """
        for position, candidate in enumerate(candidates):
            try:
                path = self._file_to_evaluate(candidate)
            except RejectedRun as error:
                self.collection.reject(candidate, str(error))
                continue
            if path is not None:
                return candidates[position:], path
            self._supersede(candidates[position:])
            break
        return None

    def take(self, candidates: list[Candidate], result: Evaluated | RejectedRun) -> None:
        """Write what became of the first candidate, or try those after it."""
        while (evaluated := self._accepted(candidates[0], result)) is None:
            left = self.settle(candidates[1:])
            if left is None:
                return
            candidates, path = left
            self.writer.delete_runs(self.previous.runs.keys() & {candidates[0].run.run_id})
            result = attempt(self.evaluate, path)
        for name, rows in evaluated.tables.items():
            self._waiting[name].append((candidates[0].run.run_id, rows))
        self._n_waiting += 1
        if self._n_waiting == _RUNS_PER_INSERT:
            self._flush()
        self._supersede(candidates)

    def _accepted(self, candidate: Candidate, result: Evaluated | RejectedRun) -> Evaluated | None:
        """The result of a candidate that is now included; None if it is rejected."""
        try:
            if isinstance(result, RejectedRun):
                raise result
            self._include(candidate, result.facts)
        except RejectedRun as error:
            self.collection.reject(candidate, str(error))
            return None
        return result

    def finish(self) -> None:
        """Write what waits, and delete the rows of what is not in the collection."""
        self._flush()
        self._remove_odd_ones()
        included = {run.run.run_id for run in self.collection.included}
        self.writer.delete_runs(self.previous.runs.keys() - included)
        rows = self.writer.connection.execute(
            "SELECT DISTINCT recording_code FROM predictions ORDER BY recording_code"
        ).fetchall()
        self.collection.classified = [code for (code,) in rows]

    def _file_to_evaluate(self, candidate: Candidate) -> Path | None:
        """The candidate's file; None where there is nothing to evaluate."""
        if candidate.kind == "baseline" and candidate.run.tags.get("reason"):
            self.collection.no_ages.append(candidate)
            return None
        path = read_artifact(self.store.artifacts(candidate.run), FILE_NAME)
        facts = self.previous.unchanged(candidate.run.run_id, path)
        if facts is None:
            return path
        self._include(candidate, facts)
        self.collection.taken_over.add(candidate.run.run_id)
        return None

    def _include(self, candidate: Candidate, facts: RunFacts) -> None:
        chosen = self.selection
        if (facts.cohort_hash, facts.resample_id) != (chosen.cohort_hash, chosen.resample_id):
            raise RejectedRun("the cohort hash or resample id in its file is not that of its tags")
        told = {text for text in (candidate.run.tags.get("source"), facts.source) if text}
        if len(told) > 1 or not told <= set(SOURCES):
            raise RejectedRun(
                f"its source is {' and '.join(sorted(told))}; expected one of {', '.join(SOURCES)}"
            )
        self.collection.included.append(Included(candidate, facts))

    def _supersede(self, candidates: list[Candidate]) -> None:
        """The first is settled; what is older is superseded."""
        newest, *older = candidates
        self.collection.rejected.pop(newest.cell, None)
        for candidate in older:
            detail = f"by run {newest.run.run_id}"
            if candidate.run.tags.get("stage_key") != newest.run.tags.get("stage_key"):
                detail += OTHER_SETTINGS
            self.collection.excluded.append(exclusion(candidate.run, "superseded", detail))

    def _flush(self) -> None:
        for name, tables in self._waiting.items():
            self.writer.insert(name, stacked_by("run_id", tables))
        self.writer.commit()
        self._waiting.clear()
        self._n_waiting = 0

    def _remove_odd_ones(self) -> None:
        """Take out runs whose subjects, outcomes or resamples differ from those of most runs."""
        included = self.collection.included
        number = Counter(run.facts.subjects_digest for run in included)
        odd = [run for run in included if run.facts.subjects_digest != number.most_common(1)[0][0]]
        for run in odd:
            included.remove(run)
            self.collection.reject(
                run.candidate, "its subjects, outcomes or left-out sets are not those of the other runs"
            )
        self.writer.delete_runs(run.run.run_id for run in odd)

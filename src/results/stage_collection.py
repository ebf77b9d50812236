"""Taking over or reading the runs of the stages before the classifier, and writing their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from src.registry import FACTORS, Registry
from src.results.builder import ResultsWriter
from src.results.columns import stacked
from src.results.previous import Previous, StageFile
from src.results.run_collection import Collection
from src.results.safe_pickle import RejectedRun
from src.results.selection import Exclusion, exclusion, unknown_method
from src.results.stage_tables import (
    FEATURE_FACTORS,
    IMPUTATION_FACTORS,
    OUTLIER_FACTORS,
    ensemble_members,
    examples,
    feature_tables,
    features,
    hippus_probe,
    imputation_quality,
    n_unusable,
    one_per_method,
    outlier_quality,
)
from src.results.stores import Store, shown
from src.results.workers import attempt
from src.stage_files import MEMBERS
from src.tracking import StoredRun

_TABLES = (
    "outlier_quality",
    "hippus_probe",
    "imputation_quality",
    "ensemble_members",
    "example_recordings",
    "example_light",
    "example_imputations",
    "feature_values",
    "feature_correlations",
    "feature_vif",
    "stage_runs",
)
_STATE = pa.schema(
    {
        "run_id": pa.string(),
        "stage": pa.string(),
        "files": pa.string(),
        "n_unusable": pa.int64(),
        "n_recordings": pa.int64(),
    }
)
_FILES = ("quality.json", "probe.json", "unusable.json", "examples.npz", "features.npz", MEMBERS)


@dataclass
class StageFacts:
    """What the stages tell about runs and cohort.

    `runs` are those whose rows are in the database; `excluded` maps those that cannot be read to the reason.
    """

    runs: dict[str, StageFile] = field(default_factory=dict)
    excluded: dict[str, Exclusion] = field(default_factory=dict)

    def n_unusable(self, run_id: str | None) -> int | None:
        """Recordings of an imputation run without one observed sample; None where unknown."""
        return self.runs[run_id].n_unusable if run_id in self.runs else None

    @property
    def n_recordings(self) -> int | None:
        """Recordings of the cohort; None where no feature table lists them."""
        return max((run.n_recordings for run in self.runs.values() if run.n_recordings), default=None)


def collect_stages(
    store: Store,
    registry: Registry,
    cohort_hash: str,
    collection: Collection,
    writer: ResultsWriter,
    previous: Previous,
) -> StageFacts:
    """Write quality, examples and features of one cohort's stage runs.

    Parameters
    ----------
    store : Store
    registry : Registry
    cohort_hash : str
    collection : Collection
        The runs in the database: where a method has several stage runs, those they rest on count.
    writer : ResultsWriter
    previous : Previous
        Stage runs whose rows are in the database already. They stay where all of them are still chosen and
        unchanged; otherwise everything is read again.
    """
    reader = _Reader(store, registry, cohort_hash, collection)
    chosen = reader.chosen()
    kept = {run_id: state.files for run_id, state in previous.stages.items()}
    if kept.items() <= {stage_run.run.run_id: stage_run.files for stage_run in chosen}.items():
        reader.facts.runs.update(previous.stages)
    else:
        writer.clear(_TABLES)
    reader.examples = _examples(writer)
    tables: dict[str, list[pa.Table]] = {name: [] for name in _TABLES}
    for stage_run in chosen:
        if stage_run.run.run_id not in reader.facts.runs:
            for name, rows in reader.read(stage_run).items():
                tables[name].append(rows)
    for name, parts in tables.items():
        if parts:
            writer.insert(name, stacked(parts))
    return reader.facts


class _StageRun(NamedTuple):
    """A run to be read: its stage, the folder of its artifacts and the digest of those that are read."""

    stage: str
    run: StoredRun
    folder: Path
    files: str


class _Reader:
    """The stage runs of one cohort."""

    def __init__(self, store: Store, registry: Registry, cohort_hash: str, collection: Collection) -> None:
        self.store = store
        self.registry = registry
        self.cohort_hash = cohort_hash
        links = ("outlier_run_id", "imputation_run_id", "featurization_run_id")
        self.linked = {run.run.tags.get(link, "") for run in collection.included for link in links}
        self.classified = collection.classified
        self.examples: set[str] = set()
        self.facts = StageFacts()

    def chosen(self) -> list[_StageRun]:
        """One run per method; features a combination rests on."""
        runs = [("outlier", run) for run in self._runs("outlier", OUTLIER_FACTORS)]
        runs += [("imputation", run) for run in self._runs("imputation", IMPUTATION_FACTORS)]
        features_of = self._runs("features", FEATURE_FACTORS)
        runs += [("features", run) for run in features_of if run.run_id in self.linked]
        found = []
        for stage, run in runs:
            try:
                folder = self.store.artifacts(run)
                found.append(_StageRun(stage, run, folder, _state(folder)))
            except RejectedRun as error:
                self._exclude(run, str(error))
        return found

    def _runs(self, stage: str, factors: Sequence[str]) -> list[StoredRun]:
        experiment = self.registry.experiments[stage].experiment
        return one_per_method(
            (run for run in self.store.runs if run.experiment == experiment and self._is_valid(run)),
            factors,
            self.linked,
        )

    def _is_valid(self, run: StoredRun) -> bool:
        if run.tags.get("kind") != "stage" or run.tags.get("cohort_hash") != self.cohort_hash:
            return False
        factors = {name: run.params[name] for name in FACTORS.values() if name in run.params}
        if unknown := unknown_method(factors, self.registry, may_be_none=True):
            self._exclude(run, unknown)
        return not unknown

    def read(self, stage_run: _StageRun) -> dict[str, pa.Table]:
        """Rows of a run; none, and the run is listed, where an artifact is damaged."""
        _, run, folder, _ = stage_run
        result = attempt(partial(self._read, stage_run), folder)
        if isinstance(result, RejectedRun):
            self._exclude(run, str(result))
            return {}
        state, tables = result
        self.facts.runs[run.run_id] = state
        return tables | {"stage_runs": pa.Table.from_pylist([{"run_id": run.run_id} | asdict(state)], _STATE)}

    def _read(self, stage_run: _StageRun, folder: Path) -> tuple[StageFile, dict[str, pa.Table]]:
        stage, run, _, files = stage_run
        if stage == "outlier":
            tables = {"outlier_quality": outlier_quality(run, folder)} | hippus_probe(run, folder)
            return StageFile(stage, files, None, None), tables | _of_ensemble(stage, run, folder)
        if stage == "imputation":
            state = StageFile(stage, files, n_unusable(folder), None)
            tables = {"imputation_quality": imputation_quality(run, folder)}
            tables |= _of_ensemble(stage, run, folder)
            tables |= examples(run, folder, self.examples)
            # Last, as the rows of a run that is rejected are not in the database.
            self.examples.update(tables["example_recordings"]["recording_code"].unique().to_pylist())
            return state, tables
        table = features(folder)
        return StageFile(stage, files, None, len(table.recordings)), feature_tables(
            run, table, self.classified
        )

    def _exclude(self, run: StoredRun, why: str) -> None:
        self.facts.excluded.setdefault(run.run_id, exclusion(run, "rejected", shown(why)))


def _of_ensemble(stage: str, run: StoredRun, folder: Path) -> dict[str, pa.Table]:
    """Rows about its members, where the method is an ensemble."""
    return {"ensemble_members": ensemble_members(stage, run, folder)} if (folder / MEMBERS).is_file() else {}


def _state(folder: Path) -> str:
    """Digest of names, sizes and times of the files that are read."""
    states = [(name, (folder / name).stat()) for name in _FILES if (folder / name).is_file()]
    text = " ".join(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _examples(writer: ResultsWriter) -> set[str]:
    """The example recordings that are in the database."""
    found = writer.connection.execute("SELECT DISTINCT recording_code FROM example_recordings").fetchall()
    return {code for (code,) in found}

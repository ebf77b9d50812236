"""Reading the runs of the stages before the classifier and writing their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from src.registry import Registry
from src.results.bootstrap_table import FACTORS
from src.results.builder import ResultsWriter
from src.results.run_collection import Collection
from src.results.safe_pickle import RejectedRun
from src.results.selection import Exclusion, unknown_method
from src.results.stage_tables import (
    FEATURE_FACTORS,
    IMPUTATION_FACTORS,
    OUTLIER_FACTORS,
    examples,
    feature_values,
    features,
    imputation_quality,
    n_unusable,
    one_per_method,
    outlier_quality,
)
from src.results.stores import Store
from src.tracking import StoredRun

T = TypeVar("T")


@dataclass
class StageFacts:
    """What the stages tell about runs and cohort.

    `n_unusable` maps imputation runs to their number of recordings without one observed sample; `recordings`
    are all of the cohort, where a feature table lists them; `excluded` maps stage runs that cannot be read to
    the reason.
    """

    n_unusable: dict[str, int] = field(default_factory=dict)
    recordings: set[str] = field(default_factory=set)
    excluded: dict[str, Exclusion] = field(default_factory=dict)


def collect_stages(
    store: Store, registry: Registry, cohort_hash: str, collection: Collection, writer: ResultsWriter
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
    """
    reader = _Reader(store, registry, cohort_hash, collection)
    outlier = reader.runs("outlier", OUTLIER_FACTORS)
    imputation = reader.runs("imputation", IMPUTATION_FACTORS)
    writer.insert("outlier_quality", _stack(reader.read(run, outlier_quality) for run in outlier))
    writer.insert("imputation_quality", _stack(reader.read(run, imputation_quality) for run in imputation))
    _write_examples(reader, imputation, writer)
    _write_features(reader, collection, writer)
    for run in imputation:
        number = reader.read(run, lambda _, folder: n_unusable(folder))
        if number is not None:
            reader.facts.n_unusable[run.run_id] = number
    return reader.facts


class _Reader:
    """The stage runs of one cohort."""

    def __init__(self, store: Store, registry: Registry, cohort_hash: str, collection: Collection) -> None:
        self.store = store
        self.registry = registry
        self.cohort_hash = cohort_hash
        links = ("outlier_run_id", "imputation_run_id", "featurization_run_id")
        self.linked = {run.run.tags.get(link, "") for run in collection.included for link in links}
        self.facts = StageFacts()

    def runs(self, stage: str, factors: Sequence[str]) -> list[StoredRun]:
        """One run of the stage per method."""
        experiment = self.registry.experiments[stage].experiment
        return one_per_method(
            (run for run in self.store.runs if run.experiment == experiment and self._is_valid(run)),
            factors,
            self.linked,
        )

    def _is_valid(self, run: StoredRun) -> bool:
        if run.tags.get("kind") != "stage" or run.tags.get("cohort_hash") != self.cohort_hash:
            return False
        factors = {name: run.params[name] for name in FACTORS if name in run.params}
        if unknown := unknown_method(factors, self.registry, may_be_none=True):
            self._exclude(run, unknown)
        return not unknown

    def read(self, run: StoredRun, parse: Callable[[StoredRun, Path], T]) -> T | None:
        """What a run's artifacts hold; None, and the run is listed, where they are damaged."""
        try:
            return parse(run, self.store.artifacts(run))
        except RejectedRun as error:
            self._exclude(run, str(error))
            return None

    def _exclude(self, run: StoredRun, why: str) -> None:
        self.facts.excluded.setdefault(run.run_id, Exclusion(run.run_id, run.run_name, "rejected", why))


def _write_examples(reader: _Reader, runs: list[StoredRun], writer: ResultsWriter) -> None:
    """Write the examples of all pairs; what does not depend on the pair only once per recording."""
    tables = [frames for run in runs if (frames := reader.read(run, examples)) is not None]
    for name, key in (
        ("example_recordings", ["recording_code", "sample"]),
        ("example_light", ["recording_code", "colour"]),
    ):
        rows = _stack(frames[name] for frames in tables)
        writer.insert(name, rows if rows.empty else rows.drop_duplicates(key))
    writer.insert("example_imputations", _stack(frames["example_imputations"] for frames in tables))


def _write_features(reader: _Reader, collection: Collection, writer: ResultsWriter) -> None:
    classified = list(collection.included[0].codes)

    def parse(run: StoredRun, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        table = features(run, folder)
        return table, feature_values(run, table, classified)

    for run in reader.runs("features", FEATURE_FACTORS):
        if run.run_id in reader.linked and (tables := reader.read(run, parse)):
            reader.facts.recordings.update(tables[0].index)
            writer.insert("feature_values", tables[1])


def _stack(frames: Iterable[pd.DataFrame | None]) -> pd.DataFrame:
    filled = [frame for frame in frames if frame is not None and not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()

"""From the runs of a store to one results database: the only place where its numbers are computed."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb

from src.evaluation.decision import POPULATION_PREVALENCE
from src.registry import Registry, load_registry
from src.results.builder import ResultsWriter, new_results, reopened_results
from src.results.checks import failed_checks
from src.results.columns import table_of_rows
from src.results.comparing import write_comparisons
from src.results.coverage import coverage_rows
from src.results.database import SCHEMA_VERSION, damage
from src.results.dictionary import dictionary_page, write_page
from src.results.headlines import write_headlines
from src.results.previous import Previous, evaluation_code, read_previous
from src.results.publishing import new_version
from src.results.run_collection import OTHER_SETTINGS, Collection, Included, collect_runs
from src.results.run_evaluation import Identity, evaluate_file, identify_file
from src.results.safe_pickle import RejectedRun
from src.results.selection import Exclusion, Selection, rejected_lines, select
from src.results.stage_collection import StageFacts, collect_stages
from src.results.stores import Store, open_store
from src.results.workers import Workers
from src.tracking import StoredRun

_LINKS = ("outlier_run_id", "imputation_run_id", "featurization_run_id")


class ExtractionError(RuntimeError):
    """No database was built; the message says why."""


@dataclass(frozen=True)
class Summary:
    """What an extraction did.

    Attributes
    ----------
    path : Path
        The database.
    cohort_hash, resample_id, source : str
        Of the runs in it.
    n_combinations, n_baselines : int
        Runs in it.
    n_taken_over : int
        Those of them that were not evaluated again.
    excluded : list of Exclusion
        Runs of the store that are not, with reasons.
    coverage : dict of str to int
        Planned combinations per status.
    warnings : list of str
    seconds : float
    """

    path: Path
    cohort_hash: str
    resample_id: str
    source: str
    n_combinations: int
    n_baselines: int
    n_taken_over: int
    excluded: list[Exclusion]
    coverage: dict[str, int]
    warnings: list[str]
    seconds: float

    @property
    def n_rejected(self) -> int:
        """Runs that would be in the database but for what is wrong with them."""
        return sum(exclusion.reason == "rejected" for exclusion in self.excluded)

    @property
    def _n_evaluated(self) -> int:
        return self.n_combinations + self.n_baselines - self.n_taken_over

    def text(self) -> str:
        """The summary for people, a few lines."""
        reasons = Counter(exclusion.reason for exclusion in self.excluded)
        lines = [
            f"{self.path}: {self.n_combinations} combinations, {self.n_baselines} baselines, "
            f"source {self.source}, cohort {self.cohort_hash}, {self.seconds:.1f} s",
            f"evaluated: {self._n_evaluated} runs, taken over: {self.n_taken_over}",
            f"coverage: {_counted(self.coverage)}",
            f"runs left out: {_counted(reasons) or 'none'}",
        ]
        lines += rejected_lines(self.excluded)
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])


def extract(
    tracking_uri: str | Path,
    db_path: Path,
    artifact_root: Path | None = None,
    cohort: str | None = None,
    sweep: str | None = None,
    progress: bool = True,
    rebuild: bool = False,
    dictionary: Path | None = None,
    smoothed_intervals: bool = False,
) -> Summary:
    """Build the results database from a store of runs.

    The database appears under its name only when it is complete and has passed its data tests. Rows of runs
    that the database now in its place was built from, by the same code and from the same files, are taken
    over; what rests on all runs together is always computed.

    Parameters
    ----------
    tracking_uri, artifact_root
        As in `src.results.stores.open_store`.
    db_path : Path
        The database; an older version of it is replaced.
    cohort, sweep : str, optional
        As in `src.results.selection.select`.
    progress : bool
        Whether to show a progress bar.
    rebuild : bool
        Whether to evaluate every run, whatever is there already.
    dictionary : Path, optional
        The data dictionary, an HTML page; beside the database by default.
    smoothed_intervals : bool
        Whether the metrics that rest on a smooth calibration curve get intervals too: a minute a run.

    Returns
    -------
    Summary

    Raises
    ------
    SelectionError, TrackingError, PublishingError
        If there is nothing to extract, no store, or no place for the database.
    WorkerDiedError
        If a process that evaluates runs is killed.
    ExtractionError
        If no run can be used, sources are mixed, or the data tests fail.
    """
    started = time.perf_counter()
    registry = load_registry()
    store = open_store(tracking_uri, artifact_root)
    code = evaluation_code() + (" with smoothed intervals" if smoothed_intervals else "")
    evaluate = partial(evaluate_file, smoothed_intervals=smoothed_intervals)
    with _unusable_file(db_path), new_version(db_path) as draft, Workers() as workers:
        previous = Previous() if rebuild else read_previous(db_path, code)
        selection = select(store, registry, partial(_identified, previous, workers), cohort, sweep)
        previous = previous.of(selection.cohort_hash, selection.resample_id)
        with _opened(draft, db_path, previous) as writer:
            collection = collect_runs(store, selection, writer, previous, workers, evaluate, progress)
            source = _one_source(collection, selection)
            stages = collect_stages(store, registry, selection.cohort_hash, collection, writer, previous)
            excluded = [*selection.excluded, *collection.excluded, *stages.excluded.values()]
            coverage = _coverage(selection, collection)
            twins = _twins(collection)
            facts = [{"run_id": run.run.run_id} | asdict(run.facts) for run in collection.included]
            tables = {
                "provenance": [_provenance(store, selection, collection, stages, source, code)],
                "runs": [_run_row(run, stages) for run in collection.included],
                "run_files": facts,
                "identical_predictions": [{"run_id_a": a, "run_id_b": b} for a, b in twins],
                "excluded_runs": [asdict(exclusion) for exclusion in excluded],
                "coverage": coverage,
            }
            for name, rows in (tables | _dictionaries(registry)).items():
                writer.clear([name])
                writer.insert(name, table_of_rows(rows))
            write_headlines(writer, _no_ages(collection))
            write_comparisons(writer, registry)
            writer.insert("refusals", table_of_rows(_not_in_the_store(writer)))
            if broken := failed_checks(writer.connection, collection.taken_over):
                raise ExtractionError("the new database fails its data tests: " + "; ".join(broken))
            page = dictionary_page(writer.connection, db_path.name)
    write_page(page, dictionary or db_path.with_name(f"{db_path.stem}_dictionary.html"))
    kinds = Counter(run.candidate.kind for run in collection.included)
    return Summary(
        path=db_path,
        cohort_hash=selection.cohort_hash,
        resample_id=selection.resample_id,
        source=source,
        n_combinations=kinds["combination"],
        n_baselines=kinds["baseline"],
        n_taken_over=len(collection.taken_over),
        excluded=excluded,
        coverage=dict(Counter(row["status"] for row in coverage)),
        warnings=[
            *(f"runs {a} and {b} have identical predictions" for a, b in twins),
            *_several_settings(excluded),
        ],
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _unusable_file(path: Path) -> Iterator[None]:
    """Say in one sentence that the database cannot be written, or read for what is taken over."""
    try:
        yield
    except (duckdb.IOException, duckdb.TransactionException) as error:
        reason = str(error).partition("\n")[0]
        raise ExtractionError(f"{path} cannot be written ({reason}); is there room on the disk?") from error
    except duckdb.Error as error:  # in what only a writer reads, such as the list of free blocks
        if not (reason := damage(error)):
            raise
        raise ExtractionError(f"{path} is damaged ({reason}); delete it and repeat the command") from error


@contextmanager
def _opened(draft: Path, old: Path, previous: Previous) -> Iterator[ResultsWriter]:
    """The new database: a copy of the old one where something in it can be taken over."""
    if not previous.runs:
        with new_results(draft) as writer:
            yield writer
        return
    shutil.copyfile(old, draft)
    with reopened_results(draft) as writer:
        yield writer


def _identified(
    previous: Previous, workers: Workers, files: Sequence[tuple[StoredRun, Path]]
) -> list[Identity | RejectedRun]:
    """What files are about: as it is known from the last extraction, or read."""
    known = {run.run_id: previous.identity(run.run_id, path) for run, path in files}
    read = workers.map(identify_file, [path for run, path in files if known[run.run_id] is None])
    return [known[run.run_id] or next(read) for run, _ in files]


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(numbers.items()))


def _one_source(collection: Collection, selection: Selection) -> str:
    if not any(run.candidate.kind == "combination" for run in collection.included):
        why = rejected_lines([*selection.excluded, *collection.excluded])
        raise ExtractionError("\n".join(["no combination can be used", *why]))
    sources = sorted({run.source for run in collection.included})
    if len(sources) > 1:
        raise ExtractionError(f"the runs come from mixed sources ({', '.join(sources)}), which is refused")
    return sources[0]


def _coverage(selection: Selection, collection: Collection) -> list[dict[str, Any]]:
    included = {
        run.candidate.cell: run.run.run_id
        for run in collection.included
        if run.candidate.kind == "combination"
    }
    return coverage_rows(selection, included, collection.rejected)


def _provenance(
    store: Store, selection: Selection, collection: Collection, stages: StageFacts, source: str, code: str
) -> dict[str, Any]:
    newest = max(collection.included, key=lambda run: (run.run.start_time, run.run.run_id))
    facts = newest.facts
    n_labelled = facts.n_cases + facts.n_controls
    n_unlabelled = stages.n_recordings - n_labelled if stages.n_recordings else None
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).replace(tzinfo=None),
        "source": source,
        "unit": newest.fact("unit"),
        "cohort_hash": selection.cohort_hash,
        "resample_id": selection.resample_id,
        "n_subjects": facts.n_subjects,
        "n_recordings": n_labelled + (n_unlabelled or 0),
        "n_cases": facts.n_cases,
        "n_controls": facts.n_controls,
        "n_unlabelled": n_unlabelled,
        "n_iterations": facts.n_iterations,
        "seed": facts.seed,
        "fit_on": newest.fact("fit_on"),
        "code_commit": _joined(run.fact("code_commit") for run in collection.included),
        "evaluation_code": code,
        "package_versions": facts.package_versions,
        "tracking_store": store.kind,
        "sweep_id": selection.sweep.sweep_id if selection.sweep else None,
        "prevalence_study": facts.n_cases / n_labelled,
        "prevalence_population": POPULATION_PREVALENCE,
        "foreign": newest.candidate.foreign,
    }


_OF_THE_STORE = {
    "baseline_metrics": ("baseline", "the store has no baseline run, that is, none of age as a feature"),
    "outlier_quality": ("outlier_quality", "the store has no runs of the outlier stage with a truth"),
    "hippus_probe": ("hippus_probe", "the store has no runs of the outlier stage that tried one"),
    "imputation_quality": (
        "imputation_quality",
        "the store has no runs of the imputation stage with a truth",
    ),
    "ensemble_members": ("ensemble_members", "the store has no runs of ensembles"),
    "example_recordings": ("example_recordings", "the store has no runs of the imputation stage"),
    "feature_values": (
        "feature_values",
        "the store has no runs of the feature stage that combinations rest on",
    ),
}
"""Tables that can be empty: what is missing then, and why."""


def _not_in_the_store(writer: ResultsWriter) -> list[dict[str, str]]:
    """Rows of refusals for what no run of the store tells."""
    return [
        {"comparison": what, "metric": "all", "reason": reason}
        for table, (what, reason) in _OF_THE_STORE.items()
        if not writer.connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    ]


def _run_row(included: Included, stages: StageFacts) -> dict[str, Any]:
    run, facts = included.run, included.facts
    links = {name: run.tags.get(name) for name in _LINKS}
    return {
        "run_id": run.run_id,
        "run_name": run.run_name,
        **included.candidate.factors,
        "kind": included.candidate.kind,
        "n_iterations": facts.n_iterations,
        "n_subjects": facts.n_subjects,
        "seed": facts.seed,
        "fit_on": included.fact("fit_on"),
        "started_at": datetime.fromtimestamp(run.start_time / 1000, UTC).replace(tzinfo=None),
        "duration_s": (run.end_time - run.start_time) / 1000 if run.end_time else None,
        "fit_seconds": facts.fit_seconds,
        "n_unusable": stages.n_unusable(links["imputation_run_id"]),
        **links,
        "code_commit": included.fact("code_commit"),
        "tuned": run.tags.get("tuned"),
        "caveat": run.tags.get("caveat"),
        "unpublished_weights": run.tags.get("unpublished_weights"),
    }


def _no_ages(collection: Collection) -> list[dict[str, Any]]:
    return [{"run_id": c.run.run_id, **c.factors, "reason": c.run.tags["reason"]} for c in collection.no_ages]


def _dictionaries(registry: Registry) -> dict[str, list[dict[str, Any]]]:
    metrics = []
    for metric in registry.metrics.values():
        row = asdict(metric)
        row["domain_lo"], row["domain_hi"] = row.pop("domain")
        del row["aliases"]
        metrics.append(row)
    return {"methods": [asdict(method) for method in registry.methods.values()], "metrics": metrics}


def _several_settings(excluded: Iterable[Exclusion]) -> Iterator[str]:
    """Say which combinations were run with several parameters or sources: a database has each once."""
    for name in sorted({e.run_name for e in excluded if e.detail.endswith(OTHER_SETTINGS)}):
        yield (
            f"{name} was run with several parameters or sources; its newest run is here (table excluded_runs)"
        )


def _twins(collection: Collection) -> list[tuple[str, str]]:
    """Pairs of runs whose left-out probabilities are the same to the last bit."""
    groups: dict[str, list[str]] = {}
    for run in collection.included:
        groups.setdefault(run.facts.predictions_digest, []).append(run.run.run_id)
    return [pair for group in groups.values() for pair in combinations(sorted(group), 2)]


def _joined(values: Iterable[Any]) -> str | None:
    return ", ".join(sorted({str(value) for value in values if value})) or None

"""Which runs of a store belong in one database: one cohort, one set of resamples, each combination once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.registry import Registry
from src.results.bootstrap_pickle import FILE_NAME
from src.results.bootstrap_table import FACTORS
from src.results.run_evaluation import Identity
from src.results.safe_pickle import RejectedRun
from src.results.stores import Store, read_artifact
from src.tracking import StoredRun

FACTOR_STAGES = {
    "featurization": "features",
    "outlier_method": "outlier",
    "imputation_method": "imputation",
    "classifier": "classifier",
}
KINDS = ("combination", "baseline", "sweep", "stage")
_MAX_PLAN_BYTES = 16 * 2**20


Identify = Callable[[Sequence[tuple[StoredRun, Path]]], Iterable[Identity | RejectedRun]]


class SelectionError(ValueError):
    """Nothing can be extracted as asked; the message says what there is."""


@dataclass(frozen=True)
class Candidate:
    """A run that claims to be a finished, failed or unfinished combination (or baseline)."""

    run: StoredRun
    kind: str
    factors: dict[str, str]
    cohort_hash: str
    resample_id: str
    foreign: bool

    @property
    def cell(self) -> tuple[str, ...]:
        """The four factors, in the order of `FACTORS`."""
        return tuple(self.factors[name] for name in FACTORS)


@dataclass(frozen=True)
class Sweep:
    """A planned sweep: the combinations it was going to run."""

    run: StoredRun
    sweep_id: str
    name: str
    cells: tuple[tuple[str, ...], ...]

    @property
    def cohort_hash(self) -> str:
        """Cohort it was planned for."""
        return self.run.tags.get("cohort_hash", "")

    @property
    def resample_id(self) -> str:
        """Resamples it was planned for."""
        return self.run.tags.get("resample_id", "")


@dataclass(frozen=True)
class Exclusion:
    """A run that stays out, and why."""

    run_id: str
    run_name: str
    kind: str | None
    reason: str
    detail: str


def exclusion(run: StoredRun, reason: str, detail: str) -> Exclusion:
    """Say that a run stays out."""
    kind = run.tags.get("kind")
    return Exclusion(run.run_id, run.run_name, kind if kind in KINDS else None, reason, detail)


@dataclass
class Selection:
    """What goes into the database.

    `finished` holds, per kind and combination, the finished runs, newest first: the first that can be read
    counts. `failed` holds the newest failed run of a combination, `unregistered` what is wrong with the names
    of one.
    """

    cohort_hash: str
    resample_id: str
    sweep: Sweep | None
    finished: dict[tuple[str, tuple[str, ...]], list[Candidate]] = field(default_factory=dict)
    failed: dict[tuple[str, ...], Candidate] = field(default_factory=dict)
    unregistered: dict[tuple[str, ...], str] = field(default_factory=dict)
    excluded: list[Exclusion] = field(default_factory=list)


def candidates(store: Store, identify: Identify) -> tuple[list[Candidate], list[Exclusion]]:
    """Runs of the store that are combinations or baselines; the second list holds those that are damaged."""
    found: list[Candidate] = []
    damaged = [Exclusion(run_id, "", None, "rejected", why) for run_id, why in store.unreadable.items()]
    unknown: list[tuple[StoredRun, Path]] = []
    for run in store.runs:
        try:
            if path := _file_of_unknown(store, run):
                unknown.append((run, path))
            else:
                found += _candidate(run)
        except RejectedRun as error:
            damaged.append(exclusion(run, "rejected", str(error)))
    for (run, _), identity in zip(unknown, identify(unknown), strict=True):
        try:
            found.append(_foreign(run, identity))
        except RejectedRun as error:
            damaged.append(exclusion(run, "rejected", str(error)))
    return found, damaged


def sweeps(store: Store) -> tuple[list[Sweep], list[Exclusion]]:
    """Sweeps of the store, oldest first; the second list holds those whose plan cannot be read."""
    found: list[Sweep] = []
    damaged: list[Exclusion] = []
    for run in store.runs:
        if run.tags.get("kind") == "sweep":
            try:
                found.append(_sweep(run, store.artifacts(run)))
            except RejectedRun as error:
                damaged.append(exclusion(run, "rejected", str(error)))
    return found, damaged


def select(
    store: Store,
    registry: Registry,
    identify: Identify,
    cohort: str | None = None,
    sweep: str | None = None,
) -> Selection:
    """Choose the runs of one database.

    Parameters
    ----------
    store : Store
    registry : Registry
        Methods and experiments that are valid; a run with another one is rejected. A run whose experiment
        the store does not name is not, as long as its methods are.
    identify : callable
        Reads what the files of runs without this program's tags are about, or why they are rejected.
    cohort, sweep : str, optional
        Beginning of a cohort hash; of a sweep's id or run id, or its name. By default the newest sweep that
        has a finished run; without sweeps the newest run, and in stores of other programs the cohort with
        most runs.

    Returns
    -------
    Selection

    Raises
    ------
    SelectionError
        If nothing fits; the message lists what there is.
    """
    runs, damaged = candidates(store, identify)
    plans, damaged_plans = _registered(*sweeps(store), registry)
    usable = [c for c in runs if c.run.status == "FINISHED" and c.kind == "combination"]
    if not usable:
        raise SelectionError(_nothing(runs, damaged))
    chosen = _choose(usable, plans, cohort, sweep)
    chosen.excluded += damaged + damaged_plans
    for candidate in sorted(runs, key=lambda c: (c.run.start_time, c.run.run_id), reverse=True):
        _sort_in(chosen, candidate, registry)
    return chosen


def _registered(
    plans: list[Sweep], damaged: list[Exclusion], registry: Registry
) -> tuple[list[Sweep], list[Exclusion]]:
    """The plans all of whose methods are in the registry; others are damaged: the grid has no such cells."""
    found, others = [], []
    for plan in plans:
        strange = (unknown_method(dict(zip(FACTORS, cell, strict=True)), registry) for cell in plan.cells)
        if why := next(filter(None, strange), ""):
            others.append(exclusion(plan.run, "rejected", f"planned.json: {why}"))
        else:
            found.append(plan)
    return found, damaged + others


def one_line(text: object, length: int = 500) -> str:
    """Text without line breaks, cut to a length."""
    return " ".join(str(text).split())[:length]


def failure(run: StoredRun) -> str:
    """Why a run failed, in one line."""
    error = ": ".join(run.tags[name] for name in ("error_class", "error") if run.tags.get(name))
    return one_line(error or "no error was stored")


def rejected_lines(exclusions: Iterable[Exclusion]) -> list[str]:
    """One line for people per rejected run: which, and why."""
    return [f"  rejected {e.run_id}: {e.detail}" for e in exclusions if e.reason == "rejected"]


def _candidate(run: StoredRun) -> list[Candidate]:
    kind = run.tags.get("kind")
    if kind in ("combination", "baseline"):
        return [_own(run, kind)]
    if kind is None and run.status != "FINISHED" and len(factors := _params(run)) == len(FACTORS):
        return [Candidate(run, "combination", factors, "", "", True)]
    return []


def _params(run: StoredRun) -> dict[str, str]:
    return {name: run.params[name] for name in FACTORS if run.params.get(name)}


def _own(run: StoredRun, kind: str) -> Candidate:
    absent = [name for name in FACTORS if not run.params.get(name)]
    if absent:
        raise RejectedRun(f"the parameter {absent[0]} is missing")
    cohort_hash, resample_id = (run.tags.get(name, "") for name in ("cohort_hash", "resample_id"))
    if kind == "combination" and run.status == "FINISHED" and not (cohort_hash and resample_id):
        raise RejectedRun("the tag cohort_hash or resample_id is missing")
    factors = {name: run.params[name] for name in FACTORS}
    return Candidate(run, kind, factors, cohort_hash, resample_id, False)


def _file_of_unknown(store: Store, run: StoredRun) -> Path | None:
    """The results file of a finished run that has no tag to say what it is."""
    if run.tags.get("kind") is not None or run.status != "FINISHED":
        return None
    try:
        return read_artifact(store.artifacts(run), FILE_NAME)
    except RejectedRun:
        if len(_params(run)) == len(FACTORS):
            raise
        return None  # some other kind of run


def _foreign(run: StoredRun, identity: Identity | RejectedRun) -> Candidate:
    """A run of another program: its factors stand in its parameters or in its results."""
    if isinstance(identity, RejectedRun):
        raise identity
    factors = identity.factors | _params(run)
    if len(factors) < len(FACTORS):
        raise RejectedRun(f"no factors: expected the parameters {', '.join(FACTORS)}")
    return Candidate(
        run, "combination", factors, identity.cohort_hash, identity.resample_id, identity.is_foreign
    )


def _sweep(run: StoredRun, folder: Path) -> Sweep:
    path = read_artifact(folder, "planned.json")
    if path.stat().st_size > _MAX_PLAN_BYTES:
        raise RejectedRun(f"planned.json has more than {_MAX_PLAN_BYTES} bytes")
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(tuple(_name(cell[name]) for name in FACTORS) for cell in plan["cells"])
        return Sweep(run, _name(plan["sweep_id"]), _name(plan["sweep"]), cells)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RejectedRun(f"planned.json is damaged: {one_line(error, 100)}") from error


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is no name")
    return value


def _choose(usable: list[Candidate], plans: list[Sweep], cohort: str | None, sweep: str | None) -> Selection:
    if cohort is not None:
        fitting = [c for c in usable if c.cohort_hash.startswith(cohort)]
        if not fitting:
            raise SelectionError(_unknown("cohort", cohort, (c.cohort_hash for c in usable)))
        usable = fitting
    pairs = {(c.cohort_hash, c.resample_id) for c in usable}
    filled = [plan for plan in plans if (plan.cohort_hash, plan.resample_id) in pairs]
    if sweep is not None:
        filled = [p for p in filled if sweep in (p.name, p.sweep_id) or _starts(p, sweep)]
        if not filled:
            raise SelectionError(_unknown("sweep with a finished run", sweep, map(_sweep_text, plans)))
    if filled:
        newest = filled[-1]
        return Selection(newest.cohort_hash, newest.resample_id, newest)
    return Selection(*_without_sweep(usable), None)


def _starts(plan: Sweep, text: str) -> bool:
    return bool(text) and (plan.sweep_id.startswith(text) or plan.run.run_id.startswith(text))


def _without_sweep(usable: list[Candidate]) -> tuple[str, str]:
    own = [c for c in usable if not c.foreign]
    if own:
        newest = max(own, key=lambda c: (c.run.start_time, c.run.run_id))
        return newest.cohort_hash, newest.resample_id
    # Other programs' identities are hashes of what they predicted on: one odd run must not displace the rest.
    number = Counter((c.cohort_hash, c.resample_id) for c in usable)
    latest = {(c.cohort_hash, c.resample_id): c.run.start_time for c in usable}
    return max(number, key=lambda pair: (number[pair], latest[pair], pair))


def _sort_in(selection: Selection, candidate: Candidate, registry: Registry) -> None:
    """Put a candidate where it belongs; they come newest first."""
    reason, detail = _exclusion(selection, candidate, registry)
    if reason == "failed" and candidate.kind == "combination":
        selection.failed.setdefault(candidate.cell, candidate)
    if reason == "rejected":
        selection.unregistered[candidate.cell] = detail
    if reason:
        selection.excluded.append(exclusion(candidate.run, reason, detail))
    else:
        selection.finished.setdefault((candidate.kind, candidate.cell), []).append(candidate)


def _exclusion(selection: Selection, candidate: Candidate, registry: Registry) -> tuple[str, str]:
    """Reason and detail for leaving a candidate out; empty where it belongs in."""
    run, missing = candidate.run, ("",)
    if candidate.cohort_hash not in (selection.cohort_hash, *missing):
        return "other cohort", f"cohort {one_line(candidate.cohort_hash, 100)}"
    if candidate.resample_id not in (selection.resample_id, *missing):
        return "other resamples", f"resamples {one_line(candidate.resample_id, 100)}"
    if unknown := unknown_method(candidate.factors, registry, candidate.kind == "baseline"):
        return "rejected", unknown
    if run.status == "FAILED":
        return "failed", f"{run.tags.get('failed_stage', 'unknown stage')}: {failure(run)}"
    if run.status != "FINISHED":
        return "unfinished", f"the run is {run.status}"
    if run.experiment and run.experiment not in {e.experiment for e in registry.experiments.values()}:
        return "rejected", f"experiment {one_line(run.experiment, 100)!r} is not in the registry"
    return "", ""


def unknown_method(factors: Mapping[str, str], registry: Registry, may_be_none: bool = False) -> str:
    """Say which factor has a name that is not in the registry; empty if none has."""
    for factor, name in factors.items():
        if (FACTOR_STAGES[factor], name) not in registry.methods and not (may_be_none and name == "none"):
            return f"{factor} {one_line(name, 100)!r} is not in the registry"
    return ""


def _sweep_text(plan: Sweep) -> str:
    return f"{plan.sweep_id} ({plan.name})"


def _unknown(what: str, text: str, there: Iterable[str]) -> str:
    listed = ", ".join(dict.fromkeys(there)) or "none"
    return f"there is no {what} {text!r}; there is: {listed}"


def _nothing(runs: list[Candidate], damaged: list[Exclusion]) -> str:
    states = Counter(c.run.status for c in runs) + Counter({"rejected": len(damaged)})
    text = ", ".join(f"{number} {state}" for state, number in states.items() if number)
    headline = f"the store has no finished combination ({text or 'no runs'})"
    return "\n".join([headline, *rejected_lines(damaged)])

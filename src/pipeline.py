"""The four stages in a row; each result is remembered under the key of what went into it."""

from __future__ import annotations

import json
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from src import stage_files
from src.cohort import ARTEFACT_TYPES, Cohort, CohortError
from src.combination import Combination, Step
from src.evaluation.tuning import Tuned
from src.isolation import ProcessDied
from src.logs import events
from src.networks.checkpoints import keep_in
from src.provenance import accelerator, code_commit, package_versions
from src.registry import FACTORS, load_registry
from src.tracking import Record, StoredRun, Tracking

STAGES = ("outlier", "imputation", "features", "classifier")
N_EXAMPLES = 4
N_PROBED, PROBE_SEED = 20, 1  # recordings of hippus alone that every detector is tried on
LITTLE_FLAGGED, MUCH_FLAGGED = 0.001, 0.5  # of the recorded samples; beyond, something is likely wrong
MAX_ERROR = 500  # letters of an error that fit into a table; the traceback has the rest

log = logging.getLogger(__name__)


class PipelineError(RuntimeError):
    """A method that cannot run on this cohort, or broke its contract."""


@dataclass(frozen=True)
class Outcome:
    """What a stage computed: its files, and what is worth a column in MLflow."""

    write: Callable[[Path], None]
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def open_tracking(combination: Combination) -> Tracking:
    """Return the store of runs a combination belongs to."""
    experiments = tuple(e.experiment for e in load_registry().experiments.values())
    return Tracking(combination.tracking_uri, experiments, combination.artifact_root)


def find_finished(combination: Combination, tracking: Tracking) -> StoredRun | None:
    """Return the finished run of a combination, if there is one; warn if other libraries made it."""
    run = tracking.find(_experiment("classifier"), combination.keys()["classifier"])
    if run is not None:
        _warn_of_other_versions(run)
    return run


def run_combination(combination: Combination, report: Callable[[Any], None] = log.debug) -> dict[str, Any]:
    """Run one combination, or find it finished; a failure is logged as a run and returned, not raised.

    Parameters
    ----------
    combination : Combination
    report : callable, optional
        Called with ('stage', stage, method) as each stage begins, ('epochs', done, total, reached) as a
        network is trained, and ('fits', done, total) as fits are done.

    Returns
    -------
    dict
        `state` ('finished', 'reused' or 'failed'), `run_name`, `run_id`, `seconds`, `metrics`; for a
        failure also `stage` and `error`.
    """
    started = time.time()
    tracking = open_tracking(combination)
    stage = "setup"

    def follow(message: tuple[Any, ...]) -> None:
        nonlocal stage
        stage = message[1] if message[0] == "stage" else stage
        report(message)

    with ExitStack() as failing:
        try:
            pipeline = Pipeline(combination, tracking, follow)
            failing.enter_context(pipeline.failing)
            reused, run = pipeline.run()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong becomes a FAILED run with its traceback
            return log_failure(combination, tracking, stage, error, started)
    return run_status(combination, "reused" if reused else "finished", run, started)


def log_failure(
    combination: Combination, tracking: Tracking, stage: str, error: BaseException, started: float
) -> dict[str, Any]:
    """Log a combination that failed as a FAILED run; return its status."""
    text = "".join(traceback.format_exception(error))
    line = " ".join(str(error).split())[:MAX_ERROR] or "no message"
    tags = {"failed_stage": stage, "error_class": type(error).__name__, "error": line}
    if stage in combination.steps:
        # What killed a process may have had nothing to do with the stage: another combination may try it.
        tags["died_key" if isinstance(error, ProcessDied) else "failed_key"] = combination.keys()[stage]

    def write(folder: Path) -> None:
        (folder / "traceback.txt").write_text(text, encoding="utf-8")

    record = _record(combination, "classifier", Outcome(write, tags=tags), started, "FAILED")
    run = tracking.log(record)
    status = run_status(combination, "failed", run, started)
    return status | {"stage": stage, "error": f"{type(error).__name__}: {line}"}


class Pipeline:
    """The stages of one combination.

    Each stage asks the store for a finished run with its key, computes and logs one if there is none,
    and reads the result back from the store, so that first and later runs take the same path.
    """

    def __init__(self, combination: Combination, tracking: Tracking, report: Callable[[Any], None]) -> None:
        self.combination = combination
        self.tracking = tracking
        self.report = report
        self.keys = combination.keys()
        self.runs: dict[str, StoredRun] = {}
        self.failing = ExitStack()  # the lock of a stage that failed, until that is on record
        self.labelled = combination.cohort.subjects["label"].notna().to_numpy()
        self.fit_on = combination.cohort.fit_on
        self.fit_rows = ~self.labelled if self.fit_on == "unlabelled" else np.ones_like(self.labelled)

    def run(self) -> tuple[bool, StoredRun]:
        """Return whether the combination was there already, and the run with the predictions."""
        run = find_finished(self.combination, self.tracking)
        if run is not None:
            return True, run
        self._check_ready()
        features = self._features()
        if features is None:
            no_ages = Outcome(lambda folder: None, tags={"reason": "no ages"})
            return False, self._log("classifier", no_ages, time.time())
        self._remember("classifier", lambda: self._classify(*features))
        return False, self.runs["classifier"]

    def _check_ready(self) -> None:
        """Fail now, and not after hours, where a method lacks a package or its weights."""
        if own := self.combination.unpublished_weights:
            log.warning("these weights are not the published ones: %s", own)
        for stage, step in self.combination.steps.items():
            try:
                self.combination.check_ready(stage)
            except Exception:
                self.report(("stage", stage, step.name))
                raise

    @cached_property
    def cohort(self) -> Cohort:
        """The recordings, read when a stage first needs them."""
        from src.cohort.file import read_cohort

        card = self.combination.cohort
        try:
            cohort, _ = read_cohort(card.path)
        except CohortError:  # it names a subject, and what is raised here goes into the store
            raise PipelineError(
                f"{card.path.name} cannot be read any more; start the command again, which says why"
            ) from None
        if cohort.content_hash != card.content_hash:
            raise PipelineError(
                f"{card.path.name} changed after this run was planned; start the command again"
            )
        return cohort

    def _features(self) -> tuple[np.ndarray, list[str]] | None:
        ages = self.combination.cohort.subjects["age"][self.labelled]
        if self.combination.kind == "baseline" and ages.isna().all():
            return None
        if "outlier" not in self.combination.steps:
            return stage_files.read_features(self._remember("features", lambda: self._featurise(None)))
        run = self._recall("features")
        if run is None:
            pupil = self._signal()
            return stage_files.read_features(self._remember("features", lambda: self._featurise(pupil)))
        for stage in ("outlier", "imputation"):  # only to link to them: their results need not be read
            self._recall(stage)
        return stage_files.read_features(self.tracking.artifacts(run))

    def _signal(self) -> np.ndarray:
        missing = stage_files.read_mask(self._remember("outlier", self._detect)) | ~np.isfinite(
            self.cohort.pupil
        )
        folder = self._remember("imputation", lambda: self._impute(missing))
        return stage_files.read_imputed(folder, self.cohort.pupil)

    def _remember(self, stage: str, compute: Callable[[], Outcome]) -> Path:
        """Return the folder with a stage's result, computed now if no finished run has it."""
        run = self._recall(stage)
        if run is None:
            with ExitStack() as held:
                held.enter_context(self.tracking.lock(self.keys[stage]))
                try:
                    run = self._recall(stage) or self._compute(stage, compute)
                except Exception:
                    self.failing.push(held.pop_all())
                    raise
        return self.tracking.artifacts(run)

    def _recall(self, stage: str) -> StoredRun | None:
        run = self.tracking.find(_experiment(stage), self.keys[stage])
        if run is not None:
            _warn_of_other_versions(run)
            self.runs[stage] = run
            events.info("%s %s: reused, run %s", stage, self.combination.steps[stage].name, run.run_id)
        return run

    def _compute(self, stage: str, compute: Callable[[], Outcome]) -> StoredRun:
        name = self.combination.steps[stage].name
        self.report(("stage", stage, name))
        self._refuse_known_failure(stage)
        events.info("%s %s: being computed", stage, name)
        started = time.time()
        unfinished = self.tracking.unfinished(self.keys[stage])
        with keep_in(unfinished, lambda *epoch: self.report(("epochs", *epoch))):
            outcome = compute()
        self.runs[stage] = self._log(stage, outcome, started)
        events.info("%s %s: computed, run %s", stage, name, self.runs[stage].run_id)
        shutil.rmtree(unfinished, ignore_errors=True)
        return self.runs[stage]

    def _refuse_known_failure(self, stage: str) -> None:
        """Do not spend the time on a stage again that failed for another combination of this sweep."""
        sweep = self.combination.sweep_id
        if stage == "classifier" or not sweep:
            return
        where, key = _experiment("classifier"), self.keys[stage]
        run = self.tracking.find_failure(where, key, sweep) or self.tracking.find_deaths(where, key, sweep)
        if run is not None:
            raise PipelineError(f"failed before in this sweep, for {run.run_name}: {run.tags['error']}")

    def _log(self, stage: str, outcome: Outcome, started: float) -> StoredRun:
        links = {f"{FACTORS[s].removesuffix('_method')}_run_id": run.run_id for s, run in self.runs.items()}
        tags = {"fit_on": self.fit_on, "versions": json.dumps(package_versions())} | links
        outcome = Outcome(outcome.write, outcome.metrics, tags | dict(outcome.tags))
        return self.tracking.log(_record(self.combination, stage, outcome, started, "FINISHED"))

    def _build(self, step: Step) -> Any:
        """Make a method that starts no more threads than the combination has cores."""
        threads, cores = step.parameters.get("n_jobs"), self.combination.n_jobs
        if threads is None:
            return step.build()
        return step.build(n_jobs=min(threads, cores) if threads > 0 else cores)

    def _view(self, step: Step, rows: np.ndarray) -> Cohort:
        """Return what a method may see: of the subjects a baseline's ages at most, truth only if needed."""
        whole = self.cohort.take(rows)
        cohort = whole.blind()
        if getattr(step.method, "needs_ages", False):
            cohort = replace(cohort, subjects=cohort.subjects.assign(age=whole.subjects["age"]))
        return cohort if step.needs_truth else cohort.without_truth()

    def _members(self, step: Step, compute: Callable[[Pipeline], Outcome]) -> dict[str, StoredRun]:
        """Return the run of each member of an ensemble, which is remembered as if it stood alone."""
        runs = {}
        for name, member in step.members.items():
            alone = self._alone(member)
            try:
                alone._remember(step.stage, partial(compute, alone))
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                raise PipelineError(
                    f"{step.stage}={step.name}: its member {name} failed: {reason}"
                ) from error
            runs[name] = alone.runs[step.stage]
        return runs

    def _alone(self, step: Step) -> Pipeline:
        """Return this pipeline with a member in the place of its ensemble."""
        other = copy(self)
        other.cohort = self.cohort
        other.combination = replace(self.combination, steps={**self.combination.steps, step.stage: step})
        other.keys = other.combination.keys()
        other.runs = {stage: run for stage, run in self.runs.items() if stage != step.stage}
        return other

    def _detect(self) -> Outcome:
        step = self.combination.steps["outlier"]
        detector = self._build(step)
        runs = self._members(step, Pipeline._detect)
        started = time.time()
        if step.is_ensemble:
            detector.learn(self._view(step, self.fit_rows))
            folders = {name: self.tracking.artifacts(run) for name, run in runs.items()}
            mask = detector.combine({name: stage_files.read_mask(path) for name, path in folders.items()})
            known = {name: stage_files.read_probe(path) for name, path in folders.items()}
            probes = {name: probe for name, probe in known.items() if probe is not None}
            probe = detector.combine(probes) if len(probes) == len(known) else None
        else:
            detector = detector.fit(self._view(step, self.fit_rows))
            mask = detector.detect(self._view(step, np.ones_like(self.fit_rows)))
            probe = self._probe(step, detector)
        if mask.shape != self.cohort.pupil.shape or mask.dtype != bool:
            raise PipelineError(
                f"outlier={step.name} returned {mask.dtype} {mask.shape}; expected bool (n, T)"
            )
        _warn_of_odd_mask(step, mask, np.isfinite(self.cohort.pupil))
        quality = self._detection_quality(mask)

        def write(folder: Path) -> None:
            stage_files.write_mask(folder, mask)
            stage_files.write_rows(folder / "quality.json", quality)
            if probe is not None:  # an ensemble of older runs has none
                stage_files.write_probe(folder, probe)

        metrics = {"share_flagged": float(mask.mean())} | _overall(quality, "artefact_type")
        if probe is not None:
            metrics["hippus_flagged"] = float(probe.mean())
        outcome = Outcome(write, metrics, self._evaluated_on(quality))
        return _with_members(outcome, step, detector, runs, started) if step.is_ensemble else outcome

    def _detection_quality(self, mask: np.ndarray) -> list[dict[str, Any]]:
        from src.evaluation.signal_quality import detection_quality

        rows, cohort = self._scored_rows(), self.cohort
        if cohort.truth_mask is None:
            return []
        types = None if cohort.artefact_type is None else cohort.artefact_type[rows]
        return detection_quality(mask[rows], cohort.truth_mask[rows], types, ARTEFACT_TYPES)

    def _probe(self, step: Step, detector: Any) -> np.ndarray:
        """Return what a fitted detector flags where there is hippus and nothing else: all false alarms.

        The recordings are synthetic, whatever the cohort is, on its time grid and in its unit.
        """
        from src.cohort.synthetic import generate_hippus

        made, real = generate_hippus(self.cohort.time, N_PROBED, PROBE_SEED), self.cohort.pupil
        sizes = real[np.isfinite(real) & (real > 0)]
        if self.cohort.unit != made.unit and sizes.size:
            made = replace(made, pupil=made.pupil * np.median(sizes) / np.median(made.pupil))
        return detector.detect(made if step.needs_truth else made.without_truth())

    def _impute(self, missing: np.ndarray) -> Outcome:
        step, cohort = self.combination.steps["imputation"], self.cohort
        imputer = self._build(step)
        runs = self._members(step, partial(Pipeline._impute, missing=missing))
        started = time.time()
        if step.is_ensemble:
            imputer.learn(cohort.pupil[self.fit_rows], missing[self.fit_rows])
            folders = {name: self.tracking.artifacts(run) for name, run in runs.items()}
            signals = {n: stage_files.read_imputed(path, cohort.pupil) for n, path in folders.items()}
            imputed = imputer.combine(cohort.pupil, missing, signals)
        else:
            imputed = self._fill(step, imputer, missing)
        _check_imputed(step, imputed.pupil, cohort.pupil, missing)
        quality = self._imputation_quality(imputed.pupil, missing)
        unusable = cohort.subjects["recording"].to_numpy(dtype="U")[missing.all(axis=1)].tolist()
        if unusable:
            log.warning("no observed sample left in %s; the mean curve stands in", ", ".join(unusable))

        def write(folder: Path) -> None:
            stage_files.write_imputed(folder, missing, imputed.pupil, imputed.sd)
            stage_files.write_rows(folder / "quality.json", quality)
            stage_files.write_rows(folder / "unusable.json", unusable)
            stage_files.write_examples(folder, self._examples(missing, imputed))

        metrics = _overall(quality, "gap") | {"n_unusable": float(len(unusable))}
        outcome = Outcome(write, metrics, self._evaluated_on(quality))
        return _with_members(outcome, step, imputer, runs, started) if step.is_ensemble else outcome

    def _fill(self, step: Step, imputer: Any, missing: np.ndarray) -> Any:
        """Fit an imputer and impute all recordings."""
        cohort, fitted = self.cohort, self.fit_rows
        truth = cohort.truth_pupil if step.needs_truth else None
        fit_truth = {} if truth is None else {"truth": truth[fitted]}
        imputer = imputer.fit(cohort.pupil[fitted], missing[fitted], **fit_truth)
        return imputer.impute(cohort.pupil, missing, truth=truth)

    def _imputation_quality(self, pupil: np.ndarray, missing: np.ndarray) -> list[dict[str, Any]]:
        from src.evaluation.signal_quality import imputation_quality
        from src.imputation.linear import Linear

        rows, cohort, fitted = self._scored_rows(), self.cohort, self.fit_rows
        if cohort.truth_pupil is None:
            return []
        lines = Linear().fit(cohort.pupil[fitted], missing[fitted]).impute(cohort.pupil[rows], missing[rows])
        truth = cohort.truth_pupil[rows]
        return imputation_quality(pupil[rows], truth, missing[rows], cohort.time, lines.pupil)

    def _scored_rows(self) -> np.ndarray:
        """Recordings a method's quality is measured on: those it was not fitted on, where there are any."""
        return self.fit_rows if self.fit_rows.all() else ~self.fit_rows

    def _evaluated_on(self, quality: list[dict[str, Any]]) -> dict[str, str]:
        where = "fitted" if self.fit_rows.all() else "held-out"
        return {"evaluated_on": where if quality else ""}

    def _examples(self, missing: np.ndarray, imputed: Any) -> dict[str, np.ndarray]:
        """A few recordings for the eye, at fixed ranks of their share of artefacts."""
        cohort = self.cohort
        bad = ~np.isfinite(cohort.pupil) if cohort.truth_mask is None else cohort.truth_mask
        candidates = np.flatnonzero(self._scored_rows())
        order = candidates[np.argsort(bad[candidates].mean(axis=1), kind="stable")]
        ranks = np.linspace(len(order) / 4, len(order) - 1, N_EXAMPLES)
        rows = order[np.unique(ranks.astype(int))]
        arrays = {
            "time": cohort.time,
            "codes": cohort.subjects["recording"].to_numpy(dtype="U")[rows],
            "raw": cohort.pupil[rows],
            "missing": missing[rows],
            "imputed": imputed.pupil[rows],
        }
        arrays |= {f"light_{colour}": edges[rows] for colour, edges in cohort.light.items()}
        optional = {"truth": cohort.truth_pupil, "truth_mask": cohort.truth_mask, "sd": imputed.sd}
        return arrays | {name: array[rows] for name, array in optional.items() if array is not None}

    def _featurise(self, pupil: np.ndarray | None) -> Outcome:
        step = self.combination.steps["features"]
        fitted = None if pupil is None else pupil[self.fit_rows]
        featuriser = self._build(step).fit(fitted, self._view(step, self.fit_rows))
        table = featuriser.transform(pupil, self._view(step, np.ones_like(self.fit_rows)))
        if len(table) != len(self.cohort):
            raise PipelineError(
                f"features={step.name} returned {len(table)} rows; expected {len(self.cohort)}"
            )
        values, recordings = table.to_numpy(dtype=float), list(self.cohort.subjects["recording"])
        columns = list(table.columns)
        return Outcome(
            lambda folder: stage_files.write_features(folder, values, columns, recordings),
            {"n_features": float(len(columns)), "n_undefined": float(np.isnan(values).sum())},
        )

    def _classify(self, values: np.ndarray, columns: list[str]) -> Outcome:
        from src.evaluation.loop import bootstrap
        from src.results.bootstrap_pickle import dump
        from src.tuning_files import write_tuning

        combination = self.combination
        subjects = combination.cohort.subjects[self.labelled]
        labels = subjects["label"].to_numpy(dtype=np.int8)
        tuned = self._tune(values[self.labelled], labels, list(subjects["code"]))
        classifier = combination.steps["classifier"].build(**(tuned.parameters if tuned else {}))
        if caveat := getattr(classifier, "caveat", ""):
            log.warning("classifier=%s: %s", combination.steps["classifier"].name, caveat)
        result = bootstrap(
            classifier,
            values[self.labelled],
            labels,
            subject_codes=list(subjects["recording"]),
            groups=list(subjects["code"]),
            n_iterations=combination.n_iterations,
            seed=combination.seed,
            n_jobs=combination.n_jobs,
            permutation_every=combination.permutation_every,
            progress=self._fits,
        )
        contents = self._bootstrap_results(result, columns)
        tags, metrics = {"resample_id": result.resample_id}, _summary_metrics(result)
        tags |= {"caveat": caveat} if caveat else {}
        if tuned is not None:
            told = _about_tuning(combination, tuned)
            contents["tuning"] = told
            tags |= {name: told[name] for name in ("tuned", "optimistic")}
            tags["tuned_parameters"] = json.dumps(tuned.parameters)
            metrics["tuning_brier"] = tuned.score

        def write(folder: Path) -> None:
            dump(contents, folder / "bootstrap_results.pkl")
            (folder / "config.yaml").write_text(combination.config, encoding="utf-8")
            if tuned is not None:
                write_tuning(folder, tuned)

        return Outcome(write, metrics, tags)

    def _fits(self, done: int, total: int) -> None:
        self.report(("fits", done, total))

    def _tune(self, X: np.ndarray, y: np.ndarray, groups: list[str]) -> Tuned | None:
        """Search for the classifier's parameters, once, on all labelled recordings; None if not asked to."""
        from src.evaluation.tuning import tune

        step, how = self.combination.steps["classifier"], self.combination.tuning
        if how is None:
            return None
        self.report(("stage", "classifier", f"{step.name}, trials"))
        tuned = tune(step.build, step.parameters, step.search, X, y, groups, how, self._fits)
        self.report(("stage", "classifier", step.name))
        return tuned

    def _bootstrap_results(self, result: Any, columns: list[str]) -> dict[str, Any]:
        """Return the contents of `bootstrap_results.pkl`: plain values and numpy arrays only."""
        combination, cohort = self.combination, self.combination.cohort
        return {
            "schema_version": 1,
            "run_name": combination.run_name,
            "factors": combination.factors,
            "n_iterations": result.n_iterations,
            "seed": result.seed,
            "resample_id": result.resample_id,
            "cohort_hash": cohort.content_hash,
            "source": cohort.source,
            "unit": cohort.unit,
            "fit_on": self.fit_on,
            "features": columns,
            "subject_codes": list(result.subject_codes),
            "groups": list(result.groups),
            "y": result.y,
            "y_prob_all": result.y_prob_all,
            "inbag_counts": result.inbag_counts,
            "y_prob_apparent": result.y_prob_apparent,
            "auroc": result.auroc.tolist(),
            "brier": result.brier.tolist(),
            "y_true": result.y_true,
            "y_prob": result.y_prob,
            "feature_importance": result.feature_importance,
            "permutation_importance": result.permutation_importance,
            "train_indices": result.train_indices,
            "test_indices": result.test_indices,
            "random_states": result.random_states,
            "versions": package_versions(),
            "code_commit": code_commit(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "fit_seconds": result.fit_seconds,
        }


def _record(combination: Combination, stage: str, outcome: Outcome, started: float, status: str) -> Record:
    """Everything the store holds about a run; a stage's run names the factors up to that stage."""
    known = STAGES[: STAGES.index(stage) + 1]
    params = {factor: combination.factors[factor] for s, factor in FACTORS.items() if s in known}
    name = "__".join(params.values())
    params |= {f"{stage}.{k}": str(v) for k, v in combination.steps[stage].parameters.items()}
    if stage == "classifier":
        params |= {"n_iterations": str(combination.n_iterations), "seed": str(combination.seed)}
        params |= {"tune": "none" if combination.tuning is None else "optuna"}
    cohort = combination.cohort
    tags = {
        "kind": combination.kind if stage == "classifier" else "stage",
        "stage_key": combination.keys()[stage] if status == "FINISHED" else "",
        "cohort_hash": cohort.content_hash,
        "source": cohort.source,
        "unit": cohort.unit,
        "sweep_id": combination.sweep_id,
        "code_commit": code_commit(),
    }
    metrics = {"duration_s": time.time() - started} | dict(outcome.metrics)
    metrics = {key: value for key, value in metrics.items() if np.isfinite(value)}
    tags |= {"unpublished_weights": own} if (own := combination.unpublished_weights) else {}
    if status == "FINISHED":  # what failed may have failed in another stage, and in another process
        tags |= {"accelerator": accelerator(combination.steps[stage].parameters.get("device", "cpu"))}
    tags |= outcome.tags
    return Record(_experiment(stage), name, params, tags, metrics, outcome.write, started, status)


def _with_members(
    outcome: Outcome, step: Step, ensemble: Any, runs: Mapping[str, StoredRun], started: float
) -> Outcome:
    """Add to an ensemble's result who its members are, and to its duration theirs."""
    rows = [
        {
            "member": name,
            "status": "not kept" if name in ensemble.dropped_ else "used",
            "reason": ensemble.dropped_.get(name),
            "quality": ensemble.quality_.get(name),
        }
        for name in step.members
    ]
    rows += [
        {"member": name, "status": "left out", "reason": reason, "quality": None}
        for name, reason in step.left_out.items()
    ]

    def write(folder: Path) -> None:
        outcome.write(folder)
        stage_files.write_rows(folder / stage_files.MEMBERS, rows)

    for name, reason in step.left_out.items():
        log.warning("%s=%s runs without %s: %s", step.stage, step.name, name, reason)
    lists = {status: [r["member"] for r in rows if r["status"] == status] for status in ("used", "left out")}
    tags = {"members": ", ".join(lists["used"]), "members_left_out": ", ".join(lists["left out"])}
    duration = time.time() - started + sum(run.metrics["duration_s"] for run in runs.values())
    return Outcome(write, {**outcome.metrics, "duration_s": duration}, {**outcome.tags, **tags})


def run_status(combination: Combination, state: str, run: StoredRun, started: float) -> dict[str, Any]:
    """Return what a sweep keeps of one of its runs; `state` is 'finished', 'reused' or 'failed'."""
    seconds = time.time() - started
    facts = {"state": state, "run_name": combination.run_name, "run_id": run.run_id, "seconds": seconds}
    return facts | {"metrics": dict(run.metrics)}


def _summary_metrics(result: Any) -> dict[str, float]:
    """About twenty numbers of a run: `test_` for the out-of-bag estimates, `apparent_` and `pooled_` else."""
    from src.evaluation.estimators import estimate_all

    prefix = {"oob_pooled": "pooled", "apparent": "apparent"}
    rows = estimate_all(
        result.y, result.y_prob_all, result.inbag_counts, result.y_prob_apparent, result.groups
    )
    metrics = {}
    for row in rows:
        if row.estimator == "oob":
            metrics[f"test_{row.metric}"] = row.estimate
            metrics[f"test_{row.metric}_lo"] = row.sampling_lo
            metrics[f"test_{row.metric}_hi"] = row.sampling_hi
        elif row.metric in ("auroc", "brier"):
            metrics[f"{prefix[row.estimator]}_{row.metric}"] = row.estimate
    return metrics


def _about_tuning(combination: Combination, tuned: Tuned) -> dict[str, Any]:
    """Return what is told wherever a tuned run goes."""
    from src.evaluation.tuning import OPTIMISTIC

    assert combination.tuning is not None
    how = {"tuned": "optuna", "optimistic": OPTIMISTIC, "objective": "Brier score, cross-validated"}
    return how | asdict(combination.tuning) | {"parameters": tuned.parameters, "brier": tuned.score}


def _experiment(stage: str) -> str:
    return load_registry().experiments[stage].experiment


def _warn_of_other_versions(run: StoredRun) -> None:
    now = package_versions()
    then = json.loads(run.tags.get("versions", "{}"))
    for package in sorted(set(now) & set(then)):
        if then[package] != now[package]:
            log.warning(
                "reusing %s made with %s %s (now %s)", run.run_name, package, then[package], now[package]
            )


def _warn_of_odd_mask(step: Step, mask: np.ndarray, recorded: np.ndarray) -> None:
    """Warn where next to nothing, or most of a typical recording, of what was recorded is flagged."""
    share = (mask & recorded).sum(axis=1) / np.maximum(recorded.sum(axis=1), 1)
    if share.mean() < LITTLE_FLAGGED:
        found = f"{share.mean():.2%} of all"
    elif np.median(share) > MUCH_FLAGGED:
        found = f"{np.median(share):.0%} of the median recording's"
    else:
        return
    log.warning(
        "outlier=%s flagged %s recorded samples: look at its settings and the signals", step.name, found
    )


def _check_imputed(step: Step, imputed: np.ndarray, pupil: np.ndarray, missing: np.ndarray) -> None:
    if imputed.shape != pupil.shape or not np.isfinite(imputed).all():
        raise PipelineError(f"imputation={step.name} left samples missing or not finite")
    if not np.array_equal(imputed[~missing], pupil[~missing]):
        raise PipelineError(f"imputation={step.name} changed observed samples")


def _overall(rows: list[dict[str, Any]], by: str) -> dict[str, float]:
    """Return the overall row of a quality table as metrics."""
    return {k: float(v) for row in rows if row[by] == "all" for k, v in row.items() if k != by}

import json
import pickle
from dataclasses import replace
from pathlib import Path

import duckdb
import dummy_methods
import numpy as np
import pandas as pd
import pytest
from commands import run
from filelock import FileLock, Timeout

from benchmarks.costs import LOOK_UPS
from src import stage_files
from src.cohort.file import read_cohort, write_cohort
from src.cohort.synthetic import generate
from src.combination import CohortCard, Combination, Step
from src.evaluation.tuning import Tuning
from src.isolation import ProcessDied
from src.pipeline import (
    Pipeline,
    _warn_of_odd_mask,
    find_finished,
    log_failure,
    open_tracking,
    run_combination,
)
from src.provenance import accelerator
from src.results.bootstrap_pickle import load
from src.tracking import Tracking, list_runs


@pytest.fixture(scope="module")
def few_unlabelled(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "few.duckdb"
    write_cohort(generate(n_recordings=30, n_controls=10, n_glaucoma=8, seed=1), path)
    return path


@pytest.fixture(scope="module")
def many_unlabelled(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "many.duckdb"
    write_cohort(generate(n_recordings=65, n_controls=8, n_glaucoma=7, seed=2), path)
    return path


@pytest.fixture(autouse=True)
def forget_calls():
    dummy_methods.calls.clear()


def card_of(path: Path) -> CohortCard:
    cohort, _ = read_cohort(path)
    return CohortCard(
        path, cohort.content_hash, cohort.source, cohort.unit, cohort.subjects, cohort.has_truth
    )


def step(stage: str, target: str, **parameters) -> Step:
    return Step(stage, target.rpartition(".")[2], target, parameters)


@pytest.fixture
def combination(few_unlabelled, tracking_uri) -> Combination:
    steps = {
        "outlier": step("outlier", "dummy_methods.Watcher"),
        "imputation": step("imputation", "dummy_methods.Constant"),
        "features": step("features", "dummy_methods.MeanSize"),
        "classifier": step("classifier", "src.classifiers.logistic_regression.LogisticRegression"),
    }
    return Combination(
        "combination", steps, card_of(few_unlabelled), 12, 3, 1, 5, tracking_uri, None, "s1", "a: 1"
    )


def with_step(combination: Combination, stage: str, target: str, **parameters) -> Combination:
    return replace(combination, steps={**combination.steps, stage: step(stage, target, **parameters)})


def kinds() -> list[str]:
    return [call[0] for call in dummy_methods.calls]


def seen(kind: str):
    return next(call[1] for call in dummy_methods.calls if call[0] == kind)


def test_methods_see_no_subjects_and_no_truth(combination):
    assert run_combination(combination)["state"] == "finished"
    for kind in ("fit", "detect", "fit features"):
        cohort = seen(kind)
        assert np.isnan(cohort.labels).all()
        assert cohort.subjects[["age", "severity", "split", "eye"]].isna().all(axis=None)
        assert not cohort.subjects["code"].str.match("[HGU][0-9]").any()
        assert (cohort.truth_mask, cohort.truth_pupil, cohort.artefact_type) == (None, None, None)
    assert seen("truth") is None


def test_only_methods_that_need_the_truth_get_it(combination):
    run_combination(with_step(combination, "outlier", "dummy_methods.TruthWatcher"))
    assert seen("fit").has_truth
    assert seen("fit features").has_truth is False


def test_fitted_on_recordings_without_diagnosis_where_there_are_enough(combination, many_unlabelled):
    assert Pipeline(combination, open_tracking(combination), print).fit_on == "all"
    combination = replace(combination, cohort=card_of(many_unlabelled))
    status = run_combination(combination)
    assert (len(seen("fit")), len(seen("detect")), seen("fit imputer")[0]) == (50, 65, 50)
    runs = {run.run_id: run for run in list_runs(combination.tracking_uri)}
    final = runs[status["run_id"]]
    assert final.tags["fit_on"] == "unlabelled"
    assert runs[final.tags["outlier_run_id"]].tags["evaluated_on"] == "held-out"


@pytest.mark.parametrize(("detector", "flagged"), [("Watcher", 0.0), ("Everything", 1 / 20)])
def test_every_detector_is_tried_on_hippus_alone(combination, detector, flagged):
    run_combination(with_step(combination, "outlier", f"dummy_methods.{detector}"))
    (run,) = (r for r in list_runs(combination.tracking_uri) if r.experiment == "PLR_OutlierDetection")
    (probe,) = json.loads((open_tracking(combination).artifacts(run) / "probe.json").read_text())
    assert (probe["n_recordings"], probe["n_samples"]) == (20, 20 * 1981)
    assert probe["share_flagged"] == probe["n_flagged"] / probe["n_samples"] == flagged
    assert run.metrics["hippus_flagged"] == flagged


def test_the_probe_has_time_and_size_of_the_cohort_and_shows_no_truth(combination, tmp_path):
    made = generate(n_recordings=30, n_controls=10, n_glaucoma=8, seed=1)
    half = {
        name: getattr(made, name)[:, ::2] for name in ("pupil", "truth_mask", "truth_pupil", "artefact_type")
    }
    half["pupil"], half["truth_pupil"] = 20 * half["pupil"], 20 * half["truth_pupil"]
    path = tmp_path / "px.duckdb"
    write_cohort(replace(made, time=made.time[::2], unit="px", **half), path)
    run_combination(replace(combination, cohort=card_of(path)))
    real, probe = (call[1] for call in dummy_methods.calls if call[0] == "detect")
    np.testing.assert_array_equal(probe.time, real.time)
    assert np.median(probe.pupil) == pytest.approx(np.nanmedian(real.pupil))
    assert (probe.truth_mask, probe.truth_pupil, dict(probe.light)) == (None, None, {})


def test_a_cohort_file_spoilt_meanwhile_names_nobody_in_the_store(combination, tmp_path):
    spoilt = tmp_path / "spoilt.duckdb"
    spoilt.write_bytes(combination.cohort.path.read_bytes())
    with duckdb.connect(str(spoilt)) as connection:
        connection.execute("UPDATE train SET class_label = 'sick', subject_code = 'Jane'")
    spoilt_card = replace(combination.cohort, path=spoilt)
    status = run_combination(replace(combination, cohort=spoilt_card))
    assert status["error"].startswith("PipelineError: spoilt.duckdb cannot be read any more")
    run = next(run for run in list_runs(combination.tracking_uri) if run.run_id == status["run_id"])
    told = (open_tracking(combination).artifacts(run) / "traceback.txt").read_text()
    assert "PipelineError" in told and "Jane" not in told + str(run)


SPACE = {"C": {"type": "float", "low": 0.001, "high": 100.0, "log": True}}


def tuned(combination: Combination, search=SPACE) -> Combination:
    ridge = replace(combination.steps["classifier"], search=search, name="LogisticRegression-tuned")
    steps = {**combination.steps, "classifier": replace(ridge, parameters={"C": 1.0})}
    return replace(combination, steps=steps, tuning=Tuning(4, 3, 7))


def test_a_tuned_run_says_so_and_keeps_its_search(combination):
    run_combination(combination)
    status = run_combination(tuned(combination))
    assert (status["state"], status["run_name"]) == (
        "finished",
        "MeanSize__Watcher__Constant__LogisticRegression-tuned",
    )
    run = next(r for r in list_runs(combination.tracking_uri) if r.run_id == status["run_id"])
    assert run.tags["tuned"] == run.params["tune"] == "optuna"
    assert "chosen once on all labelled subjects" in run.tags["optimistic"]
    folder = open_tracking(combination).artifacts(run)
    told = load(folder / "bootstrap_results.pkl")["tuning"]
    assert told["parameters"] == json.loads(run.tags["tuned_parameters"])
    assert (told["n_trials"], told["n_folds"], told["seed"]) == (4, 3, 7)
    assert told["optimistic"] == run.tags["optimistic"]
    names = {path.name for path in (folder / "tuning").iterdir()}
    assert names == {"study.jsonl", "trials.csv", "best.json", "history.png", "importance.png"}
    trials = pd.read_csv(folder / "tuning" / "trials.csv")
    assert trials["C"][0] == 1.0 and len(trials) == 4
    assert trials["brier"].min() == pytest.approx(run.metrics["tuning_brier"])
    assert run_combination(tuned(combination))["state"] == "reused"


def test_without_a_space_there_is_nothing_to_tune(combination):
    status = run_combination(tuned(combination, {}))
    assert (status["state"], status["stage"]) == ("failed", "classifier")
    assert "the classifier has no search space: its config needs the key search" in status["error"]
    assert dummy_methods.calls == []


def test_a_second_run_computes_nothing(combination):
    first = run_combination(combination)
    dummy_methods.calls.clear()
    second = run_combination(combination)
    assert (first["state"], second["state"]) == ("finished", "reused")
    assert first["run_id"] == second["run_id"]
    assert dummy_methods.calls == []


@pytest.mark.parametrize("every_s", [0.0, 3600.0])
def test_a_training_that_was_killed_goes_on_and_leaves_nothing_behind(
    combination, tmp_path, monkeypatch, every_s
):
    monkeypatch.setattr("src.networks.checkpoints.EVERY_S", every_s)
    monkeypatch.setattr(dummy_methods.Trained, "epochs", 0)
    monkeypatch.setattr(dummy_methods.Trained, "dies", True)
    combination = with_step(combination, "imputation", "dummy_methods.Trained")
    with pytest.raises(KeyboardInterrupt):
        run_combination(combination)
    assert list(tmp_path.rglob("network-*.pt"))
    monkeypatch.setattr(dummy_methods.Trained, "dies", False)
    assert run_combination(combination)["state"] == "finished"
    assert dummy_methods.Trained.epochs == 7 + (2 if every_s == 0 else 4)
    assert not list(tmp_path.rglob("network-*.pt"))
    assert not list((tmp_path / "mlartifacts" / ".unfinished").iterdir())


def test_stages_are_shared_by_combinations(combination):
    run_combination(combination)
    dummy_methods.calls.clear()
    run_combination(with_step(combination, "classifier", "src.classifiers.xgboost.XGBoost", n_trees=3))
    assert dummy_methods.calls == []
    run_combination(with_step(combination, "imputation", "dummy_methods.Constant", value=4.0))
    assert kinds() == ["fit imputer", "truth", "fit features"]
    names = [run.experiment for run in list_runs(combination.tracking_uri)]
    counts = {n: names.count(f"PLR_{n}") for n in ("OutlierDetection", "Imputation", "Classification")}
    assert counts == {"OutlierDetection": 1, "Imputation": 2, "Classification": 3}


def test_look_ups_of_a_combination_on_stages_that_are_there_are_as_many_as_the_costs_say(
    combination, monkeypatch
):
    run_combination(combination)
    asked = []
    find = Tracking.find
    monkeypatch.setattr(Tracking, "find", lambda self, *key: asked.append(key) or find(self, *key))
    other = with_step(combination, "classifier", "src.classifiers.xgboost.XGBoost", n_trees=3)
    find_finished(other, open_tracking(other))  # as the command does before it hands it to a process
    run_combination(other)
    assert len(asked) == LOOK_UPS


def test_what_is_logged(combination):
    status = run_combination(combination)
    runs = {run.run_id: run for run in list_runs(combination.tracking_uri)}
    run = runs[status["run_id"]]
    assert run.run_name == "MeanSize__Watcher__Constant__LogisticRegression"
    factors = {"featurization", "outlier_method", "imputation_method", "classifier"}
    assert factors <= set(run.params)
    assert {run.tags[f"{s}_run_id"] for s in ("outlier", "imputation", "featurization")} < set(runs)
    folder = open_tracking(combination).artifacts(run)
    results = load(folder / "bootstrap_results.pkl")
    assert results["cohort_hash"] == combination.cohort.content_hash
    assert results["resample_id"] == run.tags["resample_id"]
    assert np.mean(results["auroc"]) == pytest.approx(run.metrics["test_auroc"])
    assert results["feature_importance"].tolist() == [[1.0]] * 12  # one feature has it all
    assert np.isfinite(results["permutation_importance"][:, 0]).tolist() == [
        b in (0, 5, 10) for b in range(12)
    ]
    assert np.mean(results["brier"]) == pytest.approx(run.metrics["test_brier"])
    assert (folder / "config.yaml").read_text() == "a: 1"


def test_a_run_says_what_it_ran_on_and_not_what_the_machine_has(combination, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"GPU {device}")
    told = {device: accelerator(device) for device in ("cpu", "auto", "cuda:1", "meta")}
    assert told == {"cpu": "cpu", "auto": "GPU cuda", "cuda:1": "GPU cuda:1", "meta": "meta"}
    run_combination(with_step(combination, "imputation", "dummy_methods.OnDevice", device="auto"))
    logged = {run.experiment: run.tags["accelerator"] for run in list_runs(combination.tracking_uri)}
    assert logged.pop("PLR_Imputation") == "GPU cuda"
    assert len(logged) == 3 and set(logged.values()) == {"cpu"}


def test_the_number_of_workers_does_not_change_a_prediction(combination, tmp_path):
    one = run_combination(combination)
    two = run_combination(
        replace(combination, n_jobs=2, tracking_uri=f"sqlite:///{tmp_path / 'b' / 'mlflow.db'}")
    )
    assert two["state"] == "finished"
    pickles = [load(path) for path in sorted(tmp_path.rglob("bootstrap_results.pkl"))]
    assert len(pickles) == 2
    for key in ("y_prob_all", "feature_importance", "permutation_importance"):
        np.testing.assert_array_equal(pickles[0][key], pickles[1][key])
    assert one["metrics"]["test_auroc"] == two["metrics"]["test_auroc"]


def test_a_failure_is_a_run_with_its_reason(combination):
    combination = with_step(combination, "outlier", "dummy_methods.Raises")
    status = run_combination(combination)
    assert status["state"] == "failed"
    assert (status["stage"], status["error"]) == ("outlier", "RuntimeError: this detector never works")
    run = list_runs(combination.tracking_uri)[-1]
    assert (run.status, run.tags["failed_stage"], run.tags["error_class"]) == (
        "FAILED",
        "outlier",
        "RuntimeError",
    )
    text = (open_tracking(combination).artifacts(run) / "traceback.txt").read_text()
    assert "never works" in text and "in fit" in text


def test_a_stage_that_failed_is_not_tried_again_in_its_sweep_but_in_the_next(combination):
    combination = with_step(combination, "outlier", "dummy_methods.Raises")
    run_combination(combination)
    other = with_step(combination, "classifier", "src.classifiers.xgboost.XGBoost", n_trees=3)
    status = run_combination(other)
    assert "failed before in this sweep" in status["error"] and "never works" in status["error"]
    assert kinds() == ["fit"]
    run_combination(replace(other, sweep_id="s2"))
    assert kinds() == ["fit", "fit"]


def test_a_stage_that_fails_is_held_until_that_is_on_record(combination, monkeypatch):
    """Or one that waited for it would begin anew before it could know."""
    combination, held = with_step(combination, "outlier", "dummy_methods.Raises"), []

    def is_held(*_) -> dict:
        with pytest.raises(Timeout):
            FileLock(lock, timeout=0).acquire()
        held.append(lock)
        return {}

    lock = combination.tracking_uri.removeprefix("sqlite:///").replace("mlflow.db", "mlartifacts/.locks/")
    lock += combination.keys()["outlier"]
    monkeypatch.setattr("src.pipeline.log_failure", is_held)
    run_combination(combination)
    assert held == [lock]
    FileLock(lock, timeout=0).acquire()


def test_a_stage_whose_process_died_is_tried_again_once(combination):
    tracking = open_tracking(combination)
    died = ProcessDied("the process died with exit code -9")
    log_failure(combination, tracking, "outlier", died, 0.0)
    other = with_step(combination, "classifier", "src.classifiers.xgboost.XGBoost", n_trees=3)
    assert run_combination(other)["state"] == "finished"
    again = with_step(combination, "outlier", "dummy_methods.EveryNth", n=3)
    for _ in range(2):
        log_failure(again, tracking, "outlier", died, 0.0)
    assert "failed before in this sweep" in run_combination(again)["error"]


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (2, 2), (4, 2), (-1, 2)])
def test_a_method_starts_no_more_threads_than_the_combination_has_cores(combination, asked, given):
    combination = replace(with_step(combination, "outlier", "dummy_methods.Threaded", n_jobs=asked), n_jobs=2)
    dummy_methods.Threaded.started.clear()
    run_combination(combination)
    assert dummy_methods.Threaded.started == [given]


@pytest.mark.parametrize(
    ("stage", "target", "parameters", "message"),
    [
        (
            "outlier",
            "dummy_methods.WrongShape",
            {},
            r"outlier=WrongShape returned bool \(3,\); expected bool",
        ),
        (
            "imputation",
            "dummy_methods.Constant",
            {"value": float("inf")},
            "imputation=Constant left samples missing",
        ),
        (
            "imputation",
            "dummy_methods.Constant",
            {"offset": 1e-12},
            "imputation=Constant changed observed samples",
        ),
    ],
)
def test_a_broken_contract_is_named(combination, stage, target, parameters, message):
    status = run_combination(with_step(combination, stage, target, **parameters))
    assert status["state"] == "failed"
    with pytest.raises(RuntimeError, match=message):
        raise RuntimeError(status["error"])


@pytest.mark.parametrize(
    ("stage", "target"),
    [("outlier", "src.outliers.pupil_gt.TruthMask"), ("imputation", "src.imputation.pupil_gt.TruthPupil")],
)
def test_without_the_truth_a_method_that_needs_it_says_so(combination, tmp_path, stage, target):
    path = tmp_path / "no_truth.duckdb"
    cohort, _ = read_cohort(combination.cohort.path)
    write_cohort(cohort.without_truth(), path)
    combination = replace(with_step(combination, stage, target), cohort=card_of(path))
    status = run_combination(combination)
    assert status["error"] == (
        f"NotReady: {stage}={target.rpartition('.')[2]} needs the artefact mask and the clean signal, which "
        f"this cohort does not have; choose another {stage} method"
    )
    assert status["stage"] == stage


@pytest.mark.parametrize(
    ("share", "message"), [(0.0, "flagged 0.00% of all"), (0.2, ""), (0.6, "60% of the median recording's")]
)
def test_odd_masks_are_warned_about(combination, caplog, share, message):
    mask = np.zeros((3, 100), dtype=bool)
    mask[:, : int(100 * share)] = True
    recorded = np.ones_like(mask)
    mask[0, 90:], recorded[0, 90:] = True, False  # lost by the device: no detector's merit
    _warn_of_odd_mask(combination.steps["outlier"], mask, recorded)
    assert message in caplog.text
    assert bool(caplog.text) == bool(message)


def test_a_recording_without_an_observed_sample_stays_in_and_is_listed(combination):
    combination = with_step(combination, "outlier", "dummy_methods.Everything")
    status = run_combination(combination)
    assert status["state"] == "finished"
    imputation = next(r for r in list_runs(combination.tracking_uri) if r.experiment == "PLR_Imputation")
    folder = open_tracking(combination).artifacts(imputation)
    assert json.loads((folder / "unusable.json").read_text()) == [combination.cohort.subjects["recording"][0]]
    assert imputation.metrics["n_unusable"] == 1


@pytest.mark.parametrize("stage", ["outlier", "imputation", "features", "classifier"])
def test_what_is_not_ready_fails_with_the_command_before_any_stage_is_computed(combination, stage):
    status = run_combination(with_step(combination, stage, "dummy_methods.WithoutWeights"))
    assert (status["state"], status["stage"]) == ("failed", stage)
    assert status["error"] == "NotReady: its weights are not here: python scripts/fetch_weights.py NAME"
    assert dummy_methods.calls == []
    assert [run.status for run in list_runs(combination.tracking_uri)] == ["FAILED"]


def nth(n: int) -> Step:
    return replace(step("outlier", "dummy_methods.EveryNth", n=n), name=f"every {n}")


def voting(combination: Combination, *members: Step, **thresholds) -> Combination:
    kind = "ThresholdedVote" if thresholds else "MeanVote"
    vote = step("outlier", f"src.outliers.ensemble.{kind}", share=0.5, **thresholds)
    vote = replace(vote, members={member.name: member for member in members}).of_ready_members()
    return replace(combination, steps={**combination.steps, "outlier": vote})


def artifacts_of(combination: Combination, method: str, experiment: str) -> tuple:
    factor = {"PLR_OutlierDetection": "outlier_method", "PLR_Imputation": "imputation_method"}[experiment]
    runs = [r for r in list_runs(combination.tracking_uri) if r.experiment == experiment]
    (run,) = [r for r in runs if r.params[factor] == method]
    return run, open_tracking(combination).artifacts(run)


def test_an_ensemble_s_members_are_remembered_as_if_they_stood_alone(combination):
    alone = replace(combination, steps={**combination.steps, "outlier": nth(2)})
    run_combination(alone)
    dummy_methods.calls.clear()
    ensemble = voting(combination, nth(2), nth(3), nth(5))
    assert run_combination(ensemble)["state"] == "finished"
    assert kinds().count("fit") == 2  # every 2 was there
    dummy_methods.calls.clear()
    run_combination(replace(combination, steps={**combination.steps, "outlier": nth(3)}))
    assert "fit" not in kinds()
    run, folder = artifacts_of(combination, "MeanVote", "PLR_OutlierDetection")
    mask = stage_files.read_mask(folder)
    votes = [sum(sample % n == 0 for n in (2, 3, 5)) for sample in range(mask.shape[1])]
    np.testing.assert_array_equal(mask[0], np.array(votes) >= 2)
    rows = json.loads((folder / "members.json").read_text())
    assert rows[0] == {"member": "every 2", "status": "used", "reason": None, "quality": None}
    assert run.tags["members"] == "every 2, every 3, every 5"
    parts = [artifacts_of(combination, f"every {n}", "PLR_OutlierDetection")[0] for n in (2, 3, 5)]
    assert run.metrics["duration_s"] >= sum(part.metrics["duration_s"] for part in parts)


def test_members_that_are_not_ready_are_left_out_and_with_one_left_nothing_runs(combination):
    lacking = step("outlier", "dummy_methods.WithoutWeights")
    ensemble = voting(combination, nth(2), nth(3), lacking)
    assert ensemble.keys() == voting(combination, nth(2), nth(3)).keys()
    assert run_combination(ensemble)["state"] == "finished"
    run, folder = artifacts_of(combination, "MeanVote", "PLR_OutlierDetection")
    (left_out,) = [row for row in json.loads((folder / "members.json").read_text()) if row["reason"]]
    assert (left_out["member"], left_out["status"]) == ("WithoutWeights", "left out")
    assert "fetch_weights.py NAME" in left_out["reason"]
    assert run.tags["members_left_out"] == "WithoutWeights"
    dummy_methods.calls.clear()
    status = run_combination(voting(combination, nth(4), lacking))
    assert status["error"].startswith(
        "NotReady: outlier=MeanVote needs 2 members that can run here and has 1 ("
    )
    assert "WithoutWeights: its weights are not here: python scripts/fetch_weights.py NAME" in status["error"]
    assert dummy_methods.calls == []


def test_a_member_that_fails_fails_the_ensemble_and_is_named(combination):
    status = run_combination(voting(combination, nth(2), step("outlier", "dummy_methods.Raises")))
    assert (status["state"], status["stage"]) == ("failed", "outlier")
    assert "outlier=MeanVote: its member Raises failed: RuntimeError: this detector never" in status["error"]


def test_members_are_chosen_on_recordings_neither_they_nor_the_ensemble_are_judged_on(
    combination, many_unlabelled
):
    combination = replace(combination, cohort=card_of(many_unlabelled))
    members = (step("outlier", "dummy_methods.Knowing"), nth(2), nth(3))
    ensemble = voting(combination, *members, min_f1=0.9, measured_share=0.3, seed=0)
    assert run_combination(ensemble)["state"] == "finished"
    fits = [len(call[1]) for call in dummy_methods.calls if call[0] == "fit"]
    assert sorted(fits) == [35, 35, 35, 50, 50, 50]  # of 50 recordings without a diagnosis
    run, folder = artifacts_of(combination, "ThresholdedVote", "PLR_OutlierDetection")
    rows = {row["member"]: row for row in json.loads((folder / "members.json").read_text())}
    assert [rows[m.name]["status"] for m in members] == ["used", "not kept", "not kept"]
    assert rows["Knowing"]["quality"] == 1.0 and 0 < rows["every 2"]["quality"] < 0.5
    assert run.tags["evaluated_on"] == "held-out" and run.metrics["f1"] == 1.0


def test_the_mean_of_imputers_and_their_spread(combination):
    members = {f"c{v:g}": step("imputation", "dummy_methods.Constant", value=v) for v in (3.0, 5.0)}
    members = {name: replace(member, name=name) for name, member in members.items()}
    mean = replace(step("imputation", "src.imputation.ensemble.MeanImputation"), members=members)
    combination = replace(combination, steps={**combination.steps, "imputation": mean})
    assert run_combination(combination)["state"] == "finished"
    run, folder = artifacts_of(combination, "MeanImputation", "PLR_Imputation")
    with np.load(folder / "imputed.npz") as file:
        assert set(file["values"]) == {4.0}
        np.testing.assert_allclose(file["sd"], np.sqrt(2))
    assert run.tags["members"] == "c3, c5"
    links = {
        r.tags["outlier_run_id"] for r in list_runs(combination.tracking_uri) if "Imputation" in r.experiment
    }
    assert len(links) == 1  # all members after the same detector's run
    dummy_methods.calls.clear()
    run_combination(replace(combination, steps={**combination.steps, "imputation": members["c3"]}))
    assert "fit imputer" not in kinds()


def test_a_cohort_that_changed_after_planning_is_refused(combination, tmp_path):
    path = tmp_path / "cohort.duckdb"
    write_cohort(generate(n_recordings=30, n_controls=10, n_glaucoma=8, seed=5), path)
    card = replace(card_of(path), content_hash="another")
    status = run_combination(replace(combination, cohort=card))
    assert "cohort.duckdb changed after this run was planned" in status["error"]


def test_age_alone_needs_no_signal_and_without_ages_there_is_no_row(combination):
    steps = {
        "features": step("features", "src.features.age.Age"),
        "classifier": combination.steps["classifier"],
    }
    baseline = replace(combination, kind="baseline", steps=steps)
    assert run_combination(baseline)["metrics"]["test_auroc"] > 0
    subjects = combination.cohort.subjects.assign(age=np.nan)
    ageless = replace(baseline, cohort=replace(combination.cohort, subjects=subjects, content_hash="ageless"))
    status = run_combination(ageless)
    run = next(r for r in list_runs(baseline.tracking_uri) if r.run_id == status["run_id"])
    assert (run.status, run.tags["reason"], run.tags["kind"]) == ("FINISHED", "no ages", "baseline")
    assert "test_auroc" not in run.metrics


def test_age_beside_the_signal_is_cleaned_as_told_and_sees_ages_only(combination):
    run_combination(combination)
    dummy_methods.calls.clear()
    baseline = replace(with_step(combination, "features", "dummy_methods.MeanSizeAndAge"), kind="baseline")
    subjects = combination.cohort.subjects.assign(age=np.nan)
    ageless = replace(baseline, cohort=replace(combination.cohort, subjects=subjects, content_hash="ageless"))
    assert "test_auroc" not in run_combination(ageless)["metrics"]
    assert dummy_methods.calls == []  # nothing is cleaned for nothing
    run_id = run_combination(baseline)["run_id"]
    run = next(r for r in list_runs(baseline.tracking_uri) if r.run_id == run_id)
    assert kinds() == ["fit features"]  # on the cleaning of the combination
    assert (run.tags["kind"], run.params["outlier_method"]) == ("baseline", "Watcher")
    cohort = seen("fit features")
    assert cohort.subjects["age"].notna().all() and np.isnan(cohort.labels).all()
    assert not cohort.subjects["code"].str.match("[HGU][0-9]").any()
    results = load(open_tracking(baseline).artifacts(run) / "bootstrap_results.pkl")
    assert results["features"] == ["mean_mm", "age_years"]
    assert results["feature_importance"].shape == (12, 2)


def test_stage_files_hold_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    pupil = rng.normal(size=(3, 17))
    missing = rng.random((3, 17)) < 0.4
    stage_files.write_mask(tmp_path, missing)
    np.testing.assert_array_equal(stage_files.read_mask(tmp_path), missing)
    imputed = np.where(missing, 9.0, pupil)
    stage_files.write_imputed(tmp_path, missing, imputed, None)
    recorded = np.where(missing, np.nan, pupil)
    np.testing.assert_array_equal(stage_files.read_imputed(tmp_path, recorded), imputed)
    stage_files.write_rows(tmp_path / "rows.json", [{"a": float("nan"), "b": 1}])
    assert json.loads((tmp_path / "rows.json").read_text()) == [{"a": None, "b": 1}]


@pytest.mark.parametrize("most", [0, 2**31])
def test_stage_files_that_cannot_be_read_are_named(tmp_path, monkeypatch, most):
    monkeypatch.setattr(stage_files, "_MAX_BYTES", most)
    stage_files.write_features(tmp_path, np.ones((2, 1)), ["a"], ["x", "y"])
    file = tmp_path / "features.npz"
    if most:
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(
        stage_files.DamagedFile, match=f"{file} cannot be read .*; delete the folder {tmp_path}"
    ):
        stage_files.read_features(tmp_path)


def test_a_classical_combination_imports_no_deep_library(tracking_uri, tmp_path):
    code = f"""
import sys
from hydra import compose, initialize_config_dir
from src.pipeline import run_combination
from src.settings import read_combination
from src.train import CONFIGS, register_resolvers
register_resolvers()
words = ["data=smoke", "outlier=LOF", "imputation=linear", "classifier=CatBoost", "profile=smoke"]
words += ["evaluation.n_iterations=3", "tracking.uri={tracking_uri}", "data.folder={tmp_path}"]
with initialize_config_dir(str(CONFIGS), version_base="1.3"):
    config = compose("train", words)
choices = {{"outlier": "LOF", "imputation": "linear", "features": "simple", "classifier": "CatBoost"}}
print(run_combination(read_combination(config, choices=choices))["state"])
print([name for name in ("torch", "pypots", "transformers") if name in sys.modules])
"""
    assert run("-c", code).stdout.splitlines()[-2:] == ["finished", "[]"]


def test_a_process_with_other_sources_than_were_planned_refuses(combination, monkeypatch):
    combination.keys()
    planned = pickle.loads(pickle.dumps(combination))  # noqa: S301 - as a child process gets it
    monkeypatch.setattr("src.combination.source_digest", lambda module: "edited")
    status = run_combination(planned)
    assert status["state"] == "failed" and kinds() == []
    assert (
        "the source or the weights of outlier=Watcher changed after this run was planned" in status["error"]
    )
    assert run_combination(replace(combination))["state"] == "finished"

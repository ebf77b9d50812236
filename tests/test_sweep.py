"""The smoke cohort through the real commands: every sweep file, kills, database, figures, report."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import duckdb
import pytest
import yaml
from commands import ROOT, run, start, summary, unread
from hydra import compose, initialize_config_dir
from methods import step_of

from src.evaluation.tuning import Tuning
from src.figures.catalogue import find_figures
from src.progress import Progress
from src.registry import FACTORS, RegistryError, load_registry
from src.settings import read_combination
from src.sweep import _closing, _went_wrong
from src.tracking import list_runs
from src.train import CONFIGS, register_resolvers
from src.work import _run

SWEEPS = sorted(path.stem for path in (ROOT / "configs" / "sweeps").glob("*.yaml"))
MANY = 50  # cells; of sweeps with more than so many, a few cells are run
SMALL = ("data=smoke", "profile=smoke", "evaluation.n_iterations=20", "evaluation.n_jobs=1")


class Study:
    """One store that all tests of this file share, and the commands on it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        (folder / "mlflow.db").write_bytes(store.read_bytes())
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.db = folder / "results.db"

    @property
    def here(self) -> tuple[str, ...]:
        return (f"tracking.uri={self.uri}", f"hydra.sweep.dir={self.folder}/multirun/{time.time_ns()}")

    def sweep(self, *words: str, expect: int = 0) -> str:
        return run("-m", "src.train", "-m", *words, *SMALL, *self.here, expect=expect).stdout

    def extract(self, *words: str) -> str:
        command = ("scripts/extract_results.py", "--tracking-uri", self.uri, "--db", str(self.db), *words)
        return run(*command).stdout

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.db), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def study(tmp_path_factory, empty_store) -> Study:
    return Study(tmp_path_factory.mktemp("study"), empty_store)


def test_what_is_typed_about_tuning_goes_before_the_profile():
    register_resolvers()
    words = ["tune=optuna", "profile=smoke", "data=smoke", "classifier=XGBoost", "tune.n_trials=9"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", words, return_hydra_config=True)
    combination = read_combination(config, choices=config.hydra.runtime.choices)
    assert combination.tuning == Tuning(n_trials=9, n_folds=3, seed=42)
    step = combination.steps["classifier"]
    assert (step.name, set(step.search)) == ("XGBoost-tuned", {"n_trees", "max_depth", "learning_rate"})
    assert "search" not in step.parameters
    config.tune.n_trials = "many"
    with pytest.raises(RegistryError, match=r"tune.n_trials is 'many'; expected a whole number"):
        read_combination(config, choices=config.hydra.runtime.choices)


def test_a_classifier_without_a_search_space_is_not_tuned():
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["tune=optuna", "classifier=TabPFN"], return_hydra_config=True)
    with pytest.raises(RegistryError, match="classifier=TabPFN has no search space; run it with"):
        read_combination(config, choices=config.hydra.runtime.choices)


def test_a_tuned_classifier_is_no_choice_but_a_way_to_run_one():
    refused = run("-m", "src.train", "classifier=XGBoost-tuned", expect=1).stderr
    assert "For XGBoost-tuned use classifier=XGBoost tune=optuna" in refused
    offered = refused.partition("Available options")[2].partition("Config search")[0].split()
    assert "XGBoost" in offered and "XGBoost-tuned" not in offered


def test_tuned_and_untuned_combinations_stand_side_by_side(tmp_path, empty_store):
    study = Study(tmp_path, empty_store)
    words = ("outlier=SpeedMAD", "imputation=linear", "classifier=LogisticRegression", "tune=none,optuna")
    weighted = "classifier.class_weight=balanced"
    assert summary(study.sweep(*words, weighted))["failed"] == 0
    study.extract()
    rows = study.query("SELECT classifier, tuned FROM runs WHERE kind = 'combination' ORDER BY classifier")
    assert rows == [("LogisticRegression", None), ("LogisticRegression-tuned", "optuna")]
    shown = study.query("SELECT classifier_display FROM v_leaderboard ORDER BY 1")
    assert shown == [("Logistic (tuned, optimistic)",), ("Logistic regression",)]
    assert study.query("SELECT reason FROM excluded_runs WHERE reason = 'superseded'") == []
    assert study.query("SELECT classifier, status FROM coverage ORDER BY 1") == [
        ("LogisticRegression", "finished"),
        ("LogisticRegression-tuned", "finished"),
    ]
    assert study.query("SELECT count(*) FROM runs WHERE kind = 'baseline' AND tuned IS NOT NULL") == [(0,)]
    run("scripts/run_benchmark.py", "--db", str(study.db), "--out", str(tmp_path / "report"))
    report = (tmp_path / "report" / "benchmark_report.txt").read_text()
    assert "Logistic (tuned, optimistic)" in report and "Tuned classifiers are optimistic" in report
    assert "class_weight=balanced moves probabilities away from the share of cases" in " ".join(
        report.split()
    )


def kill(process) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def resumed(study) -> dict[str, int]:
    """Kill the smoke sweep after its second combination, then give the same command again."""
    process = start("-m", "src.train", "-m", "sweeps=smoke", *SMALL, *study.here)
    for line in process.stdout:
        if line.startswith("[2/8]"):
            break
    kill(process)
    return summary(study.sweep("sweeps=smoke"))


def combinations(study) -> list:
    return [r for r in list_runs(study.uri) if r.tags.get("kind") == "combination" and r.status == "FINISHED"]


def test_a_killed_sweep_goes_on_where_it_stopped(study, resumed):
    assert resumed["planned"] == 8 and resumed["failed"] == 0
    assert resumed["reused"] >= 2 and resumed["finished"] + resumed["reused"] == 8
    keys = [run.tags["stage_key"] for run in combinations(study)]
    assert len(keys) == len(set(keys)) == 8
    stages = [run.tags["stage_key"] for run in list_runs(study.uri) if run.tags.get("kind") == "stage"]
    assert len(stages) == len(set(stages))
    baselines = [run.run_name for run in list_runs(study.uri) if run.tags.get("kind") == "baseline"]
    cleaning = "pupil-gt__linear"  # of the sweep's first combination
    assert sorted(baselines) == [
        "age__none__none__LogisticRegression",
        f"simple-age__{cleaning}__LogisticRegression",
    ]


def test_the_database_agrees_with_the_runs(study, resumed):
    study.extract()
    stored = {r.run_id: r.metrics for r in combinations(study)}
    rows = study.query("SELECT run_id, auroc, brier FROM essential_metrics")
    assert len(rows) == 8
    for run_id, auroc, brier in rows:
        assert auroc == pytest.approx(stored[run_id]["test_auroc"], abs=1e-9)
        assert brier == pytest.approx(stored[run_id]["test_brier"], abs=1e-9)
    assert study.query("SELECT DISTINCT source FROM provenance") == [("synthetic",)]
    assert study.query("SELECT status, count(*) FROM coverage GROUP BY 1") == [("finished", 8)]
    subjects, cases = study.query("SELECT n_subjects, n_cases FROM provenance")[0]
    assert (subjects, cases) == (38, 14)
    assert study.query("SELECT count(*) FROM predictions")[0][0] == (8 + 2) * 38
    baselines = study.query(
        "SELECT featurization, outlier_method, auroc > 0 FROM baseline_metrics ORDER BY 1"
    )
    assert baselines == [("age", "none", True), ("simple-age", "pupil-gt", True)]


def test_figures_and_report_are_drawn_from_it(study, resumed):
    study.extract()
    out = ("--out", str(study.folder / "figures"), "--format", "png")
    drawn = run("scripts/make_figures.py", "--db", str(study.db), *out).stdout
    assert "missing" not in drawn.lower()
    pictures = list((study.folder / "figures").glob("*.png"))
    absent = {figure.name for figure in find_figures()} - {path.stem for path in pictures}
    assert absent == {"critical_difference_auroc", "critical_difference_brier"}
    assert all(f"{name}: not drawn, needs 3 methods; there are 2" in drawn for name in absent)
    assert all(path.with_suffix(".csv").exists() for path in pictures)
    folder = study.folder / "benchmarks"
    text = run("scripts/run_benchmark.py", "--db", str(study.db), "--out", str(folder)).stdout
    assert "SYNTHETIC" in text and "Calibration slope" in text
    results = json.loads((folder / "benchmark_results.json").read_text())
    assert results and all((folder / f"benchmark_{n}").exists() for n in ("report.html", "results.csv"))


@pytest.mark.parametrize("sql", re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
def test_the_questions_of_the_readme_have_answers(study, resumed, sql):
    study.extract()
    rows = study.query(sql)
    assert rows or "status <> 'finished'" in sql


def test_a_finished_sweep_is_reused_as_a_whole(study, resumed):
    counts = summary(study.sweep("sweeps=smoke"))
    assert counts == {"planned": 8, "finished": 0, "reused": 8, "failed": 0}


def test_what_another_sweep_finished_meanwhile_is_reused(study, resumed, monkeypatch):
    cells = ("outlier=pupil-gt", "imputation=linear", "classifier=LogisticRegression")
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        words = [*SMALL, *cells, f"tracking.uri='{study.uri}'"]
        composed = compose("train", words, return_hydra_config=True)
    choices = composed.hydra.runtime.choices
    combination = read_combination(composed, "waiting", choices)
    new = replace(combination, n_iterations=7)
    # as it is for a sweep that looked before the other one was done, and then waited for its lock
    monkeypatch.setattr("src.work.find_finished", lambda *_: None)
    monkeypatch.setattr("src.pipeline.find_finished", lambda *_: None)
    monkeypatch.setattr("src.work.run_isolated", lambda work, *args, on_message: work(*args, on_message))
    states = [_run(cell, Progress(1))["state"] for cell in (combination, new, new)]
    assert states == ["reused", "finished", "reused"]


def levels(name: str) -> dict[str, list[str]]:
    """Methods of each stage that a sweep file names."""
    file = yaml.safe_load((ROOT / "configs" / "sweeps" / f"{name}.yaml").read_text())
    named = {s: methods.split(",") for s, methods in file["hydra"]["sweeper"]["params"].items()}
    return {stage: named.get(stage, ["simple"]) for stage in FACTORS}


def study_of(stage: str) -> set[str]:
    return {m.name for m in load_registry().methods.values() if m.stage == stage and m.in_study}


@pytest.mark.parametrize("name", [n for n in SWEEPS if math.prod(map(len, levels(n).values())) <= MANY])
def test_every_sweep_file_runs(study, resumed, name):
    counts = summary(study.sweep(f"sweeps={name}"))
    assert counts["planned"] == counts["finished"] + counts["reused"] > 0 and counts["failed"] == 0


@pytest.mark.parametrize("name", [n for n in SWEEPS if math.prod(map(len, levels(n).values())) > MANY])
def test_a_few_cells_of_every_large_sweep_file_run(study, resumed, name):
    """Those of the smoke sweep, and one of a detector that cannot run anywhere yet."""
    named = levels(name)["outlier"]
    cannot = [n for n in named if not load_registry().method("outlier", n).runnable][:1]
    chosen = [*(n for n in named if n in levels("smoke")["outlier"]), *cannot]
    words = (
        "features=simple",
        f"outlier={','.join(chosen)}",
        "imputation=pupil-gt",
        "classifier=LogisticRegression",
    )
    output = study.sweep(f"sweeps={name}", *words, expect=1 if cannot else 0)
    counts = summary(output)
    assert counts["planned"] == len(chosen) and counts["failed"] == len(cannot)
    if cannot:
        assert f"NotReady: outlier={cannot[0]} cannot be run here yet: there is no" in output
        dry = study.sweep(f"sweeps={name}", *words, "dry_run=true")
        assert f"planned {len(chosen)}, reusable {len(chosen) - 1}, not ready 1" in dry


def test_an_ensemble_takes_its_members_from_the_memory_and_says_who_they_are(study, resumed):
    name = next(n for n in load_registry().names("outlier") if len(step_of("outlier", n).members) > 1)
    members = step_of("outlier", name).members
    cells = ("imputation=linear", "classifier=LogisticRegression")
    study.sweep(f"outlier={name}", *cells)
    done = [r for r in list_runs(study.uri) if r.params.get("outlier_method") in members]
    masks = [r for r in done if r.experiment == "PLR_OutlierDetection"]
    assert len(masks) == len(members)  # LOF, for one, was there before
    assert summary(study.sweep(f"outlier={','.join(members)}", *cells))["failed"] == 0
    again = [r for r in list_runs(study.uri) if r.params.get("outlier_method") in members]
    assert len([r for r in again if r.experiment == "PLR_OutlierDetection"]) == len(members)
    study.extract()
    rows = study.query("SELECT member, status FROM v_ensembles WHERE stage = 'outlier'")
    assert {m for m, status in rows if status == "used"} == set(members)
    assert ("UniTS-gt-finetune", "left out") in rows
    command = ("scripts/run_benchmark.py", "--db", str(study.db), "--out", str(study.folder / "ensembles"))
    display = load_registry().method("outlier", name).display_name
    assert f"{display} is made of" in run(*command).stdout


def test_paper_is_the_study_and_offline_a_part_of_it():
    for stage, names in levels("paper").items():
        assert set(names) == (study_of(stage) if stage != "features" else {"simple"})
        assert len(names) == len(set(names))
        assert set(levels("offline")[stage]) <= set(names)


def test_every_method_offline_can_run_without_weights_or_has_no_config_yet():
    for stage, names in levels("offline").items():
        for name in names:
            reason = step_of(stage, name).lacks()
            assert not reason or "no configs/" in reason, reason


def test_age_in_a_sweep_is_the_baseline_and_no_cell_of_the_design(study, resumed):
    study.sweep(
        "features=age,simple,simple-age",
        "outlier=pupil-gt",
        "imputation=linear",
        "classifier=LogisticRegression",
    )
    study.extract()
    assert study.query("SELECT count(*) FROM coverage WHERE featurization LIKE '%age'") == [(0,)]
    assert study.query(
        "SELECT count(*) FROM runs WHERE kind = 'combination' AND featurization LIKE '%age'"
    ) == [(0,)]
    assert study.query("SELECT count(*) FROM coverage WHERE status = 'missing'") == [(0,)]


def test_the_bare_word_means_the_default_sweep(study):
    output = study.sweep("sweeps", "outlier=LOF", "dry_run=true")
    named = levels("default")
    assert f"planned {math.prod(map(len, named.values())) // len(named['outlier'])}," in output


def test_the_flag_may_stand_anywhere(study):
    words = ("-m", "src.train", "outlier=LOF,SubPCA", "-m", "dry_run=true", *SMALL, *study.here)
    assert "planned 2, " in run(*words).stdout


def test_what_is_typed_wins_over_the_profile(study, resumed):
    cells = ("outlier=pupil-gt", "imputation=linear", "classifier=XGBoost")
    output = study.sweep(*cells, "classifier.n_trees=3,5")
    assert summary(output)["finished"] == 2
    params = {r.params.get("classifier.n_trees") for r in combinations(study)}
    assert {"3", "5", "20"} <= params


def test_a_choice_on_the_command_line_wins_over_the_sweep_file(study, resumed):
    output = study.sweep("sweeps=smoke", "outlier=pupil-gt", "imputation=linear")
    assert summary(output)["planned"] == 2


def test_a_failure_is_counted_and_the_rest_goes_on(study, resumed):
    output = study.sweep(
        "outlier=pupil-gt",
        "imputation=linear",
        "classifier=XGBoost,LogisticRegression",
        "+classifier.no_such_parameter=1",
        expect=1,
    )
    counts = summary(output)
    assert (counts["planned"], counts["failed"]) == (2, 2)
    assert "no_such_parameter" in output
    study.extract()
    assert study.query("SELECT count(*) FROM excluded_runs WHERE reason = 'failed'")[0][0] >= 2


def test_a_sweep_stops_when_nobody_reads_what_it_prints(study, resumed):
    words = [sys.executable, "-m", "src.train", "-m", "sweeps=smoke", *SMALL, *study.here]
    with subprocess.Popen(words, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 2
    assert said == "nobody reads any more what this prints: stopped; repeat the command to go on\n"


def test_a_failed_baseline_counts():
    record = {"state": "finished", "run_name": "a", "seconds": 1.0, "metrics": {}, "baseline_errors": {}}
    assert not _went_wrong([record], 1)
    assert _went_wrong([record], 2)
    failed = record | {"baseline_errors": {"age__x": "ValueError: no"}}
    assert _went_wrong([failed], 1)
    assert "failed the baseline age__x: ValueError: no" in _closing([failed], 1, dry_run=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("outlier=LOFF",), r"Available options in 'outlier':\s[\w\s-]*\sLOF\s[\w\s-]*\sOneClassSVM"),
        (
            ("evaluation.n_iteration=5",),
            r"no key 'evaluation.n_iteration'. Did you mean 'n_iterations'\? Valid under ",
        ),
        (("sweep=quick",), r"Valid at the top: .*dry_run"),
        (("profile=fast",), r"unknown profile 'fast'. Valid: smoke, quick, paper"),
        (("data=cohort", "data.path=nowhere.duckdb"), r"nowhere.duckdb.*no such file"),
        (("tracking.uri=sqlite:///relative.db",), r"tracking.uri sqlite:///relative.db is relative"),
        (("evaluation.n_iterations=0",), r"n_iterations is 0; expected at least 1"),
        (("data=cohort",), r"data=cohort needs a file: add data.path=FILE"),
        (("evaluation.n_iterations=abc",), r"evaluation.n_iterations is 'abc'; expected a whole number"),
        (("data.seed=abc",), r"the data config does not describe a cohort: .*abc"),
        (("baseline.features=simple",), r"baseline.features=simple is made from signals"),
        (("evaluation.seed=-1",), r"evaluation.seed -1; expected"),
        (("evaluation.permutation_every=-1",), r"evaluation.permutation_every is -1; expected 0"),
        (("data.n_glaucoma=0",), r"one class only"),
        (("data.n_glaucoma=3",), r"3 subjects of class 1 are too few to resample; expected at least 5"),
    ],
)
@pytest.mark.parametrize("mode", [(), ("-m",)], ids=["single", "sweep"])
def test_a_mistake_is_answered_with_what_to_do(tmp_path, empty_store, words, message, mode):
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    given = words if any(w.startswith("data=") for w in words) else ("data=smoke", *words)
    if not any(w.startswith("tracking.uri") for w in words):
        given = (*given, f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}")
    folders = (f"hydra.sweep.dir={tmp_path}/multirun", f"hydra.run.dir={tmp_path}/outputs")
    command = ("-m", "src.train", *mode, *given, *folders)
    composition = ("no key", "Available options", "at the top")  # what Hydra itself refuses
    done = run(*command, expect=1 if any(part in message for part in composition) else 2)
    assert re.search(message, done.stderr + done.stdout, re.DOTALL), done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_choices_and_imports_no_heavy_library():
    heavy = "('mlflow', 'sklearn', 'torch', 'pandas', 'duckdb')"
    code = (
        "import sys, src.train\n"
        "sys.argv = ['train', '--help']\n"
        "try: src.train.main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    output = run("-c", code).stdout
    detectors = sorted(load_registry().names("outlier"))
    assert {"LOF", "pupil-gt"} < set(detectors)
    assert f"outlier: {', '.join(detectors)}" in output
    assert output.strip().endswith("[]")


def test_help_that_nobody_reads_to_its_end():
    done = unread("-m", "src.train", "--help")
    assert (done.returncode, done.stderr) == (2, "nobody reads any more what this prints: stopped\n")

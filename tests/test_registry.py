import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.evaluation.comparisons import champion
from src.evaluation.metrics import METRICS
from src.registry import CONFIGS, RegistryError, load_registry


@pytest.mark.parametrize(
    ("stage", "count"), [("outlier", 11), ("imputation", 8), ("classifier", 5), ("features", 3)]
)
def test_holds_every_method_of_the_study(stage, count):
    methods = [m for m in load_registry().methods.values() if m.stage == stage]
    assert sum(m.in_study for m in methods) == count


def test_a_method_is_runnable_when_it_has_a_config():
    for method in load_registry().methods.values():
        config = CONFIGS / method.stage / f"{method.tuned_of or method.name}.yaml"
        assert method.runnable == config.exists()


def test_a_classifier_with_a_search_space_has_an_entry_for_its_tuned_self():
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIGS / "classifier").glob("*.yaml")}
    tunable = {name for name, config in files.items() if "search" in config}
    tuned = {m.name: m for m in load_registry().methods.values() if m.tuned_of}
    assert sorted(tunable) == sorted(method.tuned_of for method in tuned.values())
    assert all((m.name, m.runnable) == (f"{m.tuned_of}-tuned", True) for m in tuned.values())
    assert all(method.display_name.endswith("(tuned, optimistic)") for method in tuned.values())
    assert max(len(method.display_name) for method in tuned.values()) <= 30  # longer ones lose their middle


def test_colours_differ_within_a_stage():
    for stage in ("outlier", "imputation", "features", "classifier"):
        colours = [m.colour for m in load_registry().methods.values() if m.stage == stage]
        assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("spelling", ["auroc", "AUROC", "test_auroc", "roc-auc", " test AUROC"])
def test_common_spellings_mean_the_same_metric(spelling):
    assert load_registry().metric(spelling).name == "auroc"


def test_no_spelling_means_two_metrics():
    registry = load_registry()
    for metric in registry.metrics.values():
        for spelling in (metric.name, metric.display_name, *metric.aliases):
            assert registry.metric(spelling).name == metric.name


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(
        RegistryError, match=r"unknown outlier method 'LOFF'. Did you mean 'LOF'\? Valid: pupil-gt, "
    ):
        load_registry().method("outlier", "LOFF")
    with pytest.raises(RegistryError, match=r"unknown metric 'aurocc'.*Valid: auroc, brier"):
        load_registry().metric("aurocc")


def test_a_config_without_an_entry_is_refused(tmp_path: Path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs" / "outlier" / "Mine.yaml").write_text("_target_: x.Y\n")
    with pytest.raises(RegistryError, match=r"configs/outlier/Mine.yaml has no entry"):
        load_registry(tmp_path / "configs")


def test_an_entry_with_a_wrong_key_is_refused(tmp_path: Path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    path = tmp_path / "configs" / "mlflow_registry" / "methods.yaml"
    entries = yaml.safe_load(path.read_text())
    entries["outlier"]["LOF"]["color"] = entries["outlier"]["LOF"].pop("colour")
    path.write_text(yaml.safe_dump(entries))
    with pytest.raises(RegistryError, match="method LOF: keys color, colour"):
        load_registry(tmp_path / "configs")


def test_what_is_compared_has_categories_that_exist(tmp_path: Path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    path = tmp_path / "configs" / "mlflow_registry" / "compared.yaml"
    path.write_text("best magic: {outlier: magic}\n")
    with pytest.raises(RegistryError, match="'best magic': no outlier method is of category 'magic'"):
        load_registry(tmp_path / "configs")


def test_agrees_with_the_metrics_that_are_computed():
    registry = load_registry()
    computed = [entry.name for entry in registry.metrics.values() if entry.stage == "classification"]
    assert set(computed) == {metric.name for metric in METRICS}
    for metric in METRICS:
        entry = registry.metrics[metric.name]
        assert (entry.direction, entry.target, entry.kind) == (metric.direction, metric.target, metric.kind)
        bounds = [None if math.isinf(bound) else bound for bound in metric.domain]
        assert list(entry.domain) == pytest.approx(bounds)


def test_the_rule_for_the_champion_is_that_of_the_config():
    rule = yaml.safe_load((CONFIGS / "mlflow_registry" / "champion.yaml").read_text())
    assert rule == {"metric": "brier", "ties": "auroc"}
    values = {"brier": np.array([0.2, 0.1, 0.1]), "auroc": np.array([0.9, 0.7, 0.8])}
    assert champion(values[rule["metric"]], values[rule["ties"]]) == 2
    view = (CONFIGS.parent / "src" / "results" / "views" / "v_leaderboard.sql").read_text()
    order = f"ORDER BY e.{rule['metric']} ASC NULLS LAST, e.{rule['ties']} DESC NULLS LAST"
    assert order in view

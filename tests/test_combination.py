import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from methods import step_of

from src.combination import CohortCard, Combination, Step, source_digest, sources_of
from src.evaluation.tuning import Tuning
from src.networks.weights import FOLDER_VARIABLE
from src.registry import load_registry


def step(stage: str, target: str = "src.outliers.lof.LOF", **parameters) -> Step:
    return Step(stage, "name", target, parameters)


def subjects(n_unlabelled: int) -> pd.DataFrame:
    return pd.DataFrame({"label": pd.array([0, 1] + [None] * n_unlabelled, dtype="Int8")})


def combination(cohort_hash: str = "c", n_unlabelled: int = 49, **changed: Step) -> Combination:
    steps = {
        "outlier": step("outlier", seed=0, n_jobs=1),
        "imputation": step("imputation", "src.imputation.linear.Linear"),
        "features": step("features", "src.features.age.Age"),
        "classifier": step("classifier", "src.classifiers.xgboost.XGBoost", n_trees=3),
    }
    card = CohortCard(Path("cohort.duckdb"), cohort_hash, "synthetic", "mm", subjects(n_unlabelled))
    return Combination("combination", steps | changed, card, 10, 0, 1, 5, "", None, "", "")


def changed_stages(other: Combination) -> list[str]:
    before, after = combination().keys(), other.keys()
    return [stage for stage in before if before[stage] != after[stage]]


def test_a_parameter_changes_the_keys_from_its_stage_on():
    assert changed_stages(combination(outlier=step("outlier", seed=1, n_jobs=1))) == list(
        combination().keys()
    )
    changed = step("classifier", "src.classifiers.xgboost.XGBoost", n_trees=4)
    assert changed_stages(combination(classifier=changed)) == ["classifier"]


def test_what_cannot_change_a_result_is_not_in_its_key():
    assert (
        changed_stages(combination(outlier=step("outlier", seed=0, n_jobs=8, device="cuda", verbose=True)))
        == []
    )


def test_pretrained_weights_are_in_the_key_as_they_are_on_this_machine(tmp_path, monkeypatch):
    def key() -> str:
        return step("features", "src.features.embeddings.Embeddings", checkpoint="MOMENT-1-small").key()

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "none"))
    published = key()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert key() == published
    (tmp_path / "MOMENT-1-small").mkdir()
    (tmp_path / "MOMENT-1-small" / "model.safetensors").write_bytes(b"other weights")
    assert key() != published
    embeddings = step("features", "src.features.embeddings.Embeddings", checkpoint="MOMENT-1-small")
    told = combination(features=embeddings).unpublished_weights
    assert re.fullmatch(r"MOMENT-1-small model\.safetensors [0-9a-f]{16}", told)
    assert combination().unpublished_weights == ""


def test_the_cohort_changes_every_key():
    assert changed_stages(combination(cohort_hash="d")) == list(combination().keys())


def test_which_recordings_methods_are_fitted_on_is_in_every_key():
    assert combination(n_unlabelled=49).cohort.fit_on == "all"
    assert combination(n_unlabelled=50).cohort.fit_on == "unlabelled"
    assert changed_stages(combination(n_unlabelled=50)) == list(combination().keys())
    assert changed_stages(combination(n_unlabelled=48)) == []


@pytest.mark.parametrize("what", ["n_iterations", "seed", "permutation_every"])
def test_the_resampling_changes_the_last_key_only(what):
    assert changed_stages(replace(combination(), **{what: 11})) == ["classifier"]


def test_a_search_has_a_key_of_its_own():
    space = {"n_trees": {"type": "int", "low": 1, "high": 9}}
    with_space = replace(combination().steps["classifier"], search=space)
    untuned = combination(classifier=with_space)
    assert changed_stages(untuned) == []
    tuned = replace(untuned, tuning=Tuning(5, 3, 0))
    assert changed_stages(tuned) == ["classifier"]
    others = [replace(tuned, tuning=how) for how in (Tuning(6, 3, 0), Tuning(5, 4, 0), Tuning(5, 3, 1))]
    wider = {"n_trees": {"type": "int", "low": 1, "high": 10}}
    others.append(replace(combination(classifier=replace(with_space, search=wider)), tuning=Tuning(5, 3, 0)))
    assert len({other.keys()["classifier"] for other in [untuned, tuned, *others]}) == 6


def test_the_space_does_not_reach_the_method_and_what_was_typed_is_not_searched():
    config = {"_target_": "a.B", "size": 1, "rate": 2, "search": {"size": {"low": 0}, "rate": {"low": 1}}}
    step = Step.from_config("classifier", "B", config, "quick", ["size"])
    assert (step.parameters, step.search) == ({"size": 1, "rate": 2}, {"rate": {"low": 1}})


def test_a_new_name_alone_changes_nothing():
    renamed = replace(combination().steps["outlier"], name="other")
    assert changed_stages(combination(outlier=renamed)) == []


def test_source_of_the_method_and_of_what_it_shares_in_its_room(tmp_path: Path, monkeypatch):
    room = tmp_path / "room_of_tests"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "method.py").write_text("from room_of_tests.shared import helper\nimport json\n")
    (room / "shared.py").write_text("def helper(): return 1\n")
    (room / "other.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest() -> str:
        source_digest.cache_clear()
        return source_digest("room_of_tests.method")

    before = digest()
    (room / "other.py").write_text("x = 2\n")
    assert digest() == before
    (room / "shared.py").write_text("def helper(): return 2\n")
    assert digest() != before
    source_digest.cache_clear()
    sys.modules.pop("room_of_tests", None)


def test_the_source_of_networks_counts_in_every_room():
    assert {"src.imputation.curves", "src.networks.pypots"} <= set(sources_of("src.imputation.saits"))


def test_a_profile_is_merged_into_the_parameters():
    config = {"_target_": "a.B", "size": 1, "profiles": {"smoke": {"size": 2}, "paper": {"size": 3}}}
    assert Step.from_config("outlier", "B", config, "smoke").parameters == {"size": 2}
    assert Step.from_config("outlier", "B", config, "quick").parameters == {"size": 1}
    assert Step.from_config("outlier", "B", config, "smoke", ["size"]).parameters == {"size": 1}


def ensemble(**members: Step) -> Step:
    vote = step("outlier", "src.outliers.ensemble.MeanVote", share=0.5)
    return replace(vote, members={name: replace(member, name=name) for name, member in members.items()})


def test_an_ensemble_s_key_is_that_of_its_members():
    a, b, c = (step("outlier", seed=seed, n_jobs=1) for seed in range(3))
    key = ensemble(a=a, b=b).key("cohort")
    assert ensemble(b=b, a=a).key("cohort") == key  # whatever their order
    assert ensemble(a=a, b=replace(b, parameters={"seed": 1, "n_jobs": 8})).key("cohort") == key
    others = [ensemble(a=a, b=c), ensemble(a=a), ensemble(a=a, b=b, c=c)]
    assert len({key, *(other.key("cohort") for other in others)}) == 4
    assert ensemble(a=a, b=b).key("another cohort") != key


def test_profiles_and_what_is_typed_reach_the_members():
    target = "src.outliers.lof.LOF"
    member = {"_target_": target, "size": 1, "profiles": {"smoke": {"size": 2}}}
    config = {"_target_": "e.E", "share": 0.5, "members": {"A": dict(member), "B": dict(member)}}
    made = Step.from_config("outlier", "E", config, "smoke", ["members.A.size", "share"])
    assert {name: m.parameters for name, m in made.members.items()} == {"A": {"size": 1}, "B": {"size": 2}}
    assert made.members["B"].key("x") == Step.from_config("outlier", "B", member, "smoke").key("x")
    assert made.parameters == {"share": 0.5}


@pytest.mark.parametrize("stage", ["outlier", "imputation"])
def test_a_member_has_the_key_of_the_method_alone(stage):
    ensembles = [step_of(stage, name) for name in load_registry().names(stage)]
    ensembles = [made for made in ensembles if made.is_ensemble]
    assert len(ensembles) == 2
    for made in ensembles:
        for name, member in made.members.items():
            assert member.key("before") == step_of(stage, name).key("before")
        assert made.left_out.keys() | made.members.keys() <= set(load_registry().names(stage))


def test_a_member_s_parameter_can_be_set_by_hand_whatever_the_profile():
    (name,) = [n for n in load_registry().names("imputation") if n.endswith("SAITS-TimesNet")]
    made = step_of("imputation", name, "imputation.members.SAITS.epochs=7")
    assert made.members["SAITS"].parameters["epochs"] == 7
    alone = step_of("imputation", "SAITS", "imputation.epochs=7")
    assert made.members["SAITS"].key("x") == alone.key("x")


def test_run_name_and_factors():
    assert combination().factors == dict.fromkeys(
        ("featurization", "outlier_method", "imputation_method", "classifier"), "name"
    )
    steps = {s: combination().steps[s] for s in ("features", "classifier")}
    assert replace(combination(), steps=steps).run_name == "name__none__none__name"

"""From Hydra's config to a combination that is ready to run, and from a wrong key to a helpful sentence."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate, to_absolute_path
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.cohort import CohortError
from src.combination import CohortCard, Combination, Step
from src.evaluation.tuning import Tuning
from src.registry import FACTORS, RegistryError, load_registry
from src.tracking import ROOT

PRIVATE = ROOT / "data" / "private"


def read_combination(
    config: DictConfig, sweep_id: str = "", choices: Mapping[str, str] | None = None
) -> Combination:
    """Turn a composed config into a combination; the cohort is made or read if it has to be.

    Parameters
    ----------
    config : DictConfig
        As composed from `configs/train.yaml`; a `hydra` node is left aside.
    sweep_id : str, optional
        The sweep this is a part of.
    choices : mapping, optional
        Config group -> chosen name; those of the running job by default.
    """
    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    if choices is None:
        choices = HydraConfig.get().runtime.choices
    words = config.hydra.overrides.task if "hydra" in config else hydra.overrides.task if hydra else []
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    if config.profile not in config.known_profiles:
        raise RegistryError(f"unknown profile {config.profile!r}. Valid: {', '.join(config.known_profiles)}")
    for key in ("n_iterations", "seed", "n_jobs", "permutation_every"):
        if not isinstance(config.evaluation[key], int):
            raise RegistryError(f"evaluation.{key} is {config.evaluation[key]!r}; expected a whole number")
    if config.evaluation.permutation_every < 0:
        every = config.evaluation.permutation_every
        raise RegistryError(f"evaluation.permutation_every is {every}; expected 0 (never) or more")
    patience = config.tracking.patience_s
    if not isinstance(patience, int | float) or not 0 <= patience < math.inf:
        raise RegistryError(f"tracking.patience_s is {patience!r}; expected a number of seconds, 0 or more")
    for stage in FACTORS:
        load_registry().method(stage, choices[stage])
    tuning = _tuning(config, words)
    chosen = {stage: _step(config, stage, choices[stage], words) for stage in FACTORS}
    cohort = cohort_card(config.data)
    steps = _needed(chosen, cohort.has_truth)
    if tuning is not None:  # a classifier of its own: a tuned run and another one are two cells
        classifier = steps["classifier"]
        steps["classifier"] = replace(classifier, name=tuned_name(classifier.name))
    root = config.tracking.artifact_root
    return Combination(
        kind="baseline" if _sees_ages(steps["features"]) else "combination",
        steps=steps,
        cohort=cohort,
        n_iterations=config.evaluation.n_iterations,
        seed=config.evaluation.seed,
        n_jobs=config.evaluation.n_jobs,
        permutation_every=config.evaluation.permutation_every,
        tracking_uri=config.tracking.uri,
        artifact_root=None if root is None else Path(to_absolute_path(root)),
        sweep_id=sweep_id,
        config=OmegaConf.to_yaml(config, resolve=True),
        tuning=tuning,
        patience_s=float(patience),
    )


def tuned_name(classifier: str) -> str:
    """Return the name under which a classifier goes whose parameters were searched for.

    Raises
    ------
    RegistryError
        If the registry has none: it has no parameters that are searched for.
    """
    names = {m.tuned_of: m.name for m in load_registry().methods.values()}
    if classifier not in names:
        raise RegistryError(
            f"classifier={classifier} has no search space; run it with tune=none, or add a space under the "
            f"key search of configs/classifier/{classifier}.yaml and an entry with tuned_of: {classifier} to "
            "the registry"
        )
    return names[classifier]


def _tuning(config: DictConfig, words: Iterable[str] = ()) -> Tuning | None:
    """Return how to search, None where `tune: none`; what was typed goes before a profile."""
    settings = OmegaConf.to_container(config.tune, resolve=True)
    assert isinstance(settings, dict)
    changes = settings.pop("profiles", {}).get(config.profile, {})
    if not settings:
        return None
    typed = _typed("tune", words)
    given = settings | {key: value for key, value in changes.items() if key not in typed}
    for key, value in given.items():
        if not isinstance(value, int):
            raise RegistryError(f"tune.{key} is {value!r}; expected a whole number")
    return Tuning(**{str(key): value for key, value in given.items()})


def _typed(group: str, words: Iterable[str]) -> list[str]:
    """Return the paths below a config group that somebody set by hand."""
    keys = [word.lstrip("+").partition("=")[0] for word in words]
    return [key.removeprefix(f"{group}.") for key in keys if key.startswith(f"{group}.")]


def baselines_of(config: DictConfig, combination: Combination, first: Sequence[str]) -> list[Combination]:
    """Return the baselines on the same cohort and resamples as a combination; they are not tuned.

    Parameters
    ----------
    config : DictConfig
        As composed; its node `baseline` says which.
    combination : Combination
    first : sequence of str
        Overrides of the sweep's first combination, whose cleaning a baseline takes over unless it has its
        own.

    Raises
    ------
    RegistryError
        If a feature set does without ages: such a run would be a combination.
    """
    wanted = config.baseline
    names = [wanted.features] if isinstance(wanted.features, str) else list(wanted.features)
    rest = OmegaConf.masked_copy(config, [str(key) for key in config if key not in (*FACTORS, "hydra")])
    baselines = []
    for name in names:
        if not is_baseline(name):
            raise RegistryError(
                f"baseline.features={name} is made from signals alone, as the combinations are; expected "
                "feature sets that know ages, such as age"
            )
        own = {"outlier": wanted.outlier, "imputation": wanted.imputation}
        own |= {"features": name, "classifier": wanted.classifier}
        chosen = tuple((stage, method) for stage, method in own.items() if method is not None)
        steps, text = _baseline_steps(chosen, tuple(first), config.profile, combination.cohort.has_truth)
        text = OmegaConf.to_yaml(rest, resolve=True) + text
        baselines.append(replace(combination, kind="baseline", steps=steps, config=text, tuning=None))
    return baselines


@cache
def _baseline_steps(
    chosen: tuple[tuple[str, str], ...], first: tuple[str, ...], profile: str, has_truth: bool
) -> tuple[dict[str, Step], str]:
    """Return the steps of a combination's overrides with some methods chosen anew, and their configs."""
    stages = {stage for stage, _ in chosen}
    kept = [
        w for w in first if w.lstrip("+~").partition("=")[0].partition(".")[0] not in stages | {"profile"}
    ]
    words = [*kept, *(f"{stage}={name}" for stage, name in chosen), f"profile={profile}"]
    config = compose(config_name="train", overrides=words, return_hydra_config=True)
    choices = config.hydra.runtime.choices
    steps = _needed({stage: _step(config, stage, choices[stage], kept) for stage in FACTORS}, has_truth)
    return steps, OmegaConf.to_yaml(OmegaConf.masked_copy(config, list(steps)), resolve=True)


def _needed(steps: Mapping[str, Step], has_truth: bool) -> dict[str, Step]:
    """Leave out the stages whose result the features are not made from, and members that cannot run."""
    signal = getattr(steps["features"].method, "needs_signal", True)
    stages = [stage for stage in FACTORS if signal or stage in ("features", "classifier")]
    return {stage: steps[stage].of_ready_members(has_truth) for stage in stages}


def _sees_ages(features: Step) -> bool:
    return getattr(features.method, "needs_ages", False)


@cache
def is_baseline(features: str) -> bool:
    """Whether a feature set knows ages and so belongs to the baselines, not to the design."""
    target = compose(config_name="train", overrides=[f"features={features}"]).features["_target_"]
    return _sees_ages(Step("features", features, target, {}))


def cohort_card(data: DictConfig) -> CohortCard:
    """Return what is known of the cohort a data config names, which is made first if it is synthetic."""
    if OmegaConf.missing_keys(data):
        raise CohortError("data=cohort needs a file: add data.path=FILE")
    settings = OmegaConf.to_container(data, resolve=True)
    assert isinstance(settings, dict)
    if "path" in settings:
        settings["path"] = to_absolute_path(settings["path"])
    try:
        path = Path(instantiate(settings))
    except InstantiationException as error:
        if isinstance(error.__cause__, CohortError):
            raise error.__cause__ from None
        raise CohortError(
            f"the data config does not describe a cohort: {error.__cause__ or error}"
        ) from error
    return _read_card(path)


@cache
def _read_card(path: Path) -> CohortCard:
    """Read a cohort once per process: all jobs of a sweep are for the same, or fail if its file changes."""
    from src.cohort.file import read_cohort, save_lookup

    cohort, lookup = read_cohort(path)
    if cohort.source != "synthetic":
        save_lookup(lookup, PRIVATE / cohort.content_hash)
    return CohortCard(
        path, cohort.content_hash, cohort.source, cohort.unit, cohort.subjects, cohort.has_truth
    )


def _step(config: DictConfig, stage: str, name: str, words: Iterable[str] = ()) -> Step:
    settings = OmegaConf.to_container(config[stage], resolve=True)
    assert isinstance(settings, dict)
    named = {str(key): value for key, value in settings.items()}
    return Step.from_config(stage, name, named, config.profile, _typed(stage, words))


def explain_unknown_keys(arguments: list[str]) -> None:
    """Print the valid names for every key on the command line that does not exist.

    And for a tuned classifier, which is no choice, what to type instead.
    """
    words = [word for word in arguments if not word.startswith("-")]
    for method in load_registry().methods.values():
        typed = [word.partition("=")[2] for word in words if word.startswith(f"{method.stage}=")]
        if method.tuned_of and method.name in ",".join(typed).split(","):
            print(f"For {method.name} use {method.stage}={method.tuned_of} tune=optuna", file=sys.stderr)
    try:
        overrides = OverridesParser.create().parse_overrides(words)
    except HydraException:
        return  # Hydra has said what is wrong with the words themselves
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        for override in overrides:
            if not override.is_force_add() and not override.is_add():
                _explain(override.key_or_group, words)


def _explain(key: str, words: list[str]) -> None:
    groups = [
        word for word in words if (ROOT / "configs" / word.partition("=")[0]).is_dir() and "," not in word
    ]
    try:
        node: Any = compose(config_name="train", overrides=groups)
    except (HydraException, OmegaConfBaseException):
        return  # a group's name is wrong, and Hydra has listed the valid ones
    if (ROOT / "configs" / key).is_dir() or key.startswith("hydra"):
        return
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig) or part not in node:
            where = ".".join(parts[:depth])
            valid = [str(name) for name in node] if isinstance(node, DictConfig) else []
            close = get_close_matches(part, valid, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            place = f"under {where!r}" if where else "at the top"
            print(f"There is no key {key!r}.{hint} Valid {place}: {', '.join(valid)}", file=sys.stderr)
            return
        node = node[part]

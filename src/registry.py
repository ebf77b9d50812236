"""The registry: which names are valid, how they are displayed, which way a metric is good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# libyaml's, where there is one: every command reads the registry, and this takes a tenth of the time
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FACTORS = {
    "features": "featurization",
    "outlier": "outlier_method",
    "imputation": "imputation_method",
    "classifier": "classifier",
}
"""Stage (config group) -> name of the factor everywhere else, in the order of a run's name."""


class RegistryError(ValueError):
    """A name that is not in the registry, or a registry that contradicts the configs."""


@dataclass(frozen=True)
class Method:
    """A method of one stage; `runnable` when it has a config file.

    `tuned_of` names the classifier that this one is when its parameters were searched for: the same config,
    and so no choice of its own.
    """

    stage: str
    name: str
    display_name: str
    category: str
    colour: str
    in_study: bool
    runnable: bool
    sort_order: int
    tuned_of: str | None


@dataclass(frozen=True)
class Metric:
    """A metric: its direction ('higher', 'lower' or 'target'), domain and accepted spellings."""

    name: str
    display_name: str
    stage: str
    kind: str
    direction: str
    target: float | None
    domain: tuple[float | None, float | None]
    definition: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """The MLflow experiment of a stage, and the stage's name in the report (None: not reported)."""

    stage: str
    experiment: str
    report_stage: str | None


@dataclass(frozen=True)
class Role:
    """What a combination is compared as: `of` has the category its method must have, per stage."""

    name: str
    of: Mapping[str, str]


@dataclass(frozen=True)
class Registry:
    """All valid names.

    Attributes
    ----------
    methods : mapping of (stage, name) to Method
        Stages are 'outlier', 'imputation', 'features' and 'classifier'; in display order.
    metrics : mapping of name to Metric
    experiments : mapping of stage to Experiment
    compared : tuple of Role
        The combinations figures compare, in the order of showing.
    """

    methods: Mapping[tuple[str, str], Method]
    metrics: Mapping[str, Metric]
    experiments: Mapping[str, Experiment]
    compared: tuple[Role, ...]

    def names(self, stage: str) -> list[str]:
        """Return the method names of a stage in display order."""
        return [method.name for method in self.methods.values() if method.stage == stage]

    def method(self, stage: str, name: str) -> Method:
        """Return a method, or raise a `RegistryError` that lists the valid names."""
        if (stage, name) not in self.methods:
            raise RegistryError(_unknown(f"{stage} method", name, self.names(stage)))
        return self.methods[stage, name]

    def metric(self, spelling: str) -> Metric:
        """Return the metric meant by any common spelling ('test_auroc', 'AUROC', 'roc-auc')."""
        spellings = {
            _plain(s): m for m in self.metrics.values() for s in (m.name, m.display_name, *m.aliases)
        }
        if _plain(spelling) not in spellings:
            raise RegistryError(_unknown("metric", spelling, list(self.metrics)))
        return spellings[_plain(spelling)]


@cache
def load_registry(configs: Path = CONFIGS) -> Registry:
    """Read `mlflow_registry/` below `configs`.

    Raises
    ------
    RegistryError
        If a method has a config file but no entry, or an entry has unknown or missing keys.
    """
    folder = configs / "mlflow_registry"
    methods = {}
    for stage, entries in _read(folder / "methods.yaml").items():
        files = {path.stem for path in (configs / stage).glob("*.yaml")}
        if unlisted := sorted(files - set(entries)):
            raise RegistryError(
                f"configs/{stage}/{unlisted[0]}.yaml has no entry in configs/mlflow_registry/methods.yaml; "
                f"add one under '{stage}'"
            )
        for order, (name, entry) in enumerate(entries.items()):
            entry = {"tuned_of": None} | entry
            runnable = (entry["tuned_of"] or name) in files
            computed = {"stage": stage, "name": name, "runnable": runnable, "sort_order": order}
            methods[stage, name] = _record(Method, entry | computed, f"method {name}")
    metrics = {}
    for name, entry in _read(folder / "metrics.yaml").items():
        tuples = {"domain": tuple(entry["domain"]), "aliases": tuple(entry["aliases"])}
        metrics[name] = _record(Metric, entry | {"name": name} | tuples, f"metric {name}")
    experiments = {
        stage: _record(Experiment, entry | {"stage": stage}, f"experiment of {stage}")
        for stage, entry in _read(folder / "experiments.yaml").items()
    }
    compared = [Role(name, of) for name, of in _read(folder / "compared.yaml").items()]
    _check_categories(compared, methods.values())
    return Registry(methods, metrics, experiments, tuple(compared))


def _check_categories(compared: Iterable[Role], methods: Iterable[Method]) -> None:
    known = {(method.stage, method.category) for method in methods}
    for role in compared:
        for stage, category in role.of.items():
            if (stage, category) not in known:
                raise RegistryError(
                    f"configs/mlflow_registry/compared.yaml, {role.name!r}: no {stage} method is of category "
                    f"{category!r} in methods.yaml"
                )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_SafeLoader)


def _record(kind: type, entry: dict[str, Any], what: str) -> Any:
    expected = {field.name for field in fields(kind)}
    if wrong := sorted(expected ^ set(entry)):
        raise RegistryError(f"registry entry of {what}: keys {', '.join(wrong)} are missing or unknown")
    return kind(**entry)


def _plain(spelling: str) -> str:
    kept = "".join(c for c in spelling.lower() if c.isalnum())
    return kept.removeprefix("test")


def _unknown(what: str, name: str, valid: list[str]) -> str:
    close = get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}.{hint} Valid: {', '.join(valid)}"

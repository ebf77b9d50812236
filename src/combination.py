"""What is to be run: a cohort, one method per stage, an evaluation; and the keys its results go by."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from src.evaluation.tuning import Tuning
from src.registry import FACTORS

NOT_IN_KEY = frozenset({"n_jobs", "device", "verbose"})
"""Parameters that are no part of what a method is; they may change a result's last digits and no more."""

MIN_UNLABELLED = 50
"""With at least so many recordings without a diagnosis, methods are fitted on those alone."""


@dataclass(frozen=True)
class CohortCard:
    """What is known of a cohort before its signals are read."""

    path: Path
    content_hash: str
    source: str
    unit: str
    subjects: pd.DataFrame

    @property
    def fit_on(self) -> str:
        """'unlabelled' where enough recordings have no diagnosis to fit methods on them, else 'all'."""
        return "unlabelled" if self.subjects["label"].isna().sum() >= MIN_UNLABELLED else "all"


@dataclass(frozen=True)
class Step:
    """A method of one stage with its parameters; `search` is the space in which they may be tuned."""

    stage: str
    name: str
    target: str
    parameters: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(
        cls, stage: str, name: str, config: Mapping[str, Any], profile: str, typed: Iterable[str] = ()
    ) -> Step:
        """Read a method's config; `profiles` holds what some profiles set otherwise.

        `typed` are the parameters somebody set by hand: a profile leaves them alone, and so does a search.
        """
        by_hand = set(typed)
        parameters = dict(config)
        changes = parameters.pop("profiles", {}).get(profile, {})
        parameters |= {key: value for key, value in changes.items() if key not in by_hand}
        search = {key: space for key, space in parameters.pop("search", {}).items() if key not in by_hand}
        return cls(stage, name, parameters.pop("_target_"), parameters, search)

    @property
    def method(self) -> Any:
        """The class or factory of the method."""
        module, _, name = self.target.rpartition(".")
        return getattr(importlib.import_module(module), name)

    def build(self, **changes: Any) -> Any:
        """Make the method, with some parameters otherwise."""
        return self.method(**{**self.parameters, **changes})

    def key(self, *inputs: str) -> str:
        """Hash of the method, its parameters, its source and what goes into it."""
        module = self.target.rpartition(".")[0]
        kept = {name: value for name, value in self.parameters.items() if name not in NOT_IN_KEY}
        return hash_of(self.stage, self.target, kept, source_digest(module), *inputs)


@dataclass(frozen=True)
class Combination:
    """One cell of the design, ready to be run in any process.

    `tuning` says how the classifier's parameters are searched for; None: they are as in its config.
    `steps` maps each stage to its method; the baseline on age alone has no outlier and no imputation step.
    """

    kind: str
    steps: Mapping[str, Step]
    cohort: CohortCard
    n_iterations: int
    seed: int
    n_jobs: int
    permutation_every: int
    tracking_uri: str
    artifact_root: Path | None
    sweep_id: str
    config: str
    tuning: Tuning | None = None

    @property
    def factors(self) -> dict[str, str]:
        """The method of each stage under the name of its factor; 'none' for a stage left out."""
        return {f: self.steps[s].name if s in self.steps else "none" for s, f in FACTORS.items()}

    @property
    def run_name(self) -> str:
        """A name for people; nothing ever parses it."""
        return "__".join(self.factors.values())

    def keys(self) -> dict[str, str]:
        """Return the key of each stage's result.

        Every stage's key contains the key of the stage before it, and the first one the cohort's hash and
        which of its recordings methods are fitted on.
        """
        keys = {}
        key = hash_of(self.cohort.content_hash, self.cohort.fit_on)
        for stage in ("outlier", "imputation", "features"):
            if stage in self.steps:
                keys[stage] = key = self.steps[stage].key(key)
        settings = self.n_iterations, self.seed, self.permutation_every
        evaluation = hash_of(*settings, source_digest("src.evaluation.loop"))
        inputs = [key, evaluation]
        if self.tuning is not None:
            space = self.steps["classifier"].search
            inputs.append(hash_of(asdict(self.tuning), space, source_digest("src.evaluation.tuning")))
        keys["classifier"] = self.steps["classifier"].key(*inputs)
        return keys


def hash_of(*parts: Any) -> str:
    """Return 16 hexadecimal digits for parts that JSON can hold."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@cache
def source_digest(module: str) -> str:
    """Hash of a module's source and of all that `sources_of` names."""
    return hash_of(sources_of(module))


def sources_of(module: str) -> dict[str, str]:
    """Return the source of a module and of all it imports from its own room and from `src.networks`."""
    rooms = f"{module.rpartition('.')[0]}.", "src.networks."
    sources: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no module {name!r}; the _target_ of a config must name one")
        sources[name] = Path(spec.origin).read_text(encoding="utf-8")
        todo += [m for m in _imports(sources[name]) if m.startswith(rooms) and m not in sources]
    return sources


def _imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found

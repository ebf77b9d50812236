"""What is to be run: a cohort, one method per stage, an evaluation; and the keys its results go by."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from importlib.abc import SourceLoader
from pathlib import Path
from typing import Any

import pandas as pd

from src.evaluation.tuning import Tuning
from src.networks.weights import unpublished_files, weights_identity
from src.patience import PATIENCE_S
from src.registry import FACTORS, load_registry
from src.requirements import NotReady

NOT_IN_KEY = frozenset({"n_jobs", "device", "verbose"})
"""Parameters not of what a method is but of where it runs; the tag `accelerator` says what `device` was."""

WEIGHTS = "checkpoint"
"""Parameter that names pretrained weights, in every method that has some."""

MIN_MEMBERS = 2
"""With fewer members that can run, an ensemble cannot."""

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
    has_truth: bool = True

    @property
    def fit_on(self) -> str:
        """'unlabelled' where enough recordings have no diagnosis to fit methods on them, else 'all'."""
        return "unlabelled" if self.subjects["label"].isna().sum() >= MIN_UNLABELLED else "all"


@dataclass(frozen=True)
class Step:
    """A method of one stage with its parameters.

    An ensemble has `members`, each a step that could stand alone, and `left_out`: members that cannot run on
    this machine, with the reason. `search` is the space in which parameters may be tuned.
    """

    stage: str
    name: str
    target: str
    parameters: Mapping[str, Any]
    members: Mapping[str, Step] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(
        cls, stage: str, name: str, config: Mapping[str, Any], profile: str, typed: Iterable[str] = ()
    ) -> Step:
        """Read a method's config.

        Parameters
        ----------
        stage, name : str
        config : mapping
            `_target_` and parameters; `profiles` holds what some profiles set otherwise, `members` the
            configs of an ensemble's members, by name.
        profile : str
        typed : iterable of str
            Paths of the parameters that somebody set by hand, such as 'cutoff' or 'members.LOF.cutoff': a
            profile leaves them alone, and so does a search.
        """
        parameters, typed = dict(config), set(typed)
        changes = parameters.pop("profiles", {}).get(profile, {})
        by_hand = {path.partition(".")[0] for path in typed}
        parameters |= {key: value for key, value in changes.items() if key not in by_hand}
        members = {}
        for member, settings in parameters.pop("members", {}).items():
            prefix = f"members.{member}."
            below = [path.removeprefix(prefix) for path in typed if path.startswith(prefix)]
            members[member] = cls.from_config(stage, member, settings, profile, below)
        search = {key: space for key, space in parameters.pop("search", {}).items() if key not in by_hand}
        return cls(stage, name, parameters.pop("_target_"), parameters, members, search=search)

    @property
    def checkpoints(self) -> set[str]:
        """Names of the pretrained weights that the method and its members use."""
        own = {str(self.parameters[WEIGHTS])} if WEIGHTS in self.parameters else set()
        return own.union(*(member.checkpoints for member in self.members.values()))

    @property
    def is_ensemble(self) -> bool:
        """Whether the method is made of others."""
        return bool(self.members or self.left_out)

    @property
    def needs_truth(self) -> bool:
        """Whether it may see the artefact mask and the clean signal, and cannot do without."""
        return getattr(self.method, "needs_truth", False)

    @property
    def method(self) -> Any:
        """The class or factory of the method."""
        module, _, name = self.target.rpartition(".")
        return getattr(importlib.import_module(module), name)

    def build(self, **changes: Any) -> Any:
        """Make the method, with some parameters otherwise; an ensemble is given its members."""
        parameters = {**self.parameters, **changes}
        if self.is_ensemble:
            parameters["members"] = {name: member.build() for name, member in self.members.items()}
        return self.method(**parameters)

    def of_ready_members(self, has_truth: bool = True) -> Step:
        """Return an ensemble of the members that can run on such a cohort here; other methods as they are."""
        lacking = {name: member.lacks(has_truth) for name, member in self.members.items()}
        left_out = {name: reason for name, reason in lacking.items() if reason}
        if not left_out:
            return self
        kept = {name: member for name, member in self.members.items() if name not in left_out}
        return replace(self, members=kept, left_out=left_out)

    def lacks(self, has_truth: bool = True) -> str:
        """Say what the method lacks; nothing where it can run or has another fault."""
        try:
            self.check_ready(has_truth)
        except NotReady as reason:
            return str(reason)
        except Exception:  # noqa: BLE001 - it comes again where a failure is recorded: when the method is run
            return ""
        return ""

    def check_ready(self, has_truth: bool = True) -> None:
        """Raise `NotReady` where the method lacks a package, weights or the truth, or an ensemble members."""
        if self.is_ensemble and len(self.members) < MIN_MEMBERS:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())
            raise NotReady(
                f"{self.stage}={self.name} needs {MIN_MEMBERS} members that can run here and has "
                f"{len(self.members)} ({reasons})"
            )
        check = getattr(self.build(), "check_ready", None)
        if check is not None:
            check()
        if self.needs_truth and not has_truth:
            raise NotReady(
                f"{self.stage}={self.name} needs the artefact mask and the clean signal, which this cohort "
                f"does not have; choose another {self.stage} method"
            )
        for member in self.members.values():
            member.check_ready(has_truth)

    def key(self, *inputs: str) -> str:
        """Hash of the method, its parameters, source, weights and members, and of what goes into it."""
        module = self.target.rpartition(".")[0]
        kept = {name: value for name, value in self.parameters.items() if name not in NOT_IN_KEY}
        if WEIGHTS in kept:
            inputs = (*inputs, hash_of(weights_identity(kept[WEIGHTS])))
        parts = [self.stage, self.target, kept, source_digest(module), *inputs]
        if self.is_ensemble:
            parts.append({name: member.key(*inputs) for name, member in self.members.items()})
        return hash_of(*parts)


def _experiments() -> dict[str, str]:
    return {stage: entry.experiment for stage, entry in load_registry().experiments.items()}


@dataclass(frozen=True)
class Combination:
    """One cell of the design, ready to be run in any process.

    `tuning` says how the classifier's parameters are searched for; None: they are as in its config.
    `steps` maps each stage to its method; the baseline on age alone has no outlier and no imputation step.
    `experiments` maps each stage to the MLflow experiment its runs go to; `patience_s` is how long to wait
    for a store of runs that does not answer.
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
    experiments: Mapping[str, str] = field(default_factory=_experiments)
    patience_s: float = PATIENCE_S

    @property
    def factors(self) -> dict[str, str]:
        """The method of each stage under the name of its factor; 'none' for a stage left out."""
        return {f: self.steps[s].name if s in self.steps else "none" for s, f in FACTORS.items()}

    @property
    def unpublished_weights(self) -> str:
        """Pretrained weights it uses that are not the published ones, with their hashes; empty if none."""
        names = sorted(set().union(*(step.checkpoints for step in self.steps.values())))
        files = [(name, *found) for name in names for found in unpublished_files(name).items()]
        return ", ".join(f"{name} {file} {digest[:16]}" for name, file, digest in files)

    @property
    def run_name(self) -> str:
        """A name for people; nothing ever parses it."""
        return "__".join(self.factors.values())

    def check_ready(self, stage: str) -> None:
        """Raise an error where a stage is known to fail: what its method or a search for parameters lacks."""
        step = self.steps[stage]
        step.check_ready(self.cohort.has_truth)
        if stage == "classifier" and self.tuning is not None:
            self.tuning.check_ready(step.search, step.parameters)

    def keys(self) -> dict[str, str]:
        """Return the key of each stage's result.

        Every stage's key contains the key of the stage before it, and the first one the cohort's hash and
        which of its recordings methods are fitted on. They are those of the process that asked first, also
        where the combination is then run by another one.
        """
        return self._keys

    def changed(self) -> str:
        """Name the first stage whose key would be another one in this process; nothing where none would."""
        now = replace(self).keys()
        others = [f"{stage}={self.steps[stage].name}" for stage in now if now[stage] != self._keys[stage]]
        return others[0] if others else ""

    @cached_property
    def _keys(self) -> dict[str, str]:
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
    """Return the source of a module and of all it imports from its own room, networks and evaluation."""
    rooms = f"{module.rpartition('.')[0]}.", "src.networks.", "src.evaluation."
    sources: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        sources[name] = _source(name)
        todo += [m for m in _imports(sources[name]) if m.startswith(rooms) and m not in sources]
    return sources


def _source(name: str) -> str:
    """Source of a module as its loader has it; of one whose loader keeps none, as its file has it."""
    spec = importlib.util.find_spec(name)
    source = spec.loader.get_source(name) if spec and isinstance(spec.loader, SourceLoader) else None
    if source is None and spec and spec.origin and Path(spec.origin).is_file():
        source = Path(spec.origin).read_text(encoding="utf-8")
    if source is None:
        raise ModuleNotFoundError(f"no module {name!r}; the _target_ of a config must name one")
    return source


def _imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found

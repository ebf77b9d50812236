"""Python, packages, and what methods need beside them."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from src.doctor.finding import OK, PROBLEM, WARNING, Finding, count
from src.doctor.places import ROOT, Places

_SETUP = "run: make setup"


def check_python() -> Iterator[Finding]:
    """Whether the project's metadata allow this Python."""
    from packaging.specifiers import SpecifierSet

    wanted, here = _project()["requires-python"], platform.python_version()
    if here in SpecifierSet(wanted):
        yield Finding("Python", OK, f"{here} (needed: {wanted})")
    else:
        yield Finding(
            "Python", PROBLEM, f"{here} is not {wanted}: make a new environment, make setup PYTHON=..."
        )


def check_packages() -> Iterator[Finding]:
    """Whether what pyproject.toml needs is installed, and as constraints.txt pins it."""
    installed = _installed()
    lacking = _lacking(_project()["dependencies"], installed)
    if lacking:
        sentence = f"{count(len(lacking), 'package')} missing or of another version than needed; {_SETUP}"
        yield Finding("packages", PROBLEM, sentence, tuple(lacking))
        return
    other = _unpinned(installed)
    if other:
        sentence = f"{count(len(other), 'package')} not as pinned: results may differ in detail; {_SETUP}"
        yield Finding("packages", WARNING, sentence, tuple(other))
    else:
        yield Finding("packages", OK, "all there, as pinned in constraints.txt")


def check_optional_packages(places: Places) -> Iterator[Finding]:
    """Which optional packages are missing, and which methods cannot run without them."""
    extras, installed = _project()["optional-dependencies"], _installed()
    methods = extras.keys() - {"dev", "server"}
    missing = {name: _lacking(extras[name], installed) for name in extras if name in methods}
    missing = {name: packages for name, packages in missing.items() if packages}
    if not missing:
        yield Finding("optional packages", OK, "all there")
        return
    waiting = _waiting_methods()
    details = []
    for extra, packages in missing.items():
        users = [name for name, reason in waiting.items() if f"[{extra}]" in reason]
        details.append(f"{extra}: {', '.join(packages)}; needed by {', '.join(users) or 'no method'}")
    extras_text = ",".join(missing)
    sentence = f"some are missing; to run what needs them: pip install 'foundation-plr[{extras_text}]'"
    yield Finding("optional packages", WARNING, sentence, tuple(details))


def check_weights(places: Places) -> Iterator[Finding]:
    """Which pretrained weights are missing, and which are not the published ones."""
    from src.networks.weights import load_weights, place_of, unpublished_files
    from src.networks.weights_table import methods_by_weights

    users = {name: methods for name, methods in methods_by_weights().items() if methods}
    missing = {n: [f for f in load_weights()[n].files if not (place_of(n) / f).is_file()] for n in users}
    details = [
        f"{name}: {', '.join(files)} missing; needed by {', '.join(users[name])}"
        for name, files in missing.items()
        if files
    ]
    other = [
        f"{name}: {file} is not the published file" for name in users for file in unpublished_files(name)
    ]
    if details or other:
        names = " ".join(name for name, files in missing.items() if files)
        fetch = f"to run what needs them: python scripts/fetch_weights.py {names}" if names else ""
        own = "move a file that should be the published one away and fetch it anew" if other else ""
        sentence = "; ".join(part for part in (fetch, own) if part)
        yield Finding("weights", WARNING, f"some are missing or others; {sentence}", (*details, *other))
    else:
        yield Finding("weights", OK, "all there, as published")


def check_versions(places: Places) -> Iterator[Finding]:
    """Whether the finished runs of the store were made with the versions installed here."""
    from src.provenance import package_versions

    now = package_versions()
    found: dict[tuple[str, str], list[object]] = {}
    runs = [run for run in places.store.runs if run.status == "FINISHED" and "versions" in run.tags]
    told = [versions for run in runs if (versions := _versions(run.tags["versions"]))]
    for versions in told:
        for package, then in versions.items():
            if package in now and now[package] != then:
                found.setdefault((package, then), []).append(versions)
    if not found:
        silent = len(runs) - len(told)
        other = f"; {count(silent, 'run')} without readable versions" if silent else ""
        sentence = f"{count(len(told), 'run')} made with what is installed here{other}"
        yield Finding("versions of runs", OK, sentence)
        return
    details = tuple(f"{p} {v} (here {now[p]}): {count(len(made), 'run')}" for (p, v), made in found.items())
    sentence = (
        "some runs were made with other versions and are reused all the same: install those, or start "
        "another store with tracking.uri=..."
    )
    yield Finding("versions of runs", WARNING, sentence, details)


def _versions(text: str | None) -> dict[str, str]:
    """What a run tells of its versions; nothing if that is not what this program writes."""
    import json

    try:
        told = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in told.items() if isinstance(v, str)} if isinstance(told, dict) else {}


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _installed() -> dict[str, str]:
    """Version of every installed package, by its normalised name."""
    from packaging.utils import canonicalize_name

    return {canonicalize_name(one.name): one.version for one in metadata.distributions()}


def _lacking(requirements: list[str], installed: dict[str, str]) -> list[str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lacking = []
    for requirement in map(Requirement, requirements):
        version = installed.get(canonicalize_name(requirement.name))
        if version is None:
            lacking.append(f"{requirement} (missing)")
        elif not requirement.specifier.contains(version, prereleases=True):
            lacking.append(f"{requirement} (here {version})")
    return lacking


def _unpinned(installed: dict[str, str]) -> list[str]:
    """Installed packages that constraints.txt pins to another version; a build's suffix does not count."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = [(pin, installed.get(canonicalize_name(pin.name))) for pin in pins]
    return [
        f"{pin} (here {version})"
        for pin, version in versions
        if version and not pin.specifier.contains(version.partition("+")[0], prereleases=True)
    ]


def _waiting_methods() -> dict[str, str]:
    """Methods that lack something here, with the reason; an ensemble leaves such members out."""
    import yaml

    from src.combination import Step
    from src.registry import CONFIGS, load_registry

    found = {"tune=optuna": "[tune]"}
    for method in load_registry().methods.values():
        path = CONFIGS / method.stage / f"{method.name}.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if "_target_" in config and "defaults" not in config:
            reason = Step.from_config(method.stage, method.name, config, "quick").lacks()
            found |= {f"{method.stage}={method.name}": reason} if reason else {}
    return found

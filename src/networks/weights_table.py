"""Tables of the weights for people: what there is, which methods need it, what has been run with it."""

from __future__ import annotations

from typing import Any

import yaml

from src.networks.weights import ROOT, load_weights, place_of
from src.registry import load_registry


def methods_by_weights() -> dict[str, list[str]]:
    """Return the methods that have a checkpoint as 'stage=name', in display order, by name of the weights.

    Every profile counts.
    """
    found: dict[str, list[str]] = {name: [] for name in load_weights()}
    for method in load_registry().methods.values():
        path = ROOT / "configs" / method.stage / f"{method.name}.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name in found:
            if name in _checkpoints(config):
                found[name].append(f"{method.stage}={method.name}")
    return found


def overview() -> str:
    """Return one line per weights: licence, size, source, and where they are on this machine."""
    lines = []
    for name, weights in load_weights().items():
        complete = all((place_of(name) / file).is_file() for file in weights.files)
        where = f"in {place_of(name)}" if complete else "not on this machine"
        lines.append(f"{name}: {weights.licence}; {weights.size_mb}; {weights.repository}; {where}")
    return "\n".join(lines)


def readme_table() -> str:
    """Return the table of README.md."""
    rows = [
        "| Weights | Licence | Size | Methods | Run with these weights |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, methods in methods_by_weights().items():
        weights = load_weights()[name]
        run = "yes" if weights.run_with_real_weights else "not yet"
        listed = ", ".join(f"`{method}`" for method in methods) or "none"
        rows.append(f"| {name} | {weights.licence} | {weights.size_mb} | {listed} | {run} |")
    return "\n".join(rows)


def _checkpoints(config: dict[str, Any]) -> set[str]:
    """Return the names of weights in a config and its profiles."""
    return {
        part["checkpoint"] for part in (config, *config.get("profiles", {}).values()) if "checkpoint" in part
    }

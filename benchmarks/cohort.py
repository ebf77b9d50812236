"""Time to make the default cohort with its file, and to read it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks import Row, at_most
from src.cohort.file import read_cohort
from src.cohort.sources import synthetic_cohort
from src.cohort.synthetic import generate
from src.train import CONFIGS

LIMIT_S = 10.0


def run(quick: bool) -> list[Row]:
    """Take the fastest of three turns (`quick`: one); the machine may be shared."""
    parameters = yaml.safe_load((CONFIGS / "data" / "synthetic.yaml").read_text(encoding="utf-8"))
    parameters = {name: value for name, value in parameters.items() if name not in ("_target_", "folder")}
    turns = [_turn(parameters) for _ in range(1 if quick else 3)]
    drawn, made, read = (min(times) for times in zip(*turns, strict=True))
    return [
        Row(f"generating {parameters['n_recordings']} recordings", drawn, "s"),
        at_most("generating and writing the cohort file", made, LIMIT_S, "s"),
        Row("reading the cohort file", read, "s"),
    ]


def _turn(parameters: dict[str, Any]) -> tuple[float, float, float]:
    with TemporaryDirectory(prefix="plr-cohort-") as folder:
        drawn, _ = _timed(lambda: generate(**parameters))
        made, path = _timed(lambda: synthetic_cohort(folder, **parameters))
        read, _ = _timed(lambda: read_cohort(Path(path)))
    return drawn, made, read


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result

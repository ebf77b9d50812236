"""The quick sweep by two workers on two cores against one worker, and against one combination at a time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from benchmarks import Row, at_least
from benchmarks.sweep import launch
from benchmarks.timing import Cost
from src.cohort.sources import synthetic_cohort
from src.train import CONFIGS

RATIO = 1.6
LAUNCHER = "hydra/launcher=joblib"


def run(quick: bool) -> list[Row]:
    """Run the sweep on a given cohort into an empty store (`quick`: half, 100 iterations; workers alone)."""
    fewer = ("evaluation.n_iterations=100", "outlier=pupil-gt,SubPCA", "profile=smoke") if quick else ()
    one, two = (_whole_sweep(LAUNCHER, f"hydra.launcher.n_jobs={n}", *fewer) for n in (1, 2))
    rows = [
        Row("one worker, one core", one.clock, "s"),
        Row("two workers, one core each", two.clock, "s"),
        at_least("one worker / two workers", one.clock / two.clock, RATIO),
        Row("the same in processor time", one.processor / two.processor),
    ]
    if quick:
        return rows
    none = _whole_sweep("evaluation.n_jobs=2")
    return [
        *rows,
        Row("no workers, the iterations of each combination on two cores", none.clock, "s"),
        Row("no workers / two workers", none.clock / two.clock),
    ]


def _whole_sweep(*words: str) -> Cost:
    parameters = yaml.safe_load((CONFIGS / "data" / "synthetic.yaml").read_text(encoding="utf-8"))
    with TemporaryDirectory(prefix="plr-parallel-") as folder:
        synthetic_cohort(folder, **{k: v for k, v in parameters.items() if k not in ("_target_", "folder")})
        return launch(Path(folder), *words, reused=False, sweep="quick")[0]

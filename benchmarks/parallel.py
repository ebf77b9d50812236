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
WAYS = {
    "one worker, one core": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1"),
    "two workers, one core each": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "no workers, the iterations of a combination on two cores": ("evaluation.n_jobs=2",),
}


def run(quick: bool) -> list[Row]:
    """Run the sweep on a cohort that is there, into an empty store each time (`quick`: 200 iterations instead of 1000)."""
    fewer = ("evaluation.n_iterations=200",) if quick else ()
    costs = {way: _whole_sweep(*words, *fewer) for way, words in WAYS.items()}
    one, two, none = costs.values()
    return [
        *(Row(way, spent.clock, "s") for way, spent in costs.items()),
        at_least("one worker / two workers", one.clock / two.clock, RATIO),
        Row("no workers / two workers", none.clock / two.clock),
        Row("processor time, two workers / one worker", two.processor / one.processor),
    ]


def _whole_sweep(*words: str) -> Cost:
    parameters = yaml.safe_load((CONFIGS / "data" / "synthetic.yaml").read_text(encoding="utf-8"))
    with TemporaryDirectory(prefix="plr-parallel-") as folder:
        synthetic_cohort(folder, **{k: v for k, v in parameters.items() if k not in ("_target_", "folder")})
        return launch(Path(folder), *words, reused=False, sweep="quick")[0]

"""What a sweep costs beside its methods: the same command again, when everything is reused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import Row, at_most
from benchmarks.timing import Cost, cost
from src.train import CONFIGS

LIMIT_S = 0.5
ONE = ("outlier=pupil-gt", "imputation=linear", "classifier=LogisticRegression")
_SUMMARY = re.compile(r"^planned (\d+), finished (\d+), reused (\d+), failed (\d+)$", re.MULTILINE)


def run(quick: bool) -> list[Row]:
    """Sweep `smoke` into a store of its own, then repeat it; the best of 3 turns (`quick`: 1) counts."""
    with TemporaryDirectory(prefix="plr-sweep-") as name:
        folder = Path(name)
        first, n = launch(folder, reused=False)
        turns = [(launch(folder)[0], launch(folder, *ONE)[0]) for _ in range(1 if quick else 3)]
    again, single = (Cost(*map(min, zip(*costs, strict=True))) for costs in zip(*turns, strict=True))
    further = Cost(*((many - one) / (n - 1) for many, one in zip(again, single, strict=True)))
    return [
        Row(f"first launch, {n} combinations", first.clock, "s"),
        Row("the same command again", again.clock, "s"),
        Row("second launch / first launch", again.clock / first.clock),
        Row("one combination alone, reused", single.clock, "s"),
        at_most(f"per reused combination: (all {n} - one alone) / {n - 1}", further.clock, LIMIT_S, "s"),
        Row("the same in processor time", further.processor, "s"),
        Row(f"all {n} / {n}, the command's own start included", again.clock / n, "s"),
        Row("the same in processor time", again.processor / n, "s"),
    ]


def launch(folder: Path, *overrides: str, reused: bool = True, sweep: str = "smoke") -> tuple[Cost, int]:
    """Run a sweep by the real command on a store in `folder`; return its cost and number of combinations.

    Raises
    ------
    RuntimeError
        If the command fails, or does not reuse (with `reused=False`: compute) every combination.
    """
    places = [
        f"tracking.uri='sqlite:///{folder / 'mlflow.db'}'",
        f"data.folder='{folder}'",
        f"hydra.sweep.dir='{folder / 'multirun'}/${{now:%H-%M-%S-%f}}'",
    ]
    command = [sys.executable, "-m", "src.train", "-m", f"sweeps={sweep}", *overrides, *places]
    answers: list[subprocess.CompletedProcess[str]] = []
    spent = cost(
        lambda: answers.append(
            subprocess.run(command, cwd=CONFIGS.parent, capture_output=True, text=True, check=False)
        )
    )
    done = answers[0]
    summary = _SUMMARY.search(done.stdout)
    if done.returncode or summary is None:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    planned, finished, found, _ = (int(number) for number in summary.groups())
    if planned != (found if reused else finished):
        expected = "reused" if reused else "new"
        raise RuntimeError(f"{' '.join(command)}: {summary[0]}; expected all of them {expected}")
    return spent, planned

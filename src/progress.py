"""What people see while a sweep runs: bars on a terminal, one line per combination everywhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm


class Progress:
    """Shows how far a sweep is, what is running, and how long the rest may take.

    Parameters
    ----------
    total : int
        Number of combinations planned.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._computed: list[float] = []
        self._began = time.time()
        self._bar = tqdm(
            total=None, unit="fit", leave=False, disable=None, dynamic_ncols=True, file=sys.stderr
        )
        self._title = ""

    def starts(self, name: str) -> None:
        """Show a combination that begins."""
        self._title = f"[{self.done + 1}/{self.total}] {name}"
        self._bar.reset()
        self._bar.set_description(self._title)

    def message(self, message: tuple[Any, ...] | None) -> None:
        """Show what a running combination reports (see `run_combination`); None means it is still running."""
        if message is None:
            self._bar.refresh()
        elif message[0] == "stage":
            _, stage, method = message
            self._bar.reset()
            self._bar.set_description(f"{self._title}: {stage} {method}")
            if self._bar.disable and stage not in ("features", "classifier"):
                print(f"    {stage} {method} ...", flush=True)
        else:
            _, done, self._bar.total = message
            self._bar.update(done - self._bar.n)

    def ends(self, status: dict[str, Any]) -> None:
        """Print the line of a combination that ended."""
        self.done += 1
        if status["state"] != "reused":
            self._computed.append(status["seconds"])
        metrics = status["metrics"]
        numbers = [
            f"{n} {metrics[m]:.3f}"
            for n, m in (("AUROC", "test_auroc"), ("Brier", "test_brier"))
            if m in metrics
        ]
        parts = [
            f"[{self.done:>{len(str(self.total))}}/{self.total}] {status['state']:<8} {status['run_name']}"
        ]
        parts += [*numbers, status.get("error", ""), f"{status['seconds']:.1f} s", self._left()]
        self._bar.clear()
        print("  ".join(part for part in parts if part), flush=True)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._bar.close()

    def _left(self) -> str:
        remaining = self.total - self.done
        if not remaining or not self._computed:
            return ""
        return f"about {duration(remaining * sum(self._computed) / len(self._computed))} left"


def duration(seconds: float) -> str:
    """Return a time for people: '40 s', '7 min', '3.2 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

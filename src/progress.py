"""What people see while a sweep runs: bars on a terminal, one line per combination everywhere."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm

_WAITING = "{desc}  {elapsed}{postfix}"
_FITTING = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} fits, {remaining} left{postfix}"
_TRAINING = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} epochs, {remaining} left{postfix}"


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
        self._place = ""
        self._bar = tqdm(bar_format=_WAITING, leave=False, disable=_no_terminal(), dynamic_ncols=True)

    def starts(self, name: str) -> None:
        """Show a combination that begins."""
        self._place = f"[{self.done + 1}/{self.total}]"
        self._show(name, _WAITING)

    def message(self, message: tuple[Any, ...] | None) -> None:
        """Show what a running combination reports (see `run_combination`); None means it is still running."""
        if message is None:
            self._bar.refresh()
        elif message[0] == "stage":
            _, stage, method = message
            counted = stage == "classifier"
            self._show(f"{stage} {method}", _FITTING if counted else _WAITING)
            if self._bar.disable and stage not in ("features", "classifier"):
                print(f"    {stage} {method} ...", flush=True)
        elif message[0] == "epochs":
            _, self._bar.n, self._bar.total, reached = message
            self._bar.bar_format = _TRAINING
            self._bar.set_postfix_str(reached)
        else:
            _, done, self._bar.total = message
            self._bar.update(done - self._bar.n)

    def _show(self, what: str, bar_format: str) -> None:
        self._bar.reset()
        self._bar.bar_format = bar_format
        self._bar.set_description_str(f"{self._place} {what}", refresh=False)
        left = self._left()
        self._bar.set_postfix_str(f"all: {left}" if left else "")

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


def _no_terminal() -> bool:
    """Whether nobody watches: no terminal, or one without a size."""
    return not sys.stderr.isatty() or os.get_terminal_size(sys.stderr.fileno()).columns == 0


def duration(seconds: float) -> str:
    """Return a time for people: '40 s', '7 min', '3.2 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

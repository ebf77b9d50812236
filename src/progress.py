"""What people see while a sweep runs: bars on a terminal, one line per combination everywhere."""

from __future__ import annotations

import os
import sys
from threading import local
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
    n_workers : int
        Threads that use this at once; each has a bar of its own.
    """

    def __init__(self, total: int, n_workers: int = 1) -> None:
        self.total = total
        self.done = 0
        self._n_workers = n_workers
        self._computed: list[float] = []
        self._own = local()
        self._bars: list[tqdm] = []

    @property
    def _bar(self) -> tqdm:
        if not hasattr(self._own, "bar"):
            self._own.bar = tqdm(bar_format=_WAITING, leave=False, disable=_no_terminal(), dynamic_ncols=True)
            self._bars.append(self._own.bar)
        return self._own.bar

    def starts(self, name: str) -> None:
        """Show a combination that begins."""
        self._own.place = f"[{self.done + 1}/{self.total}]"
        self._show(name, _WAITING)

    def message(self, message: tuple[Any, ...] | None) -> None:
        """Show what a running combination reports (see `run_combination`); None means it is still running."""
        bar = self._bar
        if message is None:
            bar.refresh()
        elif message[0] == "stage":
            _, stage, method = message
            counted = stage == "classifier"
            self._show(f"{stage} {method}", _FITTING if counted else _WAITING)
            if bar.disable and stage not in ("features", "classifier"):
                print(f"    {stage} {method} ...", flush=True)
        elif message[0] == "epochs":
            _, bar.n, bar.total, reached = message
            bar.bar_format = _TRAINING
            bar.set_postfix_str(reached)
        else:
            _, done, bar.total = message
            bar.update(done - bar.n)

    def _show(self, what: str, bar_format: str) -> None:
        bar, left = self._bar, self._left()
        bar.reset()
        bar.bar_format = bar_format
        bar.set_description_str(f"{self._own.place} {what}", refresh=False)
        bar.set_postfix_str(f"all: {left}" if left else "")

    def ends(self, status: dict[str, Any]) -> None:
        """Print the line of a combination that ended."""
        with tqdm.external_write_mode():  # one at a time, with the bars out of the way
            print(self._line(status), flush=True)

    def _line(self, status: dict[str, Any]) -> str:
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
        return "  ".join(part for part in parts if part)

    def close(self) -> None:
        """Take the bars off the terminal."""
        for bar in self._bars:
            bar.close()

    def _left(self) -> str:
        remaining = self.total - self.done
        if not remaining or not self._computed:
            return ""
        each = sum(self._computed) / len(self._computed) / min(self._n_workers, remaining)
        return f"about {duration(remaining * each)} left"


def _no_terminal() -> bool:
    """Whether nobody watches: no terminal, or one without a size."""
    return not sys.stderr.isatty() or os.get_terminal_size(sys.stderr.fileno()).columns == 0


def duration(seconds: float) -> str:
    """Return a time for people: '40 s', '7 min', '3.2 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

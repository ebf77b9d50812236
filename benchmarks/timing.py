"""What a piece of work costs: the benchmarks' stopwatch."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Cost(NamedTuple):
    """Seconds on the clock, and seconds of processors, those of child processes included."""

    clock: float
    processor: float


def cost(work: Callable[[], Any]) -> Cost:
    """Do the work once and measure it."""
    before, started = _processor_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, _processor_time() - before)


def fastest(variants: dict[str, Callable[[], Any]], turns: int) -> dict[str, Cost]:
    """Measure the variants in turn, as the machine may be shared; return the least of each one's costs."""
    costs = [{name: cost(work) for name, work in variants.items()} for _ in range(turns)]
    return {name: Cost(*(min(c[name][k] for c in costs) for k in (0, 1))) for name in variants}


def _processor_time() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)

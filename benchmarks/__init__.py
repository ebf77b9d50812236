"""What the project promises in numbers, measured: `python -m benchmarks --help`.

Every module here with a function `run(quick: bool) -> list[Row]` is a benchmark.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

# Before any library reads them: what is compared must not differ in threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"


@dataclass(frozen=True)
class Row:
    """One measured number, and what is asked of it; `met` is None where nothing is."""

    measure: str
    value: float
    unit: str = ""
    requirement: str = ""
    met: bool | None = None


def at_most(measure: str, value: float, limit: float, unit: str = "") -> Row:
    """Return a row that is met up to `limit`."""
    return Row(measure, value, unit, f"at most {limit:g}", value <= limit)


def at_least(measure: str, value: float, limit: float, unit: str = "") -> Row:
    """Return a row that is met from `limit` on."""
    return Row(measure, value, unit, f"at least {limit:g}", value >= limit)


def within(measure: str, value: float, centre: float, distance: float) -> Row:
    """Return a row that is met no farther than `distance` from `centre`."""
    return Row(measure, value, "", f"{centre:g} +- {distance:g}", abs(value - centre) <= distance)

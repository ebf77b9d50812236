"""The command: run benchmarks, print a table each, and keep the numbers."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pkgutil
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks import Row
from src.provenance import code_commit

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench"


def find_benchmarks() -> dict[str, ModuleType]:
    """Return the modules of the package that have a `run`, by name."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_"]
    modules = {name: import_module(f"benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as lines for people."""
    width = max(len(row.measure) for row in rows)
    return "\n".join(
        f"  {row.measure:<{width}}  {_number(row):<12}  {_verdict(row)}".rstrip() for row in rows
    )


def _number(row: Row) -> str:
    digits = f"{row.value:.0f}" if row.value == int(row.value) else f"{row.value:.4g}"
    return f"{digits:>7} {row.unit}"


def _verdict(row: Row) -> str:
    if row.met is None:
        return row.requirement
    return f"{row.requirement}: {'met' if row.met else 'NOT met'}"


def _measure(name: str, run: Callable[[bool], list[Row]], quick: bool) -> list[Row]:
    """Run one benchmark in a fresh process, print its table and write `results/bench/<name>.json`."""
    print(f"{name}{' (quick)' if quick else ''}", flush=True)
    started = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        rows = pool.submit(run, quick).result()
    seconds = time.perf_counter() - started
    print(f"{table(rows)}\n  {seconds:.0f} s\n", flush=True)
    contents = {
        "benchmark": name,
        "quick": quick,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "code_commit": code_commit(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    draft = RESULTS / f".{name}.{os.getpid()}"
    draft.write_text(json.dumps(contents, indent=1), encoding="utf-8")
    draft.replace(RESULTS / f"{name}.json")
    return rows


def main() -> None:
    """Run the command line; a requirement that is not met is shown and does not change the exit status."""
    found = find_benchmarks()
    width = max(map(len, found))
    about = "\n".join(f"  {name:<{width}}  {str(m.__doc__).splitlines()[0]}" for name, m in found.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what the project promises: one table per benchmark, each number beside what is\n"
        "asked of it, and results/bench/<name>.json. These are measurements, no tests: the exit\n"
        "status is 0 whether a requirement is met or not.\n\n" + about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="A,B", help="these benchmarks alone, separated by commas")
    parser.add_argument("--quick", action="store_true", help="smaller and less exact, for a first look")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else list(found)
    unknown = [name for name in chosen if name not in found]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(found)}")
    rows = [row for name in chosen for row in _measure(name, found[name].run, options.quick)]
    asked = [row for row in rows if row.met is not None]
    print(f"{sum(bool(row.met) for row in asked)} of {len(asked)} requirements met; numbers: results/bench/")


if __name__ == "__main__":
    main()

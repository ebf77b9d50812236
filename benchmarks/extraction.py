"""From a store of 50, 542 and 2000 runs to a database: time, memory, size, and the time for one run more."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import Row, at_most
from benchmarks.many_runs import ManyRuns

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "results" / "bench" / "extraction.png"
SIZES = (50, 542, 2000)
STUDY = 542
LIMIT_S, LIMIT_GIB, LIMIT_ONE_MORE_S, LIMIT_MB = 60.0, 2.0, 3.0, 250.0


class Measured(NamedTuple):
    """The cost of extracting `n` runs, and of extracting again with one run more."""

    n: int
    seconds: float
    gib: float
    megabytes: float
    one_more_s: float


def run(quick: bool) -> list[Row]:
    """Extract growing stores with the real command (`quick`: 50 runs); draw time against runs."""
    with TemporaryDirectory(prefix="plr-extraction-") as name:
        store = ManyRuns(Path(name))
        measured = [measure(store, Path(name), n) for n in SIZES[: 1 if quick else None]]
    if not quick:
        draw(measured)
    return [row for m in measured for row in rows(m)]


def measure(store: ManyRuns, folder: Path, n: int) -> Measured:
    """Extract a store of `n` runs, add one, and extract again."""
    database = folder / f"{n}.db"
    store.grow(n)
    seconds, gib = extract(store, database)
    megabytes = database.stat().st_size / 1e6
    store.grow(n + 1)
    return Measured(n, seconds, gib, megabytes, extract(store, database)[0])


def extract(store: ManyRuns, database: Path) -> tuple[float, float]:
    """Run the real command; return its seconds, start included, and the most memory it held, in GiB.

    Memory is that of the command and its processes together, pages they share counted once; NaN where the
    system does not tell.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    command = [sys.executable, str(ROOT / "scripts" / "extract_results.py")]
    command += ["--tracking-uri", str(store.database), "--db", str(database)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = [float("nan")]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - started
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return seconds, peak[0] / 2**30


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    while process.poll() is None:
        held = sum(_held(pid) for pid in _family(process.pid))
        if held:
            peak[0] = max(held, 0 if peak[0] != peak[0] else peak[0])
        time.sleep(0.1)


def _family(pid: int) -> Iterator[int]:
    """The process and those it started."""
    yield pid
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))
    except OSError:  # it has ended, or there is no such file on this system
        return


def _held(pid: int) -> int:
    """Bytes of a process, its share of what is shared."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def rows(m: Measured) -> list[Row]:
    """Return the rows of one size; what is asked is asked of the study's size."""
    if m.n != STUDY:
        return [
            Row(f"{m.n} runs: extraction", m.seconds, "s"),
            Row(f"{m.n} runs: memory", m.gib, "GiB"),
            Row(f"{m.n} runs: database", m.megabytes, "MB"),
            Row(f"{m.n} runs: one run more", m.one_more_s, "s"),
        ]
    return [
        at_most(f"{m.n} runs: extraction", m.seconds, LIMIT_S, "s"),
        at_most(f"{m.n} runs: memory", m.gib, LIMIT_GIB, "GiB"),
        at_most(f"{m.n} runs: database", m.megabytes, LIMIT_MB, "MB"),
        at_most(f"{m.n} runs: one run more", m.one_more_s, LIMIT_ONE_MORE_S, "s"),
    ]


def draw(measured: list[Measured]) -> None:
    """Draw time against runs, beside the line through the origin and the last point."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    sizes, last = [m.n for m in measured], measured[-1]
    left.plot(sizes, [m.seconds for m in measured], "o-", label="measured")
    left.plot([0, last.n], [0, last.seconds], ":", color="0.5", label="proportional to runs")
    right.plot(sizes, [m.one_more_s for m in measured], "o-")
    for axes, title in ((left, "Extraction from nothing, s"), (right, "Extraction with one run more, s")):
        axes.set(title=title, xlabel="runs of 1000 x 208 predictions", xlim=(0, None), ylim=(0, None))
    left.legend(frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=150)
    plt.close(figure)

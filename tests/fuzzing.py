"""Readers of other people's files under fuzzing: in a process of their own, with a bound on memory and time.

`FUZZ_INPUTS` is the number of inputs per reader, 2,000 unless set; `make fuzz` sets it and draws new ones.
"""

from __future__ import annotations

import json
import os
import resource
import select
import struct
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commands import ROOT
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from measured import record

REPORT = os.environ.get("FUZZ_REPORT")
INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
MEMORY = 2**30  # bytes that one input may take
CPU_S = 1.0  # seconds of the processor, so that a busy machine changes nothing
END_S = 3  # seconds of the processor, after which reading is ended
HANG_S = 60.0  # seconds of the clock, for what waits instead of computing
_NO_MEMORY = ("MemoryError", "Out of Memory", "bad_alloc")


def inputs(share: float = 1.0) -> settings:
    """Settings of a test that tries this share of the inputs of its reader."""
    return settings(
        max_examples=round(share * INPUTS),
        phases=[Phase.generate],  # nothing is gained by a smaller file, and it takes minutes
        suppress_health_check=list(HealthCheck),
    )


class Input(bytes):
    """Bytes that are not printed whole where a test fails."""

    def __repr__(self) -> str:
        return f"Input({bytes(self[:2000])!r}), of {len(self)} bytes"


class NoEnd(AssertionError):
    """Reading an input did not end, or ended the process."""


class Reader:
    """A process that reads one input after the other.

    It is called with the bytes of a file; returns 'clean' or why the input is refused, in one line, and fails
    where the reader does anything else: raises another error, dies, takes too much time or memory, or does
    what a pickle says.

    Parameters
    ----------
    name : str
        A key of `READERS`.
    folder : Path
        For the inputs.
    valid : bytes
        An input that is read as 'clean'.
    """

    def __init__(self, name: str, folder: Path, valid: bytes) -> None:
        self.name, self.folder, self.valid = name, folder, valid
        self.canary = folder / "canary"
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, content: bytes, without_end: Callable[[bytes], None] | None = None) -> str:
        """Read an input; one whose reading does not end fails, or is left to `without_end`."""
        try:
            answer = self._ask(content)
        except NoEnd:
            if without_end is None:
                raise
            without_end(content)
            self.outcomes["no end"] += 1
            return "no end"
        assert not self.canary.exists(), "the input was executed"
        outcome, text = answer["outcome"], answer["text"]
        assert outcome != "error", text
        assert not any(word in text for word in _NO_MEMORY), text
        assert "\n" not in text and len(text) < 2000, text
        assert answer["cpu_s"] < CPU_S, f"{answer['cpu_s']:.1f} s for {len(content)} bytes: {text}"
        self.outcomes[outcome] += 1
        self.slowest_s = max(self.slowest_s, answer["cpu_s"])
        return "clean" if outcome == "clean" else text

    def record(self) -> None:
        """Add what became of the inputs to the report, if one is wanted."""
        numbers = {"inputs": self.outcomes.total(), "outcomes": dict(self.outcomes)}
        record(REPORT, self.name, numbers | {"slowest_s": round(self.slowest_s, 2)}, combine=together)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, content: bytes) -> dict[str, Any]:
        if self._process is None:
            self._start()
            assert self._exchange(self.valid)["outcome"] == "clean"
        try:
            return self._exchange(content)
        except EOFError:
            assert self._process is not None
            self._process.wait()
            status = self._process.returncode
            self.close()
            raise NoEnd(f"the process that reads died with {status}") from None

    def _exchange(self, content: bytes) -> dict[str, Any]:
        assert self._process is not None
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(struct.pack("<Q", len(content)) + content)
            stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        if not select.select([stdout], [], [], HANG_S)[0]:
            self.close()
            raise NoEnd(f"no answer within {HANG_S:.0f} s")
        line = stdout.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> None:
        places = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "results")]
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from fuzzing import serve; serve({self.name!r})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        )


def together(some: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """What became of the inputs of two processes."""
    outcomes = Counter(some["outcomes"]) + Counter(others["outcomes"])
    slowest_s = max(some["slowest_s"], others["slowest_s"])
    return {"inputs": outcomes.total(), "outcomes": dict(outcomes), "slowest_s": slowest_s}


@contextmanager
def reading(name: str, folder: Path, valid: bytes) -> Iterator[Reader]:
    """A reader for some tests; at the end it leaves what became of the inputs."""
    reader = Reader(name, folder, valid)
    try:
        yield reader
    finally:
        reader.close()
        reader.record()


def serve(name: str) -> None:
    """Read what comes in with one of the readers; the first input is a valid one and sets the bounds."""
    warnings.simplefilter("error")
    read, path = READERS[name], Path.cwd() / "input"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while size := sys.stdin.buffer.read(8):
        path.write_bytes(sys.stdin.buffer.read(struct.unpack("<Q", size)[0]))
        started = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(started) + 1 + END_S, resource.RLIM_INFINITY))
        outcome, text = _outcome(read, path)
        answer = {"outcome": outcome, "text": text, "cpu_s": time.process_time() - started}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def _outcome(read: Callable[[Path], None], path: Path) -> tuple[str, str]:
    from src.cohort.cohort import CohortError
    from src.results.safe_pickle import RejectedRun

    try:
        read(path)
    except (RejectedRun, CohortError) as error:
        return "refused", str(error)
    except BaseException as error:  # noqa: BLE001 - anything else is what the fuzzing looks for
        return "error", f"{type(error).__name__}: {error}"
    return "clean", ""


def _read_results(path: Path) -> None:
    """A results file of a run: what is taken from it is possible."""
    import numpy as np

    from src.results.bootstrap_pickle import load
    from src.results.bootstrap_table import normalise

    table = normalise(load(path))
    shape = (table.n_iterations, len(table.y))
    assert table.p_all.shape == table.left_out.shape == shape
    assert len(set(table.codes)) == len(table.groups) == shape[1]
    assert set(table.y.tolist()) == {0, 1}
    told = table.p_all[np.isfinite(table.p_all) | table.left_out]
    assert ((told >= 0) & (told <= 1)).all()


def _read_recording(path: Path) -> None:
    """A raw device file: the recording can be put on the common grid."""
    import numpy as np

    from src.cohort.device import on_grid, read_device_file
    from src.cohort.synthetic import N_SAMPLES, RATE_HZ

    time_s = np.arange(N_SAMPLES) / RATE_HZ
    pupil, drive = on_grid(read_device_file(path), time_s)
    assert pupil.shape == drive["blue"].shape == drive["red"].shape == time_s.shape
    assert not np.isinf(pupil).any()


def _read_cohort(path: Path) -> None:
    """A cohort file: subjects are anonymous, each with one diagnosis, recordings unique."""
    import numpy as np

    from src.cohort.file import read_cohort

    cohort, _ = read_cohort(path)
    subjects = cohort.subjects
    assert subjects["recording"].is_unique
    assert subjects["code"].str.fullmatch(r"[HGU]\d+").all()
    assert (subjects.groupby("code")["label"].nunique(dropna=False) == 1).all()
    assert not np.isinf(cohort.pupil).any() and np.isfinite(cohort.pupil).any(axis=1).all()


READERS: dict[str, Callable[[Path], None]] = {
    "results": _read_results,
    "recording": _read_recording,
    "cohort": _read_cohort,
}


def spoilt_bytes(files: Sequence[bytes], pieces: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the files, `changed` by what `spoilt_changes` draws."""
    drawn = st.tuples(st.sampled_from(list(files)), spoilt_changes(files, pieces))
    return drawn.map(lambda drawn: Input(changed(*drawn)))


def spoilt_changes(files: Sequence[bytes], pieces: Sequence[bytes]) -> st.SearchStrategy[Any]:
    """One to four changes for `changed`: bits flipped, cut off, or parts put in.

    Parts are copied from the files or are one of `pieces`.
    """
    place, length = st.floats(0, 1, exclude_max=True), st.integers(0, 64)
    flip = st.tuples(st.just("flip"), place, st.integers(0, 7))
    write = st.tuples(st.just("write"), place, st.sampled_from(list(pieces)))
    insert = st.tuples(st.just("insert"), place, st.sampled_from(list(pieces)))
    cut = st.tuples(st.just("cut"), place, st.none())
    copied = st.tuples(st.sampled_from(list(files)), place, length).map(_part)
    splice = st.tuples(st.sampled_from(["write", "insert"]), place, copied)
    drop = st.tuples(st.just("drop"), place, length)
    return st.lists(st.one_of(flip, flip, write, insert, splice, drop, cut), min_size=1, max_size=4)


def _part(drawn: tuple[bytes, float, int]) -> bytes:
    content, where, length = drawn
    start = int(where * len(content))
    return content[start : start + length]


def changed(content: bytes, changes: Sequence[tuple[str, float, Any]]) -> bytes:
    """A file after changes, each a kind, a place from 0 to 1, and what is put there."""
    for kind, where, what in changes:
        at = int(where * len(content))
        if kind == "cut":
            content = content[:at]
        elif kind == "flip":
            content = content[:at] + bytes([content[at] ^ 1 << what]) + content[at + 1 :] if content else b""
        elif kind == "drop":
            content = content[:at] + content[at + what :]
        else:
            content = content[:at] + what + content[at + (len(what) if kind == "write" else 0) :]
    return content

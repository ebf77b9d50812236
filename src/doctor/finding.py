"""What a check finds, and how what it finds is cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Repair:
    """A way to clean up one kind of thing.

    Attributes
    ----------
    question : str
        To be answered with yes or no.
    do : callable
        Looks again at what is there now, does it, and returns a sentence on what was done.
    """

    question: str
    do: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """The result of a check: 'ok', 'warning' or 'problem', and in one sentence what to do."""

    check: str
    status: str
    sentence: str
    details: tuple[str, ...] = ()
    repair: Repair | None = None


def left_behind(
    check: str, paths: Sequence[Path], what: str, ok: str, sentence: str, question: str, do: Callable[[], str]
) -> Finding:
    """Return what a check says of files or folders that nobody needs, and offers to delete.

    Parameters
    ----------
    check : str
    paths : sequence of Path
        What was found.
    what : str
        One of them, in a word or two.
    ok : str
        The sentence where there are none.
    sentence, question : str
        Where there are some; {} stands for how many, and their size.
    do : callable
        Of the repair.
    """
    if not paths:
        return Finding(check, OK, ok)
    found = f"{count(len(paths), what)} ({shown(size_of(paths))})"
    repair = Repair(question.format(found), do)
    return Finding(check, WARNING, sentence.format(found), tuple(map(str, paths)), repair)


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files, and of all files in folders; what vanishes or is not ours does not count."""
    total = 0
    for path in paths:
        for file in (path, *path.rglob("*")):
            try:
                total += file.lstat().st_size if not file.is_dir() else 0
            except (FileNotFoundError, PermissionError):
                continue
    return total


def reason(error: Exception) -> str:
    """Return what went wrong, and where if the error says so."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def shown(n_bytes: float) -> str:
    """Return a size for people: '3.2 MB'."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def count(n: int, what: str) -> str:
    """Return a number of things: '1 run', '2 runs'."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"

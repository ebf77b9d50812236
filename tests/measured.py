"""What tests measured, in a file that `scripts/write_measured.py` takes into the README."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commands import ROOT
from filelock import FileLock

from src.provenance import code_commit


def record(
    report: str | None,
    what: str,
    numbers: dict[str, Any],
    combine: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None,
) -> None:
    """Put the numbers of one thing into a report, if one is wanted, with the day and the commit.

    Parameters
    ----------
    report : str or None
        Path of the JSON file, from the root of the repository, to which other processes may add theirs; None:
        nobody asked for one.
    what : str
    numbers : dict
    combine : callable, optional
        Makes one of the numbers another process has put there and these; without it these replace them.
    """
    if report is None:
        return
    path = ROOT / report
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        contents = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if combine is not None and what in contents:
            numbers = combine(contents[what], numbers)
        contents[what] = numbers | {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": code_commit()}
        draft = Path(f"{path}.{os.getpid()}")
        draft.write_text(json.dumps(contents, indent=1), encoding="utf-8")
        draft.replace(path)

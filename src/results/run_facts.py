"""What is remembered of a run's results file once its rows are written: the table run_files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from src.results.bootstrap_table import BootstrapTable, array_digest


@dataclass(frozen=True)
class RunFacts:
    """The file of a run as it was read; fields are the columns of run_files, where each is explained."""

    file_bytes: int
    modified_ns: int
    digest: str
    cohort_hash: str
    resample_id: str
    subjects_digest: str
    predictions_digest: str
    n_iterations: int
    n_subjects: int
    n_cases: int
    n_controls: int
    is_foreign: bool
    source: str | None
    unit: str | None
    seed: int | None
    fit_on: str | None
    code_commit: str | None
    fit_seconds: float | None
    package_versions: str | None

    def still_of(self, path: Path) -> RunFacts | None:
        """Return the facts, with its time, if the file at `path` is still the one described; or None."""
        state = path.stat()
        if state.st_size != self.file_bytes:
            return None
        if state.st_mtime_ns != self.modified_ns and file_digest(path) != self.digest:
            return None
        return replace(self, modified_ns=state.st_mtime_ns)


def facts_of(path: Path, table: BootstrapTable) -> RunFacts:
    """Describe a file that was read as this table."""
    state, told = path.stat(), table.details
    versions, seed = told.get("versions"), told.get("seed")
    return RunFacts(
        file_bytes=state.st_size,
        modified_ns=state.st_mtime_ns,
        digest=file_digest(path),
        cohort_hash=table.cohort_hash,
        resample_id=table.resample_id,
        subjects_digest=array_digest(np.array(table.codes), np.array(table.groups), table.y, table.left_out),
        predictions_digest=array_digest(table.p_all[table.left_out]),
        n_iterations=table.n_iterations,
        n_subjects=len(set(table.groups)),
        n_cases=int(table.y.sum()),
        n_controls=int((1 - table.y).sum()),
        is_foreign=table.foreign,
        source=_source(told.get("source")),
        unit=_text(told, "unit"),
        seed=seed if type(seed) is int and abs(seed) < 2**63 else None,
        fit_on=_text(told, "fit_on"),
        code_commit=_text(told, "code_commit"),
        fit_seconds=_seconds(told.get("fit_seconds")),
        package_versions=_versions(versions),
    )


def file_digest(path: Path) -> str:
    """Digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _source(told: Any) -> str | None:
    """The source as told, where something is: whatever it is, it is compared with those there are."""
    return str(told)[:100].encode("utf-8", "replace").decode() if told is not None and str(told) else None


def _seconds(told: Any) -> float | None:
    return float(told) if isinstance(told, int | float) and 0 <= told < 1e12 else None


def _versions(told: Any) -> str | None:
    """Versions of packages as JSON; None if they are anything but texts by name."""
    if not isinstance(told, dict) or not all(isinstance(version, str) for version in told.values()):
        return None
    return json.dumps(told)


def _text(told: Mapping[str, Any], name: str) -> str | None:
    """What the file says, if it says something that can be shown."""
    value = told.get(name)
    return value if isinstance(value, str) and value and value.isprintable() else None

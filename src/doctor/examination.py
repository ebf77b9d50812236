"""All checks in a row."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from src.doctor.environment import (
    check_optional_packages,
    check_packages,
    check_python,
    check_versions,
    check_weights,
)
from src.doctor.finding import PROBLEM, WARNING, Finding, reason
from src.doctor.places import Places

Check = Callable[[Places], Iterator[Finding]]


def examine_installation() -> list[Finding]:
    """Return what the checks of Python and the packages find; the other checks need these packages."""
    if find_spec("packaging") is None:
        return [Finding("packages", PROBLEM, f"{sys.executable} has none of this project's; run: make setup")]
    return [*check_python(), *check_packages()]


def examine(places: Places) -> list[Finding]:
    """Return what all other checks find; those of the store's runs only where it can be read."""
    from src.doctor.leftovers import check_checkpoints, check_drafts
    from src.doctor.results import check_database, check_disk
    from src.doctor.stages import check_folders, check_orphans
    from src.doctor.tracking_store import check_addresses, check_store, check_unfinished_runs

    of_runs: dict[str, Check] = {
        "versions of runs": check_versions,
        "artifacts": check_addresses,
        "unfinished runs": check_unfinished_runs,
        "orphan stages": check_orphans,
        "artifact folders": check_folders,
        "results database": check_database,
    }
    of_files: dict[str, Check] = {
        "checkpoints": check_checkpoints,
        "half-written files": check_drafts,
        "disk": check_disk,
    }
    findings = _do(places, {"optional packages": check_optional_packages, "weights": check_weights})
    found = _do(places, {"tracking store": check_store})
    if found[0].status != PROBLEM and (places.sqlite is None or places.sqlite.is_file()):
        found += _do(places, of_runs)
    return findings + found + _do(places, of_files)


def _do(places: Places, checks: dict[str, Check]) -> list[Finding]:
    from src.tracking import TrackingError

    findings = []
    for name, check in checks.items():
        try:
            for finding in check(places):
                findings.append(finding)  # and keep it, whatever comes after it
        except (OSError, sqlite3.Error, TrackingError) as error:
            sentence = f"could not be looked at in full ({reason(error)}): mend that and look again"
            findings.append(Finding(name, WARNING, sentence))
    return findings

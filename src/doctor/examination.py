"""All checks in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from src.doctor.environment import (
    check_optional_packages,
    check_packages,
    check_python,
    check_versions,
    check_weights,
)
from src.doctor.finding import PROBLEM, Finding
from src.doctor.places import Places

Check = Callable[[Places], Iterator[Finding]]


def examine(places: Places) -> list[Finding]:
    """Return what all checks find; those of the store's runs only where it can be read."""
    findings = _do(places, [check_python, check_packages])
    if any(finding.status == PROBLEM for finding in findings):
        return findings  # the other checks need these packages
    from src.doctor.leftovers import check_checkpoints, check_drafts
    from src.doctor.results import check_database, check_disk
    from src.doctor.stages import check_folders, check_orphans
    from src.doctor.tracking_store import check_addresses, check_store, check_unfinished_runs

    findings += _do(places, [check_optional_packages, check_weights])
    found = _do(places, [check_store])
    if found[0].status != PROBLEM and (places.sqlite is None or places.sqlite.is_file()):
        of_runs: list[Check] = [check_versions, check_addresses, check_unfinished_runs, check_orphans]
        found += _do(places, [*of_runs, check_folders, check_database])
    return findings + found + _do(places, [check_checkpoints, check_drafts, check_disk])


def _do(places: Places, checks: list[Check]) -> list[Finding]:
    return [finding for check in checks for finding in check(places)]

"""Planned against finished: the table coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from src.results.bootstrap_table import FACTORS
from src.results.selection import Selection, failure

Cell = tuple[str, ...]


def coverage_rows(
    selection: Selection, included: Mapping[Cell, str], rejected: Mapping[Cell, str]
) -> list[dict[str, Any]]:
    """Rows of the table coverage.

    Parameters
    ----------
    selection : Selection
    included : dict
        Combination to run id, for what is in the database.
    rejected : dict
        Combination to reason, for what was found and could not be used.
    """
    inferred = selection.sweep is None
    seen = [*included, *selection.failed, *rejected]
    planned = _product(seen) if selection.sweep is None else selection.sweep.cells
    return [
        dict(zip(FACTORS, cell, strict=True))
        | _status(cell, selection, included, rejected)
        | {"inferred": inferred}
        for cell in dict.fromkeys([*planned, *seen])
    ]


def _status(
    cell: Cell,
    selection: Selection,
    included: Mapping[Cell, str],
    rejected: Mapping[Cell, str],
) -> dict[str, str | None]:
    row: dict[str, str | None] = {"status": "missing", "run_id": None, "failed_stage": None, "reason": None}
    if cell in included:
        return row | {"status": "finished", "run_id": included[cell]}
    if cell in rejected:
        return row | {"reason": f"rejected: {rejected[cell]}"}
    if cell in selection.unregistered:
        return row | {"reason": f"rejected: {selection.unregistered[cell]}"}
    if cell in selection.failed:
        run = selection.failed[cell].run
        stage = run.tags.get("failed_stage")
        return row | {
            "status": "failed",
            "run_id": run.run_id,
            "failed_stage": stage,
            "reason": failure(run),
        }
    return row | {"reason": "not run"}


def _product(cells: Sequence[Cell]) -> list[Cell]:
    """Every combination of the levels seen."""
    levels = [list(dict.fromkeys(cell[i] for cell in cells)) for i in range(len(FACTORS))]
    return list(product(*levels))

"""All comparisons of a set of combinations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from src.evaluation.comparisons import confidence_set
from src.evaluation.comparisons.combinations import Combinations
from src.evaluation.comparisons.effects import method_effects
from src.evaluation.comparisons.grid import Grid, grids
from src.evaluation.comparisons.paired import Paired, paired
from src.evaluation.comparisons.pairs import against_champion, against_ground_truth
from src.evaluation.comparisons.power import detectable_difference
from src.evaluation.comparisons.ranks import critical_differences
from src.evaluation.comparisons.selection import winners_curse
from src.evaluation.comparisons.tables import SCHEMA, refusal, table
from src.evaluation.comparisons.variance import variance_decomposition
from src.evaluation.curves import Table

Parts = defaultdict[str, list[dict]]
"""Parts of each table, by its name."""


def compare_all(combinations: Combinations, metrics: Iterable[str] | None = None) -> dict[str, Table]:
    """Compare combinations in every way that has a table.

    Parameters
    ----------
    combinations : Combinations
        Without estimates of `brier` there is no champion; ties need `auroc`.
    metrics : iterable of str, optional
        Metrics to compare; by default all that have estimates. The confidence set and the winner's curse
        are of `brier` and `auroc` in any case.

    Returns
    -------
    dict of str to table
        The tables and columns of `SCHEMA`; a table can be empty, then `refusals` says why. Columns whose name
        begins with `run` are positions of combinations.

    Raises
    ------
    EvaluationError
        If a metric has no estimates.
    """
    parts: Parts = defaultdict(list)
    all_grids = grids(combinations)
    for metric in combinations.estimates if metrics is None else metrics:
        values = paired(combinations, metric)
        _compare_pairs(combinations, values, parts)
        for grid in all_grids:
            _compare_methods(combinations, values, grid, parts)
    for metric in ("brier", "auroc"):
        _add(parts, "confidence_set", confidence_set.compare(combinations, metric))
    _add(parts, "winners_curse", winners_curse(combinations))
    return {name: table(name, parts[name]) for name in SCHEMA}


def _compare_pairs(combinations: Combinations, values: Paired, parts: Parts) -> None:
    found, refused = against_champion(combinations, values)
    _add(parts, "pairwise_comparisons", (found, refused))
    _add(parts, "pairwise_comparisons", against_ground_truth(combinations, values))
    errors = found[0]["se"] if found else np.empty(0)
    if errors.size and (errors > 0).any():
        parts["detectable_difference"].append(detectable_difference(values.metric, errors, values.subject_y))
        return
    reason = "no difference has a standard error above 0" if errors.size else "there is nothing to compare"
    parts["refusals"].append(refusal("detectable difference", values.metric, reason))


def _compare_methods(combinations: Combinations, values: Paired, grid: Grid, parts: Parts) -> None:
    _add(parts, "method_effects", method_effects(combinations, values, grid))
    _add(parts, "variance_decomposition", variance_decomposition(values, grid))
    for factor in grid.levels:
        differences, pairs, refused = critical_differences(values, grid, factor)
        _add(parts, "critical_differences", (differences, refused))
        parts["nemenyi_pairs"] += pairs


def _add(parts: Parts, name: str, found: tuple[list[dict], list[dict]]) -> None:
    parts[name] += found[0]
    parts["refusals"] += found[1]

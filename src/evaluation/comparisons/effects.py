"""Method effects, the study's answer: what a method changes against the ground truth."""

from __future__ import annotations

import numpy as np

from src.evaluation.comparisons.combinations import Combinations
from src.evaluation.comparisons.grid import Grid
from src.evaluation.comparisons.paired import Paired, adjusted, wald_tests
from src.evaluation.comparisons.tables import refusal


def method_effects(combinations: Combinations, values: Paired, grid: Grid) -> tuple[list[dict], list[dict]]:
    """Average (method - ground truth) over the cells of the other factors, for each factor with a reference.

    The influence values of the cells are averaged like the estimates, one value per subject, so that the
    interval knows that all cells share their subjects.

    Parameters
    ----------
    combinations : Combinations
    values : Paired
        The metric.
    grid : Grid
        The cells of one feature set.

    Returns
    -------
    parts : list of dict
        Of the table `method_effects`. P values are corrected across the methods of one factor.
    refused : list of dict
        Rows of `refusals`, one per factor: methods whose cells, or the ground truth's, are not all there.
    """
    parts: list[dict] = []
    refused: list[dict] = []
    for axis, (factor, levels) in enumerate(grid.levels.items()):
        if factor not in combinations.reference:
            continue
        reference = combinations.reference[factor]
        reasons = _refusals(values, grid, axis, reference)
        methods = [m for m, name in enumerate(levels) if name != reference and not reasons[m]]
        if methods:
            run = np.moveaxis(grid.run, axis, 0)
            effects = _effects(values, run[methods], run[levels.index(reference)])
            effects["method"] = np.array(levels, dtype=object)[methods]
            parts.append(effects | {"featurization": grid.featurization, "factor": factor})
        if reason := "; ".join(dict.fromkeys(filter(None, reasons))):
            refused.append(refusal("method effects", values.metric, reason, grid.featurization, factor))
    return parts, refused


def _refusals(values: Paired, grid: Grid, axis: int, reference: str) -> list[str]:
    """Say for each level of a factor why it has no effect; empty where it has one."""
    levels = list(grid.levels.values())[axis]
    if reference not in levels:
        return [f"the grid has no ground-truth level {reference}"] * len(levels)
    if len(levels) == 1:
        return [f"one level only ({reference})"]
    reasons = []
    for level, name in enumerate(levels):
        needed = np.zeros(grid.run.shape, dtype=bool)
        np.moveaxis(needed, axis, 0)[[level, levels.index(reference)]] = True
        lack = grid.lacks(values.estimates, needed)
        reasons.append(f"{name}: {lack}" if lack and name != reference else "")
    return reasons


def _effects(values: Paired, run: np.ndarray, truth: np.ndarray) -> dict:
    """Return the mean differences, with their tests, of methods (m, ...) from the ground truth (...)."""
    effect = np.array([(values.estimates[cells] - values.estimates[truth]).mean() for cells in run])
    of_truth = values.influence[truth.ravel()].mean(axis=0)
    influence = np.array([values.influence[cells.ravel()].mean(axis=0) - of_truth for cells in run])
    tests = wald_tests(effect, influence, values.subject_y, values.test)
    return {"metric": values.metric, "effect": effect, **tests, **adjusted(tests["p"]), "n_cells": truth.size}

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
        Rows of `refusals`: methods whose cells, or the ground truth's, are not all there.
    """
    parts: list[dict] = []
    refused: list[dict] = []
    for axis, (factor, levels) in enumerate(grid.levels.items()):
        if factor not in combinations.reference:
            continue
        reference = combinations.reference[factor]
        if reference in levels:
            part, reasons = _effects(values, grid, axis, levels.index(reference))
            parts += [part | {"factor": factor}]
        else:
            reasons = [f"the grid has no ground-truth level {reference}"]
        refused += [
            refusal("method effects", values.metric, r, featurization=grid.featurization, factor=factor)
            for r in reasons
        ]
    return parts, refused


def _effects(values: Paired, grid: Grid, axis: int, reference: int) -> tuple[dict, list[str]]:
    """Return the effects along one axis, and why others are refused."""
    run = np.moveaxis(grid.run, axis, 0)
    names = list(grid.levels.values())[axis]
    others = [level for level in range(len(names)) if level != reference]
    reasons = {m: grid.lacks(values.estimates, _rows(grid, axis, (m, reference))) for m in others}
    whole = np.array([m for m in others if not reasons[m]], dtype=np.int64)
    truth = run[reference].ravel()
    effect = np.array([_contrast(values.estimates, run[m].ravel(), truth) for m in whole])
    influence = [_contrast(values.influence, run[m].ravel(), truth) for m in whole]
    by_subject = np.array(influence).reshape(whole.size, -1)
    if not whole.size:
        by_subject = np.empty((0, values.subject_y.size))
    tests = wald_tests(effect, by_subject, values.subject_y, values.test)
    part = {
        "metric": values.metric,
        "featurization": grid.featurization,
        "method": np.array(names, dtype=object)[whole],
        "effect": effect,
        **tests,
        **adjusted(tests["p"]),
        "n_cells": truth.size,
    }
    return part, [f"{names[m]}: {reason}" for m, reason in reasons.items() if reason]


def _rows(grid: Grid, axis: int, levels: tuple[int, ...]) -> np.ndarray:
    """Return which cells have one of the levels."""
    mask = np.zeros(grid.run.shape, dtype=bool)
    np.moveaxis(mask, axis, 0)[list(levels)] = True
    return mask


def _contrast(values: np.ndarray, runs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the mean over cells of (method - reference); values of shape (k, ...)."""
    return values[runs].mean(axis=0) - values[reference].mean(axis=0)

"""Pairs of combinations: each against the champion and against its own ground-truth cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from src.evaluation.auc import auroc
from src.evaluation.comparisons.combinations import Combinations, name_cells
from src.evaluation.comparisons.paired import (
    DELONG,
    INFLUENCE,
    Paired,
    adjusted,
    wald_tests,
)
from src.evaluation.comparisons.tables import refusal
from src.evaluation.influence import delong_influence
from src.evaluation.resampling import subject_index

CLEANING = ("outlier_method", "imputation_method")
"""The factors whose ground truth a combination is compared with."""


class PairedTest(NamedTuple):
    """A difference a - b with its standard error, 95 % interval and two-sided p value."""

    difference: float
    se: float
    lo: float
    hi: float
    p: float


def paired_delong(
    y: np.ndarray, p_a: np.ndarray, p_b: np.ndarray, groups: np.ndarray | None = None
) -> PairedTest:
    """Compare the AUROC of two predictions for the same recordings.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1 with at least two subjects of each class.
    p_a, p_b : array_like, shape (n,)
        Scores.
    groups : sequence, length n, optional
        The subject of each recording; components are added up by subject (Obuchowski 1997).

    Returns
    -------
    PairedTest
        Of AUROC a - AUROC b; p is 1 for identical ranks.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837, equation 9.
    """
    labels = np.asarray(y).astype(np.int64)
    subjects = np.arange(labels.size) if groups is None else np.asarray(groups)
    scores = np.array([p_a, p_b], dtype=np.float64)
    a, b = delong_influence(labels, scores, subjects)
    difference = auroc(labels, scores[0]) - auroc(labels, scores[1])
    return _single(float(difference), a - b, subject_index(labels, subjects)[1], DELONG)


def paired_influence(
    difference: float, influence_a: np.ndarray, influence_b: np.ndarray, subject_y: np.ndarray
) -> PairedTest:
    """Compare any metric of two combinations by the subjects' influence values.

    Parameters
    ----------
    difference : float
        Estimate of a minus estimate of b.
    influence_a, influence_b : array_like, shape (s,)
        Influence of each subject on the two estimates, scaled as in `src.evaluation.influence.influence_se`.
    subject_y : array_like, shape (s,)
        Class of each subject.

    Returns
    -------
    PairedTest
        se^2 = sum over classes of n_c var_c / s^2, of the influences' differences; p is 1 where neither the
        estimates nor the influences differ.
    """
    values = np.asarray(influence_a, dtype=np.float64) - np.asarray(influence_b, dtype=np.float64)
    return _single(difference, values, np.asarray(subject_y), INFLUENCE)


def _single(difference: float, influence: np.ndarray, subject_y: np.ndarray, test: str) -> PairedTest:
    result = wald_tests(np.array([difference]), influence[None], subject_y, test)
    return PairedTest(difference, *(float(result[name][0]) for name in ("se", "lo", "hi", "p")))


def against_champion(combinations: Combinations, values: Paired) -> tuple[list[dict], list[dict]]:
    """Compare every other combination with the champion.

    Returns
    -------
    parts : list of dict
        Of the table `pairwise_comparisons`: `difference` is a - b, b the champion.
    refused : list of dict
        Rows of `refusals`.
    """
    best = combinations.champion
    if best is None:
        return [], [refusal("pairs against champion", values.metric, "no Brier score is defined")]
    others = np.delete(np.arange(len(values.estimates)), best)
    return [_compare(combinations, values, others, np.full(others.size, best), "champion")], []


def against_ground_truth(combinations: Combinations, values: Paired) -> tuple[list[dict], list[dict]]:
    """Compare every combination with its own ground-truth cell: same features and classifier, true cleaning.

    Returns
    -------
    parts, refused
        As in `against_champion`; refused are the combinations whose ground-truth cell has no result.
    """
    where = "pairs against ground truth"
    if absent := [name for name in CLEANING if name not in combinations.reference]:
        return [], [refusal(where, values.metric, f"no ground-truth level of {', '.join(absent)}")]
    position = {cell: run for run, cell in enumerate(combinations.cells)}
    truths = [
        tuple(combinations.reference.get(name, m) for name, m in zip(combinations.factors, cell, strict=True))
        for cell in combinations.cells
    ]
    own = np.array([position.get(cell, -1) for cell in truths], dtype=np.int64)
    a = np.flatnonzero((own >= 0) & (own != np.arange(own.size)))
    missing = list(dict.fromkeys(cell for cell, run in zip(truths, own, strict=True) if run < 0))
    refused = [refusal(where, values.metric, f"missing: {name_cells(missing)}")] if missing else []
    return [_compare(combinations, values, a, own[a], "ground truth")], refused


def _compare(combinations: Combinations, values: Paired, a: np.ndarray, b: np.ndarray, against: str) -> dict:
    """Return one family of comparisons, corrected for their number."""
    difference = values.estimates[a] - values.estimates[b]
    tests = wald_tests(difference, values.influence[a] - values.influence[b], values.subject_y, values.test)
    scatter = _scatter(combinations, values.metric, a, b)
    return {
        "metric": values.metric,
        "run_a": a,
        "run_b": b,
        "against": against,
        "difference": difference,
        **tests,
        **adjusted(tests["p"]),
        "refit_lo": scatter[0],
        "refit_hi": scatter[1],
        "test": values.test,
    }


def _scatter(combinations: Combinations, metric: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the 2.5 and 97.5 percentiles of the iterations' differences, (2, m); NaN without iterations."""
    if metric not in combinations.iterations:
        return np.full((2, a.size), np.nan)
    values = np.asarray(combinations.iterations[metric], dtype=np.float64)
    ordered = np.sort(values[a] - values[b], axis=1)  # NaN comes last
    n = np.isfinite(ordered).sum(axis=1)
    place = np.array([[0.025], [0.975]]) * np.maximum(n - 1, 0)
    low = place.astype(np.int64)
    row = np.arange(a.size)
    below, above = ordered[row, low], ordered[row, np.minimum(low + 1, np.maximum(n - 1, 0))]
    return below + (place - low) * (above - below)

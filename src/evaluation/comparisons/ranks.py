"""Mean ranks of methods over the cells of the other factors, Friedman's test, critical differences.

Descriptive: the blocks share their subjects, so they are no independent observations.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations as pairs_of

import numpy as np
from scipy.special import chdtrc, ndtr

from src.evaluation.comparisons.grid import Grid
from src.evaluation.comparisons.paired import Paired
from src.evaluation.comparisons.tables import refusal
from src.evaluation.metrics import METRICS
from src.evaluation.resampling import EvaluationError

TITLE = "descriptive: blocks share subjects"
ALPHA = 0.05
MIN_METHODS, MIN_BLOCKS = 3, 2


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank the methods within each block; the lowest value has rank 1, ties share their mean rank.

    Parameters
    ----------
    values : array_like, shape (n_blocks, n_methods)

    Returns
    -------
    ndarray, shape (n_blocks, n_methods)
    """
    x = np.asarray(values)
    below = (x[:, None, :] < x[:, :, None]).sum(axis=2)
    ties = (x[:, None, :] == x[:, :, None]).sum(axis=2)
    return below + (ties + 1) / 2


def friedman(values: np.ndarray) -> tuple[float, float]:
    """Return Friedman's chi squared, corrected for ties, and its p value; values as in `ranks`.

    References
    ----------
    Friedman 1937, JASA 32:675; ties: Conover 1999, Practical Nonparametric Statistics, section 5.8.
    """
    ranked = ranks(values)
    n, k = ranked.shape
    scatter = ((ranked - (k + 1) / 2) ** 2).sum()
    if scatter == 0:
        return np.nan, np.nan
    chi2 = (k - 1) * n**2 * ((ranked.mean(axis=0) - (k + 1) / 2) ** 2).sum() / scatter
    return float(chi2), float(chdtrc(k - 1, chi2))


def nemenyi(mean_ranks: np.ndarray, n_blocks: int) -> np.ndarray:
    """Return Nemenyi's p value of each pair of methods.

    Parameters
    ----------
    mean_ranks : array_like, shape (k,)
        Mean rank of each method over the blocks.
    n_blocks : int

    Returns
    -------
    ndarray, shape (k, k)
        Symmetric, 1 on the diagonal.

    References
    ----------
    Nemenyi 1963, Distribution-free Multiple Comparisons; Demsar 2006, JMLR 7:1, section 3.2.2.
    """
    means = np.asarray(mean_ranks, dtype=np.float64)
    k = means.size
    q = np.abs(means[:, None] - means) / np.sqrt(k * (k + 1) / (6 * n_blocks))
    return _studentized_range_sf(np.sqrt(2) * q, k)


def critical_difference(n_methods: int, n_blocks: int) -> float:
    """Return the difference of mean ranks that Nemenyi's test finds significant at 5 %.

    References
    ----------
    Demsar 2006, JMLR 7:1, section 3.2.2: q sqrt(k (k + 1) / (6 N)), q the studentized range over sqrt(2).
    """
    return _critical_range(n_methods) / np.sqrt(2) * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks))


@cache
def _critical_range(n_methods: int) -> float:
    """Return the range of standard normals that is exceeded with probability `ALPHA`, by halving."""
    low, high = 0.0, 20.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        beyond = float(_studentized_range_sf(np.array(middle), n_methods)) > ALPHA
        low, high = (middle, high) if beyond else (low, middle)
    return (low + high) / 2


def _studentized_range_sf(q: np.ndarray, k: int) -> np.ndarray:
    """Return P(range of k standard normals > q): 1 - k integral phi(z) (Phi(z) - Phi(z - q))^(k-1) dz.

    scipy integrates value by value, half a millisecond each; the trapezoid rule is as exact here.
    """
    z = np.linspace(-9, 9, 361)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    inside = (ndtr(z) - ndtr(z - q[..., None])) ** (k - 1)
    return np.clip(1 - k * (z[1] - z[0]) * (inside @ density), 0, 1)


def critical_differences(
    values: Paired, grid: Grid, factor: str
) -> tuple[list[dict], list[dict], list[dict]]:
    """Rank the methods of one factor over the cells of the others.

    Returns
    -------
    differences, pairs : list of dict
        Parts of the tables `critical_differences` and `nemenyi_pairs`.
    refused : list of dict
        A row of `refusals` instead, where cells lack or there are too few methods or blocks.
    """
    names = np.array(grid.levels[factor], dtype=object)
    blocks = _blocks(values, grid, factor)
    if reason := _refused(values, grid, blocks):
        row = refusal("ranks", values.metric, reason, featurization=grid.featurization, factor=factor)
        return [], [], [row]
    n_blocks, n_methods = blocks.shape
    mean_ranks = ranks(blocks).mean(axis=0)
    chi2, p = friedman(blocks)
    where = {"metric": values.metric, "featurization": grid.featurization, "factor": factor}
    a, b = np.array(list(pairs_of(range(n_methods), 2))).T
    differences = {
        **where,
        "method": names,
        "mean_rank": mean_ranks,
        "n_blocks": n_blocks,
        "n_methods": n_methods,
        "friedman_chi2": chi2,
        "friedman_p": p,
        "critical_difference": critical_difference(n_methods, n_blocks),
        "title": TITLE,
    }
    pairs = {**where, "method_a": names[a], "method_b": names[b], "p": nemenyi(mean_ranks, n_blocks)[a, b]}
    return [differences], [pairs], []


def _blocks(values: Paired, grid: Grid, factor: str) -> np.ndarray:
    """Return how bad each method is in each cell of the others, (n_blocks, n_methods)."""
    worse = badness(values.metric, grid.values(values.estimates))
    last = np.moveaxis(worse, list(grid.levels).index(factor), -1)
    return last.reshape(-1, last.shape[-1])


def _refused(values: Paired, grid: Grid, blocks: np.ndarray) -> str:
    """Say why there are no ranks; empty where there are."""
    if reason := grid.lacks(values.estimates):
        return f"needs the complete grid; {reason}"
    n_blocks, n_methods = blocks.shape
    if n_methods < MIN_METHODS:
        return f"needs {MIN_METHODS} methods; there are {n_methods}"
    if n_blocks < MIN_BLOCKS:
        return f"needs {MIN_BLOCKS} blocks (cells of the other factors); there is {n_blocks}"
    if (blocks == blocks[:, :1]).all():
        return "all methods tie in every block"
    return ""


def badness(metric: str, values: np.ndarray) -> np.ndarray:
    """Turn a metric so that lower is better: as it is, negative, or its distance to the ideal value."""
    about = next((known for known in METRICS if known.name == metric), None)
    if about is None:
        raise EvaluationError(
            f"metric {metric} has no direction; it is not in src.evaluation.metrics.METRICS"
        )
    if about.direction == "target":
        return np.abs(values - about.target)
    return values if about.direction == "lower" else -values

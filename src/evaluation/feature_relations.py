"""How much the features say the same: correlations of pairs, and how well each follows from all others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from src.evaluation.comparisons.ranks import ranks as ranks_of_rows
from src.evaluation.curves import Table
from src.evaluation.resampling import EvaluationError

MIN_ROWS = 3
"""Fewest rows that can disagree with a straight line."""

_EXACT = (
    1e-8  # what is smaller than this beside the largest is rounding: singular values, parts of a direction
)

_LARGEST = 1e100  # the squares of larger ones overflow

CONSTANT = "constant"
DEPENDENT = "follows exactly from the other features"
TOO_FEW = f"fewer than {MIN_ROWS} recordings have all features"


def correlations(values: np.ndarray, names: Sequence[str]) -> Table:
    """Correlate every pair of features over the rows in which both are known.

    Parameters
    ----------
    values : array_like, shape (n, k)
        Features; NaN where undefined.
    names : sequence of str, length k

    Returns
    -------
    table, k (k - 1) / 2 rows
        `feature_a`, `feature_b` (a before b in `names`), `pearson`, `spearman` (of the mid-ranks among those
        rows), each in [-1, 1]; NaN where one of the two does not vary there, or with fewer than three rows.

    Raises
    ------
    EvaluationError
        If there is not one name per feature, or a value is infinite.
    """
    table = _check(values, names)
    ranks = _ranks(table)
    pearson, spearman = _correlate(table), _correlate(ranks)
    holes = np.isnan(table).any(axis=0)
    pairs = list(combinations(range(len(names)), 2))
    for a, b in pairs:
        if holes[a] or holes[b]:
            both = table[~np.isnan(table[:, [a, b]]).any(axis=1)][:, [a, b]]
            pearson[a, b], spearman[a, b] = (_correlate(x)[0, 1] for x in (both, _ranks(both)))
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    labels = np.array(names, dtype=object)  # the longest name would be as often there as there are pairs
    return {
        "feature_a": labels[first],
        "feature_b": labels[second],
        "pearson": pearson[first, second],
        "spearman": spearman[first, second],
    }


def vif(values: np.ndarray, names: Sequence[str]) -> Table:
    """Return the variance inflation factors, 1 / (1 - R squared) of each feature on all others.

    Over the rows in which all features are known: correlations put together from different rows need not be
    those of any data. A feature that is known nowhere or does not vary is left out and takes no rows away.

    Parameters
    ----------
    values, names
        As in `correlations`.

    Returns
    -------
    table, k rows
        `feature`, `vif` (1 or more; infinite where the others determine the feature, as they always do with
        fewer rows than features; NaN where undefined), `reason` (why `vif` is not a finite number, or empty).

    Raises
    ------
    EvaluationError
        As `correlations`.

    References
    ----------
    Belsley, Kuh & Welsch 1980, Regression Diagnostics, section 3.2.
    """
    table = _check(values, names)
    used = ~np.isnan(table).all(axis=0)
    rows = table[~np.isnan(table[:, used]).any(axis=1)]
    enough = len(rows) >= MIN_ROWS
    used &= np.ptp(rows, axis=0) > 0 if enough else False
    factors = np.full(len(names), np.nan)
    if used.any():
        factors[used] = _factors(rows[:, used])
    reason = np.where(np.isinf(factors), DEPENDENT, np.where(np.isnan(factors), CONSTANT, ""))
    return {
        "feature": np.array(names, dtype="U"),
        "vif": factors,
        "reason": reason if enough else np.full(len(names), TOO_FEW),
    }


def _check(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(names):
        raise EvaluationError(
            f"features have shape {table.shape} for {len(names)} names; expected a column per name"
        )
    if np.isinf(table).any():
        name = names[int(np.isinf(table).any(axis=0).argmax())]
        raise EvaluationError(f"feature {name} has an infinite value; expected finite values, or NaN")
    largest = np.nan_to_num(np.abs(table)).max(axis=0, initial=0)
    if (largest > _LARGEST).any():
        b = int(largest.argmax())
        raise EvaluationError(
            f"feature {names[b]} has a value of {largest[b]:.3g}; expected at most {_LARGEST:g}"
        )
    return table


def _ranks(table: np.ndarray) -> np.ndarray:
    """Return the mid-ranks within each column."""
    return ranks_of_rows(table.T).T


def _standardise(table: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and length 1; NaN for those that do not vary."""
    centred = table - table.mean(axis=0)
    length = np.where(np.ptp(table, axis=0) > 0, np.linalg.norm(centred, axis=0), np.nan)
    return centred / length


def _correlate(table: np.ndarray) -> np.ndarray:
    """Return Pearson's correlations, (k, k)."""
    if len(table) < MIN_ROWS:
        return np.full((table.shape[1], table.shape[1]), np.nan)
    z = _standardise(table)
    return np.clip(z.T @ z, -1, 1)


def _factors(rows: np.ndarray) -> np.ndarray:
    """Return the diagonal of the inverse correlation matrix; infinite for features that depend on others."""
    _, size, directions = np.linalg.svd(_standardise(rows), full_matrices=True)
    size = np.concatenate([size, np.zeros(len(directions) - size.size)])
    exact = size <= _EXACT * size[0]
    dependent = (np.abs(directions[exact]) > _EXACT).any(axis=0)
    factors = (directions[~exact] ** 2 / size[~exact, None] ** 2).sum(axis=0)
    return np.where(dependent, np.inf, factors)

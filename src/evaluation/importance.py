"""Which features a model draws on: permutation importance, and the spread of importances over iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.evaluation.auc import auroc
from src.evaluation.intervals import percentiles

_MAX_CELLS = 2**22  # of the stacked table of permuted features; more features than fit are done in blocks


def permutation_importance(
    model: Any, X: np.ndarray, y: np.ndarray, p: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the drop in AUROC when the values of one feature are shuffled among the rows.

    One permutation per feature; the model predicts all of them in one call.

    Parameters
    ----------
    model : fitted estimator
        scikit-learn's `predict_proba`.
    X : ndarray, shape (m, k)
        Rows the model was not fitted on; a shuffled value may be NaN.
    y : ndarray, shape (m,)
        Labels 0/1.
    p : ndarray of float32, shape (m,)
        What the model predicts for the rows as they are.
    rng : Generator

    Returns
    -------
    ndarray, shape (k,)
        In [-1, 1], about 0 for a feature without use; NaN where a class is absent.

    References
    ----------
    Breiman 2001, Machine Learning 45:5, section 10.
    """
    m, k = X.shape
    shuffled = rng.permuted(X, axis=0)  # each feature on its own
    block = max(1, _MAX_CELLS // max(1, X.size))
    q = np.empty((k + 1, m), dtype=np.float32)
    q[k] = p
    for first in range(0, k, block):
        features = np.arange(k)[first : first + block]
        table = np.repeat(X[None], features.size, axis=0)
        table[np.arange(features.size), :, features] = shuffled[:, features].T
        q[features] = model.predict_proba(table.reshape(-1, k))[:, 1].reshape(-1, m)
    score = auroc(y, q)
    return score[k] - score[:k]


def importance_table(values: np.ndarray, names: Sequence[str], kind: str) -> dict[str, np.ndarray]:
    """Summarise importances over the iterations that have them.

    Parameters
    ----------
    values : array_like, shape (B, k)
        One row per iteration; NaN where it has none.
    names : sequence of str, length k
        Features.
    kind : {'model', 'permutation'}
        Goes into the column `kind`.

    Returns
    -------
    table, k rows
        `feature`, `kind`, `mean`, `sd` (over iterations; NaN for fewer than two), `lo`, `hi` (2.5 and 97.5
        percentiles over iterations: instability of the model, no confidence interval), `n` (iterations).

    Raises
    ------
    ValueError
        If there is not one name per column.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(
            f"importances of shape {rows.shape} for {len(names)} features; expected a column each"
        )
    summary = np.array([_summary(column[np.isfinite(column)]) for column in rows.T]).reshape(-1, 5)
    mean, sd, lo, hi, n = summary.T
    return {
        "feature": np.array(names, dtype="U"),
        "kind": np.full(len(names), kind),
        "mean": mean,
        "sd": sd,
        "lo": lo,
        "hi": hi,
        "n": n.astype(np.int64),
    }


def _summary(known: np.ndarray) -> tuple[float, ...]:
    if not known.size:
        return np.nan, np.nan, np.nan, np.nan, 0.0
    sd = known.std(ddof=1) if known.size > 1 else np.nan
    lo, hi = percentiles(known)
    return known.mean(), sd, lo, hi, known.size

"""A small study to compare: a grid of combinations whose predictions differ a little."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from scipy.special import expit

from src.evaluation.auc import auroc
from src.evaluation.comparisons import Combinations
from src.evaluation.influence import delong_influence
from src.evaluation.metrics import brier

FACTORS = ("featurization", "outlier_method", "imputation_method", "classifier")
TRUTH = {"outlier_method": "truth", "imputation_method": "truth"}


def grid(
    outlier=("truth", "LOF", "SVM"),
    imputation=("truth", "linear"),
    classifier=("A", "B"),
    features=("simple",),
):
    """Return the cells of a complete grid."""
    return list(product(features, outlier, imputation, classifier))


def table_of(
    cells: Sequence[tuple[str, ...]],
    y: np.ndarray,
    estimates: Mapping[str, Sequence[float]],
    influence: Mapping[str, np.ndarray] | None = None,
    p_oob: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    **more,
) -> Combinations:
    """Return combinations with one recording per subject, and predictions of 0.5, unless told otherwise."""
    owners = [f"s{i}" for i in range(len(y))] if groups is None else list(groups)
    subjects = list(dict.fromkeys(owners))
    return Combinations(
        factors={factor: np.array([cell[i] for cell in cells]) for i, factor in enumerate(FACTORS)},
        reference=more.pop("reference", TRUTH),
        y=np.asarray(y),
        groups=owners,
        subjects=subjects,
        subject_y=np.array([y[owners.index(subject)] for subject in subjects]),
        estimates={name: np.asarray(values, dtype=float) for name, values in estimates.items()},
        influence=influence or {},
        p_oob=np.full((len(cells), len(y)), 0.5) if p_oob is None else p_oob,
        **more,
    )


def simulated(cells=None, n=60, seed=0, **more) -> Combinations:
    """Return combinations whose estimates are those of fixed predictions of n recordings."""
    rng = np.random.default_rng(seed)
    cells = grid() if cells is None else cells
    y = (np.arange(n) % 3 == 0).astype(int)
    p = expit(rng.normal(size=n) + 1.5 * y - 1 + rng.normal(0, 0.4, (len(cells), n)))
    return of_predictions(cells, y, p, **more)


def of_predictions(cells, y, p, groups=None, **more) -> Combinations:
    """Return combinations whose Brier score and AUROC, with influences, are those of fixed predictions."""
    index = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    loss = (p - y) ** 2
    by_recording = loss - np.where(y == 1, *(loss[:, y == c].mean(axis=1, keepdims=True) for c in (1, 0)))
    n_subjects = index.max() + 1
    influence = np.array([np.bincount(index, row) for row in by_recording]) * n_subjects / len(y)
    of_each = {"auroc": delong_influence(y, p, index), "brier": influence}
    return table_of(cells, y, {"auroc": auroc(y, p), "brier": brier(y, p)}, of_each, p, groups, **more)

"""What is compared: combinations of methods, evaluated on the same resamples of the same subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.evaluation.resampling import EvaluationError

Cell = tuple[str, ...]
"""The methods of a combination in the order of the factors."""


@dataclass(frozen=True, eq=False)
class Combinations:
    """The results of k combinations for n recordings of s subjects.

    Parameters
    ----------
    factors : mapping of str to ndarray of str, shape (k,)
        The method of each combination, by factor; in the order featurization, outlier_method,
        imputation_method, classifier.
    reference : mapping of str to str
        The ground-truth level of the cleaning factors (outlier_method, imputation_method); a factor without
        one is absent.
    y : ndarray, shape (n,)
        Labels 0/1.
    groups : sequence, length n
        The subject of each recording.
    subjects : sequence, length s
        The subjects in order of first appearance in `groups`.
    subject_y : ndarray, shape (s,)
        Class of each subject.
    estimates : mapping of str to ndarray, shape (k,)
        The `oob` estimate of each metric; NaN where undefined.
    influence : mapping of str to ndarray, shape (k, s)
        Each subject's influence on that estimate, in the unit of the metric, scaled as in
        `src.evaluation.influence.influence_se` (AUROC: `delong_influence` of `p_oob`); a metric without
        influence values is absent.
    p_oob : ndarray, shape (k, n)
        Mean prediction of the iterations that left a recording out; NaN where none did.
    missing : sequence of tuple of str
        Planned combinations without a result, methods in the order of `factors`.
    iterations : mapping of str to ndarray, shape (k, B)
        Each metric per iteration, the iterations being those of all combinations; may be empty. Used for
        the scatter of differences only, never for a standard error.

    Raises
    ------
    EvaluationError
        If shapes disagree, a combination is there twice, or a metric compared has no estimates.
    """

    factors: Mapping[str, np.ndarray]
    reference: Mapping[str, str]
    y: np.ndarray
    groups: Sequence[str] | np.ndarray
    subjects: Sequence[str] | np.ndarray
    subject_y: np.ndarray
    estimates: Mapping[str, np.ndarray]
    influence: Mapping[str, np.ndarray]
    p_oob: np.ndarray
    missing: Sequence[Cell] = ()
    iterations: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k, n, s = len(self.cells), len(self.y), len(self.subject_y)
        _check_shape("p_oob", np.shape(self.p_oob), (k, n))
        _check_shape("groups", np.shape(self.groups), (n,))
        _check_shape("subjects", np.shape(self.subjects), (s,))
        for name, values in self.estimates.items():
            _check_shape(f"the estimates of {name}", np.shape(values), (k,))
        for name, values in self.influence.items():
            _check_shape(f"the influence of {name}", np.shape(values), (k, s))
        for name, values in self.iterations.items():
            _check_shape(f"the iterations of {name}", np.shape(values), (k, *np.shape(values)[1:2]))
        if len(set(self.cells)) < k:
            twice = next(cell for i, cell in enumerate(self.cells) if cell in self.cells[:i])
            raise EvaluationError(f"{name_cell(twice)} is there twice; give each combination once")

    @property
    def cells(self) -> list[Cell]:
        """The methods of each combination."""
        return list(zip(*(map(str, levels) for levels in self.factors.values()), strict=True))

    @property
    def champion(self) -> int | None:
        """Position of the champion; None where no Brier score is defined."""
        undefined = np.full(len(self.cells), np.nan)
        return champion(self.estimates.get("brier", undefined), self.estimates.get("auroc", undefined))

    @property
    def shared(self) -> np.ndarray:
        """Whether every combination has an out-of-bag prediction for a recording, (n,)."""
        return np.isfinite(self.p_oob).all(axis=0)

    def too_few(self) -> str:
        """Say why choosing among the out-of-bag predictions makes no sense; empty where it does."""
        if len(self.cells) < 2:
            return f"needs two combinations; there are {len(self.cells)}"
        y, groups = np.asarray(self.y)[self.shared], np.asarray(self.groups)[self.shared]
        if min(np.unique(groups[y == label]).size for label in (0, 1)) < 2:
            return "needs two subjects of each class with an out-of-bag prediction of every combination"
        return ""


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise EvaluationError(f"{what} has shape {shape}; expected {expected}")


def champion(brier: np.ndarray, auroc: np.ndarray) -> int | None:
    """Return the position of the best combination: the lowest Brier score, ties by the higher AUROC.

    Parameters
    ----------
    brier, auroc : array_like, shape (k,)
        `oob` estimates; NaN ranks last.

    Returns
    -------
    int or None
        The first of several that tie in both; None where no Brier score is defined.
    """
    if not np.isfinite(brier).any():
        return None
    return int(np.lexsort((-np.asarray(auroc), np.asarray(brier)))[0])


SHOWN = 20


def name_cell(cell: Cell) -> str:
    """Return a combination's methods for people."""
    return " + ".join(cell)


def name_cells(cells: Sequence[Cell], number: int | None = None) -> str:
    """List combinations for people: the first twenty, and how many more there are of `number`."""
    listed = "; ".join(map(name_cell, cells[:SHOWN]))
    more = (len(cells) if number is None else number) - SHOWN
    return f"{listed}; and {more} more" if more > 0 else listed

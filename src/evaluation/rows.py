"""Predictions of many iterations side by side, the form all metrics work on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from src.evaluation.resampling import EvaluationError

T = TypeVar("T")

_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Rows:
    """Labels, predictions and weights as matrices that broadcast to (B, m).

    One row of labels or predictions serves all rows of weights, and the other way round; nothing is copied.

    Parameters
    ----------
    y, p, w : ndarray of float64, shape (1, m) or (B, m)
        Predictions that do not count (weight 0) are finite, and mean nothing.
    shape : tuple of int
        The shape a metric's result should have: () or (B,).
    order : ndarray of int, shape (1, m) or (B, m), optional
        In `ranked` rows: where each prediction stood before.
    origin : Rows, optional
        Rows of the same predictions with other weights, whose ranking serves these too.
    """

    y: np.ndarray
    p: np.ndarray
    w: np.ndarray
    shape: tuple[int, ...]
    order: np.ndarray | None = None
    origin: Rows | None = None
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    _unweighted: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, quantity: Callable[..., T], *arguments: Hashable) -> T:
        """Return quantity(self, *arguments), computed once however many metrics need it."""
        return _remembered(self._known, self, quantity, arguments)

    def unweighted(self, quantity: Callable[..., T], *arguments: Hashable) -> T:
        """Return as `once` what does not depend on the weights: computed once for all of them."""
        return _remembered(self._unweighted, self, quantity, arguments)

    def reweighted(self, w: np.ndarray) -> Rows:
        """Return the same predictions with other weights; none may count that did not."""
        return Rows(self.y, self.p, w, self.shape, origin=self, _unweighted=self._unweighted)

    @property
    def n(self) -> np.ndarray:
        """Total weight of each row, shape (1,) or (B,)."""
        return self.once(_n)

    @property
    def n_cases(self) -> np.ndarray:
        """Weight of the cases of each row, shape (1,) or (B,)."""
        return self.once(_n_cases)

    @property
    def n_controls(self) -> np.ndarray:
        """Weight of the controls of each row, shape (1,) or (B,)."""
        return self.n - self.n_cases

    @property
    def cases(self) -> np.ndarray:
        """Weight of each prediction that belongs to a case, 0 for a control, shape (1, m) or (B, m)."""
        return self.once(_cases)

    @property
    def ranked(self) -> Rows:
        """The same predictions by descending p; what no row counts is cut off, what one row does not is last.

        The order of equal predictions is arbitrary.
        """
        return self if self.order is not None else self.once(_ranked)

    def blocks(self) -> list[Rows]:
        """Return the same rows in blocks that fit a processor's cache: what is computed is faster then."""
        if not self.shape or self.shape[0] <= _BLOCK:
            return [self]
        starts = range(0, self.shape[0], _BLOCK)
        return [self._block(start, min(start + _BLOCK, self.shape[0])) for start in starts]

    def _block(self, start: int, stop: int) -> Rows:
        y, p, w = (a if len(a) == 1 else a[start:stop] for a in (self.y, self.p, self.w))
        return Rows(y, p, w, (stop - start,))

    def rescored(self, p: np.ndarray) -> Rows:
        """Return the same labels and weights with other predictions."""
        return Rows(self.y, p, self.w, self.shape)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted sum of each row's values, shape (1,) or (B,)."""
        return np.vecdot(self.w, values)

    def result(self, values: np.ndarray) -> np.ndarray:
        """Return one value per row in the shape of the result."""
        return np.broadcast_to(values, (self.shape or (1,))).reshape(self.shape).copy()


def _remembered(
    known: dict[Hashable, Any], rows: Rows, quantity: Callable[..., T], arguments: tuple[Hashable, ...]
) -> T:
    key = (quantity, *arguments)
    if key not in known:
        known[key] = quantity(rows, *arguments)
    return known[key]


def _n(rows: Rows) -> np.ndarray:
    return rows.w.sum(axis=1)


def _cases(rows: Rows) -> np.ndarray:
    return rows.w * rows.y


def _n_cases(rows: Rows) -> np.ndarray:
    return rows.cases.sum(axis=1)


def _ranked(rows: Rows) -> Rows:
    if rows.origin is not None:
        ranked = rows.origin.ranked
        w = reordered(rows.w, cast(np.ndarray, ranked.order))
        return Rows(ranked.y, ranked.p, w, rows.shape, ranked.order, _unweighted=ranked._unweighted)
    order = _order(rows)
    y, p, w = (reordered(a, order) for a in (rows.y, rows.p, rows.w))
    return Rows(y, p, w, rows.shape, order)


def _order(rows: Rows) -> np.ndarray:
    """Return positions by descending p, (1 or B, k)."""
    if len(rows.p) == 1:
        return np.argsort(-rows.p, axis=1)
    counted = rows.w > 0
    if counted.all():
        return np.argsort(-rows.p, axis=1)
    width = counted.sum(axis=1).max()
    return np.argsort(np.where(counted, -rows.p, np.inf), axis=1)[:, :width]


def reordered(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return each row of values, (1 or B, m), in the order of its row, (1 or B, k); faster than numpy's."""
    if len(order) == 1:
        return values.take(order[0], axis=1)  # unlike an index, it keeps rows contiguous
    if len(values) == 1:
        return values[0].take(order)
    return values.take(order + values.shape[1] * np.arange(len(values))[:, None])


def as_rows(
    y: np.ndarray | float, p: np.ndarray | Rows, weight: np.ndarray | None = None, *, score: bool = False
) -> Rows:
    """Bring plain arrays into rows.

    Parameters
    ----------
    y : array_like, broadcast to `p`
        Labels 0/1.
    p : array_like, shape (m,) or (B, m), or Rows
        Predicted probabilities; anything, NaN included, where the weight is 0. Rows are returned as they are.
    weight : array_like, broadcast to or over `p`, optional
        How often a prediction counts: True and False, or counts. By default once.
    score : bool
        Whether any finite value, not only a probability, is allowed.

    Raises
    ------
    EvaluationError
        If the shapes do not fit, or what counts is not finite, not a probability or no label 0 or 1;
        iteration and position are named.
    """
    if isinstance(p, Rows):
        return p
    p = np.asarray(p, dtype=np.float64)
    w = np.asarray(1.0 if weight is None else weight, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    try:
        shape = np.broadcast_shapes(y.shape, p.shape, w.shape)
    except ValueError:
        shape = ()
    if p.ndim == 0 or len(shape) not in (1, 2) or shape[-1] != p.shape[-1]:
        raise EvaluationError(
            f"labels of shape {y.shape} and weights of shape {w.shape} for predictions of shape {p.shape}; "
            "expected one label and one weight per prediction, and at most two axes"
        )
    y, p, w = (_matrix(a, shape[-1]) for a in (y, p, w))
    _refuse(~(w >= 0), w, "weight", "a count")
    known = np.isfinite(p) if score else (p >= 0) & (p <= 1)
    p = _counting(p, known, w, "prediction", "a finite number" if score else "a probability from 0 to 1")
    y = _counting(y, (y == 0) | (y == 1), w, "label", "0 or 1")
    return Rows(y, p, w, shape[:-1])


def ranked_blocks(y: np.ndarray | float, p: np.ndarray, weight: np.ndarray | None = None) -> list[Rows]:
    """Bring plain arrays into blocks of `ranked` rows; parameters and errors as in `as_rows`.

    Ranked rows are without what none of them counts: of the left-out predictions, that is half the work.
    """
    return [rows.ranked for rows in as_rows(y, p, weight).blocks()]


def _counting(values: np.ndarray, fine: np.ndarray, w: np.ndarray, what: str, expected: str) -> np.ndarray:
    """Return the values, 0 where they are not fine and do not count."""
    if fine.all():
        return values
    _refuse(~fine & (w > 0), values, what, expected)
    return np.where(fine, values, 0.0)


def _matrix(values: np.ndarray, m: int) -> np.ndarray:
    return np.broadcast_to(values, (1, m)) if values.ndim == 0 else np.atleast_2d(values)


def _refuse(strange: np.ndarray, values: np.ndarray, what: str, expected: str) -> None:
    """Raise an error that names the first strange value."""
    if strange.any():
        b, i = np.argwhere(strange)[0]
        found = np.broadcast_to(values, strange.shape)[b, i]
        raise EvaluationError(
            f"the {what} of iteration {b} for position {i} is {found:.12g}; expected {expected}"
        )


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    positive = np.greater(denominator, 0)
    if positive.all():
        return np.true_divide(numerator, denominator)
    result = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=result, where=positive)

"""The fits of a resampling loop: each gives predictions for everybody and the importance of every feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from src.evaluation.importance import permutation_importance
from src.evaluation.resampling import EvaluationError, left_out, permutation_rng, train_rows


class Part(NamedTuple):
    """What some fits gave, a row each: predictions (m, n), own and permutation importance (m, k), float32."""

    p: np.ndarray
    own: np.ndarray
    permuted: np.ndarray


@dataclass(frozen=True, eq=False)
class Fits:
    """The fits to do: row b of `counts` is a training set; the last one is everybody.

    Parameters
    ----------
    classifier : estimator
        As in `src.evaluation.loop.bootstrap`.
    X : ndarray, shape (n, k)
        Features.
    y : ndarray, shape (n,)
        Labels 0/1.
    counts : ndarray, shape (B + 1, n)
        How often each row is trained on.
    seed, permutation_every : int
        As in `src.evaluation.loop.bootstrap`.
    """

    classifier: Any
    X: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    seed: int
    permutation_every: int

    def __len__(self) -> int:
        """Return the number of fits, B + 1."""
        return len(self.counts)

    def room(self, n: int) -> Part:
        """Return arrays for the results of n fits; importances are NaN until they are known."""
        n_rows, n_features = self.X.shape
        own, permuted = np.full((2, n, n_features), np.nan, dtype=np.float32)
        return Part(np.empty((n, n_rows), dtype=np.float32), own, permuted)

    def some(self, first: int, states: np.ndarray) -> Part:
        """Do the fits from `first` on, one per random state.

        Raises
        ------
        EvaluationError
            If the classifier fails or breaks its contract; the iteration is named.
        """
        part = self.room(len(states))
        models = self._fitted(first, states)
        for row in range(len(states)):
            try:
                self._one(first + row, next(models), Part(*(array[row] for array in part)))
            except Exception as error:
                failed = "" if isinstance(error, _Broken) else f"failed: {type(error).__name__}: "
                raise EvaluationError(f"{self._name(first + row)} {failed}{error}") from error
        return part

    @property
    def at_once(self) -> int:
        """Fits that the classifier does best at once; 0 for one that is fitted one by one."""
        return self.classifier.resamples_at_once if hasattr(self.classifier, "fit_resamples") else 0

    def _fitted(self, first: int, states: np.ndarray) -> Iterator[Any]:
        """Yield the fitted classifiers, fitted together where the classifier can."""
        counts = self.counts[first : first + len(states)]
        if self.at_once:
            yield from self.classifier.fit_resamples(self.X, self.y, counts, states)
            return
        for drawn, state in zip(counts, states.tolist(), strict=True):
            rows = train_rows(drawn)
            yield clone(self.classifier).set_params(random_state=state).fit(self.X[rows], self.y[rows])

    def _one(self, b: int, model: Any, result: Part) -> None:
        """Put what model b gives into one row of each result."""
        p = model.predict_proba(self.X)[:, 1]
        strange = ~((p >= 0) & (p <= 1))
        if strange.any():
            raise _Broken(f"predicts {p[strange][0]}; expected probabilities from 0 to 1")
        result.p[:] = p
        if (own := getattr(model, "feature_importances_", None)) is not None:
            if np.shape(own) != (k := self.X.shape[1],):
                raise _Broken(f"has importances of shape {np.shape(own)}; expected one per feature, {k}")
            result.own[:] = own
        if self._permutes(b):
            out, rng = left_out(self.counts[b]), permutation_rng(self.seed, b)
            result.permuted[:] = permutation_importance(model, self.X[out], self.y[out], result.p[out], rng)

    def _permutes(self, b: int) -> bool:
        """Whether fit b leaves somebody out and is one of those that permute."""
        return b < len(self) - 1 and self.permutation_every > 0 and b % self.permutation_every == 0

    def _name(self, b: int) -> str:
        what = "the fit on everybody" if b == len(self) - 1 else f"iteration {b}"
        return f"{what} of {type(self.classifier).__name__}"


class _Broken(Exception):
    """What a classifier returned that it should not have."""

"""What the classifiers on feature tables share: two classes, in-bag medians, scikit-learn's rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


class TabularClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A two-class classifier that replaces missing features by the median of its training rows.

    A subclass keeps its parameters as scikit-learn asks and writes `_fit_filled` and `_probability`, and
    `_raw_importances` where its model has importances of its own. A feature that is missing in every
    training row becomes the constant 0; it stays, so that the number of columns never depends on the
    resample.
    """

    medians_: np.ndarray
    classes_: np.ndarray
    n_features_in_: int
    model_: Any

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on rows of features.

        Parameters
        ----------
        X : ndarray, shape (n, k)
            Features; NaN where undefined.
        y : ndarray, shape (n,)
            Two classes; the second in sorted order is the positive one.

        Raises
        ------
        ValueError
            If a feature is infinite or `y` does not hold exactly two classes.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_, positive = np.unique(y, return_inverse=True)
        if self.classes_.size != 2:
            raise ValueError(
                f"Only binary classification is supported: the labels hold {self.classes_.size} class(es), "
                "expected two classes"
            )
        self.medians_ = column_medians(X)
        self._fit_filled(_fill(X, self.medians_), positive)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of both classes, shape (n, 2), rows adding up to 1."""
        check_is_fitted(self, "medians_")
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        p = np.asarray(self._probability(_fill(X, self.medians_)), dtype=np.float64)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the likelier class of each row, shape (n,)."""
        likelier = self.predict_proba(X)[:, 1] >= 0.5
        return self.classes_[likelier.astype(int)]

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the fitted model draws on each feature by its own account, shape (k,), adding up to 1.

        NaN where the model draws on no feature at all, or has no such account.
        """
        check_is_fitted(self, "medians_")
        raw = np.asarray(self._raw_importances(), dtype=np.float64)
        total = raw.sum()
        return raw / total if total > 0 else np.full(raw.shape, np.nan)

    def _raw_importances(self) -> np.ndarray:
        """Return importances of at least 0, on any scale; a model that has none leaves this alone."""
        return np.full(self.n_features_in_, np.nan)

    @abstractmethod
    def _fit_filled(self, X: np.ndarray, positive: np.ndarray) -> None:
        """Fit on finite features and 0/1 labels."""

    @abstractmethod
    def _probability(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of the positive class for finite features, shape (n,)."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags


class BatchedTabularClassifier(TabularClassifier):
    """One that can also be fitted on many resamples of the same rows at once.

    A subclass writes `_fit_filled_resamples`. What it gives for a resample must not depend on the others.
    """

    resamples_at_once = 100
    """Resamples that are best handed over together."""

    def fit_resamples(
        self, X: np.ndarray, y: np.ndarray, counts: np.ndarray, random_states: np.ndarray
    ) -> list[Self]:
        """Fit a copy on each resample, as `fit` on its rows, repeated as often as drawn, would.

        Parameters
        ----------
        X : ndarray, shape (n, k)
            Features; NaN where undefined.
        y : ndarray, shape (n,)
            Two classes.
        counts : ndarray of int, shape (b, n)
            How often each resample drew each row; both classes are in every one.
        random_states : ndarray of int, shape (b,)
            The random state of each copy.

        Returns
        -------
        list of b fitted classifiers
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        classes, positive = np.unique(y, return_inverse=True)
        medians = resampled_medians(X, counts)
        models = [clone(self).set_params(random_state=state) for state in random_states.tolist()]
        for model, values in zip(models, medians, strict=True):
            model.classes_, model.medians_, model.n_features_in_ = classes, values, X.shape[1]
        filled = np.where(np.isnan(X), medians[:, None, :], X)
        self._fit_filled_resamples(models, filled, positive, counts.astype(np.float64))
        return models

    @abstractmethod
    def _fit_filled_resamples(
        self, models: list[Self], X: np.ndarray, positive: np.ndarray, weight: np.ndarray
    ) -> None:
        """Fit each model on its finite features, X (b, n, k), with labels 0/1 (n,) and weights (b, n)."""


def resampled_medians(X: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return `column_medians` of each resample's rows, shape (b, k).

    Parameters
    ----------
    X : ndarray, shape (n, k)
        NaN where undefined.
    counts : ndarray of int, shape (b, n)
        How often each resample drew each row.
    """
    medians = np.zeros((len(counts), X.shape[1]))
    for median, values in zip(medians.T, X.T, strict=True):
        rows = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # NaNs are last
        if not rows.size:
            continue
        ranks = np.cumsum(counts[:, rows], axis=1, dtype=np.int64)
        n = ranks[:, -1:]
        lower, upper = (values[rows[(ranks > place).argmax(axis=1)]] for place in ((n - 1) // 2, n // 2))
        median[:] = np.where(n[:, 0] > 0, (lower + upper) / 2, 0.0)
    return medians


def column_medians(X: np.ndarray) -> np.ndarray:
    """Return the median of each column without its NaNs, shape (k,); 0 for a column of NaN only.

    Sorting puts the NaNs last; several times faster than `numpy.nanmedian` on small tables.
    """
    ordered = np.sort(X, axis=0)
    n = X.shape[0] - np.isnan(ordered).sum(axis=0)
    columns = np.arange(X.shape[1])
    lower, upper = ordered[np.maximum(n - 1, 0) // 2, columns], ordered[n // 2, columns]
    return np.where(n > 0, (lower + upper) / 2, 0.0)


def _fill(X: np.ndarray, values: np.ndarray) -> np.ndarray:
    missing = np.isnan(X)
    return np.where(missing, values, X) if missing.any() else X

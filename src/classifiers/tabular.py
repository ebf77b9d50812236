"""What the classifiers on feature tables share: two classes, in-bag medians, scikit-learn's rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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

    Each has a parameter `class_weight`: None; 'balanced', by which both classes of the training rows weigh
    half of them, as in scikit-learn; or a weight for each label. A row of weight 3 counts as three rows.
    """

    class_weight: str | Mapping[Any, float] | None
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
        weight = self._row_weights(self.classes_, positive, np.ones((1, len(X))))[0]
        self._fit_filled(_fill(X, self.medians_), positive, weight)
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
    def caveat(self) -> str:
        """What whoever runs this classifier should be told once, in one sentence; '' for nothing."""
        if self.class_weight is None:
            return ""
        self._check_class_weight()
        return (
            f"class_weight={self.class_weight} moves probabilities away from the share of cases: calibration "
            "and Brier score suffer, AUROC does not gain (van den Goorbergh et al. 2022, JAMIA 29:1525)"
        )

    def _row_weights(self, classes: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return how much each row weighs in each resample, (b, n): drawn so often, times its class."""
        if self.class_weight is None:
            return counts.astype(np.float64)
        if isinstance(self.class_weight, Mapping):
            own = np.array([self.class_weight[label] for label in classes.tolist()], dtype=np.float64)
            return counts * own[positive]
        self._check_class_weight()
        cases = counts @ positive
        total = counts.sum(axis=1)
        of_class = total / (2 * np.array([total - cases, cases]))  # (2, b)
        return counts * of_class.T[:, positive]

    def _check_class_weight(self) -> None:
        if self.class_weight != "balanced" and not isinstance(self.class_weight, Mapping):
            raise ValueError(
                f"class_weight is {self.class_weight!r}; expected null, balanced or a weight for each label"
            )

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
    def _fit_filled(self, X: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> None:
        """Fit on finite features, 0/1 labels and what each row weighs."""

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

    equal_within = 1e-6
    """How far a probability may be from that of a single fit: rounding, of single precision in networks."""

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
        self._fit_filled_resamples(models, filled, positive, self._row_weights(classes, positive, counts))
        return models

    @abstractmethod
    def _fit_filled_resamples(
        self, models: list[Self], X: np.ndarray, positive: np.ndarray, weight: np.ndarray
    ) -> None:
        """Fit each model on its finite features, X (b, n, k), with labels 0/1 (n,) and weights (b, n)."""


def mean_and_scale(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each feature in many weighted samples.

    Parameters
    ----------
    X : ndarray, shape (b, n, k)
        Features of each sample.
    weight : ndarray, shape (b, n)
        How often each row counts.

    Returns
    -------
    mean, scale : ndarray, shape (b, k)
        The scale of a feature that does not vary among the rows that count is 1.
    """
    n = weight.sum(axis=1)[:, None]
    mean = np.vecdot(weight[:, None], X.transpose(0, 2, 1)) / n
    centred = X - mean[:, None]
    spread = np.sqrt(np.vecdot(weight[:, None], centred.transpose(0, 2, 1) ** 2) / n)
    counts = weight[:, :, None] > 0
    varies = np.where(counts, X, -np.inf).max(axis=1) > np.where(counts, X, np.inf).min(axis=1)
    return mean, np.where(varies, spread, 1.0)


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

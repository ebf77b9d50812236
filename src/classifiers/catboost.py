"""Gradient-boosted trees, CatBoost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import catboost
import numpy as np

from src.classifiers.tabular import TabularClassifier


class CatBoost(TabularClassifier):
    """CatBoost with plain (not ordered) boosting, one thread, no files.

    Parameters
    ----------
    n_trees : int
        Number of trees.
    depth : int
        Depth of a (symmetric) tree.
    border_count : int
        Borders between the histogram bins of a feature. Fewer are faster: 32 instead of 128 halves the fit,
        and no loss of held-out AUROC was seen on feature tables of this size.
    learning_rate : float, optional
        Shrinkage in (0, 1]; None lets CatBoost choose it from the number of rows and trees.
    class_weight : 'balanced' or mapping of label to weight, optional
        How much the rows of each class weigh; see `TabularClassifier`.
    random_state : int, optional
        Seed of the library; None is 0.

    Notes
    -----
    CatBoost refuses a table in which no feature varies. There is nothing to split on then, so the model is
    what boosting without splits converges to: the share of the positive class.

    References
    ----------
    Prokhorenkova et al. 2018, NeurIPS, arXiv 1706.09516.
    """

    def __init__(
        self,
        n_trees: int = 100,
        depth: int = 4,
        border_count: int = 32,
        learning_rate: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.depth = depth
        self.border_count = border_count
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.random_state = random_state

    def _fit_filled(self, X: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> None:
        self.share_ = float(np.average(positive, weights=weight))
        columns = _columns(X)
        self.varies_ = bool((columns != columns[0]).any())
        self.model_ = catboost.CatBoost(
            {
                "loss_function": "Logloss",
                "boosting_type": "Plain",
                "iterations": self.n_trees,
                "depth": self.depth,
                "border_count": self.border_count,
                "learning_rate": self.learning_rate,
                "random_seed": self.random_state or 0,
                "thread_count": 1,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        if self.varies_:
            self.model_.fit(catboost.Pool(columns, positive, weight=weight, thread_count=1))

    def _raw_importances(self) -> np.ndarray:
        """Return how much a prediction changes on average with each feature (PredictionValuesChange)."""
        if not self.varies_:
            return np.zeros(self.n_features_in_)
        return self.model_.feature_importances_  # computed by the fit

    def _probability(self, X: np.ndarray) -> np.ndarray:
        if not self.varies_:
            return np.full(len(X), self.share_)
        return self.model_.predict(_columns(X), prediction_type="Probability", thread_count=1)[:, 1]


def _columns(X: np.ndarray) -> np.ndarray:
    """Return the features as CatBoost keeps them, so that it need not convert them: float32, by column."""
    return np.asfortranarray(X, dtype=np.float32)

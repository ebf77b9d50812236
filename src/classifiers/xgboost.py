"""Gradient-boosted trees, XGBoost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost

from src.classifiers.tabular import TabularClassifier


class XGBoost(TabularClassifier):
    """XGBoost with histogram splits, one thread.

    Parameters
    ----------
    n_trees : int
        Number of boosting rounds.
    max_depth : int
        Depth of a tree, which has at most 2^max_depth leaves.
    learning_rate : float
        Shrinkage of each tree, in (0, 1].
    max_bin : int
        Histogram bins per feature.
    class_weight : 'balanced' or mapping of label to weight, optional
        How much the rows of each class weigh; see `TabularClassifier`.
    random_state : int, optional
        Seed of the library; None is 0.

    References
    ----------
    Chen & Guestrin 2016, KDD, doi 10.1145/2939672.2939785.
    """

    def __init__(
        self,
        n_trees: int = 100,
        max_depth: int = 3,
        learning_rate: float = 0.1,
        max_bin: int = 32,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.max_bin = max_bin
        self.class_weight = class_weight
        self.random_state = random_state

    def _fit_filled(self, X: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> None:
        parameters = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            "seed": self.random_state or 0,
            "nthread": 1,
        }
        rows = xgboost.DMatrix(X, positive, weight=weight, nthread=1)
        self.model_ = xgboost.train(parameters, rows, num_boost_round=self.n_trees)

    def _raw_importances(self) -> np.ndarray:
        """Return the gain of all splits on each feature; a feature without a split has none."""
        gain = self.model_.get_score(importance_type="total_gain")
        return np.array([gain.get(f"f{j}", 0.0) for j in range(self.n_features_in_)])

    def _probability(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(xgboost.DMatrix(X, nthread=1))

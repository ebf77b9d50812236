"""One-class support vector machine (Schölkopf et al. 2001, Neural Computation 13:1443)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.svm import OneClassSVM as Machine

from src.outliers.scored import FeatureDetector


class OneClassSVM(FeatureDetector):
    """Samples outside the region that holds most reference samples (Schölkopf et al. 2001).

    The score is the negative decision function with a Gaussian kernel.

    Parameters
    ----------
    nu : float
        Upper bound of the share of reference samples outside the region, lower bound of that of support
        vectors (their nu-property).
    gamma : float
        Kernel exp(-gamma d^2) in units of the features.
    **common
        Parameters of `src.outliers.scored.FeatureDetector`: size_scale, median_window, cutoff, n_reference,
        seed, n_jobs.
    """

    def __init__(self, nu: float, gamma: float, **common: Any) -> None:
        super().__init__(**common)
        self.nu = nu
        self.gamma = gamma

    def _learn(self, reference: np.ndarray) -> None:
        self.model_ = Machine(nu=self.nu, gamma=self.gamma).fit(reference)

    def _score(self, samples: np.ndarray) -> np.ndarray:
        return -self.model_.decision_function(samples)

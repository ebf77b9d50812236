"""One-class support vector machine (Schölkopf et al. 2001)."""

from __future__ import annotations

import numpy as np
from sklearn.svm import OneClassSVM as Machine

from src.outliers.scored import ScoreDetector
from src.outliers.signals import sample_features


class OneClassSVM(ScoreDetector):
    """Samples outside the region that holds most reference samples (Schölkopf et al. 2001, 13:1443).

    The score is the negative decision function with a Gaussian kernel.

    Parameters
    ----------
    nu : float
        Upper bound of the share of reference samples outside the region, lower bound of that of support
        vectors (their proposition 3).
    gamma : float
        Kernel exp(-gamma d^2) in units of the features.
    median_window, size_scale
        See `src.outliers.signals.sample_features`.
    cutoff, n_reference, seed, n_jobs
        See `src.outliers.scored.ScoreDetector`.
    """

    def __init__(
        self,
        nu: float,
        gamma: float,
        median_window: int,
        size_scale: float,
        cutoff: float,
        n_reference: int,
        seed: int,
        n_jobs: int,
    ) -> None:
        super().__init__(cutoff, n_reference, seed, n_jobs)
        self.nu = nu
        self.gamma = gamma
        self.median_window = median_window
        self.size_scale = size_scale

    def _describe(self, pupil: np.ndarray) -> np.ndarray:
        return sample_features(pupil, self.median_window, self.size_scale)

    def _learn(self, reference: np.ndarray) -> None:
        self.model_ = Machine(nu=self.nu, gamma=self.gamma).fit(reference)

    def _score(self, units: np.ndarray) -> np.ndarray:
        return -self.model_.decision_function(units)

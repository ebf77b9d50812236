"""Local outlier factor (Breunig, Kriegel, Ng & Sander 2000)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import LocalOutlierFactor

from src.outliers.scored import FeatureDetector


class LOF(FeatureDetector):
    """Samples in a sparser neighbourhood than their neighbours' (Breunig et al. 2000, SIGMOD 29:93).

    The factor of every sample is taken relative to reference samples of the fitted recordings; the threshold
    applies to its logarithm.

    Parameters
    ----------
    n_neighbors : int
        MinPts: at least the size of a cluster of artefacts among the reference samples (their section 6.2).
    **common
        Parameters of `src.outliers.scored.FeatureDetector`: size_scale, median_window, cutoff, n_reference,
        seed, n_jobs.
    """

    def __init__(self, n_neighbors: int, **common: Any) -> None:
        super().__init__(**common)
        self.n_neighbors = n_neighbors

    def _learn(self, reference: np.ndarray) -> None:
        # Repeated points have infinite density; the paper counts distinct neighbours instead (section 4).
        distinct = np.unique(reference, axis=0)
        neighbors = min(self.n_neighbors, max(len(distinct) - 1, 1))
        self.model_ = LocalOutlierFactor(n_neighbors=neighbors, novelty=True).fit(distinct)

    def _score(self, samples: np.ndarray) -> np.ndarray:
        return np.log(-self.model_.score_samples(samples))

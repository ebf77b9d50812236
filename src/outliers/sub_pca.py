"""Principal components of subsequences (Aggarwal 2017, section 3.3; TSB-AD, Liu & Paparrizos 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.outliers.scored import ScoreDetector
from src.outliers.signals import Traces, sample_windows


class SubPCA(ScoreDetector):
    """Subsequences far from the centre along any principal axis, each axis in units of its own spread.

    Sub-PCA of TSB-AD (Liu & Paparrizos 2024, NeurIPS 37): PCA of all windows, score = sum over components of
    squared projection / variance (Aggarwal 2017, Outlier Analysis, section 3.3). A bad sample spoils all
    windows that contain it, so here a window belongs to the sample in its middle, whose neighbours are cut to
    what is plausible (`src.outliers.signals.sample_windows`); the threshold applies to the logarithm of the
    score.

    Parameters
    ----------
    window : int
        Samples in a subsequence, odd.
    **scoring
        median_window, cutoff, n_reference, seed, n_jobs: see `src.outliers.scored.ScoreDetector`.

    Raises
    ------
    ValueError
        If the window is even or shorter than 3.
    """

    def __init__(self, window: int, **scoring: Any) -> None:
        super().__init__(**scoring)
        if window < 3 or window % 2 == 0:
            raise ValueError(f"SubPCA: window is {window} samples; expected an odd number from 3 on")
        self.window = window

    def _describe(self, traces: Traces) -> np.ndarray:
        return sample_windows(traces, self.window)

    def _learn(self, reference: np.ndarray) -> None:
        self.centre_ = reference.mean(axis=0)
        variance, axes = np.linalg.eigh(np.cov(reference, rowvar=False, bias=True))
        spread = variance > 1e-9 * max(variance.max(), 1e-9)
        self.axes_ = axes[:, spread] / np.sqrt(variance[spread])

    def _score(self, samples: np.ndarray) -> np.ndarray:
        distance = np.square((samples - self.centre_) @ self.axes_).sum(axis=1)
        return np.log(distance + 1e-12)

"""Principal components of subsequences (Aggarwal 2017, section 3.3; TSB-AD, Liu & Paparrizos 2024)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from src.outliers.scored import ScoreDetector
from src.outliers.signals import log_size, relative_level


class SubPCA(ScoreDetector):
    """Subsequences far from the centre along any principal axis, each axis in units of its own spread.

    Sub-PCA of TSB-AD (Liu & Paparrizos 2024, NeurIPS 37): PCA of all windows, score = sum over components of
    squared projection / variance (Aggarwal 2017, Outlier Analysis, section 3.3). Here a window is its shape
    around its mean, in units of the recording's noise, and the logarithm of that mean relative to the typical
    size (a flat loss differs in nothing else). Outlying windows are left out and the axes learned again
    (also there). A sample is flagged where every window that contains it is: a window is
    spoilt by a single bad sample, but its good neighbours lie in a good window too.

    Parameters
    ----------
    window : int
        Samples in a subsequence.
    trim : float
        Share of reference windows, the most outlying ones, left out when learning the axes again.
    n_rounds : int
        How often that is done.
    cutoff, n_reference, seed, n_jobs
        See `src.outliers.scored.ScoreDetector`; the threshold applies to the logarithm of the score.
    """

    def __init__(
        self, window: int, trim: float, n_rounds: int, cutoff: float, n_reference: int, seed: int, n_jobs: int
    ) -> None:
        super().__init__(cutoff, n_reference, seed, n_jobs)
        self.window = window
        self.trim = trim
        self.n_rounds = n_rounds

    def _describe(self, pupil: np.ndarray) -> np.ndarray:
        level, noise = relative_level(pupil)
        windows = sliding_window_view(level, self.window, axis=1)
        mean = windows.mean(axis=-1, keepdims=True)
        return np.concatenate([(windows - mean) / noise[:, :, None], log_size(mean)], axis=-1)

    def _known_units(self, known: np.ndarray) -> np.ndarray:
        return np.asarray(sliding_window_view(known, self.window, axis=1).all(axis=-1))

    def _flag_samples(self, flagged: np.ndarray) -> np.ndarray:
        edge = ((0, 0), (self.window - 1, self.window - 1))
        padded = np.pad(flagged, edge, constant_values=True)  # windows beyond the ends have no say
        return np.asarray(sliding_window_view(padded, self.window, axis=1).all(axis=-1))

    def _learn(self, reference: np.ndarray) -> None:
        self._learn_axes(reference)
        for _ in range(self.n_rounds):
            scores = self._score(reference)
            self._learn_axes(reference[scores <= np.quantile(scores, 1.0 - self.trim)])

    def _learn_axes(self, reference: np.ndarray) -> None:
        self.centre_ = reference.mean(axis=0)
        variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(reference, rowvar=False, bias=True)))
        spread = variance > 1e-9 * max(variance.max(), 1e-9)
        self.axes_ = axes[:, spread] / np.sqrt(variance[spread])

    def _score(self, units: np.ndarray) -> np.ndarray:
        distance = np.square((units - self.centre_) @ self.axes_).sum(axis=1)
        return np.log(distance + 1e-12)

"""Samples far from the median of their surroundings (Hampel 1974)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from src.cohort.cohort import Cohort
from src.outliers.signals import SD_PER_MAD, measured, smallest_mad


class Hampel:
    """Samples further than `n_sds` robust SDs from the running median.

    The Hampel identifier (Hampel 1974, J Am Stat Assoc 69:383) in a moving window (Pearson, Neuvo, Astola &
    Gabbouj 2016, EURASIP J Adv Signal Process 2016:87): centre and spread are the median and 1.4826 times the
    median absolute deviation of the measured samples in the window around each sample, which ends where the
    recording ends. Where more than half of a window is one value the deviation is 0 ('implosion', Pearson et
    al. 2016); it is at least `smallest_mad` of the recording. Lost samples are flagged.

    What fills more than half of a window, as long artefacts do, is its median, and passes.

    Parameters
    ----------
    window : int
        Samples in the window, odd.
    n_sds : float
        Threshold in robust SDs.

    Raises
    ------
    ValueError
        If the window is even or shorter than 3.
    """

    needs_truth = False

    def __init__(self, window: int, n_sds: float) -> None:
        if window < 3 or window % 2 == 0:
            raise ValueError(f"Hampel: window is {window} samples; expected an odd number from 3 on")
        self.window = window
        self.n_sds = n_sds

    def fit(self, cohort: Cohort) -> Hampel:
        """Return self: nothing is learned."""
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is far from its surroundings or lost, shape (n, T)."""
        pupil = measured(cohort.pupil)
        flags = np.isnan(pupil)
        for row, flag, smallest in zip(pupil, flags, smallest_mad(pupil)[:, 0], strict=True):
            median, mad = rolling_median_and_mad(row, self.window)
            flag |= np.abs(row - median) > self.n_sds * SD_PER_MAD * np.maximum(mad, smallest)
        return flags


def rolling_median_and_mad(signal: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return median and median absolute deviation of what is finite around each sample.

    Parameters
    ----------
    signal : ndarray, shape (T,)
        Signal, NaN where lost.
    window : int
        Samples in the window, odd; fewer at the ends.

    Returns
    -------
    median, mad : ndarray, shape (T,)
        NaN where nothing in the window is finite.
    """
    half = window // 2
    windows = sliding_window_view(np.pad(signal, half, constant_values=np.nan), window)
    median = _medians(windows)
    return median, _medians(np.abs(windows - median[:, None]))


def _medians(rows: np.ndarray) -> np.ndarray:
    """Return the median of what is finite in each row; NaN sorts last."""
    ordered = np.sort(rows, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    each = np.arange(len(rows))
    return (ordered[each, np.maximum(count - 1, 0) // 2] + ordered[each, count // 2]) / 2

"""Samples where the pupil changes faster than a pupil does (Kret & Sjak-Shie 2019)."""

from __future__ import annotations

import numpy as np

from src.cohort.cohort import Cohort
from src.outliers.signals import measured, smallest_mad

_ROUNDING_S = 1e-6  # six intervals of 1 / 30 s are 0.2 s, whatever their sum in binary


class SpeedMAD:
    """Dilation speed outliers and the edges of gaps (Kret & Sjak-Shie 2019, Behav Res Methods 51:1336).

    The speed of a sample is the larger of |change| / time from the sample before and to the sample after it,
    lost samples left out. A sample is an artefact where that exceeds the recording's own
    median + `n_mads` * MAD (their section 'Dilation speed outliers and edge artifacts'); the MAD is their
    plain one, not scaled to an SD, and at least `smallest_mad` per sample interval. Samples beside a gap,
    flagged or lost, are artefacts too, as eyelids spoil more than the speed shows. Unlike in their program,
    the padding counts from the gap and not from the last good sample (at 30 Hz one sample less), and gaps of
    any length have edges, at the ends of the recording too.

    The rule sees edges. The flat middle of a step or of a held value is left alone, and where more than
    about half of the samples are jitter, that is what counts as usual.

    Parameters
    ----------
    n_mads : float
        Threshold in MADs above the median.
    max_interval_s : float
        Longest time between two measured samples over which a speed is computed.
    min_gap_s : float
        A gap is padded when the good samples on its sides are further apart than this.
    padding_s : float
        Good samples this close to the first or last sample of a gap are flagged.
    """

    needs_truth = False

    def __init__(self, n_mads: float, max_interval_s: float, min_gap_s: float, padding_s: float) -> None:
        self.n_mads = n_mads
        self.max_interval_s = max_interval_s
        self.min_gap_s = min_gap_s
        self.padding_s = padding_s

    def fit(self, cohort: Cohort) -> SpeedMAD:
        """Return self: every recording has a threshold of its own."""
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is too fast, lost, or beside a gap, shape (n, T)."""
        pupil = measured(cohort.pupil)
        speed = dilation_speed(pupil, cohort.time, self.max_interval_s)
        smallest = smallest_mad(pupil) / np.median(np.diff(cohort.time))
        flags = (speed > _thresholds(speed, self.n_mads, smallest)) | np.isnan(pupil)
        before, after = _nearest(~flags, cohort.time)
        return flags | self._beside(flags & (after - before > self.min_gap_s + _ROUNDING_S), cohort.time)

    def _beside(self, gap: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return True where a gap (n, T) is no further than the padding."""
        before, after = _nearest(gap, time)
        return np.minimum(time - before, after - time) <= self.padding_s + _ROUNDING_S


def dilation_speed(pupil: np.ndarray, time: np.ndarray, max_interval_s: float) -> np.ndarray:
    """Return max(|backward|, |forward|) speed of every sample, in the signal's unit per second.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Signal, NaN where lost.
    time : ndarray, shape (T,)
        Seconds.
    max_interval_s : float
        Neighbours further apart than this have no speed between them.

    Returns
    -------
    ndarray, shape (n, T)
        NaN where a sample is lost or has no neighbour.
    """
    row, column = np.nonzero(np.isfinite(pupil))
    size, interval = pupil[row, column], np.diff(time[column])
    between = np.full(len(row) + 1, np.nan)  # the k-th: from the sample before the k-th to it
    joined = (np.diff(row) == 0) & (interval <= max_interval_s + _ROUNDING_S)
    between[1:-1][joined] = np.abs(np.diff(size)[joined]) / interval[joined]
    speed = np.full(pupil.shape, np.nan)
    speed[row, column] = np.fmax(between[:-1], between[1:])
    return speed


def _thresholds(speed: np.ndarray, n_mads: float, smallest: np.ndarray) -> np.ndarray:
    """Return median + n MADs of each recording's speeds, (n, 1); infinite where it has none."""
    known = np.isfinite(speed).any(axis=1)
    thresholds = np.full((len(speed), 1), np.inf)
    median = np.nanmedian(speed[known], axis=1, keepdims=True)
    mad = np.nanmedian(np.abs(speed[known] - median), axis=1, keepdims=True)
    thresholds[known] = median + n_mads * np.maximum(mad, smallest[known])
    return thresholds


def _nearest(there: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sample the times of the last before and the first after it, or itself, that is there.

    Shape (n, T) each; -inf and inf where there is none.
    """
    before = np.maximum.accumulate(np.where(there, time, -np.inf), axis=1)
    after = np.minimum.accumulate(np.where(there, time, np.inf)[:, ::-1], axis=1)[:, ::-1]
    return before, after

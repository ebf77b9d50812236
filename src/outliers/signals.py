"""Pupil traces in relative units, as the unsupervised detectors describe them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

NOISE_FLOOR = 1e-3
"""Smallest noise SD assumed, as a share of the pupil's size: 0.1 % is below any pupillometer's resolution."""

SMALLEST_SIZE = 0.01
"""Smallest relative size told apart from 0."""


def fill_lost(pupil: np.ndarray) -> np.ndarray:
    """Return the signal (n, T), what is not finite filled linearly; 0 where nothing is finite."""
    filled = np.array(pupil, dtype=float)
    samples = np.arange(filled.shape[1])
    for row in filled:
        known = np.isfinite(row)
        row[~known] = np.interp(samples[~known], samples[known], row[known]) if known.any() else 0.0
    return filled


def relative_level(pupil: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's size relative to its recording's typical size.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Signal in any unit; lost samples are filled linearly first.

    Returns
    -------
    level : ndarray, shape (n, T)
        Size divided by typical size, minus 1: 0 at rest, -1 where the eye is closed. Typical is the upper
        quartile, because what is lost reads low and the pupil is constricted less than half of the time.
    noise : ndarray, shape (n, 1)
        SD of the sample-to-sample noise of `level`: MAD of the second difference (which ignores slopes),
        divided by the second difference's gain, sqrt(6); at least `NOISE_FLOOR`.
    """
    filled = fill_lost(pupil)
    size = np.quantile(filled, 0.75, axis=1, keepdims=True)
    level = filled / np.where(size > 0, size, 1.0) - 1.0
    bend = np.abs(np.diff(level, n=2, axis=1))
    noise = 1.4826 * np.median(bend, axis=1, keepdims=True) / np.sqrt(6.0)
    return level, np.maximum(noise, NOISE_FLOOR)


def log_size(level: np.ndarray) -> np.ndarray:
    """Return the logarithm of the relative size, same shape; what is lost reads 0 or below, and is capped."""
    return np.log(np.maximum(1.0 + level, SMALLEST_SIZE))


def sample_features(pupil: np.ndarray, median_window: int, size_scale: float) -> np.ndarray:
    """Describe every sample of every recording by three numbers.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Signal; needs at least 3 samples per recording.
    median_window : int
        Samples in the running median that stands for a sample's surroundings.
    size_scale : float
        Difference in log size that counts as one unit.

    Returns
    -------
    ndarray, shape (n, T, 3)
        Log size (a long loss is only seen here); distance from the running median (blinks, spikes); the
        smaller of the steps before and after (large inside jitter and at a blink's edges, small on the good
        neighbour of an artefact). The last two in units of the recording's noise, compressed by arcsinh so
        that hippus and constriction, a few noise SDs at most, are not dwarfed.
    """
    level, noise = relative_level(pupil)
    around = median_filter(level, size=(1, median_window), mode="mirror")
    step = np.abs(np.diff(level, axis=1)) / noise
    before = np.pad(step, ((0, 0), (1, 0)), mode="edge")
    after = np.pad(step, ((0, 0), (0, 1)), mode="edge")
    distance = np.arcsinh((level - around) / noise)
    return np.stack([log_size(level) / size_scale, distance, np.arcsinh(np.minimum(before, after))], axis=-1)

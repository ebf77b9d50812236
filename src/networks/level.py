"""The level of a recording: what it is divided by, so that recordings of large and small pupils compare."""

from __future__ import annotations

import numpy as np


def typical_size(observed: np.ndarray) -> np.ndarray:
    """Return the median of each recording's observed samples, shape (n, 1); 1 where that is 0.

    `observed` (n, T) is NaN where missing, and every recording has an observed sample.
    """
    median = np.nanmedian(observed, axis=1, keepdims=True)
    return np.where(median == 0, 1.0, median)

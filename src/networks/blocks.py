"""A coarser time grid: means of blocks of samples, and back to samples."""

from __future__ import annotations

import numpy as np


def block_means(deviation: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each block's observed samples (n, blocks), and where there are any.

    Parameters
    ----------
    deviation : ndarray, shape (n, T)
        NaN where missing.
    stride : int
        Samples per block; the last block may have fewer.
    """
    edges = np.arange(0, deviation.shape[1], stride)
    finite = np.isfinite(deviation)
    count = np.add.reduceat(finite, edges, axis=1, dtype=int)
    total = np.add.reduceat(np.where(finite, deviation, 0.0), edges, axis=1)
    return total / np.maximum(count, 1), count > 0


def at_samples(blocks: np.ndarray, stride: int, length: int) -> np.ndarray:
    """Return curves of block means (n, blocks) at every sample (n, length), straight between centres."""
    first = np.arange(0, length, stride)
    centres = (first + np.minimum(first + stride, length) - 1) / 2
    return np.stack([np.interp(np.arange(length), centres, row) for row in blocks])

"""What tests of detectors measure."""

import numpy as np


def f1(flags: np.ndarray, truth: np.ndarray) -> float:
    """Harmonic mean of precision and recall; 0 where nothing is flagged and nothing is to be found."""
    return 2 * (flags & truth).sum() / max(flags.sum() + truth.sum(), 1)

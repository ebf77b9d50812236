"""Thresholds that need the truth."""

from __future__ import annotations

import numpy as np


def best_threshold(scores: np.ndarray, artefact: np.ndarray, max_fpr: float) -> float:
    """Return the threshold above which to flag for the largest F1; without artefacts the largest score.

    Parameters
    ----------
    scores : ndarray, shape (m,)
    artefact : ndarray of bool, shape (m,)
        The truth.
    max_fpr : float
        Share of the samples that are no artefacts that may be flagged.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, true = scores[order], artefact[order]
    count = np.arange(len(scores))  # flag so many, those with the largest scores
    found = np.cumsum(true) - true
    allowed = (count - found <= max_fpr * (~artefact).sum()) & np.append(True, ordered[1:] < ordered[:-1])
    f1 = 2 * found / np.maximum(count + artefact.sum(), 1)
    best = int(np.argmax(np.where(allowed, f1, -1.0)))
    return float(ordered[best])

"""Thresholds that need the truth."""

from __future__ import annotations

import numpy as np


def best_f1_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold above which samples agree best with the truth, by F1.

    F1 = 2 TP / (2 TP + FP + FN) is computed for a cut between any two neighbouring scores; of equally good
    cuts the highest is taken.

    Parameters
    ----------
    scores : ndarray, shape (m,)
        Larger where more outlying; finite.
    truth : ndarray of bool, shape (m,)
        True for an artefact.

    Returns
    -------
    float
        Halfway between two scores; infinite where there is no artefact.
    """
    if not truth.any():
        return np.inf
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    hits = np.cumsum(truth[order])
    flagged = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (flagged + truth.sum())
    last = np.append(ordered[:-1] > ordered[1:], True)  # equal scores are flagged together
    best = int(np.argmax(np.where(last, f1, -1.0)))
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best] - 1.0
    return float((ordered[best] + below) / 2)

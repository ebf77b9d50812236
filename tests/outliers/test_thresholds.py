"""The threshold with the best F1: by hand, and against trying them all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scores import f1

from src.outliers.thresholds import best_threshold


def test_a_threshold_by_hand():
    scores = np.array([1.0, 9.0, 2.0, 8.0, 3.0, 7.0])
    artefact = np.array([False, True, False, True, False, False])
    assert best_threshold(scores, artefact, 1.0) == 7.0
    assert best_threshold(scores, np.zeros(6, dtype=bool), 1.0) == 9.0  # none: nothing is flagged
    artefact[2] = True  # to get it, 7 and 3 must be flagged too: two of three clean ones
    assert best_threshold(scores, artefact, 1.0) == 7.0


samples = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=20)


@given(samples, st.sampled_from([0.0, 0.3, 1.0]))
def test_the_best_threshold_is_the_one_a_loop_over_all_finds(pairs, max_fpr):
    scores, artefact = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    allowed = [
        threshold
        for threshold in np.unique(scores)
        if (scores > threshold)[~artefact].sum() <= max_fpr * (~artefact).sum()
    ]
    found = best_threshold(scores, artefact, max_fpr)
    assert found in allowed
    assert f1(scores > found, artefact) == max(f1(scores > t, artefact) for t in allowed)

"""The threshold with the best F1 against trying them all."""

import numpy as np
import pytest

from src.outliers.thresholds import best_f1_threshold


def f1(flags, truth):
    return 2 * (flags & truth).sum() / (flags.sum() + truth.sum())


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_has_a_better_f1(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.3
    scores = np.round(rng.normal(truth * 1.0, 1.0), 1)  # with ties
    reached = f1(scores > best_f1_threshold(scores, truth), truth)
    candidates = np.r_[scores.min() - 1, scores]
    assert reached == max(f1(scores > threshold, truth) for threshold in candidates)


def test_by_hand():
    # flagging the three largest: TP 2, FP 1, FN 0 -> 4/5; the two largest: 2 of 2 and one missed -> 2/4
    scores, truth = np.array([0.1, 0.2, 0.9, 0.6, 0.4]), np.array([0, 0, 1, 0, 1], dtype=bool)
    assert best_f1_threshold(scores, truth) == pytest.approx(0.3)


def test_a_cut_lies_halfway_between_two_scores():
    # the largest alone: F1 1; every lower cut flags good samples too
    scores, truth = np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 0, 0], dtype=bool)
    assert best_f1_threshold(scores, truth) == 2.5


def test_all_artefacts_and_none():
    scores = np.array([3.0, 2.0, 1.0])
    assert (scores > best_f1_threshold(scores, np.ones(3, dtype=bool))).all()
    assert best_f1_threshold(scores, np.zeros(3, dtype=bool)) == np.inf

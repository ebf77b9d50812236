"""Corrections of apparent performance: hand-computed examples and what they must not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.corrections import b632, b632plus, no_information_brier, optimism

SHARES = st.floats(0, 1)


def test_optimism_by_hand():
    np.testing.assert_allclose(optimism([0.9, 0.8, np.nan], [0.7, 0.75, 0.5]), [0.2, 0.05, np.nan])


def test_the_632_estimate_by_hand():
    assert b632(0.1, 0.3) == pytest.approx(0.368 * 0.1 + 0.632 * 0.3)


def test_the_632plus_estimate_by_hand():
    # overfitting rate (0.3 - 0.1) / (0.5 - 0.1) = 0.5; weight of the left-out error 0.632 / (1 - 0.184)
    weight = 0.632 / (1 - 0.368 * 0.5)
    assert b632plus(0.1, 0.3, 0.5) == pytest.approx((1 - weight) * 0.1 + weight * 0.3)


def test_a_left_out_error_worse_than_chance_counts_as_chance_in_the_correction():
    # rate 1: .632 estimate + (0.5 - 0) * 0.368 * 0.632 / 0.632
    assert b632plus(0.0, 0.6, 0.5) == pytest.approx(0.632 * 0.6 + 0.368 * 0.5)


@pytest.mark.parametrize(("apparent", "oob", "chance"), [(0.3, 0.2, 0.5), (0.3, 0.4, 0.25), (0.3, 0.3, 0.5)])
def test_without_overfitting_it_is_the_632_estimate(apparent, oob, chance):
    assert b632plus(apparent, oob, chance) == pytest.approx(b632(apparent, oob))


def test_a_memorising_model_without_information_gets_the_error_of_chance():
    assert b632plus(0.0, 0.5, 0.5) == pytest.approx(0.5)
    assert b632(0.0, 0.5) == pytest.approx(0.316)


@given(SHARES, SHARES, SHARES)
def test_it_lies_between_the_apparent_and_the_left_out_error(apparent, oob, chance):
    low, high = sorted((apparent, oob))
    assert low - 1e-12 <= b632plus(apparent, oob, chance) <= high + 1e-12


def test_undefined_stays_undefined():
    for values in ((np.nan, 0.2, 0.5), (0.1, np.nan, 0.5), (0.1, 0.2, np.nan)):
        assert np.isnan(b632plus(*values))


def test_the_brier_score_of_chance_is_over_all_pairs():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 23), rng.random(23)
    pairs = [(a - b) ** 2 for a in y for b in p]
    assert no_information_brier(y, p) == pytest.approx(np.mean(pairs), rel=1e-12)

"""Smooth and grouped calibration, decision curves and the move between prevalences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from src.evaluation.calibration import calibration_groups
from src.evaluation.decision import (
    THRESHOLDS,
    decision_curve,
    net_benefit,
    rates,
    shift_prevalence,
    treat_all,
)
from src.evaluation.smooth import loess


def plain_loess(y, p, x0, span):
    """Fit one point the slow way: sort by distance, weigh, solve the normal equations."""
    q = int(np.floor(len(p) * span + 1e-5))
    reach = np.sort(np.abs(p - x0))[q - 1]
    w = np.array([(1 - (abs(v - x0) / reach) ** 3) ** 3 if abs(v - x0) < reach else 0 for v in p])
    design = np.stack([np.ones_like(p), p - x0, (p - x0) ** 2], axis=1)
    return np.linalg.solve(design.T @ (w[:, None] * design), design.T @ (w * y))[0]


def simulated(n=100, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 3, n)
    return (rng.random(n) < p).astype(int), p


@pytest.mark.parametrize("span", [0.5, 0.75, 1.0])
def test_loess_is_the_weighted_quadratic_at_every_point(span):
    y, p = simulated()
    at = np.linspace(p.min(), p.max(), 9)
    np.testing.assert_allclose(loess(y, p, at, span), [plain_loess(y, p, x, span) for x in at], atol=1e-9)


def test_loess_reproduces_a_parabola_and_does_not_clip():
    p = np.linspace(0, 1, 50)
    parabola = 1.3 * p**2 - 0.4 * p - 0.1
    np.testing.assert_allclose(loess(parabola, p, p), parabola, atol=1e-10)


def test_loess_does_not_depend_on_the_scale_of_p():
    y, p = simulated()
    np.testing.assert_allclose(loess(y, p / 1000, p[:5] / 1000), loess(y, p, p[:5]), atol=1e-8)


def test_loess_with_a_constant_neighbourhood_is_undefined_and_with_two_values_their_means():
    assert np.isnan(loess(np.array([0, 1, 1]), np.full(3, 0.4), np.array([0.4]))).all()
    y, p = np.array([0, 0, 1, 0, 1, 1]), np.repeat([0.2, 0.6], 3)
    np.testing.assert_allclose(loess(y, p, np.array([0.2]), span=1.0), [1 / 3], atol=1e-9)


def test_groups_by_hand():
    groups = calibration_groups(np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.9, 0.8]), n_groups=2)
    expected = {
        "p_lo": [0.1, 0.8],
        "p_hi": [0.3, 0.9],
        "p_mean": [0.2, 0.85],
        "observed": [1 / 3, 1],
        "n": [3, 2],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(groups[name], values)
    assert calibration_groups(np.array([0, 1]), np.array([0.1, 0.3]))["n"].tolist() == [1, 1]


def test_thresholds_are_the_decimal_literals():
    assert THRESHOLDS.tolist() == [float(f"0.{k:02d}") for k in range(1, 100)]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=30))
def test_the_decision_curve_at_the_observed_prevalence_is_net_benefit(table):
    y, k = np.array(table).T
    p = k / 20
    curve = decision_curve(y, p, y.mean())
    if 0 < y.sum() < y.size:
        expected = [net_benefit(y, p, threshold=t) for t in THRESHOLDS.tolist()]
        np.testing.assert_allclose(curve, expected, atol=1e-12)
    else:
        assert np.isnan(curve).all()


def test_a_threshold_is_reached_by_itself_and_not_by_the_number_before_it():
    y = np.array([0, 1])
    for p, reached in ((THRESHOLDS, 1), (np.nextafter(THRESHOLDS, 0), 0), (np.nextafter(THRESHOLDS, 1), 1)):
        sensitivity, fpr = rates(y, np.column_stack([p, p]))
        assert set(np.diagonal(sensitivity)) == set(np.diagonal(fpr)) == {reached}
    ends, _ = rates(y, np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert ends.sum(axis=1).tolist() == [0, 99]


def test_rates_of_many_iterations_are_those_one_by_one():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 50)
    p, out = np.round(rng.random((20, 50)), 2), rng.random((20, 50)) < 0.5
    sensitivity, fpr = rates(y, np.where(out, p, np.nan), out)
    for b in (0, 7, 19):
        positive = p[b, out[b]][:, None] >= THRESHOLDS
        np.testing.assert_allclose(sensitivity[b], positive[y[out[b]] == 1].mean(axis=0))
        np.testing.assert_allclose(fpr[b], positive[y[out[b]] == 0].mean(axis=0))


def test_treating_everybody_is_the_rule_that_everybody_passes():
    y = np.array([1, 0, 0, 0])
    np.testing.assert_allclose(treat_all(0.25), decision_curve(y, np.ones(4), 0.25))
    assert treat_all(np.array([0.2, 0.3])).shape == (2, 99)


def test_moving_to_a_prevalence_multiplies_the_odds_and_back_again():
    # odds 1 at prevalence 1/2 become the population's own odds.
    assert shift_prevalence(np.array(0.5), 0.5, 0.0354) == pytest.approx(0.0354)
    p = np.array([0.02, 0.4, 0.97])
    there = shift_prevalence(p, 0.269, 0.0354)
    np.testing.assert_allclose(shift_prevalence(there, 0.0354, 0.269), p)
    assert (there < p).all()


def test_a_calibrated_model_helps_in_the_population_only_after_the_shift():
    # Scores N(0, 1) and N(1.81, 1): AUROC 0.90, and the exact risk at the study's prevalence.
    rng = np.random.default_rng(0)
    y = (np.arange(100_000) < 26_900).astype(int)
    x = rng.normal(size=y.size) + 1.81 * y
    p = expit(1.81 * x - 1.81**2 / 2 + np.log(0.269 / 0.731))
    ten_percent = THRESHOLDS == 0.10
    shifted = decision_curve(y, shift_prevalence(p, 0.269), 0.0354)[ten_percent]
    unshifted = decision_curve(y, p, 0.0354)[ten_percent]
    assert shifted == pytest.approx(0.015, abs=0.001) and unshifted == pytest.approx(-0.010, abs=0.002)

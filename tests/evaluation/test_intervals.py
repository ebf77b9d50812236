"""Intervals: what they claim, what makes them undefined, and that a wrong one is caught."""

import numpy as np
import pytest
from scipy.special import expit, logit

from src.evaluation.auc import auroc, delong_variance
from src.evaluation.intervals import (
    IntervalError,
    auroc_delong,
    auroc_logit,
    containing,
    location_shifted,
    percentile,
    percentiles,
    refit,
    subject_draws,
    wald,
)


def test_the_logit_interval_by_hand():
    interval = auroc_logit(0.8, 0.04)
    half = 1.96 * 0.04 / 0.16
    assert interval.lo == pytest.approx(expit(logit(0.8) - half))
    assert interval.hi == pytest.approx(expit(logit(0.8) + half))
    assert interval.method == "delong logit" and interval.reason == ""


@pytest.mark.parametrize(
    ("estimate", "se", "reason"),
    [
        (1.0, 0.02, "exactly 1"),
        (0.0, 0.02, "exactly 0"),
        (0.9, 0.0, "error is 0"),
        (0.9, np.nan, "undefined"),
    ],
)
def test_degenerate_cases_have_no_interval_but_a_reason(estimate, se, reason):
    interval = auroc_logit(estimate, se)
    assert np.isnan(interval.lo) and np.isnan(interval.hi) and reason in interval.reason
    if 0 < estimate < 1:
        assert reason in wald(estimate, se, (0, 1), "delong").reason


def test_wald_is_cut_to_the_domain():
    interval = wald(0.97, 0.05, (0.0, 1.0), "delong")
    assert (interval.lo, interval.hi) == (pytest.approx(0.97 - 0.098), 1.0)


def test_an_interval_beside_its_estimate_is_an_error_of_the_program():
    with pytest.raises(IntervalError, match=r"\[0.1, 0.2\] does not contain its estimate 0.3"):
        containing(0.3, 0.1, 0.2, "any")


def test_delong_interval_is_that_of_its_variance():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 30])
    p = rng.normal(size=90) + y
    interval = auroc_delong(y, p, float(auroc(y, p)), None)
    assert interval.hi - interval.lo == pytest.approx(2 * 1.96 * np.sqrt(delong_variance(y, p)))


def test_draws_keep_subjects_together_and_classes_at_their_size():
    groups = np.repeat(np.arange(9), 2)
    y = (groups >= 5).astype(int)
    counts = subject_draws(y, groups, 50, seed=0)
    assert (counts[:, ::2] == counts[:, 1::2]).all()
    assert (counts[:, y == 1].sum(axis=1) == 8).all() and (counts[:, y == 0].sum(axis=1) == 10).all()


def test_percentiles_of_draws_that_leave_the_estimate_out_are_no_interval():
    draws = np.linspace(0, 1, 101)
    interval = percentile(0.3, draws, "subject bootstrap")
    assert (interval.lo, interval.hi) == pytest.approx((0.025, 0.975))
    for estimate, values, reason in [
        (0.99, draws, "leave the estimate out"),
        (0.25, np.full(100, 0.25), "same value"),
        (0.3, np.where(draws < 0.15, np.nan, draws), "defined in 86 of 101 draws"),
    ]:
        interval = percentile(estimate, values, "subject bootstrap")
        assert np.isnan(interval.lo) and reason in interval.reason


def test_the_location_shifted_interval_by_hand():
    interval = location_shifted(0.75, 0.8, np.linspace(0.7, 0.9, 201), (0.0, 1.0))
    assert (interval.lo, interval.hi) == pytest.approx((0.705 - 0.05, 0.895 - 0.05))
    assert location_shifted(0.97, 0.98, np.linspace(0.9, 1.2, 201), (0.0, 1.0)).hi == 1
    beside = location_shifted(0.5, 0.6, np.linspace(0.7, 0.9, 201), (0.0, 1.0))
    assert np.isnan(beside.lo) and "leave the apparent value out" in beside.reason
    assert "same value" in location_shifted(0.5, 1.0, np.ones(20), (0.0, 1.0)).reason
    rounded = np.linspace(1 - 1e-6, 1 + 1e-6, 20)  # O:E of a logistic regression on its own resample
    assert "same value" in location_shifted(1.003, 1.0, rounded, (0.0, np.inf)).reason


def test_refit_is_the_percentiles_of_what_is_defined():
    values = np.append(np.arange(101.0), np.nan)
    interval = refit(values)
    assert (interval.lo, interval.hi) == (2.5, 97.5)


def test_refit_is_left_out_where_a_few_iterations_dominate_the_mean():
    interval = refit(np.append(np.ones(200), 1e6))
    assert np.isnan(interval.lo) and "few of them dominate" in interval.reason


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (1000,), (40, 3)])
def test_percentiles_are_those_of_numpy(shape):
    values = np.random.default_rng(len(shape)).normal(size=shape).round(1)
    percent = [0, 2.5, 50, 97.5, 100]
    np.testing.assert_allclose(
        percentiles(values, percent), np.percentile(values, percent, axis=0), atol=1e-15
    )
    np.testing.assert_allclose(percentiles(values), np.percentile(values, [2.5, 97.5], axis=0), atol=1e-15)

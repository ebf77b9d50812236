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
    mean_loss_bootstrap,
    oob_influence_se,
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


def test_influence_of_one_iteration_that_left_everybody_out_is_the_stratified_standard_error():
    y = np.array([0, 0, 0, 1, 1])
    losses = np.array([[0.1, 0.3, 0.2, 0.6, 0.8]])
    expected = np.sqrt(3 * np.var([0.1, 0.3, 0.2], ddof=1) + 2 * np.var([0.6, 0.8], ddof=1)) / 5
    assert oob_influence_se(y, losses, np.ones((1, 5), dtype=bool), list("abcde")) == pytest.approx(expected)


def test_influence_matches_the_double_loop_with_two_recordings_per_subject():
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(12), 2)
    y = (subject >= 7).astype(int)
    out = (rng.random((15, 12)) < 0.4)[:, subject]
    losses = np.where(out, rng.random((15, 24)), np.nan)
    means = np.nanmean(losses, axis=1)
    total = np.zeros(12)
    for i in range(24):
        own = [losses[b, i] - means[b] for b in range(15) if out[b, i]]
        total[subject[i]] += np.mean(own)
    variance = sum(k * np.var(total[c], ddof=1) for c, k in ((slice(0, 7), 7), (slice(7, 12), 5)))
    assert oob_influence_se(y, losses, out, subject) == pytest.approx(np.sqrt(variance) / 24, rel=1e-12)


def test_influence_agrees_with_an_explicit_bootstrap_of_subjects():
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], [80, 40])
    out = rng.random((300, 120)) < 0.37
    losses = rng.gamma(1 + y, 0.1) + rng.normal(0, 0.01, (300, 120))
    draws = subject_draws(y, np.arange(120), 400, seed=0)
    weight = draws @ out.T
    estimates = ((draws @ (out * losses).T) / weight).mean(axis=1)
    assert oob_influence_se(y, losses, out, np.arange(120)) == pytest.approx(estimates.std(), rel=0.12)


def test_draws_keep_subjects_together_and_classes_at_their_size():
    groups = np.repeat(np.arange(9), 2)
    y = (groups >= 5).astype(int)
    counts = subject_draws(y, groups, 50, seed=0)
    assert (counts[:, ::2] == counts[:, 1::2]).all()
    assert (counts[:, y == 1].sum(axis=1) == 8).all() and (counts[:, y == 0].sum(axis=1) == 10).all()


def test_the_bootstrap_interval_of_a_mean_is_that_of_the_central_limit():
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], 100)
    losses = rng.random(200)
    interval = mean_loss_bootstrap(losses.mean(), y, losses, np.arange(200))
    se = np.sqrt(losses[:100].var() + losses[100:].var()) / 2 / 10
    assert interval.hi - interval.lo == pytest.approx(2 * 1.96 * se, rel=0.08)
    again = mean_loss_bootstrap(losses.mean(), y, losses, np.arange(200))
    assert (again.lo, again.hi) == (interval.lo, interval.hi)
    assert "same value" in mean_loss_bootstrap(0.25, y, np.full(200, 0.25), np.arange(200)).reason


def test_refit_is_the_percentiles_of_what_is_defined():
    values = np.append(np.arange(101.0), np.nan)
    interval = refit(values)
    assert (interval.lo, interval.hi) == (2.5, 97.5)


def test_refit_is_left_out_where_a_few_iterations_dominate_the_mean():
    interval = refit(np.append(np.ones(200), 1e6))
    assert np.isnan(interval.lo) and "few of them dominate" in interval.reason

"""Estimates of one run: which predictions each estimator uses, and what is said where one is missing."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from src.evaluation.auc import auroc, delong_variance
from src.evaluation.estimators import estimate_all, left_out_mask, pool
from src.evaluation.intervals import auroc_logit, subject_draws
from src.evaluation.metrics import ITERATION_METRICS, all_metrics, brier
from src.evaluation.resampling import EvaluationError, inbag_counts


def simulated(n=60, n_iterations=80, effect=1.5, seed=0):
    """Predictions of models that differ a little by iteration."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    x = rng.normal(size=n) + effect * y
    p = expit(x - 1 + 0.5 * rng.normal(size=(n_iterations, n))).astype(np.float32)
    counts = inbag_counts(y, [str(i) for i in range(n)], n_iterations, seed)
    return y, p, counts, expit(x - 1)


def by_key(estimates):
    return {(e.metric, e.estimator): e for e in estimates}


@pytest.fixture(scope="module")
def run():
    return simulated()


@pytest.fixture(scope="module")
def estimates(run):
    return by_key(estimate_all(*run))


def test_there_is_one_row_per_metric_and_estimator(estimates):
    assert len(estimates) == 3 * len(ITERATION_METRICS)


def test_oob_is_the_mean_of_the_metric_over_the_iterations(run, estimates):
    y, p, counts, _ = run
    for metric in ITERATION_METRICS:
        values = [metric.function(y[c == 0], q[c == 0].astype(float)) for q, c in zip(p, counts, strict=True)]
        row = estimates[metric.name, "oob"]
        assert row.estimate == pytest.approx(np.mean(values), rel=1e-7, abs=1e-9)
        assert row.estimate_median == pytest.approx(np.median(values), rel=1e-7, abs=1e-9)
        assert row.n_defined == 80
        if not row.reason.endswith("dominate it"):
            np.testing.assert_allclose(
                (row.refit_lo, row.refit_hi), np.percentile(values, [2.5, 97.5]), rtol=1e-6
            )


def test_pooled_is_the_metric_of_the_mean_left_out_prediction(run, estimates):
    y, p, counts, _ = run
    mean = np.array([p[counts[:, i] == 0, i].astype(float).mean() for i in range(y.size)])
    for name, value in all_metrics(y, mean, only=ITERATION_METRICS).items():
        assert estimates[name, "oob_pooled"].estimate == pytest.approx(float(value))
    row = estimates["brier", "oob_pooled"]
    redrawn = [brier(np.repeat(y, c), np.repeat(mean, c)) for c in subject_draws(y, range(60)).astype(int)]
    assert (row.sampling_lo, row.sampling_hi) == pytest.approx(tuple(np.percentile(redrawn, [2.5, 97.5])))


def test_apparent_is_scored_on_the_training_data_and_has_no_interval(run, estimates):
    y, _, _, apparent = run
    row = estimates["auroc", "apparent"]
    assert row.estimate == pytest.approx(float(auroc(y, apparent)))
    assert np.isnan(row.sampling_lo) and "fitted on" in row.reason


def test_the_headline_interval_is_that_of_the_oob_estimate_with_the_pooled_error(run, estimates):
    y, p, counts, _ = run
    row = estimates["auroc", "oob"]
    pooled = pool(p, counts == 0)
    expected = auroc_logit(row.estimate, np.sqrt(delong_variance(y, pooled.mean)))
    assert (row.sampling_lo, row.sampling_hi) == (expected.lo, expected.hi)


def test_every_interval_contains_its_estimate(estimates):
    found = 0
    for row in estimates.values():
        for lo, hi in ((row.sampling_lo, row.sampling_hi), (row.refit_lo, row.refit_hi)):
            if np.isfinite(lo):
                assert lo <= row.estimate <= hi
                found += 1
    assert found >= 4 + 6


def test_whatever_is_missing_has_a_reason(estimates):
    for row in estimates.values():
        if np.isnan([row.estimate, row.sampling_lo, row.sampling_hi]).any():
            assert row.reason, row


def test_stores_with_left_out_predictions_alone_give_the_same_oob(run, estimates):
    y, p, counts, _ = run
    foreign = by_key(estimate_all(y, np.where(counts == 0, p, np.nan), None, None))
    for key, row in foreign.items():
        if key[1] == "apparent":
            assert np.isnan(row.estimate) and "no predictions of a model fitted on everybody" in row.reason
        else:
            for value, expected in zip(astuple(row), astuple(estimates[key]), strict=True):
                number = isinstance(expected, float)
                assert value == (pytest.approx(expected, 1e-11, nan_ok=True) if number else expected), key


def test_two_recordings_of_a_subject_widen_the_interval_to_that_of_the_subjects(run, estimates):
    twice = [np.repeat(a, 2, axis=-1) for a in run]
    groups = [f"s{i // 2}" for i in range(2 * run[0].size)]
    grouped = by_key(estimate_all(*twice, groups))
    separate = by_key(estimate_all(*twice))
    for name in ("auroc", "brier"):
        own, wrong = grouped[name, "oob"], separate[name, "oob"]
        original = estimates[name, "oob"]
        assert own.sampling_lo == pytest.approx(original.sampling_lo, abs=1e-9)
        assert wrong.sampling_hi - wrong.sampling_lo < 0.8 * (own.sampling_hi - own.sampling_lo)


def test_a_metric_undefined_in_more_than_a_tenth_of_the_iterations_is_missing():
    y = np.array([0] * 6 + [1] * 6)
    p = np.tile(np.linspace(0.1, 0.9, 12), (10, 1))
    counts = np.zeros((10, 12), dtype=np.uint8)
    counts[:2, 6:] = 1
    row = by_key(estimate_all(y, p, counts, None))["auroc", "oob"]
    assert np.isnan(row.estimate) and row.n_defined == 8
    assert row.reason == "defined in 8 of 10 iterations; 90 % are needed"
    counts[1] = 0
    assert by_key(estimate_all(y, p, counts, None))["auroc", "oob"].n_defined == 9


def test_perfect_predictions_are_an_estimate_without_an_interval():
    y = np.array([0] * 8 + [1] * 8)
    counts = inbag_counts(y, [str(i) for i in range(16)], 60, 0)
    rows = by_key(estimate_all(y, np.tile(np.where(y, 0.9, 0.2), (60, 1)), counts, None))
    assert rows["auroc", "oob"].estimate == 1 and "exactly 1" in rows["auroc", "oob"].reason
    assert np.isnan(rows["auroc", "oob"].sampling_lo)
    assert "error is 0" in rows["auroc", "oob_pooled"].reason
    assert (
        np.isnan(rows["cal_slope", "oob"].estimate) and "defined in 0 of" in rows["cal_slope", "oob"].reason
    )


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 4.0]), st.integers(1, 12))
@settings(max_examples=25)
def test_no_run_however_small_makes_an_interval_miss_its_estimate(seed, effect, n_iterations):
    y, p, counts, apparent = simulated(30, n_iterations, effect, seed)
    for row in estimate_all(y, np.round(p, 1), counts, apparent):
        if np.isfinite(row.sampling_lo):
            assert row.sampling_lo <= row.estimate <= row.sampling_hi


def test_recordings_that_were_never_left_out_are_counted():
    y = np.array([0] * 6 + [1] * 6)
    counts = np.zeros((3, 12), dtype=np.uint8)
    counts[:, 0] = 2
    row = by_key(estimate_all(y, np.full((3, 12), 0.4), counts, None))["auroc", "oob_pooled"]
    assert row.n_defined == 11 and row.reason.startswith("1 of 12 recordings were never left out")


def test_pooling_by_hand():
    p = np.array([[0.2, 0.4, 0.9], [0.6, 0.1, 0.9]])
    out = np.array([[True, True, False], [True, False, False]])
    pooled = pool(p, out)
    np.testing.assert_allclose(pooled.mean, [0.4, 0.4, np.nan])
    np.testing.assert_allclose(pooled.sd, [np.std([0.2, 0.6], ddof=1), np.nan, np.nan])
    assert pooled.n_oob.tolist() == [2, 1, 0]


def test_counts_of_another_shape_are_refused():
    with pytest.raises(EvaluationError, match="expected iterations x recordings"):
        left_out_mask(np.ones((3, 4)), np.ones((4, 3)))

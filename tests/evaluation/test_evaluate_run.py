"""A run evaluated whole: every metric by every estimator, against plain loops, and what is said of gaps."""

from itertools import product

import numpy as np
import pytest
from scipy.special import expit

from src.evaluation.corrections import b632plus, no_information_brier
from src.evaluation.estimators import evaluate_run
from src.evaluation.influence import influence_se
from src.evaluation.metrics import CLOSED_METRICS, ITERATION_METRICS, METRICS, all_metrics
from src.evaluation.resampling import EvaluationError, inbag_counts, train_rows

ESTIMATORS = ("oob", "oob_pooled", "apparent", "optimism_corrected", "b632", "b632plus")


def simulated(n=60, n_iterations=60, effect=1.5, seed=0, overfit=0.6):
    """Predictions of models that differ by iteration and know their own subjects better."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    counts = inbag_counts(y, [str(i) for i in range(n)], n_iterations, seed)
    x = rng.normal(size=n) + effect * y - 1 + 0.5 * rng.normal(size=(n_iterations, n))
    known = overfit * np.where(y == 1, 1, -1)
    return y, expit(x + known * (counts > 0)).astype(np.float32), counts, expit(x[0] + known)


@pytest.fixture(scope="module")
def run():
    return simulated()


@pytest.fixture(scope="module")
def evaluation(run):
    return evaluate_run(*run)


def by_key(evaluation):
    return {(row.metric, row.estimator): row for row in evaluation.estimates}


def test_every_metric_has_a_row_for_every_estimator(evaluation):
    expected = set(product((metric.name for metric in METRICS), ESTIMATORS))
    assert set(by_key(evaluation)) == expected and len(evaluation.estimates) == len(expected)


@pytest.mark.parametrize("decimals", [7, 1])
def test_optimism_in_plain_loops(run, decimals):
    y, p, counts, apparent = run
    p, apparent = p.round(decimals), apparent.round(decimals)
    evaluation = evaluate_run(y, p, counts, apparent)
    for metric in CLOSED_METRICS:
        on_resample, too_good = [], []
        for b, weight in enumerate(counts):
            rows, own = train_rows(weight), p[b].astype(float)
            on_resample.append(float(metric.function(y[rows], own[rows])))
            too_good.append(on_resample[-1] - float(metric.function(y, own)))
        naive = float(metric.function(y, apparent))
        row = by_key(evaluation)[metric.name, "optimism_corrected"]
        defined = np.isfinite(too_good)
        optimism = np.mean(np.array(too_good)[defined])
        if not metric.domain[0] <= naive - optimism <= metric.domain[1]:
            assert np.isnan(row.estimate) and "none that the metric can have" in row.reason
            continue
        assert row.estimate == pytest.approx(naive - optimism, rel=1e-7, abs=1e-9)
        assert row.n_defined == defined.sum() >= 54 and row.flag == "" and not row.coverage_checked
        if np.isfinite(row.sampling_lo):
            lo, hi = np.percentile(np.array(on_resample)[defined], [2.5, 97.5]) - optimism
            cut = np.clip([lo, hi], *metric.domain)
            assert (row.sampling_lo, row.sampling_hi) == pytest.approx(tuple(cut), rel=1e-6, abs=1e-9)
        else:
            assert "leave the apparent value out" in row.reason


def test_iterations_and_original_are_the_models_on_the_left_out_and_on_everybody(run, evaluation):
    y, p, counts, _ = run
    for metric in ITERATION_METRICS:
        own = p[7].astype(float)
        left_out = counts[7] == 0
        assert evaluation.iterations[metric.name][7] == pytest.approx(
            float(metric.function(y[left_out], own[left_out])), rel=1e-7
        )
        assert evaluation.original[metric.name][7] == pytest.approx(float(metric.function(y, own)), rel=1e-7)


def test_the_632_estimates(run, evaluation):
    y, _, _, apparent = run
    rows = by_key(evaluation)
    for name in ("auroc", "brier", "brier_scaled", "net_benefit_05", "net_benefit_20"):
        expected = 0.368 * rows[name, "apparent"].estimate + 0.632 * rows[name, "oob"].estimate
        assert rows[name, "b632"].estimate == pytest.approx(expected)
    errors = 1 - rows["auroc", "apparent"].estimate, 1 - rows["auroc", "oob"].estimate
    assert rows["auroc", "b632plus"].estimate == pytest.approx(1 - b632plus(*errors, 0.5))
    briers = rows["brier", "apparent"].estimate, rows["brier", "oob"].estimate
    expected = b632plus(*briers, no_information_brier(y, apparent))
    assert rows["brier", "b632plus"].estimate == pytest.approx(expected)
    assert rows["brier_scaled", "b632plus"].estimate == pytest.approx(1 - expected / (2 / 9))
    for key in (("cal_slope", "b632"), ("net_benefit_05", "b632plus"), ("ici", "b632")):
        assert np.isnan(rows[key].estimate) and rows[key].reason == "not defined"


def test_what_iterations_do_not_have_is_computed_for_apparent_and_pooled_alone(run, evaluation):
    y, _, _, apparent = run
    values = all_metrics(y, apparent)
    rows = by_key(evaluation)
    others = [metric.name for metric in METRICS if not metric.per_iteration]
    assert {"ici", "aurc", "sensitivity_at_50", "tpauc"} <= set(others)
    for name in others:
        assert rows[name, "apparent"].estimate == pytest.approx(float(values[name]), nan_ok=True)
        assert np.isnan(rows[name, "oob"].estimate)
        assert rows[name, "oob"].reason == "computed for apparent and oob_pooled only"
    for name in (metric.name for metric in METRICS if metric.smoothed):
        assert np.isnan(rows[name, "optimism_corrected"].estimate)
        assert rows[name, "optimism_corrected"].reason == "computed for apparent and oob_pooled only"


def test_the_sampling_interval_of_an_oob_estimate_is_that_of_its_influence(evaluation):
    subject_y = (np.arange(60) % 3 == 0).astype(int)
    rows = by_key(evaluation)
    for metric in ITERATION_METRICS:
        row = rows[metric.name, "oob"]
        se = influence_se(evaluation.influence[metric.name], subject_y)
        if metric.name.startswith("brier"):
            assert 3.92 * se < row.sampling_hi - row.sampling_lo < 1.7 * 3.92 * se
        elif metric.name != "auroc":
            lo, hi = np.clip([row.estimate - 1.96 * se, row.estimate + 1.96 * se], *metric.domain)
            assert (row.sampling_lo, row.sampling_hi) == pytest.approx((lo, hi))


def test_smoothed_metrics_get_intervals_on_request():
    run = simulated(30, 8)
    asked, default = (by_key(evaluate_run(*run, smoothed_intervals=asked)) for asked in (True, False))
    assert "computed on request" in default["ici", "oob_pooled"].reason
    row = asked["ici", "oob_pooled"]
    assert row.sampling_lo <= row.estimate <= row.sampling_hi or "leave the estimate out" in row.reason
    assert np.isfinite(asked["emax", "oob_pooled"].sampling_lo) or asked["emax", "oob_pooled"].reason


def test_a_model_that_knows_its_data_by_heart_is_flagged_and_has_no_interval():
    y, p, counts, _ = simulated(overfit=9.0)
    rows = by_key(evaluate_run(y, p, counts, np.where(y == 1, 0.9, 0.1)))
    for metric in ITERATION_METRICS:
        row = rows[metric.name, "optimism_corrected"]
        assert row.flag == "apparent_saturated" and np.isnan(row.sampling_lo) and row.reason
        assert rows[metric.name, "oob"].flag == ""
    assert "width would be 0" in rows["brier", "optimism_corrected"].reason
    assert "apparent: undefined" in rows["cal_slope", "optimism_corrected"].reason


def test_without_in_bag_predictions_there_is_no_optimism(run, evaluation):
    y, p, counts, apparent = run
    partial = evaluate_run(y, np.where(counts == 0, p, np.nan), counts, apparent)
    assert partial.original is None
    rows, whole = by_key(partial), by_key(evaluation)
    for metric in ITERATION_METRICS:
        row = rows[metric.name, "optimism_corrected"]
        assert np.isnan(row.estimate) and row.reason == "predictions of in-bag recordings are missing"
        for estimator in ("oob", "oob_pooled", "apparent", "b632", "b632plus"):
            key = metric.name, estimator
            assert rows[key].estimate == pytest.approx(whole[key].estimate, nan_ok=True)
    for name, values in partial.influence.items():
        np.testing.assert_allclose(values, evaluation.influence[name], rtol=1e-9, atol=1e-12)


def test_a_mask_in_place_of_counts_gives_no_optimism_rather_than_a_wrong_one(run):
    y, p, counts, apparent = run
    for given, reason in (((counts > 0).astype(int), "ever drawn twice"), (None, "not stored how often")):
        known = p if given is not None else np.where(counts == 0, p, np.nan)
        row = by_key(evaluate_run(y, known, given, apparent))["auroc", "optimism_corrected"]
        assert np.isnan(row.estimate) and reason in row.reason


def test_without_a_model_of_everybody_the_corrections_say_so(run, evaluation):
    y, p, counts, _ = run
    rows = by_key(evaluate_run(y, p, counts, None))
    for estimator in ("apparent", "optimism_corrected", "b632", "b632plus"):
        row = rows["brier", estimator]
        assert np.isnan(row.estimate) and "no predictions of a model fitted on everybody" in row.reason
    assert rows["brier", "oob"] == by_key(evaluation)["brier", "oob"]


def test_subjects_stand_in_order_of_first_appearance():
    y, p, counts, apparent = (np.repeat(a, 2, axis=-1) for a in simulated(20, 30))
    names = [f"subject {20 - i // 2}" for i in range(40)]
    evaluation = evaluate_run(y, p, counts, apparent, names)
    assert evaluation.subjects == tuple(f"subject {i}" for i in range(20, 0, -1))
    assert {values.shape for values in evaluation.influence.values()} == {(20,)}
    alone = evaluate_run(y[::2], p[:, ::2], counts[:, ::2], apparent[::2])
    np.testing.assert_allclose(evaluation.influence["brier"], alone.influence["brier"])
    assert alone.subjects == tuple(str(i) for i in range(20))


def test_nothing_depends_on_the_order_of_iterations_or_subjects(run, evaluation):
    y, p, counts, apparent = run
    order, turn = np.random.default_rng(1).permutation(60), np.arange(60)[::-1]
    shuffled = evaluate_run(y[order], p[turn][:, order], counts[turn][:, order], apparent[order])
    rows = by_key(shuffled)
    for key, row in by_key(evaluation).items():
        assert rows[key].estimate == pytest.approx(row.estimate, rel=1e-6, nan_ok=True), key
        if key[1] != "oob_pooled":
            assert rows[key].sampling_lo == pytest.approx(row.sampling_lo, rel=1e-6, abs=1e-9, nan_ok=True), (
                key
            )
    for name, values in evaluation.influence.items():
        np.testing.assert_allclose(shuffled.influence[name], values[order], rtol=1e-6, atol=1e-9)


def test_whatever_is_missing_has_a_reason_and_whatever_is_there_contains_its_estimate(evaluation):
    for row in evaluation.estimates:
        if np.isnan(row.sampling_lo):
            assert row.reason and not row.coverage_checked, row
        else:
            assert row.sampling_lo <= row.estimate <= row.sampling_hi and row.sampling_method
    checked = {(r.metric, r.estimator) for r in evaluation.estimates if r.coverage_checked}
    assert ("auroc", "oob") in checked and ("cal_slope", "oob") not in checked


@pytest.mark.parametrize("effect", [0.0, 6.0])
@pytest.mark.parametrize("digits", [0, 1, 8])
def test_degenerate_predictions_give_rows_with_reasons(effect, digits):
    y, p, counts, apparent = simulated(24, 12, effect)
    rounded = evaluate_run(y, np.round(p, digits), counts, np.round(apparent, digits))
    assert all(row.reason for row in rounded.estimates if np.isnan(row.estimate))


def test_a_label_that_is_none_is_refused(run):
    with pytest.raises(EvaluationError, match="label"):
        evaluate_run(np.full(60, 2), *run[1:])

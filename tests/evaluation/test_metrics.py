"""Every metric against its definition as a plain loop, other programs, and tables computed by hand."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from src.evaluation.auc import auroc
from src.evaluation.calibration import (
    cal_intercept,
    cal_intercept_joint,
    cal_slope,
    clipped_logit,
    n_clipped,
    oe_ratio,
    recalibration,
)
from src.evaluation.decision import net_benefit
from src.evaluation.metrics import (
    ITERATION_METRICS,
    METRICS,
    all_metrics,
    brier,
    brier_scaled,
    iteration_metrics,
)
from src.evaluation.resampling import EvaluationError

# Six predictions, by hand: cases .8 .4 .4, controls .4 .2 .1.
#   pairs won: .8 beats 3; each .4 ties one (1/2) and beats 2 -> 3 + 2.5 + 2.5 = 8 of 9.
Y6 = np.array([1, 1, 1, 0, 0, 0])
P6 = np.array([0.8, 0.4, 0.4, 0.4, 0.2, 0.1])


def simulated(n=120, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = (rng.random(n) < expit(x - 0.8)).astype(int)
    return y, expit(1.4 * x - 0.5)


@st.composite
def predictions(draw, min_size=1, max_size=14):
    """Small tables with many ties, zeros and ones, sometimes one class only."""
    n = draw(st.integers(min_size, max_size))
    values = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    p = draw(st.lists(values, min_size=n, max_size=n))
    return np.array(y), np.array(p)


def test_the_table_computed_by_hand():
    assert auroc(Y6, P6) == pytest.approx(8 / 9)
    assert brier(Y6, P6) == pytest.approx((0.04 + 0.36 + 0.36 + 0.16 + 0.04 + 0.01) / 6)
    assert brier_scaled(Y6, P6) == pytest.approx(1 - (0.97 / 6) / 0.25)
    assert oe_ratio(Y6, P6) == pytest.approx(3 / 2.3)
    assert net_benefit(Y6, P6, threshold=0.20) == pytest.approx(3 / 6 - 2 / 6 * 0.25)
    assert net_benefit(Y6, P6, threshold=0.05) == pytest.approx(3 / 6 - 3 / 6 * 0.05 / 0.95)


def test_a_prediction_equal_to_the_threshold_is_positive():
    for percent in (5, 10, 15, 20):
        t = percent / 100
        assert net_benefit([1, 0], [t, 0.0], threshold=t) == 0.5
    literals = {
        "net_benefit_05": 0.05,
        "net_benefit_10": 0.10,
        "net_benefit_15": 0.15,
        "net_benefit_20": 0.20,
    }
    values = {
        m.name: m.function(np.array([1, 0]), np.array([literals[m.name], 0.0]))
        for m in METRICS
        if m.name in literals
    }
    assert values == dict.fromkeys(literals, 0.5)


def test_auroc_agrees_with_scikit_learn_and_is_never_flipped():
    y, p = simulated()
    assert auroc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert auroc(y, 1 - p) == pytest.approx(1 - roc_auc_score(y, p), abs=1e-12)
    assert auroc(y, p**3) == auroc(y, p)


@given(predictions(min_size=4), st.integers(0, 2**31))
@settings(max_examples=40)
def test_many_iterations_at_once_are_the_iterations_one_by_one(table, seed):
    y, _ = table
    rng = np.random.default_rng(seed)
    p = rng.choice([0.0, 0.1, 0.2, 0.5, 0.7, 1.0], size=(6, y.size))
    out = rng.random((6, y.size)) < 0.5
    out[:, 0] = True
    together = iteration_metrics(y, np.where(out, p, np.nan), out)
    assert list(together) == [m.name for m in ITERATION_METRICS] + ["n_clipped", "n_left_out"]
    for b in range(6):
        for metric in ITERATION_METRICS:
            alone = metric.function(y[out[b]], p[b, out[b]])
            np.testing.assert_allclose(
                together[metric.name][b], alone, rtol=1e-7, atol=1e-9, err_msg=metric.name
            )
        assert together["n_clipped"][b] == np.isin(p[b, out[b]], [0, 1]).sum()
        assert together["n_left_out"][b] == out[b].sum()


def test_the_intercept_of_a_flat_likelihood_keeps_its_digits():
    p = np.array([0.0, 1.0])  # their clipped logits are opposite but for rounding
    undone = -clipped_logit(p).sum() / 2
    assert cal_intercept([0, 1], p) == pytest.approx(undone, abs=1e-14)
    assert cal_intercept([1, 0], p) == pytest.approx(undone, abs=1e-14)
    assert cal_intercept([0, 1, 0, 1], np.tile(p, 2)) == pytest.approx(undone, abs=1e-14)


def logistic(y, x, offset=None):
    """Fit with statsmodels, to the last digit."""
    design = sm.add_constant(x) if offset is None else np.ones((len(y), 1))
    model = sm.GLM(y, design, family=sm.families.Binomial(), offset=offset)
    return model.fit(tol=1e-14, maxiter=200).params


@pytest.mark.parametrize("seed", range(5))
def test_recalibration_agrees_with_statsmodels(seed):
    y, p = simulated(60, seed)
    intercept, slope = logistic(y, logit(p))
    assert cal_intercept_joint(y, p) == pytest.approx(intercept, abs=1e-8)
    assert cal_slope(y, p) == pytest.approx(slope, abs=1e-8)
    assert cal_intercept(y, p) == pytest.approx(logistic(y, None, offset=logit(p))[0], abs=1e-8)


def test_recalibration_of_two_groups_is_exact():
    # p is 0.2 for five and 0.8 for five; observed 2/5 and 3/5: logits -+ log(4) become -+ log(1.5).
    y = np.array([1, 1, 0, 0, 0, 1, 1, 1, 0, 0])
    p = np.repeat([0.2, 0.8], 5)
    intercept, slope = recalibration(y, p)
    assert slope == pytest.approx(np.log(1.5) / np.log(4), abs=1e-10) and abs(intercept) < 1e-10
    assert abs(cal_intercept(y, p)) < 1e-10


@given(predictions(min_size=2))
@settings(max_examples=200)
def test_a_slope_exists_exactly_where_no_threshold_separates_the_classes(table):
    y, p = table
    cases, controls = p[y == 1], p[y == 0]
    exists = (
        bool(len(cases) and len(controls)) and cases.min() < controls.max() and controls.min() < cases.max()
    )
    intercept, slope = recalibration(y, p)
    assert np.isfinite(slope) == np.isfinite(intercept) == exists
    if exists:
        x = logit(np.clip(p, 1e-8, 1 - 1e-8))
        score = y - expit(intercept + slope * x)
        assert abs(score.sum()) < 1e-6 and abs(score @ x) < 1e-5


@given(predictions(min_size=2))
def test_calibration_in_the_large_makes_the_sums_equal(table):
    y, p = table
    a = cal_intercept(y, p)
    if 0 < y.sum() < y.size:
        x = logit(np.clip(p, 1e-8, 1 - 1e-8))
        assert expit(a + x).sum() == pytest.approx(y.sum(), abs=1e-8)
    else:
        assert np.isnan(a)


def test_nearly_separated_classes_still_have_their_slope():
    y = np.array([0] * 30 + [1, 0] + [1] * 30)
    p = np.concatenate([np.linspace(0.001, 0.45, 30), [0.499, 0.5], np.linspace(0.55, 0.999, 30)])
    try:
        expected = logistic(y, logit(p))
    except PerfectSeparationError:
        pytest.fail("the classes overlap")
    assert cal_slope(y, p) == pytest.approx(expected[1], rel=1e-6)


def test_constant_predictions():
    y = np.array([0, 0, 0, 1])
    p = np.full(4, 0.25)
    assert auroc(y, p) == 0.5
    assert brier_scaled(y, p) == pytest.approx(0)
    assert cal_intercept(y, p) == pytest.approx(0, abs=1e-12)
    assert np.isnan(cal_slope(y, p)) and np.isnan(cal_intercept_joint(y, p))


def test_one_class_leaves_undefined_what_needs_two():
    values = all_metrics(np.zeros(3), np.array([0.1, 0.2, 0.3]), only=ITERATION_METRICS)
    undefined = {name for name, value in values.items() if np.isnan(value)}
    calibration = {"cal_intercept", "cal_slope", "cal_intercept_joint"}
    assert undefined == {"auroc", "auprc", "brier_scaled"} | calibration
    assert values["oe_ratio"] == 0 and values["net_benefit_20"] == pytest.approx(-2 / 3 * 0.25)


def test_zeros_and_ones_are_clipped_and_counted():
    p = np.array([[0.0, 1.0, 0.5, 1.0], [0.2, 0.3, 0.5, 0.0]])
    assert n_clipped(0, p).tolist() == [3, 1]
    assert n_clipped(0, p, np.array([[1, 0, 1, 1], [1, 1, 1, 0]])).tolist() == [2, 0]
    y = np.array([0, 1, 1, 0, 1])
    q = np.array([0.0, 1.0, 0.3, 0.6, 0.2])
    expected = logistic(y, logit(np.clip(q, 1e-8, 1 - 1e-8)))[1]
    assert cal_slope(y, q) == pytest.approx(expected, rel=1e-5)


def test_a_prediction_that_is_no_probability_is_named():
    y, p = np.array([0, 1, 1]), np.array([[0.1, 0.2, 0.3], [0.1, 1.2, 0.3]])
    with pytest.raises(EvaluationError, match=r"iteration 1 for position 1 is 1\.2; expected a probability"):
        brier(y, p)
    with pytest.raises(EvaluationError, match="position 0 is nan; expected a finite number"):
        auroc(y, np.array([np.nan, 0.2, 0.3]))
    assert brier(y, p, np.array([[1, 1, 1], [1, 0, 1]])).shape == (2,)

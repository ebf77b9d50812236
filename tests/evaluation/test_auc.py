"""DeLong's variance and ROC curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from src.evaluation.auc import auroc, delong_components, delong_variance, roc_curve, roc_on_grid
from src.evaluation.resampling import EvaluationError


def simulated(n=80, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    return y, np.round(rng.normal(size=n) + y, 1)


def test_delong_by_hand():
    # cases 3, 2; controls 2, 1, 0: case shares (3/3, 2.5/3), control shares (1.5/2, 1, 1).
    y, p = np.array([1, 1, 0, 0, 0]), np.array([3.0, 2.0, 2.0, 1.0, 0.0])
    np.testing.assert_allclose(delong_components(y, p), [1, 2.5 / 3, 0.75, 1, 1])
    variance_cases, variance_controls = (1 / 6) ** 2 / 2, 2 / 3 * 0.25**2 / 2
    assert delong_variance(y, p) == pytest.approx(variance_cases / 2 + variance_controls / 3)


def test_components_average_to_the_auroc_in_both_classes():
    y, p = simulated()
    shares = delong_components(y, p)
    for label in (0, 1):
        assert shares[y == label].mean() == pytest.approx(roc_auc_score(y, p))


def test_delong_matches_the_double_loop():
    y, p = simulated()
    cases, controls = p[y == 1], p[y == 0]
    psi = (cases[:, None] > controls) + 0.5 * (cases[:, None] == controls)
    expected = psi.mean(axis=1).var(ddof=1) / len(cases) + psi.mean(axis=0).var(ddof=1) / len(controls)
    assert delong_variance(y, p) == pytest.approx(expected, rel=1e-12)


def test_the_variance_is_that_of_the_auroc_over_samples():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [60, 30])
    p = rng.normal(size=(4000, 90)) + 1.2 * y
    estimates = auroc(y, p)
    claimed = np.mean([delong_variance(y, row) for row in p[:300]])
    assert claimed == pytest.approx(estimates.var(), rel=0.08)


def test_a_recording_counted_twice_adds_no_information():
    y, p = simulated()
    subjects = np.arange(y.size)
    twice = [np.repeat(a, 2) for a in (y, p, subjects)]
    assert delong_variance(*twice) == pytest.approx(delong_variance(y, p), rel=1e-12)
    assert delong_variance(twice[0], twice[1]) < 0.6 * delong_variance(y, p)


def test_the_clustered_variance_is_that_over_samples_of_subjects():
    rng = np.random.default_rng(2)
    subject = np.repeat(np.arange(60), 2)
    y = (subject >= 40).astype(int)
    eyes = rng.normal(size=(3000, 60))[:, subject] + 0.5 * rng.normal(size=(3000, 120)) + y
    claimed = np.mean([delong_variance(y, row, subject) for row in eyes[:300]])
    assert claimed == pytest.approx(auroc(y, eyes).var(), rel=0.1)


def test_too_few_subjects_and_subjects_in_both_classes():
    assert np.isnan(delong_variance(np.array([1, 0, 0]), np.array([0.2, 0.1, 0.3])))
    with pytest.raises(EvaluationError, match="both classes"):
        delong_variance(np.array([1, 0, 0, 1]), np.arange(4.0), ["a", "a", "b", "c"])


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.3, 0.9])), min_size=2, max_size=25))
def test_the_roc_curve_agrees_with_scikit_learn(table):
    y, p = np.array(table).T
    if 0 < y.sum() < y.size:
        expected = sklearn_roc_curve(y, p, drop_intermediate=False)
        for ours, theirs in zip(roc_curve(y, p), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_curve_on_a_grid_is_read_at_the_upper_end_of_its_steps():
    y, p = np.array([1, 1, 0, 0]), np.array([[0.9, 0.4, 0.6, 0.1], [0.5, 0.5, 0.5, 0.5]])
    grid = np.array([0, 0.25, 0.5, 1])
    tpr = roc_on_grid(y, p, np.ones_like(p), grid)
    np.testing.assert_allclose(tpr, [[0.5, 0.5, 1, 1], [0, 0.25, 0.5, 1]])


def test_each_iteration_on_the_grid_is_its_own_interpolated_curve():
    rng = np.random.default_rng(3)
    y, _ = simulated(40)
    p = np.round(rng.random((30, 40)), 1)
    out = rng.random((30, 40)) < 0.4
    out[0] = y == 0
    tpr = roc_on_grid(y, np.where(out, p, np.nan), out)
    assert np.isnan(tpr[0]).all()
    for b in range(1, 30):
        fpr, exact, _ = roc_curve(y[out[b]], p[b, out[b]])
        np.testing.assert_allclose(tpr[b], np.interp(np.arange(101) / 100, fpr, exact), atol=1e-9)

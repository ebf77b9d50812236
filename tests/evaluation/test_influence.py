"""Influence of subjects on out-of-bag estimates: numeric derivatives, loops, a bootstrap of subjects."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import expit

import src.evaluation.influence as module
from src.evaluation.auc import auroc, delong_components, delong_variance
from src.evaluation.influence import delong_influence, influence_se, model_scatter, oob_influence
from src.evaluation.intervals import subject_draws
from src.evaluation.metrics import ITERATION_METRICS, iteration_metrics
from src.evaluation.resampling import inbag_counts

METRIC = {m.name: m for m in ITERATION_METRICS if m.name != "auroc"}  # AUROC: delong_influence


def simulated(n=30, n_iterations=12, digits=2, seed=0, stretch=1.0):
    """Predictions with ties; a third of the subjects are cases."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    x = rng.normal(size=n) + 1.2 * y - 0.8 + 0.4 * rng.normal(size=(n_iterations, n))
    p = np.clip(np.round(expit(stretch * x), digits), 0.01, 0.99)
    return y, p, inbag_counts(y, [str(i) for i in range(n)], n_iterations, seed) == 0


@pytest.fixture(scope="module")
def run():
    return simulated()


def balanced(left_out, y, weight):
    """Weights in each iteration, scaled so that the classes weigh what they weigh without."""
    w = left_out * weight
    for label in (0, 1):
        of_class = y == label
        w[:, of_class] *= (left_out[:, of_class].sum(1) / w[:, of_class].sum(1))[:, None]
    return w


@pytest.mark.parametrize("name", METRIC)
def test_influence_is_the_derivative_in_a_subjects_weight_the_classes_held(run, name):
    y, p, left_out = run
    function = METRIC[name].function
    own = oob_influence(y, p, left_out, None, iteration_metrics(y, p, left_out))[name]
    sizes, n, step = left_out.sum(axis=1), y.size, 1e-4
    for i in (0, 1, 2, 17, 29):
        moved = []
        for sign in (1, -1):
            weight = np.ones(n)
            weight[i] += sign * step
            moved.append(function(y, p, balanced(left_out, y, weight)))
        derivative = (moved[0] - moved[1]) / (2 * step)
        expected = np.nanmean((derivative * sizes)[left_out[:, i]])
        assert own[i] == pytest.approx(expected, rel=2e-5, abs=2e-6)


def test_the_brier_influence_in_plain_loops(run):
    y, p, left_out = run
    expected = []
    for i in range(y.size):
        terms = []
        for b in range(len(p)):
            if left_out[b, i]:
                peers = [j for j in range(y.size) if left_out[b, j] and y[j] == y[i]]
                terms.append((p[b, i] - y[i]) ** 2 - np.mean([(p[b, j] - y[j]) ** 2 for j in peers]))
        expected.append(np.mean(terms))
    own = oob_influence(y, p, left_out, None, {"brier": METRIC["brier"].function(y, p, left_out)})
    np.testing.assert_allclose(own["brier"], expected, atol=1e-12)


def test_influences_cancel_within_the_classes_where_everybody_is_left_out_of_everything():
    y, p, _ = simulated()
    everybody = np.ones(p.shape, dtype=bool)
    influence = oob_influence(y, p, everybody, None, iteration_metrics(y, p, everybody))
    assert set(influence) == set(METRIC)
    for name, values in influence.items():
        sums = [values[y == 0].sum(), values[y == 1].sum()]
        np.testing.assert_allclose(sums, 0, atol=1e-9, err_msg=name)


def test_the_influence_on_the_auroc_is_its_derivative_in_a_subjects_weight_the_classes_held():
    y, p, _ = simulated(n_iterations=1)
    own, step = delong_influence(y, p, np.arange(30))[0], 1e-4
    for i in (0, 1, 2, 17, 29):
        moved = [auroc(y, p[0], 1 + sign * step * (np.arange(30) == i)) for sign in (1, -1)]
        assert own[i] == pytest.approx(30 * (moved[0] - moved[1]) / (2 * step), rel=1e-6, abs=1e-9)


def test_the_auroc_has_delongs_standard_error():
    y, p, _ = simulated(60, 1)
    influence = delong_influence(y, p, np.arange(60))[0]
    assert influence_se(influence, y) == pytest.approx(np.sqrt(delong_variance(y, p[0])), rel=1e-12)


@pytest.mark.parametrize("n_subjects", [40, 13])
def test_recordings_are_added_up_as_by_a_matrix_of_who_belongs_to_whom(n_subjects):
    y, p, _ = simulated(40, 2)
    owner = np.arange(40) % 13 if n_subjects == 13 else np.arange(40)
    y = (owner % 3 == 0).astype(int)
    p[0, [4, 17]] = np.nan
    seen = ~np.isnan(p[0])
    member = (owner[:, None] == np.arange(n_subjects)).astype(float)[seen]
    shares = np.array([delong_components(y[seen], row[seen]) for row in p])
    for label in (0, 1):
        shares[:, y[seen] == label] -= shares[:, y[seen] == label].mean(axis=1, keepdims=True)
    known = member.any(axis=0)
    expected = known.sum() * (shares / np.bincount(y[seen])[y[seen]]) @ member
    own = delong_influence(y, p, owner)
    np.testing.assert_array_equal(np.isfinite(own), np.tile(known, (2, 1)))
    np.testing.assert_allclose(
        own[:, known], expected[:, known], rtol=0, atol=0 if n_subjects == 40 else 1e-14
    )


def test_the_scatter_of_models_by_all_pairs_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    p = 0.5 + 0.1 * rng.normal(size=(80, 1)) * rng.normal(size=30)
    left_out = rng.random(p.shape) < 0.37
    left_out[:, 5] = False
    w = left_out.astype(float)
    mean = (w * p).sum(axis=0) / np.maximum(w.sum(axis=0), 1)
    deviation, both = w * (p - mean), np.maximum(w.T @ w, 1)
    covariance = deviation.T @ deviation / both
    noise = np.outer(np.diag(covariance), np.diag(covariance)) / both
    expected = 4 * (covariance**2 - noise).sum() / 30**2
    assert expected > 0
    for at_once in (7, 30, 256):
        monkeypatch.setattr(module, "_PAIRED_AT_ONCE", at_once)
        assert model_scatter(p, left_out) == pytest.approx(expected, rel=1e-12)


def test_memory_grows_with_the_number_of_recordings_not_with_its_square():
    n = 4000  # a table of all pairs of them has 128 MB
    y, p, left_out = simulated(n, 3)
    tracemalloc.start()
    try:
        delong_influence(y, p, np.arange(n))
        model_scatter(p, left_out)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


def test_the_standard_error_by_hand():
    y = np.array([0, 0, 0, 1, 1, 1])
    influence = np.array([0.1, 0.3, 0.2, -0.6, -0.8, np.nan])
    expected = np.sqrt(3 * np.var([0.1, 0.3, 0.2], ddof=1) + 2 * np.var([0.6, 0.8], ddof=1)) / 5
    assert influence_se(influence, y) == pytest.approx(expected)
    np.testing.assert_allclose(
        influence_se(np.stack([influence, 2 * influence], 1), y), [expected, 2 * expected]
    )
    assert np.isnan(influence_se(influence[:4], y[:4]))


@pytest.fixture(scope="module")
def bootstrapped():
    """Standard errors from influence, and the scatter of the estimates over draws of subjects."""
    y, p, left_out = simulated(450, 150, digits=8, seed=4, stretch=1.6)
    influence = oob_influence(y, p, left_out, None, iteration_metrics(y, p, left_out))
    draws = subject_draws(y, np.arange(y.size), 250, seed=1)
    redrawn = [iteration_metrics(y, p, balanced(left_out, y, w)) for w in draws + 1e-9]
    return {
        name: (influence_se(influence[name], y), np.std([values[name].mean() for values in redrawn]))
        for name in METRIC
    }


@pytest.mark.parametrize("name", METRIC)
def test_the_standard_error_is_that_of_an_explicit_bootstrap_of_subjects(bootstrapped, name):
    own, explicit = bootstrapped[name]
    assert own == pytest.approx(explicit, rel=0.13)


def test_recordings_of_a_subject_count_together():
    y, p, left_out = simulated()
    alone = oob_influence(y, p, left_out, None, iteration_metrics(y, p, left_out))
    twice = [np.repeat(a, 2, axis=-1) for a in (y, p, left_out)]
    both = oob_influence(*twice, np.repeat(np.arange(30), 2), iteration_metrics(*twice))
    for name in METRIC:
        np.testing.assert_allclose(both[name], alone[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_subject_that_was_never_left_out_has_none(run):
    y, p, left_out = run
    seen = left_out.copy()
    seen[:, 4] = False
    influence = oob_influence(y, p, seen, None, iteration_metrics(y, p, seen))["brier"]
    rest = np.delete(np.arange(30), 4)
    smaller = [np.delete(a, 4, axis=-1) for a in (y, p, seen)]
    without = oob_influence(*smaller, None, iteration_metrics(*smaller))["brier"]
    assert np.isnan(influence[4])
    np.testing.assert_allclose(influence[rest], without)


def test_iterations_in_which_a_metric_is_undefined_do_not_count(run):
    y, p, left_out = run
    constant = p.copy()
    constant[3] = 0.4
    values = iteration_metrics(y, constant, left_out)
    assert np.isnan(values["cal_slope"][3])
    others = np.delete(np.arange(len(p)), 3)
    expected = oob_influence(y, p[others], left_out[others], None, {n: values[n][others] for n in METRIC})[
        "cal_slope"
    ]
    own = oob_influence(y, constant, left_out, None, values)["cal_slope"]
    np.testing.assert_allclose(own, expected, rtol=1e-9)

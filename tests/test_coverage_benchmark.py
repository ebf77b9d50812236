"""The simulation of coverage: its models, its truths and its planted error have to be right themselves."""

import sys
from types import ModuleType

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.tree import DecisionTreeClassifier

from benchmarks.__main__ import main
from benchmarks.coverage import (
    N_FEATURES,
    PREVALENCE,
    Y,
    _worth_of_leaves,
    fit_all,
    halved,
    linear_sample,
    population,
    sample,
)
from src.classifiers.logistic_regression import LogisticRegression
from src.evaluation.auc import auroc
from src.evaluation.estimators import evaluate_run
from src.evaluation.influence import model_scatter
from src.evaluation.metrics import ITERATION_METRICS, all_metrics, brier
from src.evaluation.resampling import inbag_counts, train_rows

CODES = [str(i) for i in range(Y.size)]


@pytest.fixture(scope="module")
def drawn():
    return sample(0.8, np.random.default_rng(0), 152, 56), inbag_counts(Y, CODES, 5, 0)


def test_the_batched_fits_are_those_of_the_projects_classifier(drawn):
    X, counts = drawn
    p = fit_all(X, Y, counts).predict(X)
    for weight, own in zip(counts, p, strict=True):
        rows = train_rows(weight)
        single = LogisticRegression().fit(X[rows], Y[rows]).predict_proba(X)[:, 1]
        np.testing.assert_allclose(own, single, atol=1e-7)


def test_without_a_penalty_they_are_the_maximum_likelihood(drawn):
    X, counts = drawn
    models = fit_all(X, Y, counts, C=np.inf)
    for b, weight in enumerate(counts):
        rows = train_rows(weight)
        fit = sm.GLM(Y[rows], sm.add_constant(X[rows]), family=sm.families.Binomial()).fit(tol=1e-12)
        np.testing.assert_allclose([models.intercept[b], *models.coefficients[b]], fit.params, atol=1e-7)


@pytest.mark.parametrize("oracle", [0.5, 0.8, 0.95])
def test_the_worth_in_the_population_is_that_of_a_very_large_sample(oracle):
    rng = np.random.default_rng(1)
    models = fit_all(sample(oracle, rng, 152, 56), Y, np.ones((1, Y.size)))
    worth = population(models, oracle)
    assert set(worth) == {metric.name for metric in ITERATION_METRICS}
    size = 400_000
    n_cases = round(size * PREVALENCE)
    y = np.repeat([0, 1], [size - n_cases, n_cases])
    p = models.predict(sample(oracle, rng, size - n_cases, n_cases))
    for name, value in all_metrics(y, p, only=ITERATION_METRICS).items():
        assert worth[name] == pytest.approx(value, abs=0.02 if name.startswith("cal") else 0.004), name


def test_the_best_score_has_the_auroc_that_was_asked_for():
    rng = np.random.default_rng(2)
    X = sample(0.91, rng, 100_000, 100_000)
    score = X.sum(axis=1)
    assert X.shape[1] == N_FEATURES
    assert auroc(np.repeat([0, 1], 100_000), score) == pytest.approx(0.91, abs=0.002)


def test_a_tree_is_worth_what_its_predictions_are(drawn):
    X, counts = drawn
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    tree.fit(X, Y, sample_weight=counts[0])
    rest = sample(0.8, np.random.default_rng(3), 3000, 1000).astype(np.float32)
    y, p = np.repeat([0, 1], [3000, 1000]), tree.predict_proba(rest)[:, 1]
    expected = (float(auroc(y, p)), float(brier(y, p)))
    assert _worth_of_leaves(tree.tree_, tree.tree_.apply(rest), 1000) == pytest.approx(expected, rel=1e-9)


def test_the_planted_error_is_an_interval_of_half_the_standard_error(drawn):
    X, counts = drawn
    p = fit_all(X, Y, counts).predict(X)
    rows = {(r.metric, r.estimator): r for r in evaluate_run(Y, p, counts, p[0]).estimates}
    wald, own = rows["brier", "oob"], halved(rows["brier", "oob"])
    assert own[1] - own[0] == pytest.approx((wald.sampling_hi - wald.sampling_lo) / 2)
    assert sum(own) / 2 == pytest.approx(wald.estimate)
    moved = rows["auroc", "oob"]
    ends = np.diff(logit([moved.sampling_lo, moved.estimate, moved.sampling_hi]))
    np.testing.assert_allclose(np.diff(logit(np.insert(halved(moved), 1, moved.estimate))), ends / 2)


def test_the_scatter_of_models_is_the_variance_of_what_their_errors_cost():
    """Predictions scatter by two normal directions: the cost of an error is a sum of two squares."""
    rng = np.random.default_rng(4)
    directions = rng.normal(size=(2, 60)) * 0.05
    p = 0.4 + rng.normal(size=(4000, 2)) @ directions
    cost = (((rng.normal(size=(20_000, 2)) @ directions) ** 2).mean(axis=1)).var()
    assert model_scatter(p, rng.random(p.shape) < 0.37) == pytest.approx(2 * cost, rel=0.08)


def test_scatter_that_is_noise_alone_is_subtracted():
    rng = np.random.default_rng(5)
    p = expit(rng.normal(size=(300, 60)))
    left_out = rng.random(p.shape) < 0.37
    independent = 4 * p.var(axis=0).mean() ** 2 / 60
    assert model_scatter(p, left_out) == pytest.approx(independent, rel=0.5)


def test_one_sample_tells_of_every_metric_whether_its_interval_holds():
    held = {h.measure: h for h in linear_sample(0.8, 0)}
    assert {metric.name for metric in ITERATION_METRICS} <= set(held)
    assert all(h.exists for name, h in held.items() if "optimism" not in name)
    assert all(h.whole or not h.half for h in held.values())


def test_the_help_has_names_and_what_they_measure_apart(monkeypatch, capsys):
    found = {name: ModuleType(name, f"What {name} is.") for name in ("costs", "a_long_name_of_one")}
    monkeypatch.setattr("benchmarks.__main__.find_benchmarks", lambda: found)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--help"])
    with pytest.raises(SystemExit):
        main()
    lines = capsys.readouterr().out.splitlines()
    assert {
        "  costs               What costs is.",
        "  a_long_name_of_one  What a_long_name_of_one is.",
    } <= set(lines)

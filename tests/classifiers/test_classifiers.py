"""Each classifier against the library it stands on."""

import numpy as np
import pytest
from catboost import CatBoostClassifier
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from xgboost import XGBClassifier

from src.classifiers import logistic_regression
from src.classifiers.catboost import CatBoost
from src.classifiers.logistic_regression import LogisticRegression, ridge
from src.classifiers.tabular import column_medians
from src.classifiers.xgboost import XGBoost

RNG = np.random.default_rng(0)
Y = (np.arange(90) % 4 == 0).astype(int)
X = RNG.normal(size=(90, 5)) * [1, 10, 0.1, 1, 1] + np.outer(Y, [1, 5, 0, 0, 0])


def test_logistic_regression_is_the_penalised_optimum_on_standardised_features():
    oracle = make_pipeline(StandardScaler(), SklearnLogisticRegression(C=0.5, tol=1e-10, max_iter=5000))
    expected = oracle.fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(LogisticRegression(C=0.5).fit(X, Y).predict_proba(X), expected, atol=1e-6)


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("effect", [0.0, 1.0, 40.0])
def test_many_ridges_at_once_are_scikit_learns_also_where_the_classes_are_apart(C, effect):
    rng = np.random.default_rng(1)
    weight = rng.poisson(1.0, (5, 90)).astype(float)
    weight[:, :8] += 1  # both classes in every sample
    Z = rng.normal(size=(5, 90, 3)) + effect * Y[:, None]
    found = ridge(Z, Y, weight, C)
    for z, w, beta in zip(Z, weight, found, strict=True):
        oracle = SklearnLogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        oracle.fit(z, Y, sample_weight=w)
        theirs = np.array([oracle.intercept_[0], *oracle.coef_[0]])
        assert loss(beta, z, w, C) <= loss(theirs, z, w, C) * (1 + 1e-9) + 1e-12
        np.testing.assert_allclose(beta, theirs, rtol=1e-4, atol=1e-7)  # they stop a little early


def loss(beta, z, w, C):
    score = beta[0] + z @ beta[1:]
    return w @ (np.logaddexp(0, score) - Y * score) + (beta[1:] ** 2).sum() / (2 * C)


def test_a_ridge_that_does_not_get_there_says_so(monkeypatch):
    monkeypatch.setattr(logistic_regression, "_STEPS", 2)
    with pytest.raises(ArithmeticError, match=r"does not converge in 2 steps: is C = 1e\+06 too large"):
        ridge(X[None] / X.std(axis=0), Y, np.ones((1, 90)), 1e6)


def test_logistic_regression_does_not_depend_on_the_unit_of_a_feature():
    p = LogisticRegression().fit(X, Y).predict_proba(X)
    scaled = X * [1000, 0.01, 3, 1, 1] + [5, 0, 0, 0, -2]
    np.testing.assert_allclose(LogisticRegression().fit(scaled, Y).predict_proba(scaled), p, atol=1e-10)


def test_xgboost_is_the_library_with_these_parameters():
    oracle = XGBClassifier(
        n_estimators=30, max_depth=3, learning_rate=0.2, max_bin=16, tree_method="hist", n_jobs=1
    )
    expected = oracle.fit(X, Y).predict_proba(X)
    ours = XGBoost(n_trees=30, max_depth=3, learning_rate=0.2, max_bin=16).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), expected, atol=1e-6)


def test_catboost_is_the_library_with_these_parameters():
    oracle = CatBoostClassifier(
        iterations=30,
        depth=3,
        border_count=16,
        learning_rate=0.2,
        random_seed=4,
        boosting_type="Plain",
        thread_count=1,
        allow_writing_files=False,
        logging_level="Silent",
    )
    expected = oracle.fit(X, Y).predict_proba(X)
    ours = CatBoost(n_trees=30, depth=3, border_count=16, learning_rate=0.2, random_state=4).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), expected, atol=1e-9)


def test_importances_are_those_of_the_libraries():
    oracle = make_pipeline(StandardScaler(), SklearnLogisticRegression(C=1.0, tol=1e-10, max_iter=5000))
    coefficients = np.abs(oracle.fit(X, Y)[-1].coef_[0])
    ours = LogisticRegression(C=1.0).fit(X, Y).feature_importances_
    np.testing.assert_allclose(ours, coefficients / coefficients.sum(), atol=1e-6)
    xgb = XGBClassifier(n_estimators=30, max_depth=3, max_bin=16, importance_type="total_gain", n_jobs=1)
    ours = XGBoost(n_trees=30, max_depth=3, learning_rate=0.3, max_bin=16).fit(X, Y).feature_importances_
    np.testing.assert_allclose(ours, xgb.fit(X, Y).feature_importances_, atol=1e-6)
    fitted = CatBoost(n_trees=30).fit(X, Y)
    np.testing.assert_allclose(
        fitted.feature_importances_,
        fitted.model_.get_feature_importance(type="PredictionValuesChange") / 100,
        atol=1e-9,
    )


def test_catboost_writes_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CatBoost(n_trees=2).fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_medians_ignore_missing_values():
    table = np.array([[1.0, np.nan, 5.0], [4.0, np.nan, np.nan], [2.0, np.nan, 1.0]])
    assert column_medians(table).tolist() == [2.0, 0.0, 3.0]


@parametrize_with_checks([LogisticRegression(), XGBoost(n_trees=5), CatBoost(n_trees=5)])
def test_scikit_learn_accepts_them_as_estimators(estimator, check):
    check(estimator)

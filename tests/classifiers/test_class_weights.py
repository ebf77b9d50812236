"""Class weights: as many rows, one by one and together; the contract has what holds for all classifiers."""

import numpy as np
import pytest
from catboost import CatBoostClassifier
from sklearn.base import clone

from src.classifiers.catboost import CatBoost
from src.classifiers.logistic_regression import LogisticRegression
from src.classifiers.mlp import MLP
from src.classifiers.tabm import TabM
from src.classifiers.tabpfn import TabPFN
from src.classifiers.xgboost import XGBoost
from src.evaluation.resampling import inbag_counts

RNG = np.random.default_rng(8)
Y = np.repeat([0, 1], [60, 30])
X = np.round(
    2 * RNG.normal(size=(90, 4)) + Y[:, None]
)  # few values: trees bin weighted and repeated rows alike
BY_ROWS = [LogisticRegression(), XGBoost(n_trees=20), MLP(epochs=20), TabM(epochs=20)]


@pytest.mark.parametrize("classifier", BY_ROWS, ids=lambda c: type(c).__name__)
def test_a_class_of_weight_three_is_a_class_of_rows_repeated_three_times(classifier):
    weighted = clone(classifier).set_params(class_weight={0: 1, 1: 3}).fit(X, Y).predict_proba(X)
    rows = np.repeat(np.arange(90), np.where(Y == 1, 3, 1))
    repeated = clone(classifier).fit(X[rows], Y[rows]).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-5)
    assert np.abs(weighted - clone(classifier).fit(X, Y).predict_proba(X)).max() > 0.05


def test_catboost_weighs_rows_as_the_library_does():
    # Not as repeated rows: it chooses the borders of its bins without weights.
    oracle = CatBoostClassifier(
        iterations=20,
        depth=4,
        border_count=32,
        boosting_type="Plain",
        class_weights={0: 1, 1: 3},
        random_seed=0,
        thread_count=1,
        allow_writing_files=False,
        logging_level="Silent",
    )
    ours = CatBoost(n_trees=20, class_weight={0: 1, 1: 3}).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(ours, oracle.fit(X, Y).predict_proba(X), atol=1e-9)


@pytest.mark.parametrize(
    "classifier", [c for c in BY_ROWS if hasattr(c, "fit_resamples")], ids=lambda c: type(c).__name__
)
def test_resamples_are_balanced_each_by_its_own_rows(classifier):
    balanced = clone(classifier).set_params(class_weight="balanced")
    counts = inbag_counts(Y, [str(i) for i in range(90)], 3, seed=1)
    counts[0] = np.where(Y == 1, counts[0] > 0, counts[0])  # another share of cases
    for model, drawn in zip(balanced.fit_resamples(X, Y, counts, np.arange(3)), counts, strict=True):
        rows = np.repeat(np.arange(90), drawn)
        alone = clone(balanced).set_params(random_state=model.random_state).fit(X[rows], Y[rows])
        np.testing.assert_allclose(
            model.predict_proba(X), alone.predict_proba(X), rtol=0, atol=balanced.equal_within
        )


def test_tabpfn_multiplies_its_odds():
    plain, weighted = (
        TabPFN(class_weight=weights).fit(X, Y).predict_proba(X) for weights in (None, {0: 2, 1: 6})
    )
    odds, new = (p[:, 1] / p[:, 0] for p in (plain, weighted))
    np.testing.assert_allclose(new, 3 * odds, rtol=1e-9)

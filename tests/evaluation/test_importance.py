"""Permutation importance against plain arithmetic, and tables of importances known by heart."""

import numpy as np
import pytest

from src.evaluation import importance
from src.evaluation.importance import importance_table, permutation_importance

NAN = float("nan")


class Sum:
    """Predicts from the sum of two of three features; counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def predict_proba(self, X):
        self.calls += 1
        p = 1 / (1 + np.exp(-(X[:, 0] + X[:, 1])))
        return np.column_stack([1 - p, p])


class Reversing:
    """Stands for a generator whose every permutation turns the columns round."""

    def permuted(self, X, axis):
        return np.flip(X, axis)


def predicted(X):
    return Sum().predict_proba(X)[:, 1].astype(np.float32)


def test_a_perfect_feature_turned_round_loses_everything():
    # p orders the rows as the first feature does: AUROC 1; reversed it orders them the wrong way round: 0
    X = np.array([[1.0, 0, 7], [2, 0, 7], [3, 0, 7], [4, 0, 9]])
    drops = permutation_importance(Sum(), X, np.array([0, 0, 1, 1]), predicted(X), Reversing())
    assert drops.tolist() == [1.0, 0.0, 0.0]


def test_all_features_are_predicted_in_one_call_or_in_blocks_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    model = Sum()
    whole = permutation_importance(model, X, y, predicted(X), np.random.default_rng(1))
    assert model.calls == 1
    monkeypatch.setattr(importance, "_MAX_CELLS", 2 * X.size)
    np.testing.assert_array_equal(
        permutation_importance(model, X, y, predicted(X), np.random.default_rng(1)), whole
    )
    assert model.calls == 3


def test_without_a_case_it_is_undefined():
    X = np.zeros((4, 2))
    drops = permutation_importance(Sum(), X, np.zeros(4), predicted(X), np.random.default_rng(0))
    assert np.isnan(drops).all() and drops.shape == (2,)


def test_the_table_is_over_the_iterations_that_have_a_value():
    values = [[1.0, 0.5, NAN], [3.0, NAN, NAN], [2.0, NAN, NAN]]
    table = importance_table(values, ["a", "b", "c"], "model")
    assert table["feature"].tolist() == ["a", "b", "c"] and set(table["kind"]) == {"model"}
    assert table["n"].tolist() == [3, 1, 0]
    np.testing.assert_allclose(table["mean"], [2.0, 0.5, NAN])
    np.testing.assert_allclose(table["sd"], [1.0, NAN, NAN])
    np.testing.assert_allclose(table["lo"], [1.05, 0.5, NAN])
    np.testing.assert_allclose(table["hi"], [2.95, 0.5, NAN])


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 1 features"):
        importance_table(np.zeros((2, 2)), ["a"], "model")

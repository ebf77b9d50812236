"""The resampling loop: what every iteration fits and predicts, however many workers do it."""

import inspect
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_info

from src.evaluation.loop import bootstrap
from src.evaluation.resampling import EvaluationError, permutation_rng, random_states

N = 30
Y = np.array([0] * 18 + [1] * 12)
X = np.random.default_rng(0).normal(size=(N, 3)) + 0.8 * Y[:, None]
CODES = [f"H{i:03d}" for i in range(N)]


class Fixture(ClassifierMixin, BaseEstimator):
    """Predicts something derived from the rows it was fitted on and its random state."""

    def __init__(self, random_state=None, trouble="none"):
        self.random_state = random_state
        self.trouble = trouble

    def fit(self, X, y):
        if self.trouble == "raise":
            raise RuntimeError("singular")
        if self.trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        self.mean_ = X[:, 0].mean() + self.random_state % 97 / 1000
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-(X[:, 0] - self.mean_)))
        if self.trouble == "nan":
            p[3] = np.nan
        return np.column_stack([1 - p, p])


def run(classifier=None, n_iterations=45, **changes):
    arguments = {"X": X, "y": Y, "subject_codes": CODES, "groups": CODES, "seed": 5} | changes
    return bootstrap(classifier or Fixture(), n_iterations=n_iterations, **arguments)


def test_the_result_is_that_of_a_plain_loop():
    result = run()
    for b, state in enumerate(random_states(5, 45)):
        rows = result.train_indices[b]
        model = Fixture(random_state=int(state)).fit(X[rows], Y[rows])
        p = model.predict_proba(X)[:, 1].astype(np.float32)
        np.testing.assert_array_equal(result.y_prob_all[b], p)
        out = np.setdiff1d(np.arange(N), rows)
        np.testing.assert_array_equal(result.test_indices[b], out)
        np.testing.assert_array_equal(result.y_prob[b], p[out])
        np.testing.assert_array_equal(result.y_true[b], Y[out])
        assert result.auroc[b] == pytest.approx(roc_auc_score(Y[out], p[out]), abs=1e-12)
        assert result.brier[b] == pytest.approx(brier_score_loss(Y[out], p[out].astype(float)), abs=1e-12)


def test_the_apparent_model_is_fitted_once_on_everybody():
    result = run(LogisticRegression())
    expected = LogisticRegression().fit(X, Y).predict_proba(X)[:, 1]
    np.testing.assert_allclose(result.y_prob_apparent, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_one_and_two_workers_give_identical_bits(start_method):
    one, two = run(), run(n_jobs=2, start_method=start_method)
    names = ("y_prob_all", "y_prob_apparent", "inbag_counts", "random_states", "auroc", "brier")
    for name in (*names, "feature_importance", "permutation_importance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.resample_id == two.resample_id


def test_permutation_importance_is_that_of_a_plain_loop():
    result = run(permutation_every=3)
    computed = np.isfinite(result.permutation_importance).all(axis=1)
    assert computed.tolist() == [b % 3 == 0 for b in range(45)]
    for b in range(0, 45, 3):
        out = result.test_indices[b]
        permuted = permutation_rng(5, b).permuted(X[out], axis=0)
        model = Fixture(random_state=int(result.random_states[b])).fit(X[result.train_indices[b]], None)
        for j in range(3):
            shuffled = X[out].copy()
            shuffled[:, j] = permuted[:, j]
            p = model.predict_proba(shuffled)[:, 1].astype(np.float32)
            drop = result.auroc[b] - roc_auc_score(Y[out], p)
            assert result.permutation_importance[b, j] == pytest.approx(drop, abs=1e-6)
    assert (result.permutation_importance[::3, 1:] == 0).all()  # the model looks at the first feature only
    assert result.permutation_importance[::3, 0].mean() > 0.1


def test_predictions_do_not_depend_on_permutations():
    never, often = run(permutation_every=0), run(permutation_every=1)
    assert np.isnan(never.permutation_importance).all()
    assert np.isfinite(often.permutation_importance).all()
    np.testing.assert_array_equal(never.y_prob_all, often.y_prob_all)
    np.testing.assert_array_equal(
        run(permutation_every=5).permutation_importance[::5], often.permutation_importance[::5]
    )


def test_a_model_s_own_importances_are_kept_where_it_has_them():
    assert np.isnan(run().feature_importance).all()
    result = run(DecisionTreeClassifier(), n_iterations=2)
    rows = result.train_indices[1]
    model = DecisionTreeClassifier(random_state=int(result.random_states[1])).fit(X[rows], Y[rows])
    np.testing.assert_allclose(result.feature_importance[1], model.feature_importances_, rtol=1e-6)


def test_an_importance_for_another_number_of_features_is_an_error():
    class Odd(Fixture):
        feature_importances_ = np.ones(2)

    with pytest.raises(
        EvaluationError, match=r"iteration 0 of Odd has importances of shape \(2,\); expected one per"
    ):
        run(Odd())


def test_the_same_seed_repeats_and_another_one_does_not():
    np.testing.assert_array_equal(run().y_prob_all, run().y_prob_all)
    assert not np.array_equal(run().y_prob_all, run(seed=6).y_prob_all)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_rises_to_the_number_of_iterations(n_jobs):
    seen = []
    run(n_jobs=n_jobs, progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [45] * 3
    done = [d for d, _ in seen]
    assert done == sorted(done) and done[-1] == 45 and done[0] < 45


def test_every_thread_pool_is_held_to_one_thread_and_released():
    during = []

    class Counting(Fixture):
        def fit(self, X, y):
            during.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit(X, y)

    before = [pool["num_threads"] for pool in threadpool_info()]
    run(Counting(), n_iterations=2)
    assert set(during) == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_classifier_that_fails_is_named_with_its_iteration(n_jobs):
    message = "iteration [0-9]+ of Fixture failed: RuntimeError: singular"
    with pytest.raises(EvaluationError, match=message):
        run(Fixture(trouble="raise"), n_jobs=n_jobs)


def test_a_probability_that_is_none_is_an_error_naming_the_iteration():
    with pytest.raises(EvaluationError, match="iteration 0 of Fixture predicts nan; expected probabilities"):
        run(Fixture(trouble="nan"))


def test_a_worker_that_dies_ends_the_loop_with_one_sentence():
    with pytest.raises(EvaluationError, match="a worker process died after 0 of 3 chunks"):
        run(Fixture(trouble="die"), n_jobs=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": X[:-1]}, r"30 labels for features of shape \(29, 3\)"),
        ({"subject_codes": ["H000", *CODES[:-1]]}, "recording 'H000' occurs twice"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"permutation_every": -1}, "permutation_every is -1"),
        ({"groups": ["one"] * N}, "both classes"),
    ],
)
def test_inputs_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(EvaluationError, match=message):
        run(**changes)


def test_the_default_is_the_config_s():
    config = Path(__file__).parents[2] / "configs" / "evaluation" / "bootstrap.yaml"
    every = re.search(r"^permutation_every: (\d+)$", config.read_text(), re.MULTILINE)
    assert inspect.signature(bootstrap).parameters["permutation_every"].default == int(every[1])

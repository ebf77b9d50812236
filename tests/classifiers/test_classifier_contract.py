"""The contract of a classifier, for every config file of the stage."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from src.evaluation.resampling import inbag_counts, train_rows

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "classifier").glob("*.yaml"))


def build(config):
    """Make the classifier of a config file, as small as its smoke profile."""
    parameters = yaml.safe_load(config.read_text())
    profile = parameters.pop("profiles", {}).get("smoke", {})
    parameters.pop("search", None)
    module, name = parameters.pop("_target_").rsplit(".", 1)
    return getattr(import_module(module), name)(**{**parameters, **profile})


@pytest.fixture(params=CONFIGS, ids=lambda config: config.stem)
def classifier(request):
    return build(request.param).set_params(random_state=3)


def needs_knowledge(classifier):
    if "checkpoint" in classifier.get_params():
        pytest.skip("tiny random weights stand in for the published ones, and know nothing")


def toy(n=120, k=4, seed=0, effect=2.0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    X = rng.normal(size=(n, k))
    X[:, 1] += effect * y
    return X, y


def probabilities(model, X, y, at=None):
    return clone(model).fit(X, y).predict_proba(X if at is None else at)


def test_there_is_something_to_test():
    assert CONFIGS


def test_probabilities_are_two_columns_that_add_up_to_one(classifier):
    X, y = toy()
    p = probabilities(classifier, X, y, at=X[:7])
    assert p.shape == (7, 2) and (p >= 0).all() and (p <= 1).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_it_learns_what_separates_the_classes_and_says_so_on_new_rows(classifier):
    needs_knowledge(classifier)
    X, y = toy(n=300)
    new, new_y = toy(n=300, seed=1)
    assert roc_auc_score(new_y, probabilities(classifier, X, y, at=new)[:, 1]) > 0.85


def test_probabilities_keep_the_share_of_cases(classifier):
    needs_knowledge(classifier)
    X, y = toy()
    assert probabilities(classifier, X, y)[:, 1].mean() == pytest.approx(y.mean(), abs=0.03)


def test_clones_are_equal_and_unfitted_and_fits_repeat_bit_by_bit(classifier):
    X, y = toy()
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params() and copy.get_params()["random_state"] == 3
    np.testing.assert_array_equal(probabilities(copy, X, y), probabilities(classifier, X, y))


def test_a_refit_forgets_the_first_fit(classifier):
    X, y = toy()
    other, other_y = toy(seed=9)
    twice = clone(classifier).fit(other, other_y).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(twice, probabilities(classifier, X, y))


def test_missing_features_take_the_median_of_the_training_rows(classifier):
    X, y = toy()
    holes = X.copy()
    holes[::5, 1] = np.nan
    holes[3, :] = np.nan
    filled = np.where(np.isnan(holes), np.nanmedian(holes, axis=0), holes)
    np.testing.assert_array_equal(probabilities(classifier, holes, y), probabilities(classifier, filled, y))


def test_a_feature_that_is_always_missing_in_training_changes_nothing_and_stays(classifier):
    X, y = toy()
    empty = np.column_stack([X, np.full(len(X), np.nan)])
    p = probabilities(classifier, empty, y, at=empty)
    assert np.isfinite(p).all()
    later = np.column_stack([X, np.full(len(X), np.nan)])
    np.testing.assert_array_equal(probabilities(classifier, empty, y, at=later), p)


def test_without_any_information_it_predicts_the_share_of_cases(classifier):
    y = toy()[1]
    nothing = np.full((y.size, 2), np.nan)
    np.testing.assert_allclose(probabilities(classifier, nothing, y)[:, 1], y.mean(), atol=0.01)


def test_the_order_of_the_training_rows_hardly_matters(classifier):
    X, y = toy()
    order = np.random.default_rng(2).permutation(len(y))
    p, shuffled = probabilities(classifier, X, y), probabilities(classifier, X[order], y[order], at=X)
    assert np.corrcoef(p[:, 1], shuffled[:, 1])[0, 1] > 0.98


def test_an_infinite_feature_is_refused(classifier):
    X, y = toy()
    X[4, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        clone(classifier).fit(X, y)


def test_one_class_is_refused(classifier):
    X, _ = toy()
    with pytest.raises(ValueError, match="class"):
        clone(classifier).fit(X, np.zeros(len(X), dtype=int))


def test_importances_are_shares_and_find_the_feature_that_separates(classifier):
    X, y = toy(n=300)
    importances = clone(classifier).fit(X, y).feature_importances_
    assert importances.shape == (4,)
    if not np.isnan(importances).all():
        assert (importances >= 0).all() and importances.sum() == pytest.approx(1, abs=1e-9)
        assert importances.argmax() == 1


def test_importances_do_not_depend_on_units_and_are_zero_for_what_never_varies(classifier):
    X, y = toy()
    plain = clone(classifier).fit(X, y).feature_importances_
    other_units = np.column_stack([X * [2.0, 0.25, 1024.0, 1.0], np.full(len(X), np.nan), np.ones(len(X))])
    scaled = clone(classifier).fit(other_units, y).feature_importances_
    np.testing.assert_allclose(scaled[:4], plain, atol=1e-6)
    assert np.isnan(scaled[4:]).all() or scaled[4:].tolist() == [0, 0]


def test_a_model_of_nothing_has_no_importances(classifier):
    y = toy()[1]
    assert np.isnan(clone(classifier).fit(np.full((y.size, 2), np.nan), y).feature_importances_).all()


def resampled(n=60, n_resamples=7):
    """Rows with missing features, one constant and one never known, and how often resamples drew them."""
    X, y = toy(n=n, k=6)
    rng = np.random.default_rng(1)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 4], X[:, 5] = 0.1, np.nan
    return X, y, inbag_counts(y, [str(i) for i in range(n)], n_resamples, seed=2)


def test_fitted_together_is_fitted_alone(classifier):
    if not hasattr(classifier, "fit_resamples"):
        pytest.skip("it is fitted on one sample at a time")
    X, y, counts = resampled()
    states = np.arange(len(counts))
    together = classifier.fit_resamples(X, y, counts, states)
    for model, drawn, state in zip(together, counts, states.tolist(), strict=True):
        rows = train_rows(drawn)
        alone = clone(classifier).set_params(random_state=state).fit(X[rows], y[rows])
        np.testing.assert_allclose(
            model.predict_proba(X), alone.predict_proba(X), rtol=0, atol=classifier.equal_within
        )
        np.testing.assert_allclose(model.feature_importances_, alone.feature_importances_, atol=1e-5)
        assert model.random_state == state and model.medians_.tolist() == alone.medians_.tolist()


def test_what_is_fitted_together_does_not_depend_on_the_company(classifier):
    if not hasattr(classifier, "fit_resamples"):
        pytest.skip("it is fitted on one sample at a time")
    X, y, counts = resampled()
    states = np.arange(len(counts))
    seven = classifier.fit_resamples(X, y, counts, states)
    two = classifier.fit_resamples(X, y, counts[3:5], states[3:5])
    for one, other in zip(seven[3:5], two, strict=True):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_class_weights_are_known_by_label_or_balanced_and_move_the_probabilities(classifier):
    X, y = toy()  # a third are cases
    plain, balanced, by_hand = (
        clone(classifier).set_params(class_weight=weight).fit(X, y).predict_proba(X)[:, 1]
        for weight in (None, "balanced", {0: 0.75, 1: 1.5})
    )
    np.testing.assert_array_equal(balanced, by_hand)
    assert balanced.mean() > plain.mean() + 0.02
    with pytest.raises(ValueError, match="class_weight is 'equal'; expected null, balanced or a weight"):
        clone(classifier).set_params(class_weight="equal").fit(X, y)


def test_only_class_weights_need_a_word_of_caution(classifier):
    assert clone(classifier).caveat == ""
    assert "calibration" in clone(classifier).set_params(class_weight="balanced").caveat

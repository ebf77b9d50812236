"""MLP and TabM: slow twins in plain torch, and many fits at once against single ones."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from tabm import TabM as PackagesTabM
from torch import nn

from src import requirements
from src.classifiers.mlp import MLP
from src.classifiers.tabm import TabM
from src.evaluation.loop import bootstrap
from src.evaluation.resampling import inbag_counts, train_rows
from src.networks.members import _dense, _parameters, _stacked
from src.requirements import NotReady

RNG = np.random.default_rng(5)
Y = np.repeat([0, 1], [152, 56])
X = RNG.normal(size=(208, 8)) + 0.5 * Y[:, None]
CODES = [f"S{i:03d}" for i in range(208)]
COUNTS = inbag_counts(Y, CODES, 4, seed=2)
STATES = np.array([7, 8, 9, 10])
BOTH = pytest.mark.parametrize("classifier", [MLP(), TabM()], ids=["MLP", "TabM"])


def twin(network, epochs, lr, decay):
    """Train as a textbook would, on standardised rows; return the probabilities of these rows."""
    rows = torch.tensor((X - X.mean(axis=0)) / X.std(axis=0), dtype=torch.float32)
    y = torch.tensor(Y, dtype=torch.float32)
    start = float(np.log(56 / 152))  # log odds of the share of cases
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=decay)
    for _ in range(epochs):
        scores = network(rows).reshape(208, -1) + start
        members = [nn.functional.binary_cross_entropy_with_logits(member, y) for member in scores.T]
        optimizer.zero_grad()
        (sum(members) / len(members)).backward()
        optimizer.step()
    return torch.sigmoid(network(rows).reshape(208, -1) + start).mean(dim=1).detach().numpy()


def test_an_mlp_is_dense_layers_trained_on_the_log_loss():
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 1))
    expected = twin(network, 40, 0.01, 0.5)
    ours = MLP(n_layers=2, width=5, epochs=40, learning_rate=0.01, weight_decay=0.5, random_state=3)
    np.testing.assert_allclose(ours.fit(X, Y).predict_proba(X)[:, 1], expected, atol=1e-5)


def test_tabm_is_the_packages_with_members_that_learn_on_their_own_and_vote_together():
    torch.manual_seed(3)
    network = PackagesTabM.make(n_num_features=8, d_out=1, k=3, n_blocks=2, d_block=16, dropout=0.0)
    expected = twin(network, 30, 0.01, 0.5)
    ours = TabM(k=3, width=16, epochs=30, learning_rate=0.01, weight_decay=0.5, random_state=3)
    np.testing.assert_allclose(ours.fit(X, Y).predict_proba(X)[:, 1], expected, atol=1e-5)


@BOTH
def test_stacked_dense_layers_are_the_networks_own_forward_pass(classifier):
    models = [clone(classifier).set_params(random_state=seed, epochs=1).fit(X, Y) for seed in (1, 2)]
    networks = [model.network_ for model in models]
    rows = torch.tensor(X[:50], dtype=torch.float32)
    layers = classifier._layers(_parameters(_stacked(networks), networks[0]))
    stacked = _dense(rows.expand(2, -1, -1), layers)
    for scores, network in zip(stacked, networks, strict=True):
        torch.testing.assert_close(scores.T + network.offset, network(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@BOTH
def test_many_fits_at_once_are_single_fits(classifier, class_weight):
    classifier = clone(classifier).set_params(class_weight=class_weight)
    together = classifier.fit_resamples(X, Y, COUNTS, STATES)
    for model, drawn, state in zip(together, COUNTS, STATES.tolist(), strict=True):
        rows = train_rows(drawn)
        alone = clone(classifier).set_params(random_state=state).fit(X[rows], Y[rows])
        difference = np.abs(model.predict_proba(X) - alone.predict_proba(X))
        # Rounding differs; where a unit is about to switch on or off, training enlarges it.
        assert np.median(difference) < 1e-4 and difference.max() < classifier.equal_within


@BOTH
def test_initial_weights_are_those_of_the_random_state(classifier):
    still = clone(classifier).set_params(epochs=0)
    together = still.fit_resamples(X, Y, COUNTS, STATES)
    alone = [clone(still).set_params(random_state=int(state)).fit(X, Y) for state in STATES]
    for model, other in zip(together, alone, strict=True):
        own, same = (dict(m.network_.network.named_parameters()) for m in (model, other))
        assert all(torch.equal(own[name], same[name]) for name in own)
    first, second = (next(m.network_.parameters()) for m in together[:2])
    assert not torch.equal(first, second)


@BOTH
def test_a_resample_does_not_depend_on_company_or_order(classifier):
    predict = lambda rows: [  # noqa: E731
        m.predict_proba(X) for m in classifier.fit_resamples(X, Y, COUNTS[rows], STATES[rows])
    ]
    three = predict([0, 1, 2])
    np.testing.assert_array_equal(three[1], predict([1])[0])
    np.testing.assert_array_equal(three, predict([2, 1, 0])[::-1])


@BOTH
def test_more_resamples_than_a_stack_holds_are_stacked_twice(classifier, monkeypatch):
    classifier = clone(classifier).set_params(epochs=3)
    whole = [m.predict_proba(X) for m in classifier.fit_resamples(X, Y, COUNTS, STATES)]
    monkeypatch.setattr(type(classifier), "resamples_at_once", 3)
    parts = [m.predict_proba(X) for m in classifier.fit_resamples(X, Y, COUNTS, STATES)]
    np.testing.assert_allclose(parts, whole, atol=1e-6)


@BOTH
def test_workers_forked_after_torch_was_used_give_the_same(classifier):
    classifier = clone(classifier).set_params(epochs=3).fit(X, Y)
    one, two = (bootstrap(classifier, X, Y, CODES, CODES, 21, 1, n, start_method="fork") for n in (1, 2))
    np.testing.assert_array_equal(one.y_prob_all, two.y_prob_all)
    np.testing.assert_array_equal(one.y_prob_apparent, two.y_prob_apparent)
    assert np.isnan(one.feature_importance).all() and np.isfinite(one.permutation_importance[0]).all()


@BOTH
def test_what_diverges_says_in_which_epoch(classifier):
    wild = clone(classifier).set_params(learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+"):
        wild.fit(X, Y)
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+"):
        wild.fit_resamples(X, Y, COUNTS, STATES)


@BOTH
def test_torchs_own_chance_and_threads_are_left_alone(classifier):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    classifier = clone(classifier).set_params(epochs=2)
    classifier.fit(X, Y).predict_proba(X)
    classifier.fit_resamples(X, Y, COUNTS, STATES)
    assert torch.equal(torch.random.get_rng_state(), before) and torch.get_num_threads() == threads


@BOTH
def test_on_linear_effects_it_is_about_as_good_as_logistic_regression(classifier):
    from src.classifiers.logistic_regression import LogisticRegression

    ours, linear = (
        bootstrap(c, X, Y, CODES, CODES, 20, 3, permutation_every=0)
        for c in (classifier, LogisticRegression())
    )
    assert ours.auroc.mean() > linear.auroc.mean() - 0.03
    assert ours.brier.mean() < linear.brier.mean() + 0.02


@BOTH
def test_without_its_packages_it_names_the_command(classifier, monkeypatch):
    classifier.check_ready()
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "skorch" else object())
    with pytest.raises(
        NotReady, match=r"needs skorch, not installed here: pip install 'foundation-plr\[deep\]'"
    ):
        classifier.check_ready()


def test_classical_classifiers_and_unused_networks_import_no_torch():
    modules = ", ".join(f"src.classifiers.{m}" for m in ("logistic_regression", "mlp", "tabm", "tabpfn"))
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@parametrize_with_checks([MLP(), TabM(k=2, width=16)])
def test_scikit_learn_accepts_them_as_estimators(estimator, check):
    check(estimator)

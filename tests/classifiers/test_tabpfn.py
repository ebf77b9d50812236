"""TabPFN with a tiny random checkpoint: no server is asked, and what lacks is said before work begins."""

import socket

import numpy as np
import pytest

from src import requirements
from src.classifiers.tabpfn import TabPFN, _model_file, _package
from src.evaluation.loop import bootstrap
from src.networks.weights import FOLDER_VARIABLE
from src.requirements import NotReady

RNG = np.random.default_rng(5)
Y = np.repeat([0, 1], [30, 12])
X = RNG.normal(size=(42, 3)) + Y[:, None]


def test_without_weights_it_names_the_command(monkeypatch, tmp_path):
    TabPFN().check_ready()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for use in (TabPFN().check_ready, lambda: TabPFN().fit(X, Y)):
        with pytest.raises(NotReady, match=r"python scripts/fetch_weights\.py TabPFN-v2-classifier"):
            use()
    assert not list(tmp_path.iterdir())


def test_without_its_package_it_names_the_command(monkeypatch):
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    with pytest.raises(NotReady, match=r"pip install 'foundation-plr\[tabpfn\]'"):
        TabPFN().check_ready()


def test_it_is_the_package_with_these_weights_and_opens_no_connection(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    oracle = _package().TabPFNClassifier(
        n_estimators=2, model_path=_model_file("TabPFN-v2-classifier"), device="cpu", random_state=4
    )
    expected = oracle.fit(X, Y).predict_proba(X)
    ours = TabPFN(n_estimators=2, random_state=4).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert np.ptp(ours[:, 1]) > 0.01  # else the comparison says little


def test_workers_give_the_same():
    codes = [str(i) for i in range(42)]
    one, two = (bootstrap(TabPFN(), X, Y, codes, codes, 21, 1, n, start_method="fork") for n in (1, 2))
    np.testing.assert_array_equal(one.y_prob_all, two.y_prob_all)

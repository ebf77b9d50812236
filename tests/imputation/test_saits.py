"""SAITS through PyPOTS: the network is trained and seeded, and errors are errors."""

from pathlib import Path

import numpy as np
import pytest
from methods import build

from src.networks.pypots import Gaps, build_network, draw_gaps, reconstruct, saits_loss
from src.networks.training import Machine, Training, train

CONFIG = Path(__file__).parents[2] / "configs" / "imputation" / "SAITS.yaml"
SETTINGS = {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_k": 8, "d_v": 8, "d_ffn": 16}


def waves(sign, n=24, length=600):
    """Recordings around 4 mm with a bump of 1 mm at the same place, up or down, of varying height."""
    rng = np.random.default_rng(8)
    bump = np.exp(-0.5 * ((np.arange(length) - 300) / 40) ** 2)
    pupil = 4 + sign * rng.uniform(0.5, 1.5, (n, 1)) * bump + rng.normal(0, 0.02, (n, length))
    return pupil, np.zeros(pupil.shape, dtype=bool)


def test_training_changes_the_network_and_lowers_its_error():
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (64, 1))
    values = np.sin(np.arange(40) / 4 + phase)
    known = np.ones(values.shape, dtype=bool)
    hidden = draw_gaps(known, Gaps(0.15, (1, 3)), rng)

    def error(network):
        curve = reconstruct(network, values, known & ~hidden, 32, Machine())
        return np.abs(curve - values)[hidden].mean()

    network = build_network("SAITS", 0, n_steps=40, n_features=1, **SETTINGS)
    before = error(network)
    loss = saits_loss(values, known, Gaps(0.2, (1, 3)))
    train(network, loss, len(values), Training(60, 16, 0.005, 0), Machine())
    assert error(network) < 0.6 * before


def test_hidden_values_do_not_leak_into_the_network():
    network = build_network("SAITS", 0, n_steps=30, n_features=1, **SETTINGS)
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 30))
    known = rng.random((4, 30)) > 0.3
    changed = np.where(known, values, 1e6)
    first, second = (reconstruct(network, v, known, 4, Machine()) for v in (values, changed))
    np.testing.assert_array_equal(first, second)


def test_seeds_decide():
    pupil, _ = waves(+1)
    missing = np.zeros(pupil.shape, dtype=bool)
    missing[:, 250:330] = True
    one, same, other = (
        build(CONFIG, seed=s).fit(pupil, missing).impute(pupil, missing).pupil for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other)[missing].max() > 0


def test_torch_s_own_state_is_left_alone():
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    pupil, missing = waves(+1, n=4)
    missing[:, 250:330] = True
    build(CONFIG).fit(pupil, missing).impute(pupil, missing)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("size", [1e30, 1e38])  # an infinite loss; predictions that are NaN
def test_a_loss_that_is_not_finite_is_an_error(size):
    network = build_network("SAITS", 0, n_steps=30, n_features=1, **SETTINGS)
    values = np.full((4, 30), size)
    loss = saits_loss(values, np.ones((4, 30), dtype=bool), Gaps(0.2, (1, 3)))
    with pytest.raises(FloatingPointError, match="training diverged in epoch 1"):
        train(network, loss, len(values), Training(2, 4, 0.01, 0), Machine())


def test_a_network_that_returns_no_number_is_an_error():
    import torch

    network = build_network("SAITS", 0, n_steps=30, n_features=1, **SETTINGS)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        reconstruct(network, np.zeros((2, 30)), np.ones((2, 30), dtype=bool), 2, Machine())


def test_another_length_than_fitted_is_refused():
    pupil, missing = waves(+1, n=4)
    method = build(CONFIG, epochs=1).fit(pupil, missing)
    with pytest.raises(ValueError, match="500 samples; SAITS was fitted on 600"):
        method.impute(pupil[:, :500], missing[:, :500])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of n_heads"):
        build(CONFIG, d_model=10, n_heads=4)


def test_hidden_gaps_have_the_share_and_lengths_asked_for():
    known = np.ones((400, 200), dtype=bool)
    hidden = draw_gaps(known, Gaps(0.2, (3, 12)), np.random.default_rng(0))
    assert 0.2 <= hidden.mean() < 0.25
    edges = np.diff(np.pad(hidden.astype(int), ((0, 0), (1, 1))), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    assert lengths.min() == 3
    assert np.quantile(lengths, 0.9) <= 24  # longer ones are several that touch

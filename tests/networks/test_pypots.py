"""PyPOTS behind its adapter: quiet, seeded, and its diffusion drawn by formulas that can be checked."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from src.networks.pypots import (
    Drawing,
    Gaps,
    _spaced,
    build_network,
    build_timesnet,
    correction_loss,
    denoising_loss,
    draw_curves,
    draw_gaps,
    reconstruct,
    reconstruction_loss,
)
from src.networks.training import Machine, Training, train

ROOT = Path(__file__).parents[2]
TIMESNET = {"n_layers": 1, "d_model": 8, "d_ffn": 8, "n_kernels": 2, "dropout": 0.0}
CSDI = {"n_layers": 1, "n_heads": 2, "n_channels": 8, "d_time_embedding": 8, "d_feature_embedding": 1}
CSDI |= {"d_diffusion_embedding": 8, "n_diffusion_steps": 20}


def csdi(n_steps=24):
    return build_network("CSDI", 0, n_steps=n_steps, n_features=1, **CSDI)


def waves(n=48, steps=24):
    """Sines of one frequency and any phase."""
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (n, 1))
    return 1.4 * np.sin(np.arange(steps) / 3 + phase), np.ones((n, steps), dtype=bool)


def middle_hidden(known):
    visible = known.copy()
    visible[:, 10:14] = False
    return visible


def test_importing_is_quiet_and_survives_a_redirected_stdout():
    code = """
import contextlib, io, sys
from src.networks.pypots import build_network
captured = io.StringIO()
with contextlib.redirect_stdout(captured):
    for name, more in (("TimesNet", dict(top_k=1, d_model=4, d_ffn=4, n_kernels=1)), ):
        build_network(name, 0, n_steps=8, n_features=1, n_layers=1, **more)
sys.exit(captured.getvalue() != "")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_building_is_seeded_and_prints_nothing():
    out = io.StringIO()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with contextlib.redirect_stdout(out):
        one, same, other = (
            build_timesnet(seed, n_steps=12, n_features=1, top_k=2, **TIMESNET) for seed in (0, 0, 1)
        )
    assert out.getvalue() == "" and torch.equal(torch.rand(2), expected)
    weights = [torch.nn.utils.parameters_to_vector(network.parameters()) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_no_more_periods_than_frequencies():
    network = build_timesnet(0, n_steps=5, n_features=1, top_k=9, **TIMESNET)
    assert reconstruct(network, np.ones((2, 5)), np.ones((2, 5), dtype=bool), 2, Machine()).shape == (2, 5)


def test_timesnet_learns_to_fill_gaps():
    values, known = waves()
    network = build_timesnet(0, n_steps=24, n_features=1, top_k=2, **TIMESNET)
    loss = reconstruction_loss(values, known, Gaps(0.2, (2, 5)))

    def error():
        curve = reconstruct(network, values, middle_hidden(known), 1, Machine())
        return np.abs(curve - values)[:, 10:14].mean()

    before = error()
    train(network, loss, len(values), Training(40, 16, 0.01, 0), Machine())
    assert error() < 0.6 * before


def test_a_network_corrects_towards_its_target():
    """The target is 0 wherever the second channel says so: nothing but the loss can tell."""
    values, _ = waves()
    flag = np.random.default_rng(1).random(values.shape) < 0.3
    shown = np.stack([values, flag], axis=-1)
    target = np.where(flag, 0.0, values)
    target[:, 3] = np.nan  # not known: no part of the loss
    network = build_timesnet(0, n_steps=24, n_features=2, top_k=2, **TIMESNET)
    train(
        network,
        correction_loss(shown, target, Gaps(0.0, (1, 1))),
        len(values),
        Training(60, 16, 0.01, 0),
        Machine(),
    )
    curve = reconstruct(network, shown, np.ones_like(shown), 1, Machine())
    there = flag & np.isfinite(target)
    assert np.abs(curve[there]).mean() < 0.4 * np.abs(values[there]).mean()


@pytest.mark.parametrize(("share", "steps"), [(1.0, (1, 2)), (-0.1, (1, 2)), (0.2, (0, 2)), (0.2, (3, 2))])
def test_gaps_that_cannot_be_hidden_are_refused(share, steps):
    with pytest.raises(ValueError, match=r"expected a share from 0 to below 1, and gaps of 1 step or more"):
        Gaps(share, steps)


def test_gaps_are_no_longer_than_the_recording_and_hide_their_share():
    hidden = draw_gaps(np.ones((9, 6), dtype=bool), Gaps(0.5, (8, 20)), np.random.default_rng(0))
    assert hidden.all()  # each gap is the whole recording, and one is drawn for each
    assert Gaps(0.1, (3, 40)).in_blocks(8) == Gaps(0.1, [1, 5])


@pytest.mark.parametrize("make", [reconstruction_loss, denoising_loss])
def test_losses_ignore_what_is_not_known(make):
    values, known = waves(n=6)
    known = np.random.default_rng(2).random(known.shape) > 0.3
    network = (
        csdi() if make is denoising_loss else build_timesnet(0, n_steps=24, n_features=1, top_k=2, **TIMESNET)
    )
    network.train()
    found = []
    for content in (values, np.where(known, values, 1e6)):
        torch.manual_seed(0)
        loss = make(content, known, Gaps(0.3, (2, 4)))
        found.append(loss(network, np.arange(6), np.random.default_rng(3)).item())
    assert found[0] == found[1]


class Telling(torch.nn.Module):
    """Stands for CSDI's network where the answer is known: the signal is `mean` with SD `sd`, everywhere."""

    def __init__(self, alpha, mean, sd):
        super().__init__()
        self.alpha, self.mean, self.sd = alpha, mean, sd

    def forward(self, inputs, side, level):
        noisy, a = inputs[:, 1], float(self.alpha[level.item()])
        # E[noise | noisy] for a normal signal
        return (1 - a) ** 0.5 * (noisy - a**0.5 * self.mean) / (a * self.sd**2 + 1 - a)


@pytest.mark.parametrize("n_steps", [20, 200])
def test_drawing_reaches_the_distribution_of_the_signal(n_steps):
    network = csdi(50)
    if n_steps == 200:
        network = build_network("CSDI", 0, n_steps=50, n_features=1, **CSDI | {"n_diffusion_steps": 200})
    network.backbone.diff_model = Telling(network.backbone.alpha, 0.5, 0.3)
    nothing = np.zeros((1, 50), dtype=bool)
    drawing = Drawing(400, n_steps, 9.0, 0)
    drawn = draw_curves(network, np.zeros((1, 50)), nothing, drawing, 400, Machine())
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    # Few levels are too sure: the variance they put back is right in the limit of many.
    assert drawn.std() == pytest.approx(0.3, rel=0.2 if n_steps == 20 else 0.05)
    tight = draw_curves(network, np.zeros((1, 50)), nothing, Drawing(20, n_steps, 0.6, 0), 20, Machine())
    assert np.abs(tight).max() <= 0.6 + 1e-6


def test_levels_are_spread_over_all_there_are():
    assert _spaced(50, 50) == list(range(49, -1, -1))
    assert _spaced(5, 99) == [4, 3, 2, 1, 0]
    assert _spaced(50, 3) == [49, 24, 0]


def test_draws_keep_what_is_known_repeat_and_do_not_depend_on_company():
    values, known = waves(n=5)
    visible = middle_hidden(known)
    network = csdi()
    with torch.no_grad():
        network.backbone.diff_model.output_projection2.weight.normal_(0, 0.3)
    drawing = Drawing(3, 6, 1e6, 0)
    drawn = draw_curves(network, values, visible, drawing, 6, Machine())
    assert drawn.shape == (3, 5, 24)
    for draw in drawn:
        np.testing.assert_allclose(draw[visible], values[visible], rtol=1e-6)
    assert drawn[:, :, 10:14].std(axis=0).min() > 0
    changed = np.where(visible, values, 1e6)
    np.testing.assert_array_equal(draw_curves(network, changed, visible, drawing, 6, Machine()), drawn)
    alone = draw_curves(network, values[[4]], visible[[4]], drawing, 6, Machine())
    np.testing.assert_allclose(alone[:, 0], drawn[:, 4], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
        network.backbone.diff_model.output_projection1.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        draw_curves(network, values, visible, drawing, 6, Machine())


def test_csdi_learns_what_stands_in_a_gap():
    values, known = waves()
    network = csdi()
    loss = denoising_loss(values, known, Gaps(0.3, (2, 6)))
    train(network, loss, len(values), Training(150, 16, 0.01, 0), Machine())
    drawn = draw_curves(network, values, middle_hidden(known), Drawing(8, 20, 2.0, 0), 64, Machine())
    error = np.abs(drawn.mean(axis=0) - values)[:, 10:14].mean()
    assert error < 0.85 * np.abs(values[:, 10:14]).mean()

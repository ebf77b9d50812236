"""CSDI: what its standard deviation says, and which settings make no sense."""

from pathlib import Path

import numpy as np
import pytest
from methods import build

from src.cohort.synthetic import generate

CONFIG = Path(__file__).parents[2] / "configs" / "imputation" / "CSDI.yaml"


@pytest.fixture(scope="module")
def fitted():
    """A method trained for a few seconds, and clean recordings it has not seen."""
    cohort = generate(n_recordings=60, n_controls=6, n_glaucoma=4, seed=12, artefact_load=0.0)
    truth, n = cohort.truth_pupil, 48
    pupil = truth + np.random.default_rng(0).normal(0, 0.01, truth.shape)
    settings = {"stride": 40, "epochs": 12, "n_channels": 16, "n_draws": 8, "n_drawing_steps": 10}
    method = build(CONFIG, **settings).fit(pupil[:n], np.zeros(truth[:n].shape, dtype=bool))
    return method, pupil[n:], truth[n:]


def with_gap(method, pupil, start, stop):
    missing = np.zeros(pupil.shape, dtype=bool)
    missing[:, start:stop] = True
    return method.impute(pupil, missing)


def test_it_is_less_sure_further_from_what_is_observed(fitted):
    method, pupil, _ = fitted
    sd = with_gap(method, pupil, 800, 1040).sd
    middle, edges = sd[:, 915:925].mean(), sd[:, [800, 801, 1038, 1039]].mean()
    assert middle > 2 * edges
    assert (sd[:, 800:1040] > 0).all()
    short = with_gap(method, pupil, 915, 925).sd
    assert short[:, 915:925].mean() < 0.5 * middle


def test_its_errors_are_as_large_as_it_says(fitted):
    method, pupil, truth = fitted
    for start, stop in ((700, 712), (900, 1020)):
        imputed = with_gap(method, pupil, start, stop)
        z = ((imputed.pupil - truth) / np.where(imputed.sd > 0, imputed.sd, 1))[:, start:stop]
        assert 0.3 < np.sqrt(np.square(z).mean()) < 1.6


def test_a_recording_with_nothing_observed_has_the_spread_of_the_cohort(fitted):
    method, pupil, _ = fitted
    imputed = method.impute(pupil, np.ones(pupil.shape, dtype=bool))
    assert (imputed.sd == method.spread_).all()


def test_its_sd_by_hand():
    """Draws scatter; samples scatter about blocks as the variogram says; the medians at the edges are noisy.

    A gap of two samples with five anchors on each side, whose mean positions are 3 before the first and 3
    behind the last: weights 4/7 and 3/7 for the first sample.
    """
    method = build(CONFIG)
    nugget, slope = 0.01, 0.002
    method.variogram_ = np.r_[0.0, nugget + slope * (np.arange(1, 30) - 1)]  # without noise: slope (h - 1)
    missing = np.zeros((1, 12), dtype=bool)
    missing[0, 5:7] = True
    observed = np.where(missing, np.nan, 2.0)  # of size 2: in units of size everything is half
    draws = np.zeros((4, 1, 12))
    draws[:, 0, 5] = [1.0, 2.0, 3.0, 4.0]
    sd = method._sd(draws, observed, missing)
    near, far = 4 / 7, 3 / 7  # of the first sample, which is 3 from one edge and 4 from the other
    kriging = 2 * slope * (near * 2 + far * 3) - 2 * near * far * slope * 6
    noise = nugget * (near**2 + far**2) * np.pi / 2 / 5
    scatter = np.array([5 / 3, 0.0]) * (1 + 1 / 4)  # of the mean of four draws, about which one more lies
    np.testing.assert_allclose(sd[0, 5:7], np.sqrt(scatter + 4 * (kriging + noise)))


def test_one_draw_has_no_spread():
    with pytest.raises(ValueError, match="n_draws is 1; expected at least 2"):
        build(CONFIG, n_draws=1)

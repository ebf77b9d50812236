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


def test_one_draw_has_no_spread():
    with pytest.raises(ValueError, match="n_draws is 1; expected at least 2"):
        build(CONFIG, n_draws=1)

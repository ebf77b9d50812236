"""Prophet's trend: what it follows, what is outside, and that its closed interval is the package's own."""

import importlib.util
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from src.cohort.synthetic import generate
from src.outliers.prophet import ProphetTrend, _quiet
from src.requirements import NotReady

TIME = np.arange(900) / 30


def recordings(pupil, time=TIME):
    """Wrap traces (n, T) as a cohort."""
    pupil = np.atleast_2d(np.asarray(pupil, dtype=float))
    made = generate(n_recordings=len(pupil), n_controls=1, n_glaucoma=0, seed=1).blind().without_truth()
    return replace(made, time=time, pupil=pupil)


def prophet(**changes):
    usual = {"interval_width": 0.99999, "changepoint_s": 2.0, "changepoint_prior_scale": 0.5, "step": 6}
    return ProphetTrend(**(usual | {"n_fits": 2, "seed": 0, "n_jobs": 1} | changes))


def tent(seed=0, noise=0.02):
    """Down to 3 mm in the middle and up again: one change of slope."""
    return 3 + 0.1 * np.abs(TIME - 15) + noise * np.random.default_rng(seed).standard_normal(TIME.size)


def test_spikes_are_outside_and_a_trend_that_turns_is_not():
    pupil = tent()
    spoilt = pupil.copy()
    at = np.array([100, 101, 102, 450, 700])
    spoilt[at] += [0.5, -0.5, 0.5, -0.4, 0.4]
    spoilt[200:220] = np.nan
    clean, flags = prophet().detect(recordings([pupil, spoilt]))
    assert not clean.any()
    np.testing.assert_array_equal(np.flatnonzero(flags), np.sort(np.r_[at, 200:220]))


def test_what_was_outside_no_longer_widens_the_interval():
    pupil = tent()
    pupil[::180] = 0.5  # five of the 150 samples that are fitted
    pupil[451] += 0.3
    once, twice = (prophet(n_fits=n).detect(recordings(pupil))[0] for n in (1, 2))
    assert once[::180].all() and not once[451]
    assert twice[::180].all() and twice[451]
    assert twice.sum() == 6


def test_the_interval_is_the_one_the_package_draws():
    from prophet import Prophet

    pupil, used = tent(noise=0.05), np.arange(0, 900, 6)
    trend, sd = None, None
    with _quiet():
        trend, sd = prophet()._trend(pupil[used], TIME[used], TIME[used])
        off = {f"{season}_seasonality": False for season in ("yearly", "weekly", "daily")}
        model = Prophet(
            n_changepoints=15, changepoint_range=1.0, changepoint_prior_scale=0.5, interval_width=0.9,
            uncertainty_samples=4000, **off,
        )  # fmt: skip
        dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(TIME[used], unit="s")
        np.random.seed(0)  # noqa: NPY002 - the package draws from this one
        drawn = model.fit(pd.DataFrame({"ds": dates, "y": pupil[used]}), seed=0).predict()
        model.stan_backend.cleanup()
    np.testing.assert_allclose(trend, drawn["yhat"], atol=1e-3)
    half = ndtri(0.95) * sd
    assert np.mean(drawn["yhat_upper"] - drawn["yhat"]) == pytest.approx(half, rel=0.02)
    assert np.mean(drawn["yhat"] - drawn["yhat_lower"]) == pytest.approx(half, rel=0.02)


def test_the_unit_and_the_start_of_time_do_not_matter():
    pupil = np.round(generate(n_recordings=3, n_controls=1, n_glaucoma=1, seed=8).pupil[:, :900], 3)
    flags = prophet().detect(recordings(pupil))
    np.testing.assert_array_equal(prophet().detect(recordings(64 * pupil)), flags)
    np.testing.assert_array_equal(prophet().detect(recordings(pupil, TIME + 1024)), flags)


@pytest.mark.parametrize("n_measured", [0, 1, 2, 9, 10, 11, 40])
def test_with_next_to_nothing_measured_only_what_is_lost_is_flagged(n_measured):
    pupil = np.full(900, np.nan)
    pupil[np.linspace(0, 899, n_measured).astype(int)] = 4 + 0.1 * np.arange(n_measured)
    np.testing.assert_array_equal(prophet(step=1).detect(recordings(pupil))[0], np.isnan(pupil))


def test_held_values_and_short_recordings():
    held = np.full(900, 4.0)
    held[[500, 700]] = 4.5, 4.01  # the second only shows that values come in fine steps
    np.testing.assert_array_equal(np.flatnonzero(prophet(n_fits=1).detect(recordings(held))[0]), [500])
    short = recordings([[4.0, np.nan, 4.1, 0.0, 4.0]], TIME[:5])
    np.testing.assert_array_equal(prophet().detect(short)[0], [False, True, False, True, False])


def test_nobody_talks(capfd, caplog):
    before = logging.getLogger("cmdstanpy").disabled
    with caplog.at_level(logging.DEBUG):
        prophet(n_jobs=2).detect(recordings([tent(1), tent(2)]))
    assert capfd.readouterr() == ("", "")
    assert not [r for r in caplog.records if r.name.startswith(("prophet", "cmdstanpy"))]
    assert logging.getLogger("cmdstanpy").disabled == before


def test_without_the_package_the_command_is_named(monkeypatch):
    prophet().check_ready()
    monkeypatch.setattr("src.requirements.find_spec", lambda name: None)
    with pytest.raises(NotReady, match=r"pip install 'foundation-plr\[prophet\]'"):
        prophet().check_ready()
    assert importlib.util.find_spec("prophet") is not None


def test_a_width_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"interval_width is 1\.0"):
        prophet(interval_width=1.0)

"""The Kalman smoother against the multivariate normal distribution it stands for, and against truth."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import multivariate_normal

from src.cohort.synthetic import generate
from src.imputation import kalman
from src.imputation.kalman import Dynamics, Kalman, auxiliary_residuals, fit_dynamics
from src.imputation.linear import Linear

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "configs" / "imputation" / "Kalman.yaml").read_text())
DYNAMICS = Dynamics(noise=0.3, size=1.1, slow=12.0, fast=3.0)


def build(**changes):
    return Kalman(
        **{key: CONFIG[key] for key in ("n_reference", "cutoff", "seed")} | {"n_reference": 8} | changes
    )


def covariance(dynamics, length):
    """Covariance of the deviation, from the response of the two low-passes to one impulse."""
    slow, fast = (np.exp(-np.arange(4000) / tau) for tau in (dynamics.slow, dynamics.fast))
    impulse = np.convolve(slow, fast)[:4000]
    lagged = np.array([impulse[: len(impulse) - lag] @ impulse[lag:] for lag in range(length)])
    lags = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    return dynamics.size**2 * lagged[lags] / lagged[0]


def simulate(dynamics, n, length, seed):
    """Recordings of these dynamics, as measured."""
    rng = np.random.default_rng(seed)
    deviation = rng.multivariate_normal(np.zeros(length), covariance(dynamics, length), n)
    return deviation, deviation + dynamics.noise * rng.normal(size=deviation.shape)


def gappy(shape, seed):
    rng = np.random.default_rng(seed)
    missing = rng.random(shape) < 0.3
    missing[0, 10:25] = missing[1, :9] = missing[2, -9:] = True
    return missing


@pytest.fixture(scope="module")
def cohort():
    made = generate(n_recordings=80, n_controls=10, n_glaucoma=5, artefact_load=2.0, seed=77)
    return made, made.truth_mask | ~np.isfinite(made.pupil)


@pytest.mark.parametrize(
    "dynamics", [DYNAMICS, Dynamics(0.1, 0.5, 5.0, 5.0), Dynamics(1.0, 2.0, 1.0, 40.0)], ids=str
)
def test_the_likelihood_is_that_of_a_normal_distribution(dynamics):
    _, measured = simulate(dynamics, 3, 40, 1)
    lost = gappy(measured.shape, 2)
    everywhere = covariance(dynamics, 40) + dynamics.noise**2 * np.eye(40)
    for row, gaps in zip(measured, lost, strict=True):
        expected = multivariate_normal(cov=everywhere[np.ix_(~gaps, ~gaps)]).logpdf(row[~gaps])
        found = dynamics.smoother(np.where(gaps, np.nan, row)).loglike()
        assert found == pytest.approx(expected, rel=1e-9)


def test_imputed_values_are_conditional_means_and_sd_of_a_normal_distribution():
    """Also those of a plain forward and backward recursion, sample by sample."""
    _, measured = simulate(DYNAMICS, 12, 60, 3)
    pupil, lost = 5 * (1 + 0.02 * measured), gappy(measured.shape, 4)
    method = build(cutoff=np.inf).fit(pupil, lost)
    imputed, dynamics = method.impute(pupil, lost), method.dynamics_
    prior = covariance(dynamics, 60)
    for row, gaps, value, sd in zip(pupil, lost, imputed.pupil, imputed.sd, strict=True):
        median = np.median(row[~gaps])
        unit = method.scale_ * median
        deviation = (row - median * method.level_curve_) / unit
        gain = np.linalg.solve(
            prior[np.ix_(~gaps, ~gaps)] + dynamics.noise**2 * np.eye((~gaps).sum()), prior[~gaps]
        )
        mean, left = gain.T @ deviation[~gaps], np.diag(prior - prior[:, ~gaps] @ gain)
        np.testing.assert_allclose(value[gaps], (median * method.level_curve_ + unit * mean)[gaps], rtol=1e-8)
        np.testing.assert_allclose(sd[gaps], unit * np.sqrt(left[gaps]), rtol=1e-6)
        again, variance = recursion(dynamics, np.where(gaps, np.nan, deviation))
        np.testing.assert_allclose(again, mean, atol=1e-9)
        np.testing.assert_allclose(variance, left, atol=1e-9)


def recursion(dynamics, series):
    """Kalman filter and Rauch-Tung-Striebel smoother as in the textbook; state: both low-passes' outputs."""
    slow, fast = np.exp(-1 / dynamics.slow), np.exp(-1 / dynamics.fast)
    move = np.array([[slow, 0], [slow, fast]])  # the second low-pass takes the first one's new output
    push = np.ones((2, 2))
    stationary = np.linalg.solve(np.eye(4) - np.kron(move, move), push.ravel()).reshape(2, 2)
    factor = dynamics.size**2 / stationary[1, 1]
    state, spread, steps = np.zeros(2), stationary * factor, []
    for value in series:
        before, spread_before = state, spread
        if np.isfinite(value):
            gain = spread[:, 1] / (spread[1, 1] + dynamics.noise**2)
            state = state + gain * (value - state[1])
            spread = spread - np.outer(gain, spread[1])
        steps.append((before, spread_before, state, spread))
        state, spread = move @ state, move @ spread @ move.T + factor * push
    smooth, smooth_spread = steps[-1][2:]
    found = [(smooth[1], smooth_spread[1, 1])]
    for (_, _, state, spread), (ahead, spread_ahead, _, _) in zip(steps[-2::-1], steps[:0:-1], strict=True):
        gain = spread @ move.T @ np.linalg.inv(spread_ahead)
        smooth = state + gain @ (smooth - ahead)
        smooth_spread = spread + gain @ (smooth_spread - spread_ahead) @ gain.T
        found.append((smooth[1], smooth_spread[1, 1]))
    return np.array(found[::-1]).T


def test_auxiliary_residuals_are_those_of_leaving_a_sample_out():
    _, measured = simulate(DYNAMICS, 1, 30, 7)
    everywhere = covariance(DYNAMICS, 30) + DYNAMICS.noise**2 * np.eye(30)
    lost = np.zeros(30, dtype=bool)
    lost[8:14] = True
    smoothed = DYNAMICS.smoother(np.where(lost, np.nan, measured[0])).smooth()
    found = auxiliary_residuals(smoothed, ~lost)
    for residual, sample in zip(found, np.flatnonzero(~lost), strict=True):
        others = ~lost & (np.arange(30) != sample)
        gain = np.linalg.solve(everywhere[np.ix_(others, others)], everywhere[others, sample])
        left = everywhere[sample, sample] - gain @ everywhere[others, sample]
        assert residual == pytest.approx((measured[0, sample] - gain @ measured[0, others]) / np.sqrt(left))


def test_parameters_are_found_again():
    _, measured = simulate(DYNAMICS, 40, 400, 5)
    measured[gappy(measured.shape, 6)] = np.nan
    found = fit_dynamics(measured)
    assert found.noise == pytest.approx(DYNAMICS.noise, rel=0.05)
    assert found.size == pytest.approx(DYNAMICS.size, rel=0.05)
    assert sorted([found.slow, found.fast]) == pytest.approx([DYNAMICS.fast, DYNAMICS.slow], rel=0.15)


def test_a_maximum_that_is_not_found_is_an_error(monkeypatch):
    found = kalman.minimize(lambda x: x @ x, np.ones(4))
    found.success, found.message = False, "ABNORMAL"
    monkeypatch.setattr(kalman, "minimize", lambda *args, **kwargs: found)
    with pytest.raises(RuntimeError, match=r"Kalman: no maximum .* choose another imputation .*\(ABNORMAL\)"):
        fit_dynamics(np.zeros((2, 20)))


def test_recordings_without_noise_are_filled_too(cohort):
    """A recording of one value among others, recordings of one value each, and straight lines."""
    made, missing = cohort
    pupil, lost = made.pupil[:5].copy(), missing[:5].copy()
    pupil[0], lost[0] = 4.0, False
    lost[0, 300:330] = True
    filled = build().fit(pupil, lost).impute(pupil, lost)
    assert np.abs(filled.pupil[0] - 4.0).max() < 0.05 * 4.0 and (filled.sd[0, 300:330] > 0).all()
    held = np.full((3, 60), [[3.0], [4.0], [5.0]])
    ramps = held + np.linspace(0, [[0.5], [1.0], [1.5]], 60, axis=1)[:, :, 0]
    gap = np.zeros(held.shape, dtype=bool)
    gap[:, 20:35] = True
    for smooth in (held, ramps):
        np.testing.assert_allclose(build().fit(smooth, gap).impute(smooth, gap).pupil, smooth, rtol=0.02)


def test_the_reference_recordings_are_drawn_by_seed(cohort):
    made, missing = cohort
    one, same, other = (build(n_reference=2, seed=s).fit(made.pupil, missing).dynamics_ for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert build(n_reference=10**6, seed=1).fit(made.pupil[:3], missing[:3]).dynamics_.noise > 0


def test_artefacts_that_were_not_detected_are_left_out(cohort):
    """Three samples of an eyelid beside a gap, the last one nearly open again."""
    made, missing = cohort
    rows = np.flatnonzero(~missing[:, 980:1040].any(axis=1))[:8]
    pupil, lost = made.pupil[rows].copy(), missing[rows].copy()
    lost[:, 1000:1012] = True
    marked = lost.copy()
    marked[:, 1012:1015] = True
    pupil[:, 1012:1015] *= [0.3, 0.6, 0.8]
    error = {}
    for name, cutoff, gaps in (("detected", 3.5, marked), ("left out", 3.5, lost), ("kept", np.inf, lost)):
        filled = build(cutoff=cutoff).fit(made.pupil, missing).impute(pupil, gaps).pupil
        error[name] = np.abs(filled - made.truth_pupil[rows])[:, 1000:1012].mean()
    assert error["detected"] < error["left out"] < 0.2 * error["kept"]


def test_hardly_anything_is_left_out_of_a_clean_recording(cohort):
    """Be it quieter than the cohort it was fitted with or not: curvature is no outlier."""
    made, missing = cohort
    method = build().fit(made.pupil, missing)
    clean = np.where(missing, np.nan, made.truth_pupil)
    for observed in (clean, clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)):
        typical = np.nanmedian(observed, axis=1, keepdims=True)
        series = (observed / typical - method.level_curve_) / method.scale_
        left_out = [
            method._outlying(method.dynamics_.smoother(row).smooth(), np.isfinite(row)).mean()
            for row in series
        ]
        assert np.mean(left_out) < 0.002


def test_fills_gaps_better_than_straight_lines_and_knows_how_well(cohort):
    made, missing = cohort
    method = build().fit(made.pupil[20:], missing[20:])
    pupil, missing, truth = made.pupil[:20], missing[:20], made.truth_pupil[:20]
    imputed, lines = (m.impute(pupil, missing) for m in (method, Linear().fit(pupil, missing)))
    errors = np.abs(imputed.pupil - truth)[missing]
    assert errors.mean() < 0.75 * np.abs(lines.pupil - truth)[missing].mean()
    assert 0.88 < (errors < 1.96 * imputed.sd[missing]).mean() < 0.99


def test_sd_grows_into_a_gap_and_is_the_cohort_s_where_nothing_is_observed(cohort):
    made, missing = cohort
    lost = missing[:2].copy()
    lost[0, 500:560], lost[1] = True, True
    method = build().fit(made.pupil, missing)
    sd = method.impute(made.pupil[:2], lost).sd
    assert sd[0, 500] < sd[0, 515] < sd[0, 530] > sd[0, 545] > sd[0, 559]
    off = (made.pupil - method.curve_)[~missing]
    np.testing.assert_allclose(sd[1], np.sqrt((off**2).mean()))


def test_the_mean_curve_takes_over_where_a_recording_ends(cohort):
    made, missing = cohort
    lost = missing.copy()
    lost[0, 1000:] = True
    method = build().fit(made.pupil, missing)
    filled = method.impute(made.pupil, lost).pupil[0, -1]
    level = np.median(made.pupil[0][~lost[0]])
    assert filled == pytest.approx(level * method.level_curve_[-1], rel=1e-3)


def test_another_length_than_fitted_is_refused(cohort):
    made, missing = cohort
    method = build(n_reference=2).fit(made.pupil, missing)
    with pytest.raises(ValueError, match="500 samples; Kalman was fitted on 1981"):
        method.impute(made.pupil[:, :500], missing[:, :500])

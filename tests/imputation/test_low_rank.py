"""Principal components of incomplete curves against closed forms, plain loops, and what they must recover."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import multivariate_normal, norm

from src.cohort.synthetic import generate
from src.imputation.curves import kriging_variance, variogram
from src.imputation.imputed import complete
from src.imputation.linear import Linear
from src.imputation.low_rank import Components, LowRank, fit_components

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "configs" / "imputation" / "LowRank.yaml").read_text())


def build(**changes):
    return LowRank(**{key: CONFIG[key] for key in ("stride", "n_components", "n_iterations")} | changes)


def curves(n, d, k, seed, lost=0.3):
    """Values, where they are known, and the components they come from."""
    rng = np.random.default_rng(seed)
    components = Components(rng.normal(size=(d, k)), rng.normal(size=d), 0.3)
    values = rng.normal(size=(n, k)) @ components.loadings.T + components.mean
    values += np.sqrt(components.noise) * rng.normal(size=(n, d))
    return values, rng.random((n, d)) > lost, components


@pytest.fixture(scope="module")
def cohort():
    made = generate(n_recordings=80, n_controls=10, n_glaucoma=5, artefact_load=2.0, seed=78)
    return made, made.truth_mask | ~np.isfinite(made.pupil)


def test_coefficients_and_curves_are_those_of_a_conditional_normal_distribution():
    values, known, components = curves(6, 7, 2, 0)
    known[0], known[1] = False, True
    w = components.loadings
    everywhere = w @ w.T + components.noise * np.eye(7)
    z, covariance = components.posterior(np.where(known, values, np.nan), known)
    for row, seen, mean, spread in zip(values, known, z, covariance, strict=True):
        gain = np.linalg.solve(everywhere[np.ix_(seen, seen)], w[seen]).T
        np.testing.assert_allclose(mean, gain @ (row - components.mean)[seen], atol=1e-12)
        np.testing.assert_allclose(spread, np.eye(2) - gain @ w[seen], atol=1e-12)
        # the curve, and its variance, at what is not known
        cross = np.linalg.solve(everywhere[np.ix_(seen, seen)], everywhere[np.ix_(seen, ~seen)]).T
        expected = components.mean[~seen] + cross @ (row - components.mean)[seen]
        np.testing.assert_allclose((w @ mean + components.mean)[~seen], expected, atol=1e-12)
        left = everywhere[np.ix_(~seen, ~seen)] - cross @ everywhere[np.ix_(seen, ~seen)]
        found = w[~seen] @ spread @ w[~seen].T + components.noise * np.eye((~seen).sum())
        np.testing.assert_allclose(found, left, atol=1e-12)


def test_complete_curves_have_the_components_of_the_closed_form():
    """Tipping & Bishop 1999, section 3.2: eigenvectors of the covariance, noise the mean of the others."""
    values, known, _ = curves(5000, 6, 2, 1, lost=0.0)
    found = fit_components(values - values.mean(axis=0), known, 2, 200)
    eigenvalues, vectors = np.linalg.eigh(np.cov(values, rowvar=False, bias=True))
    noise = eigenvalues[:-2].mean()
    covariance = (vectors[:, -2:] * (eigenvalues[-2:] - noise)) @ vectors[:, -2:].T
    assert found.noise == pytest.approx(noise, rel=1e-3)
    np.testing.assert_allclose(found.loadings @ found.loadings.T, covariance, atol=2e-3)
    np.testing.assert_allclose(found.mean, 0, atol=1e-3)


def test_incomplete_curves_tell_the_components_too():
    values, known, truth = curves(4000, 8, 2, 2, lost=0.4)
    found = fit_components(np.where(known, values, np.nan), known, 2, 300)
    assert found.noise == pytest.approx(truth.noise, rel=0.05)
    np.testing.assert_allclose(found.mean, truth.mean, atol=0.1)
    np.testing.assert_allclose(
        found.loadings @ found.loadings.T, truth.loadings @ truth.loadings.T, atol=0.25
    )


def log_posterior(values, known, components):
    """Of the components, up to a constant: what is known of each curve is normal, and so is the prior."""
    everywhere = components.loadings @ components.loadings.T + components.noise * np.eye(values.shape[1])
    total = norm.logpdf(components.loadings).sum() + norm.logpdf(components.mean).sum()
    for row, seen in zip(values, known, strict=True):
        total += multivariate_normal(components.mean[seen], everywhere[np.ix_(seen, seen)]).logpdf(row[seen])
    return total


def test_every_round_makes_the_components_more_probable_up_to_a_maximum():
    values, known, _ = curves(40, 6, 2, 3)
    known[:, 0] |= ~known.any(axis=1)
    steps = [
        log_posterior(values, known, fit_components(values, known, 2, n)) for n in (1, 2, 3, 5, 10, 100, 1000)
    ]
    assert all(after > before - 1e-9 for before, after in pairwise(steps))
    assert steps[-1] - steps[0] > 1
    found, rng = fit_components(values, known, 2, 1000), np.random.default_rng(0)
    for _ in range(20):
        nearby = Components(
            found.loadings + 0.05 * rng.normal(size=found.loadings.shape),
            found.mean + 0.05 * rng.normal(size=found.mean.shape),
            found.noise * np.exp(0.05 * rng.normal()),
        )
        assert log_posterior(values, known, nearby) < steps[-1]


def test_a_place_that_no_curve_is_known_at_gets_nothing():
    values, known, _ = curves(30, 6, 2, 4)
    known[:, 3] = False
    found = fit_components(values, known, 2, 20)
    assert found.mean[3] == 0
    assert (found.loadings[3] == 0).all()


def test_the_variogram_is_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    residual = np.cumsum(rng.normal(size=(3, 30)), axis=1)
    residual[rng.random(residual.shape) < 0.3] = np.nan
    residual[:, 26:] = np.nan
    found = variogram(residual)
    for lag in range(30):
        pairs = [(row[t] - row[t + lag]) ** 2 for row in residual for t in range(30 - lag)]
        known = np.array([pair for pair in pairs if np.isfinite(pair)])
        expected = known.mean() / 2 if len(known) else found[lag - 1]
        assert found[lag] == pytest.approx(expected, abs=1e-9)
    assert not np.isfinite(residual[:, 26:]).any()  # so the longest lags have no pair


def test_kriging_variance_is_that_of_the_covariance():
    lags = np.arange(80)
    gamma = 1 - np.exp(-lags / 20)  # of a process with variance 1
    samples, at = np.array([10, 14, 19]), np.array([7.0, 23.0])
    weights = np.stack([[0.9, 0.4, 0.2], [0.1, 0.6, 0.8]], axis=1)
    for sample, weight, found in zip(
        samples, weights, kriging_variance(gamma, samples, at, weights), strict=True
    ):
        places, signs = np.array([sample, *at]), np.array([1, *-weight])
        covariance = np.exp(-np.abs(np.subtract.outer(places, places)) / 20)
        assert found == pytest.approx(signs @ covariance @ signs)
    # of a random walk, half-way between two samples: 16 steps, divided by 4
    walk = kriging_variance(lags / 2, np.array([15]), at, np.full((1, 2), 0.5))
    np.testing.assert_allclose(walk, 4)


def test_one_part_of_a_recording_tells_another():
    """Two bumps of the same height, which varies; one is hidden. Its height is known from the other one."""
    rng, samples = np.random.default_rng(6), np.arange(600)
    bumps = sum(np.exp(-0.5 * ((samples - centre) / 25) ** 2) for centre in (150, 450))
    height = rng.uniform(0.2, 1.5, (40, 1))
    truth = 4 + height * bumps
    pupil = truth + rng.normal(0, 0.02, truth.shape)
    missing = np.zeros(pupil.shape, dtype=bool)
    missing[:20, 350:550] = True
    filled = build(n_components=1).fit(pupil, missing).impute(pupil, missing).pupil
    np.testing.assert_allclose(filled[:20, 450], truth[:20, 450], atol=0.08)
    assert np.ptp(truth[:20, 450]) > 1


def test_a_height_that_only_the_gap_would_tell_is_as_unsure_as_in_the_cohort():
    rng, samples = np.random.default_rng(8), np.arange(600)
    height, place = rng.uniform(0.2, 1.5, (1000, 1)), (samples - 300) / 25
    wave = place * np.exp(0.5 - 0.5 * place**2)  # as much up as down, so that no height moves the median
    pupil = 4 + height * wave + rng.normal(0, 0.02, (1000, 600))
    hidden = np.zeros((1000, 600), dtype=bool)
    hidden[0, 200:400] = True
    method = build(n_components=1).fit(pupil, np.zeros_like(hidden))
    # Blocks flatten the peak by 3 %, and chance in 40 blocks of 1000 recordings tells 4 % of the variance.
    assert method.impute(pupil, hidden).sd[0, 325] == pytest.approx(height.std(), rel=0.08)


def test_the_fill_meets_what_is_observed_and_is_better_for_it(cohort):
    made, missing = cohort
    method = build().fit(made.pupil[15:], missing[15:])
    pupil, lost, truth = made.pupil[:15], missing[:15], made.truth_pupil[:15]
    imputed = method.impute(pupil, lost)
    typical = np.nanmedian(np.where(lost, np.nan, pupil), axis=1, keepdims=True)
    curve, _ = method._curves(np.where(lost, np.nan, pupil) / typical - method.level_curve_)
    unshifted = complete(pupil, lost, (curve + method.level_curve_) * typical, "x")
    lines = Linear().fit(pupil, lost).impute(pupil, lost)
    shifted, plain, straight = (np.abs(i.pupil - truth)[lost].mean() for i in (imputed, unshifted, lines))
    assert shifted < straight
    assert plain > 1.5 * shifted
    errors = np.abs(imputed.pupil - truth)[lost]
    assert 0.88 < (errors < 1.96 * imputed.sd[lost]).mean() < 0.99


def test_sd_grows_into_a_gap_and_is_the_cohort_s_where_nothing_is_observed(cohort):
    made, missing = cohort
    lost = missing[:3].copy()
    lost[0, 500:560], lost[1], lost[2, 1700:] = True, True, True
    method = build().fit(made.pupil, missing)
    sd = method.impute(made.pupil[:3], lost).sd
    assert sd[0, 500] < sd[0, 515] < sd[0, 530] > sd[0, 545] > sd[0, 559]
    assert sd[2, 1705] < sd[2, 1720] < sd[2, 1760]
    off = (made.pupil - method.curve_)[~missing]
    np.testing.assert_allclose(sd[1], np.sqrt((off**2).mean()))


def test_more_components_than_recordings_are_refused():
    pupil = np.random.default_rng(7).normal(4, 1, (6, 300))
    missing = np.zeros(pupil.shape, dtype=bool)
    missing[0] = True
    with pytest.raises(
        ValueError, match=r"n_components is 5; expected fewer than .* sample \(5\).*recording \(30\)"
    ):
        build().fit(pupil, missing)


def test_another_length_than_fitted_is_refused(cohort):
    made, missing = cohort
    method = build().fit(made.pupil, missing)
    with pytest.raises(ValueError, match="500 samples; LowRank was fitted on 1981"):
        method.impute(made.pupil[:, :500], missing[:, :500])

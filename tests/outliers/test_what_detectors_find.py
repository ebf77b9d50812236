"""Planted artefacts are found; hippus and constriction, which are signal, are left alone."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from src.cohort.synthetic import generate
from src.outliers.pupil_gt import TruthMask
from src.outliers.scored import robust_cutoff
from src.outliers.signals import fill_lost, relative_level, sample_features

CONFIGS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[2] / "configs" / "outlier").glob("*.yaml"))
}
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
TIME = np.arange(1981) / 30


DETECTORS = [name for name, config in CONFIGS.items() if "cutoff" in config]  # those that score samples


@pytest.fixture(scope="module")
def fitted():
    """Every such detector, fitted on a cohort with artefacts, by name."""
    cohort = generate(n_recordings=60, n_controls=4, n_glaucoma=4, seed=17).blind().without_truth()
    return {name: build(CONFIGS[name]).fit(cohort) for name in DETECTORS}


def build(config):
    """Instantiate a config as the pipeline does, with the smoke profile."""
    config = {k: v for k, v in config.items() if k != "profiles"} | config.get("profiles", {}).get(
        "smoke", {}
    )
    module, name = config.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**config)


def recording(pupil):
    """Wrap one trace (T,) as a cohort."""
    one = generate(n_recordings=2, n_controls=1, n_glaucoma=1, seed=1).take(np.array([0]))
    return replace(one.blind().without_truth(), pupil=np.asarray(pupil, dtype=float)[None])


def clean_trace(seed=0):
    """Hippus of 0.2 mm SD at 0.2 Hz, two constrictions of half the baseline, noise of 0.8 %; no artefact."""
    rng = np.random.default_rng(seed)
    shape = sum(
        np.clip((TIME - on) / 9, 0, 1) ** 2 * np.exp(-np.clip(TIME - on - 9, 0, None) / 4)
        for on in (15.5, 46.5)
    )
    hippus = 0.28 * np.sin(2 * np.pi * 0.2 * TIME + 1.0) * (1 - 0.5 * shape)
    return 4.0 * (1 - 0.5 * shape) + hippus + rng.normal(0, 0.032, len(TIME))


@pytest.mark.parametrize("name", DETECTORS)
def test_hippus_and_constriction_are_signal(fitted, name):
    flags = fitted[name].detect(recording(clean_trace()))
    assert flags.mean() < 0.002


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("start", [200, 600, 1450])  # at rest, while constricted, during constriction
def test_a_blink_is_found_where_it_is(fitted, name, start):
    trace = clean_trace()
    blink = slice(start, start + 6)
    trace[blink] *= [0.7, 0.2, 0.0, 0.0, 0.3, 0.75]
    flags = fitted[name].detect(recording(trace))[0]
    assert flags[blink].mean() >= 5 / 6
    beside = np.r_[flags[start - 30 : start], flags[start + 6 : start + 36]]
    assert beside.mean() <= 0.05


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_isolated_spikes_of_30_percent_are_found(fitted, name, factor):
    trace = clean_trace()
    at = np.arange(100, 1900, 120)
    trace[at] *= factor
    flags = fitted[name].detect(recording(trace))[0]
    assert flags[at].mean() >= 0.9
    assert np.delete(flags, at).mean() < 0.004


@pytest.mark.parametrize("name", DETECTORS)
def test_a_long_loss_is_found_to_its_middle(fitted, name):
    trace = clean_trace()
    trace[300:375] = 0.02  # 2.5 s near zero: longer than any running window, flat inside
    flags = fitted[name].detect(recording(trace))[0]
    assert flags[300:375].mean() > 0.97
    assert np.r_[flags[200:297], flags[378:500]].mean() < 0.02


@pytest.mark.parametrize("name", DETECTORS)
def test_the_unit_does_not_matter(fitted, name):
    trace = clean_trace()
    trace[700:704] = 0.1
    mm, px = (fitted[name].detect(recording(gain * trace)) for gain in (1.0, 9.5))
    np.testing.assert_array_equal(mm, px)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_flagged_share_is_each_recording_s_own(fitted, name):
    laden = generate(n_recordings=12, n_controls=2, n_glaucoma=2, artefact_load=3.0, seed=18)
    clean = generate(n_recordings=12, n_controls=2, n_glaucoma=2, artefact_load=0.0, seed=18)
    flags = fitted[name].detect(clean.blind().without_truth())
    assert (flags.sum(axis=1) == 0).any()
    assert flags.mean() < 0.005
    assert fitted[name].detect(laden.blind().without_truth()).mean() > 8 * flags.mean()


@pytest.mark.parametrize("name", DETECTORS)
def test_a_higher_cutoff_flags_a_subset(fitted, name):
    cohort = generate(n_recordings=10, n_controls=2, n_glaucoma=2, seed=19).blind().without_truth()
    detector = fitted[name]
    low = detector.detect(cohort)
    threshold = detector.threshold_
    try:
        detector.threshold_ = threshold + 0.5
        high = detector.detect(cohort)
    finally:
        detector.threshold_ = threshold
    assert not (high & ~low).any()
    assert high.sum() < low.sum()


def test_the_mask_is_the_mask():
    cohort = generate(n_recordings=5, n_controls=1, n_glaucoma=1, seed=2)
    np.testing.assert_array_equal(TruthMask().fit(cohort).detect(cohort), cohort.truth_mask)


def test_robust_cutoff_by_hand():
    # Median 3; distances of the upper half 0, 1, 97: their median is 1, so a robust SD is 1.4826.
    assert robust_cutoff(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), 2.0) == pytest.approx(3 + 2 * 1.4826)


def test_lost_samples_are_filled_linearly():
    row = [np.nan, 2.0, np.nan, np.nan, 5.0, np.inf]
    np.testing.assert_allclose(fill_lost(np.array([row, [np.nan] * 6])), [[2, 2, 3, 4, 5, 5], [0] * 6])


def test_noise_is_recovered_under_slopes():
    rng = np.random.default_rng(0)
    slope = 4 + 2 * np.abs(np.sin(TIME / 3))[None]
    level, noise = relative_level(slope + rng.normal(0, 0.05, (20, 1981)))
    expected = 0.05 / np.quantile(slope, 0.75)
    np.testing.assert_allclose(noise[:, 0], expected, rtol=0.08)
    np.testing.assert_allclose(np.quantile(level, 0.75, axis=1), 0, atol=1e-12)


def test_sample_features_against_a_plain_loop():
    pupil = 4 + np.random.default_rng(4).normal(0, 0.1, (2, 40))
    level, noise = relative_level(pupil)
    features = sample_features(pupil, 5, 0.4)
    for row in range(2):
        for t in range(2, 38):
            here = level[row, t]
            around = sorted(level[row, t - 2 : t + 3])[2]
            steps = abs(here - level[row, t - 1]), abs(level[row, t + 1] - here)
            expected = (
                np.log(1 + here) / 0.4,
                np.arcsinh((here - around) / noise[row, 0]),
                np.arcsinh(min(steps) / noise[row, 0]),
            )
            np.testing.assert_allclose(features[row, t], expected, rtol=1e-12)


def device_recording(number):
    """Return a real recording on a 30 Hz grid, lost samples as NaN."""
    table = pd.read_csv(RECORDINGS / f"recording_{number:02d}.csv", header=None, usecols=[1, 2]).to_numpy()
    nearest = np.abs(table[:, 0][None] - TIME[:, None]).argmin(axis=1)
    pupil = table[nearest, 1]
    return np.where(pupil < 0.1 * np.median(pupil), np.nan, pupil)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the real recordings are not beside the repository")
@pytest.mark.parametrize("name", DETECTORS)
def test_real_recordings_clean_and_with_twenty_blinks(fitted, name):
    clean, blinks = (device_recording(n) for n in (1, 3))
    assert np.isfinite(clean).all()
    in_clean = fitted[name].detect(recording(clean)).sum()
    in_blinks = (fitted[name].detect(recording(blinks))[0] & np.isfinite(blinks)).sum()
    assert in_clean <= 3
    assert in_blinks >= 10  # partial samples at the edges of 20 blinks
    raw = np.where(np.isnan(blinks), -1.0, blinks)  # as the device writes them
    assert fitted[name].detect(recording(raw))[0][np.isnan(blinks)].mean() > 0.85

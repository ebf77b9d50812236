"""Planted artefacts are found; hippus and constriction, which are signal, are left alone."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import ndtr, ndtri

from src.cohort.synthetic import generate
from src.outliers.pupil_gt import TruthMask
from src.outliers.scored import robust_cutoff
from src.outliers.signals import core_scale, fill_lost, read_traces, sample_features, sample_windows
from src.outliers.sub_pca import SubPCA

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


def spoil(trace, rng):
    """Return, by name, a trace (T,) with artefacts on half of its samples, and their mask."""
    scattered = rng.random(len(trace)) < 0.5
    blinks = np.arange(len(trace)) % 40 < 20  # 0.67 s closed, 0.67 s open
    spikes = trace * (1 + rng.choice([-1, 1], len(trace)) * rng.uniform(0.15, 0.45, len(trace)))
    anything = rng.uniform(0, 8, len(trace))
    ways = {
        "spikes": (scattered, spikes),
        "anything": (scattered, anything),
        "scattered losses": (scattered, np.nan),
        "scattered zeros": (scattered, 0.0),
        "blinks": (blinks, trace * rng.uniform(0, 0.6, len(trace))),
        "blinks read as nothing": (blinks, np.nan),
        "blinks read as zero": (blinks, 0.0),
        "blinks read as a tenth": (blinks, 0.1 * trace),
    }
    return {name: (np.where(mask, values, trace), mask) for name, (mask, values) in ways.items()}


@pytest.fixture(scope="module")
def half_spoilt():
    """Eight recordings of every kind of `spoil`: signals, masks."""
    rng = np.random.default_rng(7)
    traces = [spoil(rng.uniform(0.7, 1.4) * clean_trace(seed), rng) for seed in range(8)]
    return {name: tuple(np.stack([t[name][k] for t in traces]) for k in (0, 1)) for name in traces[0]}


@pytest.mark.parametrize("name", DETECTORS)
def test_half_of_all_samples_may_be_artefacts(half_spoilt, name):
    """Nothing clean to compare with: fitted on and applied to recordings all of which are half spoilt."""
    one = generate(n_recordings=8, n_controls=5, n_glaucoma=3, seed=1).blind().without_truth()
    for way, (pupil, truth) in half_spoilt.items():
        cohort = replace(one, pupil=pupil)
        flags = build(CONFIGS[name]).fit(cohort).detect(cohort)
        assert flags[truth].mean() > 0.85, way
        assert flags[~truth].mean() < 0.12, way


@pytest.mark.parametrize("name", DETECTORS)
def test_forty_times_the_artefacts_are_found(name):
    cohort = generate(n_recordings=16, n_controls=10, n_glaucoma=6, artefact_load=40.0, seed=21)
    assert cohort.truth_mask.mean() > 0.39
    view = cohort.blind().without_truth()
    flags = build(CONFIGS[name]).fit(view).detect(view)
    assert flags[cohort.truth_mask].mean() > 0.65
    assert flags[~cohort.truth_mask].mean() < 0.03


@pytest.mark.parametrize("name", DETECTORS)
def test_what_the_device_lost_is_flagged(fitted, name):
    trace = clean_trace()
    trace[[100, 900, 901, 1500]] = np.nan, np.inf, -np.inf, np.nan
    assert fitted[name].detect(recording(trace))[0, [100, 900, 901, 1500]].all()


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
def test_a_higher_cutoff_flags_a_subset(name):
    cohort = generate(n_recordings=10, n_controls=2, n_glaucoma=2, seed=19).blind().without_truth()
    low, high = (
        build(CONFIGS[name] | {"cutoff": factor * CONFIGS[name]["cutoff"]}).fit(cohort).detect(cohort)
        for factor in (0.7, 1.4)
    )
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


def test_the_core_scale_of_a_normal_distribution_is_its_sd():
    n = 2001
    distances = ndtri((1 + (np.arange(n) + 0.5) / n) / 2) * 3.0  # the quantiles of |N(0, 3)|
    assert core_scale(distances) == pytest.approx(3.0, rel=0.02)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_the_core_scale_stands_what_a_median_does_not(share):
    rng = np.random.default_rng(3)
    clean = np.abs(rng.normal(0, 1.0, 4000))
    distances = np.concatenate([clean, rng.uniform(0, 400, int(4000 * share / (1 - share)))])
    assert core_scale(distances) == pytest.approx(1.0, rel=0.15)
    assert 1.4826 * np.median(distances) > 2 * core_scale(distances)


def test_the_core_scale_by_hand():
    # Ten clean distances, 0.1 to 1.0, and ten far off. From the 10th, 1.0, were all 20 clean: 1.0 / 0.674,
    # and only ten lie within 2.5 SDs of that. In the end ten lie within 1.5 SDs, which stand for 10 / 0.866 =
    # 11.55; half of them is the 6th, 0.6: the SD whose 6 / 11.55 quantile is 0.6, or 0.6 / 0.706 = 0.850.
    distances = np.concatenate([np.linspace(0.1, 1.0, 10), np.linspace(50, 95, 10)])
    within = 2 * ndtr(1.5) - 1
    assert within == pytest.approx(0.866, abs=5e-4)
    expected = 0.6 / ndtri((1 + 6 / (10 / within)) / 2)
    assert expected == pytest.approx(0.850, abs=5e-4)
    assert core_scale(distances[::-1]) == pytest.approx(expected)
    assert core_scale(3.0 * distances) == pytest.approx(3.0 * expected)


def traces_of(pupil, window=31):
    return read_traces(np.atleast_2d(pupil), window)


@pytest.mark.parametrize("step", [0.0, 0.03, 0.1])  # as measured, and in steps of less and of twice the noise
def test_noise_is_recovered_under_slopes(step):
    rng = np.random.default_rng(0)
    slope = 4 + 0.4 * np.abs(np.sin(TIME / 3))[None]
    pupil = slope + rng.normal(0, 0.05, (20, 1981))
    pupil = np.round(pupil / step) * step if step else pupil
    traces = traces_of(pupil)
    expected = np.hypot(0.05, step / np.sqrt(12)) / 4.25  # rounding adds the variance of one step
    np.testing.assert_allclose(np.median(traces.noise), expected, rtol=0.4 if step > 0.05 else 0.08)
    np.testing.assert_allclose(traces.noise[:, 0], expected, rtol=0.5)
    np.testing.assert_allclose(np.quantile(traces.level, 0.75, axis=1), 0, atol=0.01)


def test_size_noise_and_surroundings_are_those_of_the_undisturbed_half():
    undisturbed = clean_trace()
    clean = traces_of(undisturbed)
    for name, (pupil, mask) in spoil(undisturbed, np.random.default_rng(5)).items():
        traces = traces_of(pupil)
        assert 0.6 < (traces.noise / clean.noise).item() < 1.7, name
        size, size_clean = (undisturbed[~mask] / (1 + t.level[0, ~mask]) for t in (traces, clean))
        np.testing.assert_allclose(size, size_clean, rtol=0.1)
        assert mask[traces.trusted[0]].mean() < 0.1, name
        off = np.abs((1 + traces.around[0]) * size[0] / undisturbed - 1)
        assert np.median(off) < 0.03, name


def test_what_tells_nothing_about_noise_is_not_trusted():
    trace = clean_trace()
    trace[100:400], trace[500:800], trace[900:1100] = np.nan, 0.0, 3.9  # lost, closed, held
    trace[1200:1500] *= 0.1  # closed, with the noise of a tenth
    traces = traces_of(trace)
    for part in (slice(100, 400), slice(500, 800), slice(901, 1099), slice(1200, 1500)):
        assert not traces.trusted[0, part].any()
    assert traces.trusted[0, 1600:1900].mean() > 0.7
    assert traces.noise.item() == pytest.approx(traces_of(clean_trace()).noise.item(), rel=0.25)


def test_sample_features_against_a_plain_loop():
    pupil = 4 + np.random.default_rng(4).normal(0, 0.1, (2, 90))
    pupil[0, 30], pupil[1, 60] = 1.0, 6.0
    traces = read_traces(pupil, 5)
    features, windows = sample_features(traces, 0.4), sample_windows(traces, 5)
    for row in range(2):
        noise = traces.noise[row, 0]

        def deviation(t, row=row, noise=noise):
            return (traces.level[row, t] - traces.around[row, t]) / noise

        def told(t, row=row, noise=noise):
            """Level of a neighbour, at most 3 SDs from its surroundings, in SDs."""
            return traces.around[row, t] / noise + min(max(deviation(t), -3), 3)

        for t in range(2, 88):
            own = traces.level[row, t] / noise
            size = np.log(1 + traces.level[row, t])
            steps = abs(own - told(t - 1)), abs(own - told(t + 1))
            expected = size / 0.4, np.arcsinh(deviation(t)), np.arcsinh(min(steps))
            np.testing.assert_allclose(features[row, t], expected, rtol=1e-9)
            shape = [told(s) - traces.around[row, s] / noise for s in range(t - 2, t + 3)]
            shape[2] = deviation(t)
            np.testing.assert_allclose(windows[row, t], [*shape, size], rtol=1e-9, atol=1e-12)


def test_surroundings_are_the_running_median_of_what_is_trusted():
    pupil = 4 + np.random.default_rng(4).normal(0, 0.1, (1, 90))
    traces = read_traces(pupil, 5)
    known = np.flatnonzero(traces.trusted[0])
    filled = np.interp(np.arange(90), known, traces.level[0, known])
    for t in range(2, 88):
        assert traces.around[0, t] == pytest.approx(sorted(filled[t - 2 : t + 3])[2])


def test_a_window_has_a_middle():
    with pytest.raises(ValueError, match="window is 4 samples; expected an odd number from 3 on"):
        SubPCA(4, median_window=31, cutoff=3.5, n_reference=10, seed=0, n_jobs=1)


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

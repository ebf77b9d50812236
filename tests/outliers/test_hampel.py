"""The Hampel filter against plain loops, and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from src.cohort.synthetic import generate
from src.outliers.hampel import Hampel, rolling_median_and_mad


def recordings(pupil):
    """Wrap traces (n, T) as a cohort."""
    pupil = np.atleast_2d(np.asarray(pupil, dtype=float))
    made = generate(n_recordings=len(pupil), n_controls=1, n_glaucoma=0, seed=1).blind().without_truth()
    return replace(made, time=np.arange(pupil.shape[1]) / 30, pupil=pupil)


def slow_median(values):
    """Sort, and take the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def slow_median_and_mad(signal, window):
    """Go through the window around every sample."""
    result = []
    for t in range(len(signal)):
        around = [signal[s] for s in range(t - window // 2, t + window // 2 + 1) if 0 <= s < len(signal)]
        around = [x for x in around if not np.isnan(x)]
        median = slow_median(around) if around else np.nan
        result.append((median, slow_median([abs(x - median) for x in around]) if around else np.nan))
    return np.array(result).T


def noisy_traces(n, length, seed):
    """Slow waves with noise, spikes, and a quarter of all samples lost, some in long gaps."""
    rng = np.random.default_rng(seed)
    pupil = (
        4 + 0.5 * np.sin(np.arange(length) / rng.uniform(5, 30, (n, 1))) + rng.normal(0, 0.03, (n, length))
    )
    pupil[rng.random(pupil.shape) < 0.03] *= 0.7
    pupil[rng.random(pupil.shape) < 0.15] = np.nan
    for row, start in zip(pupil, rng.integers(0, length - 20, n), strict=True):
        row[start : start + 20] = np.nan
    return pupil


@pytest.mark.parametrize("window", [3, 7, 31])
def test_median_and_mad_agree_with_plain_loops(window):
    for signal in noisy_traces(4, 160, seed=6):
        found, expected = rolling_median_and_mad(signal, window), slow_median_and_mad(signal, window)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert np.isnan(found[0]).any() == (window < 20)


@pytest.mark.parametrize(("window", "n_sds"), [(7, 4.0), (31, 3.0), (501, 4.0)])
def test_flags_agree_with_plain_loops(window, n_sds):
    cohort = recordings(noisy_traces(5, 200, seed=7))
    flags = Hampel(window, n_sds).fit(cohort).detect(cohort)
    for found, signal in zip(flags, cohort.pupil, strict=True):
        median, mad = slow_median_and_mad(signal, window)
        spread = np.maximum(mad, 0.001 * np.nanmedian(signal))  # the noise floor, as in windows of two
        expected = [
            np.isnan(x) or abs(x - m) > n_sds * 1.4826 * s
            for x, m, s in zip(signal, median, spread, strict=True)
        ]
        np.testing.assert_array_equal(found, expected)
    assert (flags & np.isfinite(cohort.pupil)).any()


def test_by_hand():
    # Around the 9: 4, 5, 9, 6, 4 have the median 5, distances 1, 0, 4, 1, 1 and MAD 1; 4 / 1.4826 = 2.70.
    trace = [4.0, 5.0, 4.0, 5.0, 9.0, 6.0, 4.0, 5.0, 4.0]
    assert Hampel(5, 2.6).detect(recordings(trace))[0, 4]
    assert not Hampel(5, 2.8).detect(recordings(trace))[0, 4]


def test_lost_samples_are_flagged_and_their_neighbours_are_not_for_it():
    trace = 4 + 0.01 * np.sin(np.arange(300))
    lost = [50, 51, 52, 100, 101, 299]
    trace[lost] = np.nan, 0.0, -1.0, np.inf, -np.inf, np.nan
    assert np.flatnonzero(Hampel(31, 4.0).detect(recordings(trace))[0]).tolist() == lost


def test_held_values_do_not_make_outliers_of_the_rest():
    """More than half of a window is one value, its MAD is 0; what moves a little is still no artefact."""
    rng = np.random.default_rng(2)
    trace = np.full(600, 4.0)
    trace[::3] += rng.normal(0, 0.004, 200)
    trace[400] = 2.0
    assert np.flatnonzero(Hampel(31, 4.0).detect(recordings(trace))[0]).tolist() == [400]


def test_a_size_in_coarse_steps_is_not_all_outliers():
    rng = np.random.default_rng(2)
    trace = np.round(40 + 6 * np.sin(np.arange(1200) / 60) + rng.normal(0, 0.2, 1200))  # px
    assert Hampel(31, 4.0).detect(recordings(trace)).mean() == 0


def test_the_unit_and_the_direction_of_time_do_not_matter():
    pupil = noisy_traces(4, 300, seed=8)
    flags = Hampel(31, 4.0).detect(recordings(pupil))
    np.testing.assert_array_equal(Hampel(31, 4.0).detect(recordings(9.5 * pupil)), flags)
    np.testing.assert_array_equal(Hampel(31, 4.0).detect(recordings(pupil[:, ::-1])), flags[:, ::-1])


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_has_a_middle(window):
    with pytest.raises(
        ValueError, match=f"Hampel: window is {window} samples; expected an odd number from 3"
    ):
        Hampel(window, 4.0)

"""The speed rule against its definition, sample by sample, and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from src.cohort.synthetic import generate
from src.outliers.signals import measured, smallest_mad
from src.outliers.speed_mad import SpeedMAD, dilation_speed

USUAL = {"n_mads": 8.0, "max_interval_s": 0.2, "min_gap_s": 0.075, "padding_s": 0.05}


def recordings(pupil, rate_hz=30.0):
    """Wrap traces (n, T) as a cohort."""
    pupil = np.atleast_2d(np.asarray(pupil, dtype=float))
    made = generate(n_recordings=len(pupil), n_controls=1, n_glaucoma=0, seed=1).blind().without_truth()
    return replace(made, time=np.arange(pupil.shape[1]) / rate_hz, pupil=pupil)


def slow_speed(signal, time, max_interval_s):
    """Look for the measured neighbours of every sample, one after the other."""
    speeds = []
    for t in range(len(signal)):
        before = [s for s in range(t) if np.isfinite(signal[s])][-1:]
        after = [s for s in range(t + 1, len(signal)) if np.isfinite(signal[s])][:1]
        near = [s for s in before + after if abs(time[s] - time[t]) <= max_interval_s + 1e-9]
        steps = [abs(signal[s] - signal[t]) / abs(time[s] - time[t]) for s in near]
        speeds.append(max(steps) if steps and np.isfinite(signal[t]) else np.nan)
    return np.array(speeds)


def slow_detect(signal, time, rule):
    """Flag one recording by the words of the rule, without a loop saved."""
    signal = [size if np.isfinite(size) and size > 0 else np.nan for size in signal]
    speeds = slow_speed(signal, time, rule["max_interval_s"])
    known = sorted(speed for speed in speeds if np.isfinite(speed))
    if not known:
        return np.ones(len(signal), dtype=bool)
    median = np.median(known)
    mad = np.median([abs(speed - median) for speed in known])
    flags = [np.isnan(x) or v > median + rule["n_mads"] * mad for x, v in zip(signal, speeds, strict=True)]
    padded = list(flags)
    for t in range(len(time)):
        good = [s for s in range(len(time)) if not flags[s]]
        before = max((time[s] for s in good if s < t), default=-np.inf)
        after = min((time[s] for s in good if s > t), default=np.inf)
        if flags[t] and after - before > rule["min_gap_s"]:
            for s in range(len(time)):
                padded[s] |= abs(time[s] - time[t]) <= rule["padding_s"] + 1e-9
    return np.array(padded)


def spoilt_traces(n, length, seed):
    """Slow waves with noise, spikes and gaps of every length, also at the ends."""
    rng = np.random.default_rng(seed)
    pupil = (
        4 + 0.5 * np.sin(np.arange(length) / rng.uniform(5, 30, (n, 1))) + rng.normal(0, 0.03, (n, length))
    )
    pupil[rng.random(pupil.shape) < 0.02] *= 0.6
    for row in pupil:
        for start in rng.integers(-5, length, 6):
            row[max(start, 0) : max(start + rng.integers(1, 15), 0)] = rng.choice([np.nan, 0.0, -1.0])
    return pupil


@pytest.mark.parametrize("change", [{}, {"n_mads": 3.0}, {"padding_s": 0.14}, {"min_gap_s": 0.5}])
def test_agrees_with_plain_loops(change):
    rule = USUAL | change
    cohort = recordings(spoilt_traces(6, 150, seed=3))
    flags = SpeedMAD(**rule).fit(cohort).detect(cohort)
    for found, signal in zip(flags, cohort.pupil, strict=True):
        np.testing.assert_array_equal(found, slow_detect(signal, cohort.time, rule))
    assert 0.1 < flags.mean() < 0.6


@pytest.mark.parametrize("max_interval_s", [0.05, 0.2])
def test_speeds_agree_with_plain_loops_on_uneven_times(max_interval_s):
    rng = np.random.default_rng(5)
    time = np.cumsum(rng.uniform(0.02, 0.07, 120))
    pupil = rng.normal(4, 1, (4, 120))
    pupil[rng.random(pupil.shape) < 0.4] = np.nan
    speeds = dilation_speed(pupil, time, max_interval_s)
    for found, signal in zip(speeds, pupil, strict=True):
        np.testing.assert_allclose(found, slow_speed(signal, time, max_interval_s))


def test_speed_by_hand():
    # One sample per second: 1 from 4 to 5, 4 / 2 from 5 over a lost sample to 9, and 6 from there to 3.
    speed = dilation_speed(np.array([[4.0, 5.0, np.nan, 9.0, 3.0]]), np.arange(5.0), max_interval_s=2.0)
    np.testing.assert_array_equal(speed, [[1.0, 2.0, np.nan, 6.0, 6.0]])


def test_a_speed_does_not_reach_over_a_long_gap_or_into_the_next_recording():
    pupil = np.array([[4.0, 4.0, np.nan, np.nan, 9.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    speed = dilation_speed(pupil, np.arange(5.0), max_interval_s=2.0)
    np.testing.assert_array_equal(speed, [[0.0, 0.0, np.nan, np.nan, np.nan], [0.0] * 5])


def test_threshold_by_hand():
    # Sizes rise by 1, 2, 3, 4, 5, 6 and 30. A sample's speed is the larger of the steps beside it: 1, 2, 3,
    # 4, 5, 6, 30, 30. Their median is 4.5, the distances 3.5, 2.5, 1.5, .5, .5, 1.5, 25.5, 25.5: MAD 2.
    pupil = 100 + np.cumsum([0.0, 1, 2, 3, 4, 5, 6, 30])
    rule = {"max_interval_s": 1.0, "min_gap_s": 9.0, "padding_s": 0.0}
    cohort = recordings(pupil, rate_hz=1.0)
    assert SpeedMAD(n_mads=12.7, **rule).detect(cohort).sum() == 2  # 4.5 + 25.4 = 29.9
    assert SpeedMAD(n_mads=12.8, **rule).detect(cohort).sum() == 0  # 30.1


def test_padding_by_hand():
    """At 30 Hz: one lost sample is no gap, two are one; the sample beside them is 33 ms away, the next 67."""
    trace = 4 + 0.01 * np.sin(np.arange(60))
    trace[10], trace[30:32], trace[58:] = np.nan, np.nan, np.nan
    cohort = recordings(trace)
    flagged = [
        np.flatnonzero(SpeedMAD(**USUAL | {"padding_s": p}).detect(cohort)[0]) for p in (0, 0.05, 0.07)
    ]
    assert flagged[0].tolist() == [10, 30, 31, 58, 59]
    assert flagged[1].tolist() == [10, 29, 30, 31, 32, 57, 58, 59]
    assert flagged[2].tolist() == [10, 28, 29, 30, 31, 32, 33, 56, 57, 58, 59]


@pytest.mark.parametrize("gain", [0.1, 9.5])
def test_the_unit_does_not_matter(gain):
    pupil = spoilt_traces(4, 300, seed=8)
    one, other = (SpeedMAD(**USUAL).detect(recordings(factor * pupil)) for factor in (1.0, gain))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rate_hz", [10.0, 300.0])
def test_the_rate_does_not_matter_where_times_go_with_it(rate_hz):
    pupil = spoilt_traces(4, 300, seed=9)
    rule = {name: value if name == "n_mads" else value * 30 / rate_hz for name, value in USUAL.items()}
    np.testing.assert_array_equal(
        SpeedMAD(**rule).detect(recordings(pupil, rate_hz)), SpeedMAD(**USUAL).detect(recordings(pupil))
    )


def test_backwards_in_time_the_flags_are_the_same():
    pupil = spoilt_traces(4, 300, seed=10)
    np.testing.assert_array_equal(
        SpeedMAD(**USUAL).detect(recordings(pupil[:, ::-1])),
        SpeedMAD(**USUAL).detect(recordings(pupil))[:, ::-1],
    )


def test_a_held_recording_is_not_all_outliers():
    """More than half of the speeds are 0, and so is their MAD; what moves a little is still no artefact."""
    rng = np.random.default_rng(2)
    trace = np.full(600, 4.0)
    trace[:200] += rng.normal(0, 0.004, 200)
    trace[400] = 2.0
    assert np.flatnonzero(SpeedMAD(**USUAL | {"padding_s": 0.0}).detect(recordings(trace))[0]).tolist() == [
        399,
        400,
        401,
    ]


def test_a_size_in_coarse_steps_is_not_all_outliers():
    rng = np.random.default_rng(2)
    trace = np.round(40 + 6 * np.sin(np.arange(1200) / 60) + rng.normal(0, 0.2, 1200))  # px
    assert SpeedMAD(**USUAL).detect(recordings(trace)).mean() == 0


def test_the_smallest_mad_by_hand():
    pupil = measured(np.array([[3.0, 4.0, 4.25, 9.0, -1.0], [7.0, 7.0, 7.0, np.inf, 0.0], [np.nan] * 5]))
    # 4.125 is the first median and 0.25 its smallest step; 7 is the second median, and it has no steps.
    np.testing.assert_allclose(smallest_mad(pupil), [[0.125], [0.007], [0.0]])

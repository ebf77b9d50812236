"""The mean curve met to what is observed, on numbers that can be checked by hand."""

import numpy as np
import pytest

from src.cohort.synthetic import generate
from src.imputation.linear import Linear
from src.imputation.mean_curve import MeanCurve

SHAPE = np.ones(30)
SHAPE[12:16] = [0.8, 0.6, 0.6, 0.8]  # all recordings dip here; each has the median 1 times its level
DIP = slice(12, 16)
LEVELS = np.array([[2.0], [4.0]])


def filled(*recordings, fitted=LEVELS * SHAPE):
    pupil = np.array(recordings)
    method = MeanCurve().fit(fitted, np.isnan(fitted))
    return method.impute(pupil, np.isnan(pupil)).pupil


def recording(before, after, rest=3.0):
    """Nothing in the dip, `before` it, `after` it for as many samples as count, and the `rest`."""
    return np.r_[np.full(12, before), np.full(4, np.nan), np.full(5, after), np.full(9, rest)]


def test_a_gap_gets_the_curve_at_the_recording_s_own_level():
    np.testing.assert_allclose(filled(recording(3.0, 3.0))[0, DIP], [2.4, 1.8, 1.8, 2.4])
    np.testing.assert_allclose(filled(recording(6.0, 6.0, 6.0))[0, DIP], [4.8, 3.6, 3.6, 4.8])


def test_the_curve_meets_what_is_observed_at_both_edges():
    # Median 3; no misfit at sample 9, amid the five before the gap, and 1 at sample 18, amid those after.
    shift = np.array([3, 4, 5, 6]) / 9
    np.testing.assert_allclose(filled(recording(3.0, 4.0))[0, DIP], np.add([2.4, 1.8, 1.8, 2.4], shift))


def test_a_gap_at_an_end_is_shifted_by_a_constant():
    late = np.r_[np.full(20, np.nan), np.full(10, 3.0)]  # the curve at 3 fits: no shift
    np.testing.assert_allclose(filled(late)[0], 3 * SHAPE)
    early = np.r_[np.full(8, 3.0), np.full(3, 3.5), np.full(19, np.nan)]  # median 3; of the last five 3.5
    np.testing.assert_allclose(filled(early)[0, 11:], 3 * SHAPE[11:] + 0.5)


def test_whose_samples_are_missing_does_not_bend_the_curve():
    """Where only the smaller pupil is seen, the mean is small, but the curve is at the same level."""
    fitted = LEVELS * SHAPE
    fitted[1, DIP] = np.nan
    got = filled(recording(3.0, 3.0), np.full(30, np.nan), fitted=fitted)
    np.testing.assert_allclose(got[0, DIP], [2.4, 1.8, 1.8, 2.4])
    np.testing.assert_allclose(got[1, DIP], [1.6, 1.2, 1.2, 1.6])  # nothing observed: the mean


def test_recordings_of_another_length_are_refused():
    with pytest.raises(ValueError, match="recordings have 20 samples; MeanCurve was fitted on 30"):
        filled(np.full(20, 3.0))


def test_where_all_saw_the_same_light_it_knows_more_than_a_straight_line():
    cohort = generate(n_recordings=60, n_controls=5, n_glaucoma=5, seed=52, artefact_load=0.0)
    missing = np.zeros(cohort.pupil.shape, dtype=bool)
    missing[40:, 450:550] = True  # from before the blue light goes on
    unseen, gap, truth = cohort.pupil[40:], missing[40:], cohort.truth_pupil[40:]
    methods = [method.fit(cohort.pupil[:40], missing[:40]) for method in (MeanCurve(), Linear())]
    curve, line = (np.abs(m.impute(unseen, gap).pupil - truth)[gap].mean() for m in methods)
    assert curve < 0.8 * line

"""The mean of imputers, on numbers that can be checked by hand."""

import numpy as np
import pytest

from src.imputation.ensemble import MeanImputation
from src.imputation.linear import Linear
from src.imputation.pchip import Pchip
from src.imputation.pupil_gt import TruthPupil

PUPIL = np.array([[4.0, np.nan, 2.0, 9.0], [np.nan] * 4, [2.0, 2.0, 2.0, 2.0]])
MISSING = np.array([[False, True, False, True], [True] * 4, [False] * 4])


def filled(*values):
    """A member's signal: the same value at every missing sample of the first recording, 3 in the second."""
    signal = np.where(MISSING, 3.0, PUPIL)
    signal[0, [1, 3]] = values
    return signal


def test_values_are_means_and_sds_spread_over_the_members():
    ensemble = MeanImputation({}).learn(PUPIL, MISSING)
    made = ensemble.combine(PUPIL, MISSING, {"a": filled(1, 3), "b": filled(2, 3), "c": filled(6, 9)})
    np.testing.assert_allclose(made.pupil[0], [4, 3, 2, 5])
    # squares about the mean: 4 + 1 + 9 over 2; 4 + 4 + 16 over 2
    np.testing.assert_allclose(made.sd[0], [0, np.sqrt(7), 0, np.sqrt(12)])
    np.testing.assert_array_equal(made.pupil[2], PUPIL[2])


def test_where_all_fell_back_on_the_same_the_spread_of_the_recordings_stands_in():
    ensemble = MeanImputation({}).learn(PUPIL, MISSING)
    made = ensemble.combine(PUPIL, MISSING, {"a": filled(1, 3), "b": filled(2, 3), "c": filled(6, 3)})
    np.testing.assert_array_equal(made.pupil[1], 3.0)
    # observed: 4, 2 and 2, 2, 2, 2; mean curve 3, 2, 2, 2; squares about it 1 + 0 + 1 + 0 + 0 + 0 over 6
    np.testing.assert_allclose(made.sd[1], np.sqrt(2 / 6))
    np.testing.assert_allclose(made.sd[0, 3], np.sqrt(2 / 6))


def test_a_single_member_has_no_spread():
    ensemble = MeanImputation({"a": Linear()}).fit(PUPIL, MISSING)
    made = ensemble.impute(PUPIL, MISSING)
    np.testing.assert_array_equal(made.pupil[0], [4, 3, 2, 2])
    assert made.sd is None


def test_fitted_with_its_members_it_is_their_mean_and_gives_truth_to_those_that_need_it():
    rng = np.random.default_rng(0)
    truth = 4 + rng.normal(size=(6, 50)).cumsum(axis=1) / 10
    missing = rng.random((6, 50)) < 0.3
    members = {"linear": Linear(), "pchip": Pchip(), "truth": TruthPupil()}
    ensemble = MeanImputation(members)
    assert ensemble.needs_truth
    made = ensemble.fit(truth, missing, truth=truth).impute(truth, missing, truth=truth)
    alone = [m().fit(truth, missing).impute(truth, missing).pupil for m in (Linear, Pchip)]
    np.testing.assert_allclose(made.pupil, np.mean([*alone, truth], axis=0))
    with pytest.raises(ValueError, match="needs the clean signal"):
        ensemble.impute(truth, missing)

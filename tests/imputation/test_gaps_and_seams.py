"""What imputers that fill in curves share, by hand."""

import numpy as np
import pytest

from src.imputation.curves import gaps, meet_observed, typical_size
from src.imputation.imputed import complete, spread
from src.networks.blocks import at_samples, block_means

NAN = np.nan


def test_the_curve_is_moved_onto_what_is_observed():
    # The curve is 1 too low left of the gap and 3 too low right of it: a line from +1 to +3 between them.
    curve = np.zeros((1, 20))
    observed = np.r_[np.ones(5), np.full(10, np.nan), np.full(5, 3.0)][None]
    moved = meet_observed(curve, observed, np.isnan(observed))
    np.testing.assert_allclose(moved[0, 5:15], np.interp(np.arange(5, 15), [2, 17], [1, 3]))
    # A gap at the end has one side only: a constant shift, and the curve's shape is kept.
    ramp = np.arange(20.0)[None]
    observed = np.where(np.arange(20) < 10, ramp + 2, np.nan)
    np.testing.assert_allclose(meet_observed(ramp, observed, np.isnan(observed))[0, 10:], ramp[0, 10:] + 2)


def test_gaps_and_the_observed_samples_beside_them():
    missing = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 1], dtype=bool)
    found = [(list(samples), [list(side) for side in anchors]) for samples, anchors in gaps(missing)]
    assert found == [
        ([0, 1], [[2, 3, 4, 6, 7]]),
        ([5], [[2, 3, 4], [6, 7, 8, 9, 12]]),
        ([10, 11], [[4, 6, 7, 8, 9], [12]]),
        ([13], [[6, 7, 8, 9, 12]]),
    ]
    assert list(gaps(np.zeros(4, dtype=bool))) == []


def test_blocks_are_means_of_what_is_observed():
    values, known = block_means(np.array([[1.0, 3.0, NAN, 5.0, NAN, NAN, 7.0]]), 2)
    np.testing.assert_array_equal(known, [[True, True, False, True]])
    np.testing.assert_array_equal(values[known], [2, 5, 7])


def test_blocks_lie_at_their_centres():
    # Blocks of samples 0 to 3 and 4 to 7, and of sample 8 alone: centres at 1.5, 5.5 and 8.
    curve = at_samples(np.array([[0.0, 4.0, 9.0]]), 4, 9)
    np.testing.assert_allclose(curve, [[0, 0, 0.5, 1.5, 2.5, 3.5, 5, 7, 9]])


def test_a_recording_s_typical_size():
    observed = np.array([[NAN, 3.0, 5.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(typical_size(observed), [[4], [1]])


def test_spread_about_the_mean_curve():
    pupil = np.array([[1.0, 5.0], [3.0, NAN]])  # 1 and 1 off the mean of 2; 3 off the mean of 2; one missing
    assert spread(pupil, ~np.isfinite(pupil), np.array([2.0, 2.0])) == pytest.approx(np.sqrt(11 / 3))


def test_a_standard_deviation_that_is_not_finite_is_an_error():
    pupil, missing = np.array([[1.0, NAN]]), np.array([[False, True]])
    good = complete(pupil, missing, np.full((1, 2), 3.0), "x", np.array([[NAN, 0.5]]))
    np.testing.assert_array_equal(good.sd, [[0, 0.5]])  # what is observed has none
    with pytest.raises(
        ValueError, match="imputation x: no finite standard deviation for sample 1 of the rec"
    ):
        complete(pupil, missing, np.full((1, 2), 3.0), "x", np.full((1, 2), NAN))

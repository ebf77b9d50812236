"""The simple imputers, and what all imputers share, by hand."""

import numpy as np
import pytest

from src.imputation.imputed import complete, mean_curve
from src.imputation.linear import Linear
from src.imputation.pupil_gt import TruthPupil

NAN = np.nan


def masked(rows):
    pupil = np.array(rows, dtype=float)
    return pupil, ~np.isfinite(pupil)


def test_lines_through_gaps_and_constant_ends():
    pupil, missing = masked([[NAN, 2.0, NAN, NAN, 5.0, NAN], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    filled = Linear().fit(pupil, missing).impute(pupil, missing).pupil
    np.testing.assert_allclose(filled, [[2, 2, 3, 4, 5, 5], [1] * 6], rtol=1e-15)


def test_a_detected_value_has_no_influence():
    pupil, missing = masked([[1.0, 99.0, 3.0, 4.0]])
    missing[0, 1] = True
    np.testing.assert_allclose(Linear().fit(pupil, missing).impute(pupil, missing).pupil, [[1, 2, 3, 4]])


def test_mean_curve_of_what_is_observed():
    # Column means of the observed: 2, 4, none, none, 7; the middle on the line from 4 to 7.
    pupil, missing = masked([[1.0, 4.0, NAN, NAN, 6.0], [3.0, NAN, NAN, NAN, 8.0]])
    np.testing.assert_allclose(mean_curve(pupil, missing), [2, 4, 5, 6, 7])


def test_a_few_missed_artefacts_do_not_make_the_mean_curve():
    rng = np.random.default_rng(3)
    pupil = rng.normal(4.0, 0.2, (300, 6))
    missing = np.zeros(pupil.shape, dtype=bool)
    missing[:, -1] = True
    without = mean_curve(pupil, missing)
    pupil[7, -1], missing[7, -1] = 9.0, False  # at the end one in 300 is left, and it is an artefact
    np.testing.assert_array_equal(mean_curve(pupil, missing), without)
    assert without[-1] == without[-2]
    missing[8:37, -1] = False  # 30 of 300, all at 9 mm: enough to be believed
    pupil[8:37, -1] = 9.0
    np.testing.assert_allclose(mean_curve(pupil, missing)[-1], 9.0)


def test_the_mean_curve_of_fewer_than_ten_recordings_uses_each():
    pupil, missing = masked([[1.0, NAN, 3.0]] * 8 + [[1.0, 5.0, 3.0]])
    np.testing.assert_allclose(mean_curve(pupil, missing), [1, 5, 3])


def test_recordings_without_any_sample_do_not_count_for_the_mean_curve():
    pupil, missing = masked([[1.0, 2.0, 9.0], [1.0, 2.0, NAN]] + [[NAN, NAN, NAN]] * 40)
    np.testing.assert_allclose(mean_curve(pupil, missing), [1, 2, 9])


def test_the_mean_curve_is_of_the_fitted_recordings():
    fitted, gone = masked([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    lost, missing = masked([[NAN, NAN, NAN], [9.0, NAN, 9.0]])
    for method in (Linear(), TruthPupil()):
        given = {"truth": np.full(lost.shape, 7.0)} if method.needs_truth else {}
        filled = method.fit(fitted, gone).impute(lost, missing, **given).pupil
        np.testing.assert_allclose(filled[0], [2, 3, 4])
        assert filled[1, 1] == (7.0 if method.needs_truth else 9.0)


def test_truth_is_needed_and_must_be_there():
    pupil, missing = masked([[1.0, NAN, 3.0]])
    method = TruthPupil().fit(pupil, missing)
    with pytest.raises(ValueError, match="needs the clean signal"):
        method.impute(pupil, missing)
    with pytest.raises(ValueError, match=r"pupil-gt: no finite value for sample 1 of the recording at row 0"):
        method.impute(pupil, missing, truth=pupil)


def test_nothing_observed_anywhere_is_an_error():
    pupil, missing = masked([[NAN, NAN], [NAN, NAN]])
    with pytest.raises(ValueError, match="no mean curve"):
        Linear().fit(pupil, missing)


def test_shapes_must_agree():
    pupil, missing = masked([[1.0, NAN, 3.0]])
    with pytest.raises(ValueError, match=r"\(1, 3\) and missing \(1, 2\)"):
        Linear().fit(pupil, missing[:, :2])


def test_values_are_used_only_where_missing():
    pupil, missing = masked([[1.0, NAN, 3.0]])
    np.testing.assert_array_equal(
        complete(pupil, missing, np.array([[7.0, 8.0, 9.0]]), "x").pupil, [[1, 8, 3]]
    )

"""What the summary tables say of a cohort small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

from src.cohort import Cohort
from src.cohort.cohort import SUBJECT_COLUMNS
from src.cohort.summary import diagnoses, gaps_to_fill, missingness, missingness_over_time

# Samples half a second apart, from 10 s:  .  sample kept   L  lost   a  artefact   A  artefact and lost
PICTURE = (
    "LL..aa..",
    "........",
    ".aLA....",
)


@pytest.fixture
def cohort():
    marks = np.array([list(row) for row in PICTURE])
    subjects = pd.DataFrame({"recording": ["G001", "U001", "H001"], "code": ["G001", "U001", "H001"]})
    subjects["label"] = pd.array([1, None, 0], dtype="Int8")
    subjects[["age", "severity"]] = np.nan
    subjects[["split", "eye"]] = None
    return Cohort(
        time=10 + 0.5 * np.arange(8),
        pupil=np.where(np.isin(marks, ["L", "A"]), np.nan, 4.0),
        light={},
        subjects=subjects[list(SUBJECT_COLUMNS)],
        unit="mm",
        source="synthetic",
        truth_mask=np.isin(marks, ["a", "A"]),
        truth_pupil=np.full(marks.shape, 4.0),
    )


def test_diagnoses_are_spelt_out_in_one_order(cohort):
    spelt = diagnoses(cohort)
    assert list(spelt) == ["glaucoma", "no diagnosis", "control"]
    assert list(spelt.cat.categories) == ["control", "glaucoma", "no diagnosis"]


def test_shares_and_the_longest_gap_of_each_recording(cohort):
    table = missingness(cohort)
    assert list(table["recording"]) == ["G001", "U001", "H001"]
    assert list(table["lost"]) == [2 / 8, 0, 2 / 8]
    assert list(table["artefact"]) == [2 / 8, 0, 2 / 8]
    assert list(table["longest_gap_s"]) == [1.0, 0, 1.5]  # a, L and A in a row are one gap


def test_shares_over_time_in_parts_of_as_many_samples(cohort):
    table = missingness_over_time(cohort, n_bins=2)
    assert list(table["time_s"]) == [10.75, 12.75]
    np.testing.assert_allclose(table["lost"], [4 / 12, 0])
    np.testing.assert_allclose(table["artefact"], [2 / 12, 2 / 12])


def test_no_part_over_time_is_without_samples(cohort):
    assert list(missingness_over_time(cohort, n_bins=100)["time_s"]) == list(cohort.time)
    assert list(missingness_over_time(cohort, n_bins=3)["time_s"]) == [10.5, 12.0, 13.25]


def test_without_truth_only_losses_are_known(cohort):
    bare = cohort.without_truth()
    np.testing.assert_array_equal(gaps_to_fill(bare), ~np.isfinite(bare.pupil))
    assert missingness(bare)["artefact"].isna().all()
    assert list(missingness(bare)["longest_gap_s"]) == [1.0, 0, 1.0]
    assert missingness_over_time(bare)["artefact"].isna().all()

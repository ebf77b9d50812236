"""What every detector promises; the methods are found by listing their configs."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from methods import build

from src.cohort.synthetic import generate

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "outlier").glob("*.yaml"))
every_detector = pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)


@pytest.fixture(scope="module")
def cohort():
    """Fourteen recordings with everything a device does: lost samples, one lost altogether, one constant."""
    made = generate(n_recordings=14, n_controls=6, n_glaucoma=4, seed=31)
    pupil = made.pupil.copy()
    pupil[3] = np.nan
    pupil[4] = 4.0
    pupil[5, :200] = np.nan
    return replace(made, pupil=pupil)


@pytest.fixture(scope="module", params=[300, 1981, 2500])
def shares(request):
    """Recordings of another length too, with artefacts on none, 5 %, 38 % and all of their samples.

    Two of each, in this order, and two lost altogether. An artefact is an eyelid, eight samples long, four of
    them lost; where everything is spoilt, nothing of the pupil is left.
    """
    length, rng = request.param, np.random.default_rng(34)
    made = generate(n_recordings=10, n_controls=5, n_glaucoma=3, artefact_load=0.0, seed=33)
    pupil = np.concatenate([made.pupil, made.pupil[:, ::-1]], axis=1)[:, :length]
    mask = np.zeros(pupil.shape, dtype=bool)
    for row, share in zip((2, 3, 4, 5), (0.05, 0.05, 0.38, 0.38), strict=True):
        blocks = rng.choice(length // 8, round(share * length / 8), replace=False)
        at = (8 * blocks[:, None] + np.arange(8)).ravel()
        pupil[row, at] *= np.tile([0.7, 0.2, *[np.nan] * 4, 0.3, 0.6], len(blocks))
        mask[row, at] = True
    pupil[6:8], pupil[8:] = rng.uniform(0, 8, (2, length)), np.nan
    mask[6:] = True
    types = {"truth_mask": mask, "truth_pupil": None, "artefact_type": None}
    return replace(made, time=np.arange(length) / 30, pupil=pupil, **types)


def given(method, cohort):
    blind = cohort.blind()
    return blind if method.needs_truth else blind.without_truth()


@every_detector
def test_flags_are_boolean_one_per_sample_and_repeat(path, cohort):
    method = build(path)
    fitted = method.fit(given(method, cohort))
    assert fitted is method
    flags = method.detect(given(method, cohort))
    assert flags.dtype == bool
    assert flags.shape == cohort.pupil.shape
    assert flags.any()
    assert not flags.all()
    again = build(path).fit(given(method, cohort)).detect(given(method, cohort))
    np.testing.assert_array_equal(flags, again)


@every_detector
def test_any_share_of_artefacts_in_recordings_of_any_length(path, shares):
    method = build(path)
    flags = method.fit(given(method, shares)).detect(given(method, shares))
    assert flags.dtype == bool
    assert flags.shape == shares.pupil.shape
    assert flags[:2].mean() <= 0.02
    for row in (2, 3, 4, 5):
        truth = shares.truth_mask[row]
        assert flags[row, truth].mean() > flags[row, ~truth].mean()


@every_detector
def test_the_cohort_stays_as_it_was(path, cohort):
    method = build(path)
    view = given(method, cohort)
    pupil = view.pupil.copy()
    mask = None if view.truth_mask is None else view.truth_mask.copy()
    flags = method.fit(view).detect(view)
    np.testing.assert_array_equal(view.pupil, pupil)
    if mask is not None:
        flags[:] = False  # writing to the result must not reach the cohort
        np.testing.assert_array_equal(view.truth_mask, mask)


@every_detector
def test_a_recording_s_flags_do_not_depend_on_its_company(path, cohort):
    method = build(path)
    method.fit(given(method, cohort))
    flags = method.detect(given(method, cohort))
    order = np.random.default_rng(0).permutation(len(cohort))
    np.testing.assert_array_equal(method.detect(given(method, cohort.take(order))), flags[order])
    np.testing.assert_array_equal(method.detect(given(method, cohort.take(np.array([7])))), flags[[7]])


@every_detector
def test_threads_do_not_change_the_result(path, cohort):
    if "n_jobs" not in yaml.safe_load(path.read_text(encoding="utf-8")):
        pytest.skip("runs on one thread")
    one, three = (
        method.fit(given(method, cohort)).detect(given(method, cohort))
        for method in (build(path, n_jobs=n) for n in (1, 3))
    )
    np.testing.assert_array_equal(one, three)


@every_detector
def test_without_truth_it_works_or_says_why(path, cohort):
    method = build(path)
    bare = cohort.blind().without_truth()
    if method.needs_truth:
        with pytest.raises(ValueError, match="needs the artefact mask"):
            method.fit(bare).detect(bare)
    else:
        assert method.fit(bare).detect(bare).shape == bare.pupil.shape


@every_detector
def test_without_a_sample_to_learn_from_it_says_so_or_needs_none(path, cohort):
    method = build(path)
    lost = replace(given(method, cohort), pupil=np.full(cohort.pupil.shape, np.nan))
    try:
        flags = method.fit(lost).detect(lost)
    except ValueError as error:
        assert re.search("all fitted recordings .*lost.* expected pupil sizes to learn from", str(error))
    else:
        assert flags.shape == cohort.pupil.shape

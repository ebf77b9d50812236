"""TimesNet as a detector: what it finds, and what truth it learns from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from methods import build
from scores import f1

from src.cohort.synthetic import generate

CONFIG = Path(__file__).parents[2] / "configs" / "outlier" / "TimesNet-gt.yaml"


@pytest.fixture(scope="module")
def cohort():
    return generate(n_recordings=40, n_controls=8, n_glaucoma=6, seed=61)


def test_it_finds_artefacts_it_has_not_seen(cohort):
    fitted, unseen = cohort.take(np.arange(28)), cohort.take(np.arange(28, 40))
    flags = build(CONFIG).fit(fitted.blind()).detect(unseen.blind().without_truth())
    at_random = unseen.truth_mask.mean()  # F1 of a random mask of the same size
    assert f1(flags, unseen.truth_mask) > 0.5 + at_random / 2
    assert flags[~unseen.truth_mask].mean() < 0.02


def test_the_truth_of_the_fitted_recordings_decides(cohort):
    """Somebody to whom only half of the artefacts were artefacts gets a detector that flags less."""
    view = cohort.blind()
    largest = np.abs(view.pupil - view.truth_pupil) > 1.5
    fewer = build(CONFIG).fit(replace(view, truth_mask=view.truth_mask & largest))
    all_of_them = build(CONFIG).fit(view)
    assert fewer.threshold_ > 1.5 * all_of_them.threshold_


def test_without_a_clean_sample_it_says_what_it_looked_for(cohort):
    marked = replace(cohort.blind(), truth_mask=np.ones_like(cohort.truth_mask))
    with pytest.raises(ValueError, match="each is lost, disturbed or marked in the artefact mask"):
        build(CONFIG).fit(marked)


def test_another_length_than_fitted_is_refused(cohort):
    method = build(CONFIG).fit(cohort.blind())
    truth = {"truth_mask": None, "truth_pupil": None, "artefact_type": None}
    short = replace(cohort, time=cohort.time[:500], pupil=cohort.pupil[:, :500], **truth)
    with pytest.raises(ValueError, match="500 samples; TimesNet-gt was fitted on 1981"):
        method.detect(short)

"""The vote of detectors, and of those that are good enough where they were not fitted."""

import numpy as np
import pytest

from src.cohort.synthetic import generate
from src.outliers.ensemble import MeanVote, ThresholdedVote
from src.outliers.hampel import Hampel
from src.outliers.pupil_gt import TruthMask
from src.outliers.speed_mad import SpeedMAD


class Watching:
    """Flags what it is told to; remembers the cohorts it saw, over all copies."""

    needs_truth = False

    def __init__(self, share, seen):
        self.share, self.seen = share, seen

    def __deepcopy__(self, memo):
        return Watching(self.share, self.seen)

    def fit(self, cohort):
        self.seen.append(("fit", cohort))
        return self

    def detect(self, cohort):
        self.seen.append(("detect", cohort))
        return np.random.default_rng(len(cohort)).random(cohort.pupil.shape) < self.share


@pytest.fixture(scope="module")
def cohort():
    return generate(n_recordings=20, n_controls=6, n_glaucoma=4, seed=61)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_more_than_a_share_of_the_members_flag_a_sample(share, n):
    rng = np.random.default_rng(n)
    masks = {f"m{i}": rng.random((3, 40)) < 0.5 for i in range(n)}
    vote = MeanVote(share, {}).combine(masks)
    for row in range(3):
        for sample in range(40):
            yes = sum(bool(mask[row, sample]) for mask in masks.values())
            assert vote[row, sample] == (yes / n > share)


def test_fitted_with_its_members_it_is_the_vote_of_their_masks(cohort):
    bare = cohort.without_truth()
    members = {"a": SpeedMAD(8.0, 0.2, 0.075, 0.05), "b": Hampel(31, 4.0), "c": TruthMask()}
    vote = MeanVote(0.5, members)
    assert vote.needs_truth  # as one of its members does
    masks = [members[name].fit(bare).detect(bare) for name in "ab"] + [cohort.truth_mask]
    expected = np.sum(masks, axis=0) >= 2
    np.testing.assert_array_equal(vote.fit(cohort).detect(cohort), expected)


def test_what_members_achieve_is_measured_where_they_were_not_fitted_and_they_see_no_truth(cohort):
    seen = []
    members = {"truth": TruthMask(), "watching": Watching(0.5, seen)}
    vote = ThresholdedVote(0.5, 0.9, 0.3, 0, members).fit(cohort.blind())
    (_, fitted), (_, measured) = seen  # it has no vote, so it is not fitted on all of them
    assert [len(fitted), len(measured)] == [14, 6]
    rows = [pupil.tobytes() for part in (fitted, measured) for pupil in part.pupil]
    assert len(set(rows)) == 20  # no recording in both
    assert not any(part.has_truth for _, part in seen)
    assert vote.quality_["truth"] == 1.0
    assert list(vote.dropped_) == ["watching"]
    assert vote.dropped_["watching"].startswith(
        f"F1 {vote.quality_['watching']:.3f} on recordings it was not"
    )
    np.testing.assert_array_equal(vote.detect(cohort), cohort.truth_mask)


def test_a_member_that_votes_is_fitted_on_all_recordings(cohort):
    seen = []
    ThresholdedVote(0.5, 0.0, 0.3, 0, {"truth": TruthMask(), "watching": Watching(0.5, seen)}).fit(cohort)
    assert [(what, len(part)) for what, part in seen] == [("fit", 14), ("detect", 6), ("fit", 20)]


def test_the_measured_f1_is_that_of_the_samples(cohort):
    members = {"all": Watching(1.1, []), "truth": TruthMask()}
    vote = ThresholdedVote(0.5, 0.0, 0.3, 1, members).learn(cohort)
    rows = np.random.default_rng(1).permutation(20)[:6]
    share = cohort.truth_mask[rows].mean()
    assert vote.quality_["all"] == pytest.approx(2 * share / (1 + share))
    assert vote.dropped_ == {}


def test_what_it_cannot_do_is_said_in_one_sentence(cohort):
    members = {"none": Watching(-1.0, []), "half": Watching(0.5, [])}
    with pytest.raises(ValueError, match=r"no member .* F1 of 0.9 .*: none 0.000, half 0\.\d{3}; lower"):
        ThresholdedVote(0.5, 0.9, 0.3, 0, members).learn(cohort)
    with pytest.raises(ValueError, match="needs the artefact mask"):
        ThresholdedVote(0.5, 0.9, 0.3, 0, members).fit(cohort.without_truth())
    with pytest.raises(ValueError, match="on 0 of 1 recordings; expected at least one to measure on"):
        ThresholdedVote(0.5, 0.9, 0.3, 0, members).learn(cohort.take(np.array([0])))


def test_the_choice_repeats(cohort):
    members = {"truth": TruthMask(), "hampel": Hampel(31, 4.0)}
    made = [ThresholdedVote(0.5, 0.5, 0.3, 0, members).learn(cohort).quality_ for _ in range(2)]
    assert made[0] == made[1]

"""Ensembles of detectors: a vote of all members, and one of those that proved good enough."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np

from src.cohort.cohort import Cohort
from src.evaluation.signal_quality import detection_quality


class MeanVote:
    """A sample is an artefact where more than a share of the members flag it.

    At a share of one half this is the majority vote (Kittler et al. 1998, IEEE Trans Pattern Anal Mach Intell
    20:226), where the mean of the members' masks exceeds 0.5; an even vote flags nothing.

    A vote learns nothing: `combine` is all there is to it where the members' masks are known. `fit` and
    `detect` do the same with the members themselves.

    Parameters
    ----------
    share : float
        Share of the members, 0 to 1, that must be exceeded.
    members : mapping of str to detector
        Detectors by name, not fitted.

    Attributes
    ----------
    quality_ : dict of str to float
        What members were measured to achieve; empty where they were not measured.
    dropped_ : dict of str to str
        Members without a vote, and why.
    """

    needs_truth = False

    def __init__(self, share: float, members: Mapping[str, Any]) -> None:
        self.share = share
        self.members = members
        self.needs_truth = type(self).needs_truth or any(m.needs_truth for m in members.values())
        self.quality_: dict[str, float] = {}
        self.dropped_: dict[str, str] = {}

    def fit(self, cohort: Cohort) -> Self:
        """Learn which members vote, and fit these."""
        self.learn(cohort)
        for member in self._voters.values():
            member.fit(_shown(member, cohort))
        return self

    @property
    def _voters(self) -> dict[str, Any]:
        return {name: member for name, member in self.members.items() if name not in self.dropped_}

    def learn(self, cohort: Cohort) -> Self:
        """Learn which members vote: here, all of them."""
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return the members' vote, bool, shape (n, T)."""
        masks = {name: member.detect(_shown(member, cohort)) for name, member in self._voters.items()}
        return self.combine(masks)

    def combine(self, masks: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the vote.

        Parameters
        ----------
        masks : mapping of str to ndarray of bool, shape (n, T)
            What each member flags.

        Returns
        -------
        ndarray of bool, shape (n, T)
        """
        votes = np.array([mask for name, mask in masks.items() if name not in self.dropped_])
        return votes.sum(axis=0) > self.share * len(votes)


class ThresholdedVote(MeanVote):
    """A vote of the members whose F1 reaches a threshold on recordings they were not fitted on.

    Only recordings to fit on are used for that choice: copies of the members are fitted on a part of them and
    measured, against the artefact mask, on the rest. The members that vote are fitted on all of them. So
    where methods are fitted on recordings without a diagnosis, the choice knows nothing of the recordings
    that the ensemble is judged on and that are classified; where they are fitted on all recordings, the
    ensemble is judged on recordings it was fitted on, as every other method is then. The copies have less to
    learn from, so what is measured is rather too low, and a member is fitted twice.

    Parameters
    ----------
    share : float
        As in `MeanVote`.
    min_f1 : float
        Least F1 over all samples of the recordings measured on.
    measured_share : float
        Share of the recordings to fit on, 0 to 1, that members are measured on.
    seed : int
        Seed of the draw of these recordings.
    members : mapping of str to detector
        Detectors by name, not fitted.
    """

    needs_truth = True

    def __init__(
        self, share: float, min_f1: float, measured_share: float, seed: int, members: Mapping[str, Any]
    ) -> None:
        super().__init__(share, members)
        self.min_f1 = min_f1
        self.measured_share = measured_share
        self.seed = seed

    def learn(self, cohort: Cohort) -> Self:
        """Learn which members vote.

        Raises
        ------
        ValueError
            Without the artefact mask, with too few recordings, or if no member reaches the threshold.
        """
        fitted, measured = self._parts(cohort)
        self.quality_ = {
            name: _f1(deepcopy(member).fit(_shown(member, fitted)).detect(_shown(member, measured)), measured)
            for name, member in self.members.items()
        }
        self.dropped_ = {
            name: f"F1 {f1:.3f} on recordings it was not fitted on; expected at least {self.min_f1:g}"
            for name, f1 in self.quality_.items()
            if not f1 >= self.min_f1
        }
        if len(self.dropped_) == len(self.members):
            measures = ", ".join(f"{name} {f1:.3f}" for name, f1 in self.quality_.items())
            raise ValueError(
                f"no member of the ensemble reaches an F1 of {self.min_f1:g} on recordings it was not fitted "
                f"on: {measures}; lower min_f1 or choose another method"
            )
        return self

    def _parts(self, cohort: Cohort) -> tuple[Cohort, Cohort]:
        """Return the recordings to fit the copies on, and those to measure them on."""
        if cohort.truth_mask is None:
            raise ValueError(
                "the thresholded ensemble needs the artefact mask, which this cohort does not have"
            )
        n_measured = round(self.measured_share * len(cohort))
        if not 0 < n_measured < len(cohort):
            raise ValueError(
                f"the thresholded ensemble measures its members on {n_measured} of {len(cohort)} recordings; "
                "expected at least one to measure on and one to fit on"
            )
        rows = np.random.default_rng(self.seed).permutation(len(cohort))
        return cohort.take(np.sort(rows[n_measured:])), cohort.take(np.sort(rows[:n_measured]))


def _shown(member: Any, cohort: Cohort) -> Cohort:
    """Return what a member may see: the truth only if it needs it."""
    return cohort if member.needs_truth else cohort.without_truth()


def _f1(mask: np.ndarray, cohort: Cohort) -> float:
    assert cohort.truth_mask is not None
    return float(detection_quality(mask, cohort.truth_mask, None, ())[0]["f1"])

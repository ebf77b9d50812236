"""The known artefact mask itself: what detection could reach at best."""

from __future__ import annotations

import numpy as np

from src.cohort.cohort import Cohort


class TruthMask:
    """The artefact mask that came with the recordings (the study's `pupil-gt`)."""

    needs_truth = True

    def fit(self, cohort: Cohort) -> TruthMask:
        """Return self: nothing is learned."""
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return the cohort's own mask, bool, shape (n, T).

        Raises
        ------
        ValueError
            If the cohort has no artefact mask.
        """
        if cohort.truth_mask is None:
            raise ValueError(
                "outlier detection pupil-gt needs the artefact mask, which this cohort does not have"
            )
        return cohort.truth_mask.astype(bool)

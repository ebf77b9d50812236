"""The mean curve of the cohort, met to what is observed: what a network has to beat."""

from __future__ import annotations

import numpy as np

from src.imputation.curves import fillable, level_curve, meet_observed
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only
from src.networks.level import typical_size


class MeanCurve:
    """The mean curve of the fitted recordings, at a recording's own level and met to its observed samples.

    Every fitted recording is divided by the median of its observed samples; the mean of these is the curve.
    A recording's gaps get that curve times the recording's median, shifted over each gap by a straight line
    in time, so that it meets what is observed at both edges (`meet_observed`).

    It is there to be beaten. `CoarseImputer` and `LowRank` start from this very curve and learn only how a
    recording deviates from it; what they gain over `Linear` may be the curve's gain, for all recordings saw
    the same light. What a model has learned is its gain over this.
    """

    needs_truth = False

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> MeanCurve:
        """Learn the curve of `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        self.level_curve_ = level_curve(observed, missing)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); recordings with no observed sample get the mean curve.

        Raises
        ------
        ValueError
            If the recordings have another length than the fitted ones.
        """
        observed, values, rows = fillable(pupil, missing, self.curve_, "MeanCurve")
        if rows.any():
            curves = self.level_curve_ * typical_size(observed[rows])
            values[rows] = meet_observed(curves, observed[rows], missing[rows])
        return complete(observed, missing, values, "MeanCurve")

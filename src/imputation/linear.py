"""Straight lines through the gaps: the traditional method every other one has to beat."""

from __future__ import annotations

import numpy as np

from src.imputation.imputed import Imputed, complete, interpolate, mean_curve, observed_only


class Linear:
    """Linear interpolation within each recording; the ends are held constant.

    The usual repair of blinks in pupillometry (Kret & Sjak-Shie 2019, Behav Res Methods 51:1336).
    """

    needs_truth = False

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> Linear:
        """Learn the mean curve of the fitted recordings, for recordings with no observed sample."""
        self.curve_ = mean_curve(observed_only(pupil, missing), missing)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        return complete(observed, missing, interpolate(observed, missing, self.curve_), "linear")

"""Monotone cubic pieces through the gaps."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from src.imputation.imputed import Imputed, complete, mean_curve, observed_only


class Pchip:
    """Piecewise cubic interpolation within each recording that overshoots nowhere; the ends are constant.

    Fritsch & Butland 1984, SIAM J Sci Stat Comput 5:300, as in scipy. Between two observed samples the curve
    is monotone and stays in the range of the two; cubic splines, a usual repair of blinks (Mathôt et al.
    2018, Behav Res Methods 50:94), may leave it. With two observed samples it is the straight line between
    them, with one a constant.
    """

    needs_truth = False

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> Pchip:
        """Learn the mean curve of the fitted recordings, for recordings with no observed sample."""
        self.curve_ = mean_curve(observed_only(pupil, missing), missing)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        values = observed.copy()
        for row, gaps in zip(values, missing, strict=True):
            if gaps.all():
                row[:] = self.curve_
            elif gaps.any():
                row[gaps] = _through_gaps(row, gaps)
        return complete(observed, missing, values, "PCHIP")


def _through_gaps(row: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return the values of one recording (T,) at its gaps."""
    known, lost = np.flatnonzero(~gaps), np.flatnonzero(gaps)
    if len(known) == 1:
        return np.full(len(lost), row[known[0]])
    return PchipInterpolator(known, row[known])(np.clip(lost, known[0], known[-1]))

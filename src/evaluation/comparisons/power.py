"""The smallest difference between combinations that a study of this size can be expected to show."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

ALPHA, POWER = 0.05, 0.8


def detectable(se: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the true difference that a two-sided test at `alpha` finds with probability `power`.

    Parameters
    ----------
    se : float
        Standard error of the difference at the study's numbers.

    References
    ----------
    Cohen 1988, Statistical Power Analysis, chapter 2: (z_(1 - alpha/2) + z_power) se.
    """
    return float((ndtri(1 - alpha / 2) + ndtri(power)) * se)


def detectable_difference(metric: str, se: np.ndarray, subject_y: np.ndarray) -> dict:
    """Return the row of the table `detectable_difference`.

    Parameters
    ----------
    metric : str
    se : ndarray, shape (m,)
        Standard errors of the combinations' differences from the champion; their median counts, those that
        are 0 (identical predictions) left out.
    subject_y : ndarray, shape (s,)
        Class of each subject.
    """
    known = se[np.isfinite(se) & (se > 0)]
    median = float(np.median(known)) if known.size else float("nan")
    return {
        "metric": metric,
        "se_difference": median,
        "power": POWER,
        "alpha": ALPHA,
        "detectable": detectable(median),
        "n_cases": int(np.sum(subject_y == 1)),
        "n_controls": int(np.sum(subject_y == 0)),
    }

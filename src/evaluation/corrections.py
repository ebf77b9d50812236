"""Apparent performance corrected for being measured on the training data: optimism, .632 and .632+."""

from __future__ import annotations

import numpy as np

INSIDE = 0.632
"""Share of distinct subjects in a resample: 1 - 1/e, as rounded by Efron & Tibshirani."""

OUTSIDE = 0.368


def optimism(on_resample: np.ndarray, on_everybody: np.ndarray) -> np.ndarray:
    """Return by how much each model looks better on its own resample than on everybody, shape (B,).

    Parameters
    ----------
    on_resample, on_everybody : array_like, shape (B,)
        A metric of model b on the resample it was trained on (every subject as often as it was drawn) and on
        all subjects; NaN where undefined.

    Returns
    -------
    ndarray, shape (B,)
        In the unit of the metric; NaN where one of the two is undefined. Apparent performance minus the mean
        is the optimism-corrected performance.

    References
    ----------
    Harrell, Lee & Mark 1996, Stat Med 15:361, section 6.
    """
    return np.asarray(on_resample, dtype=np.float64) - np.asarray(on_everybody, dtype=np.float64)


def b632(apparent: float, oob: float) -> float:
    """Return .368 apparent + .632 oob; the apparent performance is too good, the left-out one too bad.

    Parameters
    ----------
    apparent, oob : float
        A metric on the training data, and its mean over what the resamples left out.

    References
    ----------
    Efron 1983, JASA 78:316, section 7.
    """
    return OUTSIDE * apparent + INSIDE * oob


def b632plus(apparent: float, oob: float, no_information: float) -> float:
    """Return the .632+ estimate of an error: the more a model overfits, the less its apparent error counts.

    Parameters
    ----------
    apparent, oob : float
        An error (lower is better) on the training data, and its mean over what the resamples left out.
    no_information : float
        The error the model would have if outcomes had nothing to do with predictions.

    Returns
    -------
    float
        The .632 estimate where nothing overfits; NaN where an argument is.

    References
    ----------
    Efron & Tibshirani 1997, JASA 92:548, equations 28, 31 and 32: the left-out error counts as no larger than
    the one without information, and the relative overfitting rate stays in [0, 1].
    """
    bounded = min(oob, no_information) if not np.isnan([oob, no_information]).any() else float("nan")
    overfits = oob > apparent and no_information > apparent
    rate = (bounded - apparent) / (no_information - apparent) if overfits else 0.0
    return b632(apparent, oob) + (bounded - apparent) * OUTSIDE * INSIDE * rate / (1 - OUTSIDE * rate)


def no_information_brier(y: np.ndarray, p: np.ndarray) -> float:
    """Return the mean of (y_i - p_j)^2 over all pairs i, j: the Brier score if p knew nothing about y.

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1; predictions of the model fitted on everybody.

    References
    ----------
    Efron & Tibshirani 1997, JASA 92:548, equation 26.
    """
    share = float(np.mean(y))
    predictions = np.asarray(p, dtype=np.float64)
    return float(np.mean(predictions**2)) - 2 * share * float(predictions.mean()) + share

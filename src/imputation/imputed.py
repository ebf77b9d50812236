"""What an imputer returns, and what all imputers share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LEAST_SHARE = 0.1
"""Least share of the recordings that a mean at a time point is taken over.

Where nearly all are lost, as at a recording's end, what passes for observed is what the detector missed.
"""


@dataclass(frozen=True, eq=False)
class Imputed:
    """A complete signal.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Finite everywhere; the observed samples bit for bit as they were.
    sd : ndarray, shape (n, T), optional
        Standard deviation of the pupil itself, without measurement noise, about the imputed values, for
        methods that know it; 0 where observed.
    """

    pupil: np.ndarray
    sd: np.ndarray | None = None


def observed_only(pupil: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the signal with NaN at missing samples, shape (n, T), float64.

    Raises
    ------
    ValueError
        If a sample that is not missing is not finite, or if the shapes differ.
    """
    if pupil.shape != missing.shape:
        raise ValueError(f"pupil has shape {pupil.shape} and missing {missing.shape}; they must agree")
    observed = np.where(missing, np.nan, pupil)
    if (~np.isfinite(observed) & ~missing).any():
        row, sample = np.argwhere(~np.isfinite(observed) & ~missing)[0]
        raise ValueError(
            f"sample {sample} of the recording at row {row} is not finite but not marked missing; "
            "missing = detected or not finite"
        )
    return observed


def mean_curve(pupil: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the mean over recordings of the observed samples at each time point, shape (T,).

    Time points at which hardly any recording is observed (less than a tenth of the number at the best
    observed time point) are filled linearly from the others, the ends held constant.

    Raises
    ------
    ValueError
        If nothing at all is observed.
    """
    count = (~missing).sum(axis=0)
    if not count.any():
        raise ValueError("all samples of all fitted recordings are missing; there is no mean curve to learn")
    known = (count > 0) & (count >= _LEAST_SHARE * count.max())
    curve = np.where(missing, 0.0, pupil).sum(axis=0) / np.maximum(count, 1)
    samples = np.arange(len(curve))
    return np.interp(samples, samples[known], curve[known])


def interpolate(pupil: np.ndarray, missing: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the signal (n, T) with straight lines through the gaps.

    Gaps at the start or end hold the nearest observed sample; a recording without any gets `curve` (T,).
    """
    filled = np.where(missing, np.nan, pupil)
    samples = np.arange(pupil.shape[1])
    for row, gaps in zip(filled, missing, strict=True):
        if gaps.all():
            row[:] = curve
        elif gaps.any():
            row[gaps] = np.interp(samples[gaps], samples[~gaps], row[~gaps])
    return filled


def spread(pupil: np.ndarray, missing: np.ndarray, curve: np.ndarray) -> float:
    """Return the standard deviation of all observed samples (n, T) about a mean curve (T,)."""
    return float(np.sqrt(np.square((pupil - curve)[~missing]).mean()))


def complete(
    pupil: np.ndarray, missing: np.ndarray, values: np.ndarray, name: str, sd: np.ndarray | None = None
) -> Imputed:
    """Return `pupil` with `values` (n, T) and their `sd` (n, T) at the missing samples, the rest untouched.

    Raises
    ------
    ValueError
        If a value or standard deviation that is needed is not finite; `name` says which method made it.
    """
    filled = np.where(missing, values, pupil)
    uncertainty = None if sd is None else np.where(missing, sd, 0.0)
    for what, array in (("value", filled), ("standard deviation", uncertainty)):
        if array is not None and not np.isfinite(array).all():
            row, sample = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(
                f"imputation {name}: no finite {what} for sample {sample} of the recording at row {row}"
            )
    return Imputed(filled, uncertainty)

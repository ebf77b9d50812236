"""Curves of a cohort that a recording's gaps are filled with: their level, their seams, their variogram."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from src.imputation.imputed import mean_curve, observed_only
from src.networks.level import typical_size

ANCHOR_SAMPLES = 5
"""Observed samples beside a gap whose median misfit the curve has to meet: one sample is noise."""


def level_curve(observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the mean curve (T,) of recordings (n, T) at a common level: each is divided by its median.

    `observed` is NaN where `missing`; recordings with no observed sample are left out. See `mean_curve`.
    """
    usable = ~missing.all(axis=1)
    return mean_curve(observed[usable] / typical_size(observed[usable]), missing[usable])


def fillable(
    pupil: np.ndarray, missing: np.ndarray, curve: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what filling recordings (n, T) with curves starts from.

    Parameters
    ----------
    pupil, missing : ndarray, shape (n, T)
        As an imputer gets them.
    curve : ndarray, shape (T,)
        Mean curve of the fitted recordings.
    name : str
        The method, for messages.

    Returns
    -------
    observed : ndarray, shape (n, T)
        The signal, NaN where missing.
    values : ndarray, shape (n, T)
        The mean curve in every row, what a recording with no observed sample gets.
    rows : ndarray of bool, shape (n,)
        Recordings with something to fill and something observed.

    Raises
    ------
    ValueError
        If the recordings have another length than the curve, or a sample is neither finite nor missing.
    """
    observed = observed_only(pupil, missing)
    if observed.shape[1] != len(curve):
        raise ValueError(f"recordings have {observed.shape[1]} samples; {name} was fitted on {len(curve)}")
    rows = np.asarray(missing.any(axis=1) & ~missing.all(axis=1))
    return observed, np.tile(curve, (len(observed), 1)), rows


def gaps(missing: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield each gap of a recording: its samples, and the observed samples beside it.

    Parameters
    ----------
    missing : ndarray of bool, shape (T,)
        At least one sample is observed.

    Yields
    ------
    samples : ndarray of int
        Positions of the gap.
    anchors : list of one or two ndarrays of int
        Positions of the nearest `ANCHOR_SAMPLES` observed samples, or what there is of them, before the gap
        and after it; a gap at an end of the recording has one side only.
    """
    known = np.flatnonzero(~missing)
    edges = np.diff(np.concatenate([[0], missing.astype(np.int8), [0]]))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        split = np.searchsorted(known, start)
        sides = known[max(split - ANCHOR_SAMPLES, 0) : split], known[split : split + ANCHOR_SAMPLES]
        yield np.arange(start, stop), [side for side in sides if len(side)]


def straight_line(
    samples: np.ndarray, anchors: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the straight line over a gap that `meet_observed` takes, as weights of its edges.

    Parameters
    ----------
    samples, anchors
        As `gaps` yields them.

    Returns
    -------
    at : ndarray, shape (edges,)
        Where the edges lie: the mean position of their anchors.
    weights : ndarray, shape (samples, edges)
        Share of each edge in each sample.
    noise : ndarray, shape (samples,)
        Variance that noise with variance 1 leaves in the line, through the medians at the edges.
    """
    at = np.array([beside.mean() for beside in anchors])
    weights = np.stack([np.interp(samples, at, row) for row in np.eye(len(at))], axis=1)
    return at, weights, weights**2 @ [np.pi / 2 / len(anchor) for anchor in anchors]


def meet_observed(curve: np.ndarray, observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the curve (n, T), moved over each gap by a straight line between the misfits at its edges.

    The misfit at an edge is the median over the anchors there (see `gaps`); a gap with one edge is moved by a
    constant. Every recording has an observed sample.
    """
    moved = curve.copy()
    for row, lost, misfit in zip(moved, missing, observed - curve, strict=True):
        for samples, anchors in gaps(lost):
            _, weights, _ = straight_line(samples, anchors)
            row[samples] += weights @ [np.median(misfit[beside]) for beside in anchors]
    return moved


def variogram(residual: np.ndarray) -> np.ndarray:
    """Return half the mean squared difference of samples so many apart, shape (T,): entry h is for lag h.

    Matheron's estimator (Cressie 1993, Statistics for Spatial Data, section 2.4), over all pairs within a
    recording of `residual` (n, T), NaN where missing; a lag without pairs gets the value of the one before.
    """
    length = residual.shape[1]
    known = np.isfinite(residual)
    values = np.where(known, residual, 0.0)
    ones, first, second = (np.fft.rfft(a, 2 * length, axis=1) for a in (known, values, values**2))
    squares = 2 * (second.conj() * ones).real - 2 * np.abs(first) ** 2
    pairs = np.rint(np.fft.irfft((np.abs(ones) ** 2).sum(axis=0), 2 * length)[:length])
    total = np.fft.irfft(squares.sum(axis=0), 2 * length)[:length]
    found = np.maximum(total, 0) / np.maximum(2 * pairs, 1)
    lags = np.arange(length)
    return found[np.maximum.accumulate(np.where(pairs > 0, lags, 0))]


def variance_about(variogram: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the variance (T,) of a recording's samples about a curve that meets it; 0 where observed.

    What the curve leaves out has the `variogram` (T,) and is met by `meet_observed`; neighbouring samples
    differ by noise only, which is in the medians at the edges too.
    """
    variance = np.zeros(len(missing))
    for samples, anchors in gaps(missing):
        at, weights, noise = straight_line(samples, anchors)
        smooth = kriging_variance(variogram - variogram[1], samples, at, weights)
        variance[samples] = smooth + variogram[1] * noise
    return variance


def kriging_variance(
    variogram: np.ndarray, samples: np.ndarray, at: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the variance of a random function at `samples`, less its weighted mean at the places `at`.

    Cressie 1993, section 3.2: twice the weighted variogram between sample and places, less the doubly
    weighted one between the places. `weights` (samples, places) add up to 1; `variogram` (T,) is taken at
    whole lags, straight between them, and as 0 where it is negative.
    """

    def between(lags: np.ndarray) -> np.ndarray:
        return np.interp(np.abs(lags), np.arange(len(variogram)), np.maximum(variogram, 0))

    to_places = 2 * (weights * between(samples[:, None] - at)).sum(axis=1)
    among = ((weights @ between(at[:, None] - at)) * weights).sum(axis=1)
    return np.maximum(to_places - among, 0)

"""Principal components of the cohort's curves, fitted to what a recording shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from src.imputation.curves import (
    fillable,
    gaps,
    level_curve,
    meet_observed,
    straight_line,
    variance_about,
    variogram,
)
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only, spread
from src.networks.blocks import at_samples, block_means
from src.networks.level import typical_size

_LEAST_NOISE = 1e-9


@dataclass(frozen=True)
class Components:
    """Probabilistic principal components: x = loadings z + mean + white noise, z standard normal.

    Parameters
    ----------
    loadings : ndarray, shape (d, k)
        Each component's curve, in units of its standard deviation over recordings.
    mean : ndarray, shape (d,)
        The mean curve.
    noise : float
        Variance of the noise.
    """

    loadings: np.ndarray
    mean: np.ndarray
    noise: float

    def posterior(self, values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (n, k) and covariance (n, k, k) of z given the `values` (n, d) that are `known`.

        The mean is the ridge regression of the known values on the loadings, with penalty `noise`.
        """
        n, k = len(values), self.loadings.shape[1]
        squares = (known.astype(float) @ _outer(self.loadings).reshape(-1, k * k)).reshape(n, k, k)
        covariance = np.linalg.inv(squares / self.noise + np.eye(k))
        projected = np.where(known, values - self.mean, 0.0) @ self.loadings / self.noise
        return (covariance @ projected[:, :, None])[:, :, 0], covariance


def fit_components(values: np.ndarray, known: np.ndarray, n_components: int, n_iterations: int) -> Components:
    """Return the most probable components of incomplete curves, by expectation-maximisation.

    Tipping & Bishop 1999, J R Stat Soc B 61:611, with each curve's likelihood that of its known values; a
    standard normal prior on loadings and mean, which only matters where hardly any curve is known (Ilin &
    Raiko 2010, J Mach Learn Res 11:1957).

    Parameters
    ----------
    values : ndarray, shape (n, d)
        Curves about a mean curve, with a standard deviation near 1.
    known : ndarray of bool, shape (n, d)
        Where a value is known; the others are not looked at.
    n_components, n_iterations : int
        Components, and rounds of the algorithm.

    Raises
    ------
    ValueError
        If there are not more curves, and values in each, than components.
    """
    if n_components >= min(values.shape):
        raise ValueError(
            f"n_components is {n_components}; expected fewer than the fitted recordings with an observed "
            f"sample ({len(values)}) and the blocks of a recording ({values.shape[1]})"
        )
    values, weight, k = np.where(known, values, 0.0), known.astype(float), n_components
    _, size, axes = np.linalg.svd(values, full_matrices=False)
    found = Components(axes[:k].T * size[:k] / np.sqrt(len(values)), np.zeros(values.shape[1]), 1.0)
    for _ in range(n_iterations):
        z, covariance = found.posterior(values, known)
        z1 = np.column_stack([z, np.ones(len(z))])
        moments = _outer(z1)
        moments[:, :k, :k] += covariance
        squares = (weight.T @ moments.reshape(len(z), -1)).reshape(-1, k + 1, k + 1)
        both = np.linalg.solve(squares + found.noise * np.eye(k + 1), (values.T @ z1)[:, :, None])[:, :, 0]
        loadings, mean = both[:, :k], both[:, k]
        unexplained = weight * np.square(values - z @ loadings.T - mean)
        unsure = (weight.T @ covariance.reshape(len(z), -1)) * _outer(loadings).reshape(-1, k * k)
        noise = max((unexplained.sum() + unsure.sum()) / weight.sum(), _LEAST_NOISE)
        found = Components(loadings, mean, float(noise))
    return found


def _outer(vectors: np.ndarray) -> np.ndarray:
    """Return each vector (m, k) times itself, shape (m, k, k)."""
    return vectors[:, :, None] * vectors[:, None, :]


class LowRank:
    """Low-rank model of the cohort's curves: probabilistic principal components, met to the observed samples.

    Every recording is divided by the median of its observed samples, the mean curve of the fitted recordings
    is subtracted, and blocks of `stride` samples are averaged over what is observed; one SD over all fitted
    blocks is the unit. Components are fitted to these incomplete curves (`fit_components`). A recording's
    curve is the posterior mean given its observed blocks.

    A few components leave out hippus, so a recording runs beside its curve for seconds. The fill is therefore
    the curve shifted over each gap by a straight line in time, so that it meets what is observed at both
    edges (`meet_observed`). Without the shift its errors are larger, in gaps below 1 s even than those of a
    straight line.

    The standard deviation is that of the shifted curve. It adds up what is unsure about the components, at a
    sample less on the straight line between the gap's edges; what the components leave out, taken in the same
    way from the variogram of the fitted recordings (the kriging variance for given weights, Cressie 1993,
    Statistics for Spatial Data, section 3.2); and the noise at the edges. The recording's median counts as
    known.

    Parameters
    ----------
    stride : int
        Samples per block.
    n_components, n_iterations : int
        See `fit_components`.
    """

    needs_truth = False

    def __init__(self, stride: int, n_components: int, n_iterations: int) -> None:
        self.stride = stride
        self.n_components = n_components
        self.n_iterations = n_iterations

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> LowRank:
        """Learn the components of `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        self.spread_ = spread(observed, missing, self.curve_)
        usable = ~missing.all(axis=1)
        self.level_curve_ = level_curve(observed, missing)
        deviation = observed[usable] / typical_size(observed[usable]) - self.level_curve_
        values, known = block_means(deviation, self.stride)
        self.scale_ = max(float(values[known].std()), 1e-6)
        self.components_ = fit_components(values / self.scale_, known, self.n_components, self.n_iterations)
        self.loadings_ = self._at_samples(self.components_.loadings.T).T
        self.variogram_ = variogram(deviation - self._curves(deviation)[0])
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); recordings with no observed sample get the mean curve.

        Raises
        ------
        ValueError
            If the recordings have another length than the fitted ones.
        """
        observed, values, rows = fillable(pupil, missing, self.curve_, "LowRank")
        sd = np.full(values.shape, self.spread_)
        if rows.any():
            typical = typical_size(observed[rows])
            curves, covariance = self._curves(observed[rows] / typical - self.level_curve_)
            curves = (curves + self.level_curve_) * typical
            values[rows] = meet_observed(curves, observed[rows], missing[rows])
            relative_sd = [self._sd(*of) for of in zip(missing[rows], covariance, strict=True)]
            sd[rows] = np.stack(relative_sd) * np.abs(typical)
        return complete(observed, missing, values, "LowRank", sd)

    def _at_samples(self, blocks: np.ndarray) -> np.ndarray:
        """Return block curves (m, blocks) at every sample, in shares of a recording's median."""
        return at_samples(blocks, self.stride, len(self.curve_)) * self.scale_

    def _curves(self, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the curves (n, T) that the deviations suggest, and the covariance of their coefficients."""
        values, known = block_means(deviation, self.stride)
        z, covariance = self.components_.posterior(values / self.scale_, known)
        return self._at_samples(z @ self.components_.loadings.T + self.components_.mean), covariance

    def _sd(self, missing: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return the standard deviation of one recording's shifted curve (T,); 0 where observed."""
        variance = variance_about(self.variogram_, missing)
        for samples, anchors in gaps(missing):
            _, weights, _ = straight_line(samples, anchors)
            beside = np.stack([self.loadings_[anchor].mean(axis=0) for anchor in anchors])
            left = self.loadings_[samples] - weights @ beside
            variance[samples] += ((left @ covariance) * left).sum(axis=1)
        return np.sqrt(variance)

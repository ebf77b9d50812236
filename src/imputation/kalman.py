"""Kalman smoother: what the samples around a gap say about it, given how pupils move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from src.imputation.curves import fillable, level_curve
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only, spread
from src.networks.level import typical_size

_START = (0.5, 1.0, 100.0, 10.0)  # a pupil at 30 Hz, roughly
_BOUNDS = ((1e-3, 10.0), (1e-4, 10.0), (0.1, 1e5), (0.1, 1e5))  # with less noise rounding decides
_PASSES = 10  # outlying samples hide one another, seldom for more than a few passes
_LEAST_SCATTER = (
    0.5  # a recording's noise below this share of the cohort's: curvature would pass for outliers
)
_NORMAL_MAD = 0.6745


@dataclass(frozen=True)
class Dynamics:
    """How pupils move about their mean curve, and how well they are measured.

    The deviation is white noise that went through two first-order low-passes, one after the other: a
    stationary autoregression of order two that returns to zero. What is measured is that plus white noise.

    Parameters
    ----------
    noise : float
        Standard deviation of the measurement noise.
    size : float
        Standard deviation of the deviation itself.
    slow, fast : float
        Time constants of the low-passes in samples; their order does not matter.
    """

    noise: float
    size: float
    slow: float
    fast: float

    def smoother(self, series: np.ndarray) -> KalmanSmoother:
        """Return the state space model of one recording (T,), NaN where missing; state x(t), x(t-1)."""
        poles = np.exp(-1 / np.array([self.slow, self.fast]))
        first, second = poles.sum(), -poles.prod()
        correlation = first / (1 - second)  # of neighbouring samples
        left = 1 - first * correlation - second * (first * correlation + second)  # what is new, as a share
        model = KalmanSmoother(k_endog=1, k_states=2, k_posdef=1)
        model.bind(series[:, None])
        model["design"] = np.array([[1.0, 0.0]])
        model["transition"] = np.array([[first, second], [1.0, 0.0]])
        model["selection"] = np.array([[1.0], [0.0]])
        model["state_cov"] = np.array([[left * self.size**2]])
        model["obs_cov"] = np.array([[self.noise**2]])
        model.initialize_known(np.zeros(2), self.size**2 * np.array([[1, correlation], [correlation, 1]]))
        return model


def fit_dynamics(series: np.ndarray) -> Dynamics:
    """Return the dynamics under which recordings (n, T), NaN where missing, are most likely together.

    Parameters
    ----------
    series : ndarray, shape (n, T)
        Deviations from the mean curve, independent of one another, with a standard deviation near 1.

    Raises
    ------
    RuntimeError
        If the maximum of the likelihood is not found.
    """

    def misfit(logs: np.ndarray) -> float:
        dynamics = Dynamics(*np.exp(logs))
        return -sum(dynamics.smoother(row).loglike() for row in series) / np.isfinite(series).sum()

    found = minimize(misfit, np.log(_START), method="L-BFGS-B", bounds=np.log(_BOUNDS))
    if not found.success:
        raise RuntimeError(
            "imputation Kalman: no maximum of the likelihood was found, as happens where recordings are "
            f"curves without measurement noise; choose another imputation method ({found.message})"
        )
    return Dynamics(*np.exp(found.x))


def auxiliary_residuals(smoothed: Any, observed: np.ndarray) -> np.ndarray:
    """Return the expected noise of the observed samples in units of its standard deviation, in their order.

    Harvey & Koopman 1992, J Bus Econ Stat 10:377: it tests whether a sample agrees with all others.

    Parameters
    ----------
    smoothed : results of a statsmodels smoother
    observed : ndarray of bool, shape (T,)
    """
    noise = smoothed.obs_cov[0, 0, 0]
    unsure = smoothed.smoothed_measurement_disturbance_cov[0, 0, observed]
    expected = smoothed.smoothed_measurement_disturbance[0, observed]
    return expected / np.sqrt(np.maximum(noise - unsure, 1e-9 * noise))


class Kalman:
    """Kalman smoother with one set of parameters for the whole cohort, through statsmodels.

    Every recording is divided by the median of its observed samples, and the mean curve of the fitted
    recordings is subtracted. The rest follows `Dynamics`; its four parameters are the most likely ones for
    `n_reference` of the fitted recordings together. A missing sample gets the mean curve plus the expectation
    of the deviation given all observed samples, before and after it, and the standard deviation that goes
    with it (Durbin & Koopman 2012, Time Series Analysis by State Space Methods, 2nd ed., sections 4.4 and
    4.10); the recording's median counts as known.

    One artefact that was not detected bends the curve far into the gap beside it. So observed samples whose
    auxiliary residual (`auxiliary_residuals`) is beyond `cutoff` times the recording's own scatter of these
    residuals are left out, and the rest is smoothed again, until there are none
    or `_PASSES` is reached.

    Parameters
    ----------
    n_reference : int
        Fitted recordings that the parameters are estimated on, drawn at random.
    cutoff : float
        See above; scatter is the median absolute residual in units of a normal distribution's SD.
    seed : int
        Seed of the draw.
    """

    needs_truth = False

    def __init__(self, n_reference: int, cutoff: float, seed: int) -> None:
        self.n_reference = n_reference
        self.cutoff = cutoff
        self.seed = seed

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> Kalman:
        """Estimate curve and dynamics on `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        self.spread_ = spread(observed, missing, self.curve_)
        usable = ~missing.all(axis=1)
        self.level_curve_ = level_curve(observed, missing)
        deviation = observed[usable] / typical_size(observed[usable]) - self.level_curve_
        self.scale_ = max(float(np.nanstd(deviation)), 1e-6)
        rows = np.random.default_rng(self.seed).permutation(len(deviation))[: self.n_reference]
        self.dynamics_ = fit_dynamics(deviation[rows] / self.scale_)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); recordings with no observed sample get the mean curve.

        Raises
        ------
        ValueError
            If the recordings have another length than the fitted ones.
        """
        observed, values, rows = fillable(pupil, missing, self.curve_, "Kalman")
        sd = np.full(values.shape, self.spread_)
        for row in np.flatnonzero(rows):
            typical = typical_size(observed[row, None])[0]
            deviation, deviation_sd = self._smooth(
                (observed[row] / typical - self.level_curve_) / self.scale_
            )
            values[row] = (deviation * self.scale_ + self.level_curve_) * typical
            sd[row] = deviation_sd * self.scale_ * np.abs(typical)
        return complete(observed, missing, values, "Kalman", sd)

    def _smooth(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return expectation and standard deviation of one recording's deviation (T,), outliers left out."""
        kept = series.copy()
        for _ in range(_PASSES):
            smoothed = self.dynamics_.smoother(kept).smooth()
            outlying = self._outlying(smoothed, np.isfinite(kept))
            if not outlying.any():
                break
            kept[outlying] = np.nan
        return smoothed.smoothed_state[0], np.sqrt(np.maximum(smoothed.smoothed_state_cov[0, 0], 0))

    def _outlying(self, smoothed: Any, observed: np.ndarray) -> np.ndarray:
        """Return where an observed sample is too far from what all samples together say about it, (T,)."""
        score = np.abs(auxiliary_residuals(smoothed, observed))
        scatter = max(float(np.median(score)) / _NORMAL_MAD, _LEAST_SCATTER)
        outlying = np.zeros(observed.shape, dtype=bool)
        outlying[observed] = score > self.cutoff * scatter
        return outlying

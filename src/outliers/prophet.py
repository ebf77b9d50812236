"""Samples outside the uncertainty interval of a piecewise linear trend (Taylor & Letham 2018)."""

from __future__ import annotations

import contextlib
import logging
import shutil
import warnings
from collections.abc import Iterator
from functools import cache
from multiprocessing.util import Finalize
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.special import ndtri

from src.cohort.cohort import Cohort
from src.outliers.signals import SD_PER_MAD, measured, smallest_mad
from src.requirements import need_packages

_FEWEST = 10  # measured samples, below which no trend can be told from noise
_EPOCH = np.datetime64("2000-01-01", "ns")  # Prophet wants dates
_LOGGERS = ("prophet", "cmdstanpy")


class ProphetTrend:
    """Samples outside the uncertainty interval of each recording's Prophet trend.

    Prophet (Taylor & Letham 2018, Am Stat 72:37) fits a piecewise linear trend with a Laplace prior on the
    changes of slope and normal noise; a pupil has no seasons. Its uncertainty interval within the data is the
    trend plus and minus normal quantiles of that noise, which it approximates by drawing; here it is taken
    as it is, so that nothing is left to chance. The trend is fitted to every `step`-th measured sample, as
    the fit is what takes the time, and all samples are judged against it. As the noise is normal, artefacts
    widen the interval: what is outside is taken out and the trend fitted again, as Prophet's documentation
    advises for outliers. Lost samples are flagged. Recordings with fewer than ten measured samples have no
    trend, and nothing else is flagged in them.

    Long artefacts bend the trend and pass.

    Parameters
    ----------
    interval_width : float
        Probability within the interval, in (0, 1).
    changepoint_s : float
        Seconds between possible changes of slope, spread evenly over the recording.
    changepoint_prior_scale : float
        Scale of the Laplace prior on changes of slope, in units of the recording's largest value per
        recording.
    step : int
        The trend is fitted to every so many-th measured sample.
    n_fits : int
        Fits of each recording; all but the first without what was outside the interval before.
    seed : int
        Seed of Stan's optimiser, which starts from a fixed point.
    n_jobs : int
        Recordings fitted at once; does not change the result.

    Raises
    ------
    ValueError
        If the width is no probability.
    """

    needs_truth = False

    def __init__(
        self,
        interval_width: float,
        changepoint_s: float,
        changepoint_prior_scale: float,
        step: int,
        n_fits: int,
        seed: int,
        n_jobs: int,
    ) -> None:
        if not 0 < interval_width < 1:
            raise ValueError(
                f"PROPHET: interval_width is {interval_width}; expected a number between 0 and 1"
            )
        self.interval_width = interval_width
        self.changepoint_s = changepoint_s
        self.changepoint_prior_scale = changepoint_prior_scale
        self.step = step
        self.n_fits = n_fits
        self.seed = seed
        self.n_jobs = n_jobs

    def check_ready(self) -> None:
        """Raise `NotReady` where the package prophet is not installed."""
        need_packages("outlier=PROPHET", "prophet", ("prophet",))

    def fit(self, cohort: Cohort) -> ProphetTrend:
        """Return self: every recording has a trend of its own."""
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is outside its recording's interval or lost, shape (n, T)."""
        pupil = measured(cohort.pupil)
        least = SD_PER_MAD * smallest_mad(pupil)[:, 0]
        with _quiet():
            flags = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(self._outside)(row, cohort.time, sd) for row, sd in zip(pupil, least, strict=True)
            )
        return np.array(flags).reshape(pupil.shape)

    def _outside(self, pupil: np.ndarray, time: np.ndarray, least_sd: float) -> np.ndarray:
        """Return the flags of one recording, whose noise is at least `least_sd`."""
        lost = np.isnan(pupil)
        used = np.flatnonzero(~lost)[:: self.step]
        outside = np.zeros_like(lost)
        reach = ndtri((1 + self.interval_width) / 2)
        for _ in range(self.n_fits):
            used = used[~outside[used]]
            if len(used) < _FEWEST:
                break
            trend, sd = self._trend(pupil[used], time[used], time)
            outside = np.abs(pupil - trend) > reach * max(sd, least_sd)
        return outside | lost

    def _trend(self, pupil: np.ndarray, time: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, float]:
        """Fit to one recording's samples; return trend at the times `at` and SD of the noise."""
        import pandas as pd
        from prophet import Prophet

        start, length = time[0], time[-1] - time[0]
        model: Any = Prophet(
            n_changepoints=min(round(length / self.changepoint_s), len(time) - 2),
            changepoint_range=1.0,
            changepoint_prior_scale=self.changepoint_prior_scale,
            yearly_seasonality=False,
            weekly_seasonality=False,
            daily_seasonality=False,
            uncertainty_samples=0,
        )
        since = (1e9 * (time - start)).astype("timedelta64[ns]")
        model.fit(pd.DataFrame({"ds": _EPOCH + since, "y": pupil}), seed=self.seed)
        model.stan_backend.cleanup()
        slope, offset, changes = (model.params[name][0] for name in ("k", "m", "delta"))
        trend = model.piecewise_linear((at - start) / length, changes, slope, offset, model.changepoints_t)
        return model.y_scale * trend, float(model.y_scale * model.params["sigma_obs"][0, 0])


@cache
def _remove_files_at_exit() -> None:
    """Have Stan's folder removed when a worker process ends too, which skips what cmdstanpy registers."""
    import cmdstanpy

    Finalize(None, shutil.rmtree, (cmdstanpy._TMPDIR, True), exitpriority=0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Prophet, Stan and the pandas functions they call that will go from talking."""
    import prophet  # noqa: F401 - it sets the levels of loggers when imported

    _remove_files_at_exit()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    disabled = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.disabled = True
            yield
        finally:
            for logger, before in zip(loggers, disabled, strict=True):
                logger.disabled = before

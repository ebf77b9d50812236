"""What detectors with a score have in common: what they learn from, and where the threshold comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed

from src.cohort.cohort import Cohort
from src.outliers.signals import SD_PER_MAD, Traces, read_traces, sample_features

_THRESHOLD_SAMPLES = 20_000


def robust_cutoff(scores: np.ndarray, cutoff: float) -> float:
    """Return median + `cutoff` SDs of the scores' bulk.

    The SD is 1.4826 times the median distance above the median: scores are skewed, and only the upper side
    says what an unremarkable high score looks like (robust z score; Iglewicz & Hoaglin 1993).
    """
    middle = np.median(scores)
    return float(middle + cutoff * SD_PER_MAD * np.median(scores[scores >= middle] - middle))


class ScoreDetector(ABC):
    """A detector that scores samples and flags those above a threshold.

    Model and threshold come from the trusted samples of all fitted recordings, pooled: an undisturbed pupil
    is learned, however many artefacts there are (`src.outliers.signals.read_traces`). A recording's own share
    of flagged samples is free: a clean recording has none. Samples the device lost are flagged, always.

    Parameters
    ----------
    median_window : int
        Samples in the running median that stands for a sample's surroundings.
    cutoff : float
        Threshold in robust z scores of the trusted samples (`robust_cutoff`).
    n_reference : int
        Trusted samples drawn at random from the fitted recordings to learn from.
    seed : int
        Seed of that draw.
    n_jobs : int
        Threads that score recordings; does not change the result.
    """

    needs_truth = False

    def __init__(self, median_window: int, cutoff: float, n_reference: int, seed: int, n_jobs: int) -> None:
        self.median_window = median_window
        self.cutoff = cutoff
        self.n_reference = n_reference
        self.seed = seed
        self.n_jobs = n_jobs

    @abstractmethod
    def _describe(self, traces: Traces) -> np.ndarray:
        """Return one vector per sample, shape (n, T, p)."""

    @abstractmethod
    def _learn(self, reference: np.ndarray) -> None:
        """Fit the model on reference samples, shape (m, p)."""

    @abstractmethod
    def _score(self, samples: np.ndarray) -> np.ndarray:
        """Return one score per sample (m, p) -> (m,), larger where more outlying."""

    def fit(self, cohort: Cohort) -> Self:
        """Learn model and threshold from the signals of `cohort`.

        Raises
        ------
        ValueError
            If no sample of the cohort can be trusted.
        """
        traces = read_traces(cohort.pupil, self.median_window)
        pool = self._describe(traces)[traces.trusted]
        if not len(pool):
            raise ValueError(
                "outlier detection: all samples of all fitted recordings are lost, not above 0 or constant; "
                "expected pupil sizes to learn from"
            )
        rng = np.random.default_rng(self.seed)
        self._learn(_draw(pool, self.n_reference, rng))
        self.threshold_ = robust_cutoff(self._score(_draw(pool, _THRESHOLD_SAMPLES, rng)), self.cutoff)
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is taken for an artefact or was lost, shape (n, T)."""
        flags = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(self._detect_rows)(rows)
            for rows in np.array_split(cohort.pupil, max(1, min(len(cohort), 4 * abs(self.n_jobs))))
        )
        return np.concatenate(flags)

    def _detect_rows(self, pupil: np.ndarray) -> np.ndarray:
        samples = self._describe(read_traces(pupil, self.median_window))
        scores = self._score(samples.reshape(-1, samples.shape[-1])).reshape(pupil.shape)
        return (scores > self.threshold_) | ~np.isfinite(pupil)


class FeatureDetector(ScoreDetector):
    """A detector that describes samples by `src.outliers.signals.sample_features`.

    Parameters
    ----------
    size_scale : float
        Difference in log size that counts as one unit.
    **scoring
        median_window, cutoff, n_reference, seed, n_jobs: see `ScoreDetector`.
    """

    def __init__(self, size_scale: float, **scoring: Any) -> None:
        super().__init__(**scoring)
        self.size_scale = size_scale

    def _describe(self, traces: Traces) -> np.ndarray:
        return sample_features(traces, self.size_scale)


def _draw(pool: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return `size` rows without repeats, or all of them when there are fewer."""
    return pool if len(pool) <= size else pool[rng.choice(len(pool), size, replace=False)]

"""What detectors with a score have in common: where the threshold comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed

from src.cohort.cohort import Cohort
from src.outliers.signals import sample_features

_THRESHOLD_UNITS = 20_000


def robust_cutoff(scores: np.ndarray, cutoff: float) -> float:
    """Return median + `cutoff` SDs of the scores' bulk.

    The SD is 1.4826 times the median distance above the median: scores are skewed, and only the upper side
    says what an unremarkable high score looks like (robust z score; Iglewicz & Hoaglin 1993).
    """
    middle = np.median(scores)
    return float(middle + cutoff * 1.4826 * np.median(scores[scores >= middle] - middle))


class ScoreDetector(ABC):
    """A detector that scores units (samples or windows) and flags those above a threshold.

    Model and threshold come from units of all fitted recordings, pooled. A recording's own share of flagged
    samples is free: a clean recording has none. Lost samples are not learned from.

    Parameters
    ----------
    cutoff : float
        Threshold in robust z scores of the fitted units (`robust_cutoff`).
    n_reference : int
        Units drawn at random from the fitted recordings to learn from.
    seed : int
        Seed of that draw.
    n_jobs : int
        Threads that score recordings; does not change the result.
    """

    needs_truth = False

    def __init__(self, cutoff: float, n_reference: int, seed: int, n_jobs: int) -> None:
        self.cutoff = cutoff
        self.n_reference = n_reference
        self.seed = seed
        self.n_jobs = n_jobs

    @abstractmethod
    def _describe(self, pupil: np.ndarray) -> np.ndarray:
        """Return one vector per unit, shape (n, units, p)."""

    @abstractmethod
    def _learn(self, reference: np.ndarray) -> None:
        """Fit the model on reference units, shape (m, p)."""

    @abstractmethod
    def _score(self, units: np.ndarray) -> np.ndarray:
        """Return one score per unit (m, p) -> (m,), larger where more outlying."""

    def _known_units(self, known: np.ndarray) -> np.ndarray:
        """Return which units may be learned from, given which samples (n, T) are finite."""
        return known

    def _flag_samples(self, flagged: np.ndarray) -> np.ndarray:
        """Return flagged samples (n, T), given flagged units (n, units)."""
        return flagged

    def fit(self, cohort: Cohort) -> Self:
        """Learn model and threshold from the signals of `cohort`.

        Raises
        ------
        ValueError
            If no sample of the cohort is finite.
        """
        pool = self._describe(cohort.pupil)[self._known_units(np.isfinite(cohort.pupil))]
        if not len(pool):
            raise ValueError(
                "outlier detection: all samples of all fitted recordings are lost; nothing to learn from"
            )
        rng = np.random.default_rng(self.seed)
        self._learn(_draw(pool, self.n_reference, rng))
        self.threshold_ = robust_cutoff(self._score(_draw(pool, _THRESHOLD_UNITS, rng)), self.cutoff)
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is taken for an artefact, shape (n, T)."""
        flags = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(self._detect_rows)(rows)
            for rows in np.array_split(cohort.pupil, max(1, min(len(cohort), 4 * abs(self.n_jobs))))
        )
        return np.concatenate(flags)

    def _detect_rows(self, pupil: np.ndarray) -> np.ndarray:
        units = self._describe(pupil)
        scores = self._score(units.reshape(-1, units.shape[-1])).reshape(units.shape[:-1])
        return self._flag_samples(scores > self.threshold_)


class SampleDetector(ScoreDetector):
    """A detector whose units are samples, described by `src.outliers.signals.sample_features`.

    Parameters
    ----------
    median_window : int
        Samples in the running median that stands for a sample's surroundings.
    size_scale : float
        Difference in log size that counts as one unit.
    **scoring
        cutoff, n_reference, seed, n_jobs: see `ScoreDetector`.
    """

    def __init__(self, median_window: int, size_scale: float, **scoring: Any) -> None:
        super().__init__(**scoring)
        self.median_window = median_window
        self.size_scale = size_scale

    def _describe(self, pupil: np.ndarray) -> np.ndarray:
        return sample_features(pupil, self.median_window, self.size_scale)


def _draw(pool: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return `size` rows without repeats, or all of them when there are fewer."""
    return pool if len(pool) <= size else pool[rng.choice(len(pool), size, replace=False)]

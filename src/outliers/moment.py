"""MOMENT as a detector by what it cannot reconstruct (Goswami et al. 2024, arXiv 2402.03885)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from src.cohort.cohort import Cohort
from src.networks.level import typical_size
from src.networks.moment_recordings import Reader, Tuning
from src.networks.pypots import Gaps
from src.networks.training import Machine, Training
from src.outliers.signals import fill_lost
from src.outliers.thresholds import best_threshold


class MomentZeroShot:
    """The published network as it is; only the threshold is learned (the study's `MOMENT-gt-zeroshot`).

    A sample's score is its distance from the reconstruction, as a share of the recording's median size. As in
    the paper (anomaly detection by reconstruction error with the pre-trained head, section 3.4) and in the
    authors' own detector nothing is hidden from the network but what the device lost. The threshold is the
    one with the best F1 on the fitted recordings, all their samples pooled, given the artefact mask, among
    those that flag few good samples (`max_fpr`). Samples the device lost are flagged, always.

    Parameters
    ----------
    checkpoint : str
        Name of the weights.
    stride, overlap, batch_size
        See `src.networks.moment_recordings.Reader`.
    max_fpr : float
        Share of the good samples of the fitted recordings that may be flagged, at most.
    n_jobs : int
        Threads of torch; another number may change the seventh digit of a score.
    device : str
        'auto', 'cpu' or 'cuda'.
    verbose : bool
        Show progress on stderr.
    """

    needs_truth = True
    name = "MOMENT-gt-zeroshot"

    def __init__(
        self,
        checkpoint: str,
        stride: int,
        overlap: float,
        batch_size: int,
        max_fpr: float,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        self.max_fpr = max_fpr
        self.reader = Reader(checkpoint, stride, overlap, batch_size, Machine(n_jobs, device, verbose))

    def check_ready(self) -> None:
        """Raise NotReady if packages or weights are missing."""
        self.reader.check_ready(self.name)

    def fit(self, cohort: Cohort) -> Self:
        """Learn from the signals and the artefact mask of `cohort`.

        Raises
        ------
        ValueError
            If the cohort has no artefact mask, or no sample at all.
        """
        if cohort.truth_mask is None:
            raise ValueError(
                f"outlier detection {self.name} needs the artefact mask, which this cohort does not have"
            )
        finite = np.isfinite(cohort.pupil)
        if not finite.any():
            raise ValueError(
                f"outlier detection {self.name}: all samples of all fitted recordings are lost; expected "
                "pupil sizes to learn from"
            )
        self.network_ = self.reader.open()
        self._tune(cohort.pupil, cohort.truth_mask | ~finite)
        scores = self._scores(cohort.pupil)
        self.threshold_ = best_threshold(scores[finite], cohort.truth_mask[finite], self.max_fpr)
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is taken for an artefact or was lost, shape (n, T)."""
        return (self._scores(cohort.pupil) > self.threshold_) | ~np.isfinite(cohort.pupil)

    def _tune(self, pupil: np.ndarray, bad: np.ndarray) -> None:
        """Leave the network as it is."""

    def _scores(self, pupil: np.ndarray) -> np.ndarray:
        """Return the distance from the reconstruction (n, T); 0 where lost."""
        known = np.where(np.isfinite(pupil), pupil, np.nan)
        scores = np.zeros(pupil.shape)
        rows = np.flatnonzero(np.isfinite(known).any(axis=1))
        if len(rows):
            misfit = known[rows] - self.reader.curves(self.network_, known[rows])
            scores[rows] = np.abs(misfit / typical_size(known[rows]))
        return np.where(np.isfinite(known), scores, 0.0)


class MomentFinetune(MomentZeroShot):
    """MOMENT, fine-tuned to see through artefacts (the study's `MOMENT-gt-finetune`).

    It is shown the fitted recordings as they were recorded, with gaps hidden at random, and learns to return
    them without their artefacts: straight lines stand where the mask marks samples. Then as `MomentZeroShot`.

    Parameters
    ----------
    tuned : {'head', 'all'}
        Linear probing, as published for this task, or everything (Goswami et al. 2024, section 3.4).
    epochs, learning_rate, patience
        See `src.networks.training.Training`; an epoch shows one window of every recording.
    train_batch_size : int
        Windows per step.
    gap_share : float
        Share of the samples hidden in each pass.
    gap_samples : sequence of two int
        Shortest and longest hidden gap, in samples.
    mixed_precision : bool
        Train in bfloat16 where that is safe, on a GPU only.
    seed : int
        Seed of order, windows, gaps and dropout.
    **reading
        checkpoint, stride, overlap, batch_size, max_fpr, n_jobs, device, verbose: see `MomentZeroShot`.
    """

    name = "MOMENT-gt-finetune"

    def __init__(
        self,
        tuned: str,
        epochs: int,
        train_batch_size: int,
        learning_rate: float,
        patience: int,
        gap_share: float,
        gap_samples: Sequence[int],
        mixed_precision: bool,
        seed: int,
        **reading: Any,
    ) -> None:
        super().__init__(**reading)
        how = Training(
            epochs, train_batch_size, learning_rate, seed, patience, mixed_precision=mixed_precision
        )
        self.tuning = Tuning(tuned, Gaps(gap_share, gap_samples), hidden_only=False, how=how)

    def _tune(self, pupil: np.ndarray, bad: np.ndarray) -> None:
        rows = ~bad.all(axis=1)
        if not rows.any():
            raise ValueError(
                f"outlier detection {self.name}: the artefact mask marks every sample of all fitted "
                "recordings; expected some clean samples to learn from"
            )
        shown = np.where(np.isfinite(pupil[rows]), pupil[rows], np.nan)
        clean = fill_lost(np.where(bad[rows], np.nan, pupil[rows]))
        self.reader.tune(self.network_, shown, clean, self.tuning)

"""MOMENT as an imputer: gaps are what its pretraining hid (Goswami et al. 2024, arXiv 2402.03885)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.ndimage import binary_dilation

from src.imputation.curves import ANCHOR_SAMPLES, fillable, meet_observed
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only
from src.networks.moment_recordings import Reader, Tuning
from src.networks.pypots import Gaps
from src.networks.training import Machine, Training


class MomentZeroShot:
    """The published network as it is, reconstructing masked patches (the study's `MOMENT-zeroshot`).

    Patches with a missing sample are hidden from the network, as in its pretraining (Goswami et al. 2024,
    section 3.3); a missing sample gets the network's curve, moved over each gap by a straight line in time
    such that it meets what is observed beside it. Those samples beside a gap are hidden too: a network copies
    what it sees, and a shift measured on copies would not correct what it draws. Recordings with no observed
    sample get the mean curve of the fitted ones.

    Parameters
    ----------
    checkpoint : str
        Name of the weights.
    stride, overlap, batch_size
        See `src.networks.moment_recordings.Reader`.
    n_jobs : int
        Threads of torch; another number may change the seventh digit.
    device : str
        'auto', 'cpu' or 'cuda'.
    verbose : bool
        Show progress on stderr.
    """

    needs_truth = False
    name = "MOMENT-zeroshot"

    def __init__(
        self,
        checkpoint: str,
        stride: int,
        overlap: float,
        batch_size: int,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        self.reader = Reader(checkpoint, stride, overlap, batch_size, Machine(n_jobs, device, verbose))

    def check_ready(self) -> None:
        """Raise NotReady if packages or weights are missing."""
        self.reader.check_ready(self.name)

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> Self:
        """Open the network and learn the mean curve; `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        self.network_ = self.reader.open()
        self._tune(observed[~missing.all(axis=1)])
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T).

        Raises
        ------
        FloatingPointError
            If the network returns values that are not finite.
        """
        observed, values, rows = fillable(pupil, missing, self.curve_, self.name)
        if rows.any():
            curve = self.reader.curves(self.network_, _away_from_gaps(observed[rows]))
            values[rows] = meet_observed(curve, observed[rows], missing[rows])
        return complete(observed, missing, values, self.name)

    def _tune(self, observed: np.ndarray) -> None:
        """Leave the network as it is."""


class MomentFinetune(MomentZeroShot):
    """MOMENT, fine-tuned on gaps in the fitted recordings (the study's `MOMENT-finetune`).

    What is observed is hidden in gaps at random, and learned to be reconstructed from the rest: the
    pretraining's task (Goswami et al. 2024, section 3.3) on these recordings. Then as `MomentZeroShot`.

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
        checkpoint, stride, overlap, batch_size, n_jobs, device, verbose: see `MomentZeroShot`.
    """

    name = "MOMENT-finetune"

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
        self.tuning = Tuning(tuned, Gaps(gap_share, gap_samples), hidden_only=True, how=how)

    def _tune(self, observed: np.ndarray) -> None:
        self.reader.tune(self.network_, observed, observed, self.tuning)


def _away_from_gaps(observed: np.ndarray) -> np.ndarray:
    """Return the signal (n, T) without the samples beside gaps, where others remain."""
    missing = np.isnan(observed)
    wider = binary_dilation(missing, np.ones((1, 2 * ANCHOR_SAMPLES + 1)))
    return np.where(wider & ~wider.all(axis=1, keepdims=True), np.nan, observed)

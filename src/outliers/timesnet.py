"""TimesNet as a detector: what is far from the clean signal it reconstructs (Wu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.cohort.cohort import Cohort
from src.networks.blocks import at_samples, block_means
from src.networks.pypots import PACKAGES, Gaps, build_timesnet, correction_loss, reconstruct
from src.networks.training import Machine, Training, train
from src.outliers.signals import Traces, read_traces, surroundings
from src.outliers.thresholds import best_threshold
from src.requirements import need_packages


class TimesNet:
    """TimesNet trained on clean signals (Wu et al. 2023, ICLR), through PyPOTS.

    The network sees blocks of `stride` samples: the mean of those that look undisturbed
    (`src.outliers.signals.read_traces`), less the mean curve of the fitted recordings, and which share of the
    block these are; gaps are hidden in training. It learns the clean signal: truth where a sample is an
    artefact, the sample itself elsewhere. A sample's score is its distance from the network's curve, after
    that curve was moved to the running median of the undisturbed samples around, in SDs of the recording's
    noise. The threshold is the one with the largest F1 on the fitted recordings, among those that flag few of
    their clean samples: where much is spoilt beyond recognition, flagging everything has a good F1. Samples
    the device lost are flagged, always.

    Parameters
    ----------
    stride : int
        Samples per block.
    median_window : int
        Samples in the running medians.
    n_layers, top_k, d_model, d_ffn, n_kernels, dropout
        Size of the network: blocks, periods per block, widths, kernels per Inception block, dropout.
    epochs, batch_size, learning_rate, patience
        See `src.networks.training.Training`.
    gap_share : float
        Share of the blocks that are hidden in training.
    gap_samples : sequence of two int
        Shortest and longest gap hidden in training, in samples.
    max_fpr : float
        Share of the clean samples of the fitted recordings that may be flagged.
    seed : int
        Seed of everything.
    n_jobs : int
        Threads of torch.
    device : str
        'auto', 'cpu' or 'cuda'.
    verbose : bool
        Show progress on stderr.
    """

    needs_truth = True

    def __init__(
        self,
        stride: int,
        median_window: int,
        n_layers: int,
        top_k: int,
        d_model: int,
        d_ffn: int,
        n_kernels: int,
        dropout: float,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        patience: int,
        gap_share: float,
        gap_samples: Sequence[int],
        max_fpr: float,
        seed: int,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        self.stride = stride
        self.median_window = median_window
        self.size: dict[str, Any] = {
            "n_layers": n_layers,
            "top_k": top_k,
            "d_model": d_model,
            "d_ffn": d_ffn,
            "n_kernels": n_kernels,
            "dropout": dropout,
        }
        self.training = Training(epochs, batch_size, learning_rate, seed, patience)
        self.gaps = Gaps(gap_share, gap_samples).in_blocks(stride)
        self.max_fpr = max_fpr
        self.machine = Machine(n_jobs, device, verbose)

    def check_ready(self) -> None:
        """Raise NotReady if a package is missing."""
        need_packages("TimesNet-gt", "deep", PACKAGES)

    def fit(self, cohort: Cohort) -> TimesNet:
        """Train the network and set the threshold on `cohort`'s recordings and their truth.

        Raises
        ------
        ValueError
            If the cohort has no artefact mask, or none of its samples can be learned from.
        """
        if cohort.truth_mask is None:
            raise ValueError(
                "outlier detection TimesNet-gt needs the artefact mask, which this cohort does not have"
            )
        traces = read_traces(cohort.pupil, self.median_window)
        clean = traces.trusted & ~cohort.truth_mask
        if not clean.any():
            raise ValueError(
                "outlier detection TimesNet-gt: of the samples of all fitted recordings each is lost, "
                "disturbed or marked in the artefact mask; expected pupil sizes to learn from"
            )
        self._learn_scale(traces, clean)
        shown, target = self._shown(traces), self._target(traces, cohort)
        self.network_ = build_timesnet(self.training.seed, n_steps=shown.shape[1], n_features=2, **self.size)
        train(
            self.network_, correction_loss(shown, target, self.gaps), len(shown), self.training, self.machine
        )
        recorded = np.isfinite(cohort.pupil)
        scores, artefact = self._scores(traces)[recorded], cohort.truth_mask[recorded]
        self.threshold_ = best_threshold(scores, artefact, self.max_fpr)
        return self

    def detect(self, cohort: Cohort) -> np.ndarray:
        """Return True where a sample is taken for an artefact or was lost, shape (n, T).

        Raises
        ------
        ValueError
            If the recordings have another length than the fitted ones.
        """
        length, fitted = cohort.pupil.shape[1], len(self.curve_)
        if length != fitted:
            raise ValueError(f"recordings have {length} samples; TimesNet-gt was fitted on {fitted}")
        scores = self._scores(read_traces(cohort.pupil, self.median_window))
        return (scores > self.threshold_) | ~np.isfinite(cohort.pupil)

    def _learn_scale(self, traces: Traces, clean: np.ndarray) -> None:
        """Learn the mean curve, and the SD of the blocks about it, which is the network's unit."""
        count = clean.sum(axis=0)
        known = count > 0
        mean = np.where(clean, traces.level, 0.0).sum(axis=0) / np.maximum(count, 1)
        samples = np.arange(len(mean))
        self.curve_ = np.interp(samples, samples[known], mean[known])
        self.scale_ = 1.0
        values, there = self._blocks(np.where(clean, traces.level, np.nan))
        self.scale_ = max(float(values[there].std()), 1e-6)

    def _shown(self, traces: Traces) -> np.ndarray:
        """Return what the network sees, shape (n, steps, 2)."""
        values, known = self._blocks(np.where(traces.trusted, traces.level, np.nan))
        share, _ = block_means(traces.trusted.astype(float), self.stride)
        return np.stack([np.where(known, values, 0.0), share], axis=-1)

    def _target(self, traces: Traces, cohort: Cohort) -> np.ndarray:
        """Return the clean signal's blocks (n, steps); NaN where it is not known."""
        bad = cohort.truth_mask | ~np.isfinite(cohort.pupil)
        truth = np.nan if cohort.truth_pupil is None else cohort.truth_pupil
        values, known = self._blocks(np.where(bad, truth, cohort.pupil) / traces.size - 1.0)
        return np.where(known, values, np.nan)

    def _scores(self, traces: Traces) -> np.ndarray:
        shown = self._shown(traces)
        blocks = reconstruct(self.network_, shown, np.ones_like(shown), 1, self.machine)
        away = traces.level - self.curve_ - at_samples(blocks, self.stride, len(self.curve_)) * self.scale_
        return np.abs(away - surroundings(away, traces.trusted, self.median_window)) / traces.noise

    def _blocks(self, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean deviation of each block's known samples (n, steps), and where there are any."""
        return block_means((level - self.curve_) / self.scale_, self.stride)

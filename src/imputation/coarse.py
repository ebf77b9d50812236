"""What imputers with a network have in common: a coarse time grid, what is shown, how gaps are met."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.ndimage import binary_dilation

from src.imputation.curves import fillable, level_curve, meet_observed
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only, spread
from src.networks.blocks import at_samples, block_means
from src.networks.level import typical_size
from src.networks.pypots import PACKAGES, Gaps
from src.networks.training import Loss, Machine, Training, train
from src.requirements import need_packages

_HIDDEN_SHARE = 0.5  # blocks with this share of samples missing or more, and their neighbours, are not shown


class CoarseImputer(ABC):
    """An imputer whose network sees blocks of samples.

    Every recording is divided by the median of its observed samples; the mean curve of the fitted recordings
    is subtracted; blocks of `stride` samples are averaged over what is observed; one SD over all fitted
    blocks is the unit. The network learns these curves, part of them hidden in gaps. A missing sample gets
    the network's curve, interpolated between block centres and shifted by a straight line in time such that
    it meets what is observed beside the gap. For that curve the blocks beside a gap are hidden too: the
    network copies what it sees but draws what is hidden towards the mean, and a shift measured on copies
    would not correct for that.

    Parameters
    ----------
    stride : int
        Samples per block.
    epochs, batch_size, learning_rate, patience, mixed_precision
        See `src.networks.training.Training`.
    gap_share : float
        Share of the blocks that are hidden in training.
    gap_samples : sequence of two int
        Shortest and longest gap hidden in training, in samples.
    seed : int
        Seed of everything.
    n_jobs : int
        Threads of torch; another number may change the eighth digit.
    device : str
        'auto', 'cpu' or 'cuda'.
    verbose : bool
        Show progress on stderr.
    """

    needs_truth = False
    knows_sd = False

    def __init__(
        self,
        stride: int,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        gap_share: float,
        gap_samples: Sequence[int],
        patience: int,
        mixed_precision: bool,
        seed: int,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        self.stride = stride
        self.training = Training(
            epochs, batch_size, learning_rate, seed, patience, mixed_precision=mixed_precision
        )
        self.gaps = Gaps(gap_share, gap_samples).in_blocks(stride)
        self.machine = Machine(n_jobs, device, verbose)

    def check_ready(self) -> None:
        """Raise NotReady if a package is missing."""
        need_packages(type(self).__name__, "deep", PACKAGES)

    @abstractmethod
    def _network(self, n_steps: int) -> Any:
        """Return the network for curves of so many blocks, freshly initialised."""

    @abstractmethod
    def _loss(self, values: np.ndarray, known: np.ndarray) -> Loss:
        """Return what is minimised for curves (n, steps), of which `known` is observed."""

    @abstractmethod
    def _curves(self, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Return the network's curves for (n, steps), shape (draws, n, steps); a sure network draws one."""

    def _sd(self, curves: np.ndarray, observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Return the SD (n, T) of the pupil about the mean of the curves that meet it (draws, n, T)."""
        return np.zeros(missing.shape)

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> Self:
        """Train the network on `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        self.spread_ = spread(observed, missing, self.curve_)
        self.level_curve_ = level_curve(observed, missing)
        self.scale_ = 1.0
        usable = observed[~missing.all(axis=1)]
        values, known = self._blocks(usable, typical_size(usable))
        self.scale_ = max(float(values[known].std()), 1e-6)
        self.network_ = self._network(values.shape[1])
        loss = self._loss(values / self.scale_, known)
        train(self.network_, loss, len(values), self.training, self.machine)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples of `pupil` (n, T); recordings with no observed sample get the mean curve.

        Raises
        ------
        ValueError
            If the recordings have another length than the fitted ones.
        FloatingPointError
            If the network returns values that are not finite.
        """
        observed, values, rows = fillable(pupil, missing, self.curve_, type(self).__name__)
        sd = np.full(values.shape, self.spread_)
        if rows.any():
            gaps = observed[rows], missing[rows]
            curves = np.stack([meet_observed(curve, *gaps) for curve in self._network_curves(gaps[0])])
            values[rows], sd[rows] = curves.mean(axis=0), self._sd(curves, *gaps)
        return complete(observed, missing, values, type(self).__name__, sd if self.knows_sd else None)

    def _network_curves(self, observed: np.ndarray) -> np.ndarray:
        """Return the network's curves at every sample (draws, n, T), in the unit of the recordings."""
        typical = typical_size(observed)
        values, known = self._blocks(observed, typical)
        lost, _ = block_means((~np.isfinite(observed)).astype(float), self.stride)
        hidden = binary_dilation(lost >= _HIDDEN_SHARE, structure=np.ones((1, 3)))
        draws = self._curves(values, known & ~hidden)
        deviation = np.stack([at_samples(blocks, self.stride, observed.shape[1]) for blocks in draws])
        return (deviation * self.scale_ + self.level_curve_) * typical

    def _blocks(self, observed: np.ndarray, typical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean deviation of each block's observed samples (n, steps), and where there are any."""
        return block_means((observed / typical - self.level_curve_) / self.scale_, self.stride)

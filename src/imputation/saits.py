"""Self-attention-based imputation for time series (Du, Côté & Liu 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation

from src.imputation.curves import check_length, meet_observed, typical_size
from src.imputation.imputed import Imputed, complete, mean_curve, observed_only
from src.networks.blocks import at_samples, block_means
from src.networks.pypots import Gaps, build_network, imputation_loss, reconstruct
from src.networks.training import Machine, Training, train

_HIDDEN_SHARE = 0.5  # blocks with this share of samples missing or more, and their neighbours, are not shown


class SAITS:
    """SAITS on a coarser time grid (Du, Côté & Liu 2023, Expert Syst Appl 219:119619), through PyPOTS.

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
    n_layers, d_model, n_heads, d_ffn, dropout
        Size of the network: layers per attention block, model width, heads, feed-forward width, dropout.
    epochs, batch_size, learning_rate, patience
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

    def __init__(
        self,
        stride: int,
        n_layers: int,
        d_model: int,
        n_heads: int,
        d_ffn: int,
        dropout: float,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        gap_share: float,
        gap_samples: Sequence[int],
        patience: int,
        seed: int,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        if d_model % n_heads:
            raise ValueError(f"d_model is {d_model}; expected a multiple of n_heads ({n_heads})")
        self.stride = stride
        self.n_layers = n_layers
        self.d_model = d_model
        self.n_heads = n_heads
        self.d_ffn = d_ffn
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.gap_share = gap_share
        self.gap_samples = tuple(gap_samples)
        self.patience = patience
        self.seed = seed
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> SAITS:
        """Train the network on `pupil` (n, T); `missing` is True where detected or not finite."""
        observed = observed_only(pupil, missing)
        self.curve_ = mean_curve(observed, missing)
        usable = ~missing.all(axis=1)
        observed, missing = observed[usable], missing[usable]
        self.level_curve_ = mean_curve(observed / typical_size(observed), missing)
        self.scale_ = 1.0
        values, known = self._blocks(observed, typical_size(observed))
        self.scale_ = max(float(values[known].std()), 1e-6)
        width = self.d_model // self.n_heads
        self.network_ = build_network(
            "SAITS",
            self.seed,
            n_steps=values.shape[1],
            n_features=1,
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_k=width,
            d_v=width,
            d_ffn=self.d_ffn,
            dropout=self.dropout,
        )
        loss = imputation_loss(values / self.scale_, known, self._gaps())
        how = Training(self.epochs, self.batch_size, self.learning_rate, self.seed, self.patience)
        train(self.network_, loss, len(values), how, self._machine())
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
        observed = observed_only(pupil, missing)
        check_length(observed, self.curve_, "SAITS")
        values = np.tile(self.curve_, (len(observed), 1))
        rows = missing.any(axis=1) & ~missing.all(axis=1)
        if rows.any():
            curve = self._network_curve(observed[rows])
            values[rows] = meet_observed(curve, observed[rows], missing[rows])
        return complete(observed, missing, values, "SAITS")

    def _gaps(self) -> Gaps:
        shortest, longest = (max(1, round(samples / self.stride)) for samples in self.gap_samples)
        return Gaps(self.gap_share, (shortest, longest))

    def _machine(self) -> Machine:
        return Machine(self.n_jobs, self.device, self.verbose)

    def _blocks(self, observed: np.ndarray, typical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean deviation of each block's observed samples (n, steps), and where there are any."""
        return block_means((observed / typical - self.level_curve_) / self.scale_, self.stride)

    def _network_curve(self, observed: np.ndarray) -> np.ndarray:
        """Return the network's curve at every sample (n, T), in the unit of the recordings."""
        typical = typical_size(observed)
        values, known = self._blocks(observed, typical)
        lost, _ = block_means((~np.isfinite(observed)).astype(float), self.stride)
        hidden = binary_dilation(lost >= _HIDDEN_SHARE, structure=np.ones((1, 3)))
        visible = known & ~hidden
        blocks = reconstruct(self.network_, values, visible, self.batch_size, self._machine())
        deviation = at_samples(blocks, self.stride, observed.shape[1])
        return (deviation * self.scale_ + self.level_curve_) * typical

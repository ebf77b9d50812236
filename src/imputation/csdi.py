"""Conditional score-based diffusion for imputation (Tashiro et al. 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.imputation.coarse import CoarseImputer
from src.imputation.curves import variance_about, variogram
from src.imputation.imputed import observed_only
from src.networks.blocks import at_samples
from src.networks.level import typical_size
from src.networks.pypots import Drawing, build_network, denoising_loss, draw_curves
from src.networks.training import Loss


class CSDI(CoarseImputer):
    """CSDI on a coarser time grid (Tashiro et al. 2021, NeurIPS 34), through PyPOTS.

    It draws curves from the distribution it has learned; a missing sample gets the mean of those curves, each
    of which meets what is observed. The standard deviation adds up their spread; what blocks of samples leave
    out, from the variogram of the fitted recordings (as `LowRank` does); and the noise at the edges. The
    weights of the network count as known.

    Parameters
    ----------
    n_layers, n_channels, n_heads, d_time, d_diffusion
        Size of the network: residual layers, channels, heads, and widths of the embeddings of time and of the
        diffusion step.
    n_diffusion_steps : int
        Noise levels.
    n_drawing_steps : int
        How many of them a draw goes through (`src.networks.pypots.draw_curves`).
    n_draws : int
        Curves per recording, at least 2.
    **coarse
        Grid, training and machine: see `CoarseImputer`.
    """

    knows_sd = True

    def __init__(
        self,
        n_layers: int,
        n_channels: int,
        n_heads: int,
        d_time: int,
        d_diffusion: int,
        n_diffusion_steps: int,
        n_drawing_steps: int,
        n_draws: int,
        **coarse: Any,
    ) -> None:
        if n_draws < 2:
            raise ValueError(f"n_draws is {n_draws}; expected at least 2, which have a spread")
        super().__init__(**coarse)
        self.n_layers = n_layers
        self.n_channels = n_channels
        self.n_heads = n_heads
        self.d_time = d_time
        self.d_diffusion = d_diffusion
        self.n_diffusion_steps = n_diffusion_steps
        self.n_drawing_steps = n_drawing_steps
        self.n_draws = n_draws

    def _network(self, n_steps: int) -> Any:
        return build_network(
            "CSDI",
            self.training.seed,
            n_steps=n_steps,
            n_features=1,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            n_channels=self.n_channels,
            d_time_embedding=self.d_time,
            d_feature_embedding=1,
            d_diffusion_embedding=self.d_diffusion,
            n_diffusion_steps=self.n_diffusion_steps,
        )

    def _loss(self, values: np.ndarray, known: np.ndarray) -> Loss:
        return denoising_loss(values, known, self.gaps)

    def _curves(self, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
        drawing = Drawing(self.n_draws, self.n_drawing_steps, self.bound_, self.training.seed)
        return draw_curves(self.network_, values, visible, drawing, self.training.batch_size, self.machine)

    def fit(self, pupil: np.ndarray, missing: np.ndarray) -> CSDI:
        """Train the network on `pupil` (n, T), and learn what blocks leave out."""
        super().fit(pupil, missing)
        observed = observed_only(pupil, missing)[~missing.all(axis=1)]
        typical = typical_size(observed)
        blocks, known = self._blocks(observed, typical)
        self.bound_ = float(np.abs(blocks[known]).max())
        curve = at_samples(blocks, self.stride, observed.shape[1]) * self.scale_
        self.variogram_ = variogram(observed / typical - self.level_curve_ - curve)
        return self

    def _sd(self, curves: np.ndarray, observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
        left_out = np.stack([variance_about(self.variogram_, row) for row in missing])
        left_out *= typical_size(observed) ** 2
        return np.sqrt(curves.var(axis=0, ddof=1) * (1 + 1 / len(curves)) + left_out)

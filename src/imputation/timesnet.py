"""TimesNet: variation in two dimensions, within a period and between periods (Wu et al. 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.imputation.coarse import CoarseImputer
from src.networks.pypots import build_timesnet, reconstruct, reconstruction_loss
from src.networks.training import Loss


class TimesNet(CoarseImputer):
    """TimesNet on a coarser time grid (Wu et al. 2023, ICLR), through PyPOTS.

    It takes its periods from the mean spectrum of a batch. So that a recording's values do not depend on
    which others it is imputed with, it is imputed alone.

    Parameters
    ----------
    n_layers, top_k, d_model, d_ffn, n_kernels, dropout
        Size of the network: blocks, periods per block, widths, kernels per Inception block, dropout.
    **coarse
        Grid, training and machine: see `CoarseImputer`.
    """

    def __init__(
        self,
        n_layers: int,
        top_k: int,
        d_model: int,
        d_ffn: int,
        n_kernels: int,
        dropout: float,
        **coarse: Any,
    ) -> None:
        super().__init__(**coarse)
        self.n_layers = n_layers
        self.top_k = top_k
        self.d_model = d_model
        self.d_ffn = d_ffn
        self.n_kernels = n_kernels
        self.dropout = dropout

    def _network(self, n_steps: int) -> Any:
        return build_timesnet(
            self.training.seed,
            n_steps=n_steps,
            n_features=1,
            n_layers=self.n_layers,
            top_k=self.top_k,
            d_model=self.d_model,
            d_ffn=self.d_ffn,
            n_kernels=self.n_kernels,
            dropout=self.dropout,
        )

    def _loss(self, values: np.ndarray, known: np.ndarray) -> Loss:
        return reconstruction_loss(values, known, self.gaps)

    def _curves(self, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return reconstruct(self.network_, values, visible, 1, self.machine)[None]

"""Self-attention-based imputation for time series (Du, Côté & Liu 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.imputation.coarse import CoarseImputer
from src.networks.pypots import build_network, reconstruct, saits_loss
from src.networks.training import Loss


class SAITS(CoarseImputer):
    """SAITS on a coarser time grid (Du, Côté & Liu 2023, Expert Syst Appl 219:119619), through PyPOTS.

    Parameters
    ----------
    n_layers, d_model, n_heads, d_ffn, dropout
        Size of the network: layers per attention block, model width, heads, feed-forward width, dropout.
    **coarse
        Grid, training and machine: see `CoarseImputer`.
    """

    def __init__(
        self, n_layers: int, d_model: int, n_heads: int, d_ffn: int, dropout: float, **coarse: Any
    ) -> None:
        if d_model % n_heads:
            raise ValueError(f"d_model is {d_model}; expected a multiple of n_heads ({n_heads})")
        super().__init__(**coarse)
        self.n_layers = n_layers
        self.d_model = d_model
        self.n_heads = n_heads
        self.d_ffn = d_ffn
        self.dropout = dropout

    def _network(self, n_steps: int) -> Any:
        width = self.d_model // self.n_heads
        return build_network(
            "SAITS",
            self.training.seed,
            n_steps=n_steps,
            n_features=1,
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_k=width,
            d_v=width,
            d_ffn=self.d_ffn,
            dropout=self.dropout,
        )

    def _loss(self, values: np.ndarray, known: np.ndarray) -> Loss:
        return saits_loss(values, known, self.gaps)

    def _curves(self, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return reconstruct(self.network_, values, visible, self.training.batch_size, self.machine)[None]

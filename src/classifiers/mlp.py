"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from src.classifiers.network import NetworkClassifier


class MLP(NetworkClassifier):
    """Dense layers with ReLU between them and one score at the end, trained on the log loss of the score.

    Parameters
    ----------
    n_layers : int
        Hidden layers, at least 1.
    width : int
        Units of a hidden layer.
    epochs : int
        Steps of training, each on all rows.
    learning_rate, weight_decay : float
        AdamW's.
    class_weight : 'balanced' or mapping of label to weight, optional
        How much the rows of each class weigh; see `TabularClassifier`.
    device : str
        Where to train: 'cpu', 'auto' (a GPU if there is one), or torch's name of a device.
    random_state : int, optional
        Seed of the initial weights; None is 0.

    References
    ----------
    Gorishniy et al. 2021, NeurIPS, arXiv 2106.11959, section 3.1: the MLP as a baseline for tables.
    """

    def __init__(
        self,
        n_layers: int = 2,
        width: int = 64,
        epochs: int = 60,
        learning_rate: float = 0.004,
        weight_decay: float = 10.0,
        class_weight: str | Mapping[Any, float] | None = None,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        self.n_layers = n_layers
        self.width = width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    def _network(self) -> Any:
        from torch import nn

        sizes = [self.n_features_in_, *[self.width] * self.n_layers]
        hidden = [part for n_in, n_out in pairwise(sizes) for part in (nn.Linear(n_in, n_out), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))

    def _layers(self, parameters: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """Return the layers of a network with a single member."""
        return [
            (parameters[f"{place}.weight"].mT[:, None], parameters[f"{place}.bias"][:, None])
            for place in range(0, 2 * self.n_layers + 1, 2)
        ]

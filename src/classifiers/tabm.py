"""TabM: many multilayer perceptrons in one, sharing most of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.classifiers.network import NetworkClassifier


class TabM(NetworkClassifier):
    """The `tabm` package's TabM without feature embeddings and dropout.

    k members share the weights of their hidden layers up to a factor per input and output (BatchEnsemble) and
    have last layers of their own. They are trained separately; the mean of their probabilities is the
    prediction. Without dropout, a row drawn three times is one that weighs three times as much.

    Parameters
    ----------
    k : int
        Members.
    n_blocks : int
        Hidden layers.
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
    Gorishniy et al. 2025, ICLR, arXiv 2410.24210, section 3.
    """

    packages = ("torch", "skorch", "tabm")

    def __init__(
        self,
        k: int = 8,
        n_blocks: int = 2,
        width: int = 64,
        epochs: int = 50,
        learning_rate: float = 0.003,
        weight_decay: float = 1.0,
        class_weight: str | Mapping[Any, float] | None = None,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        self.k = k
        self.n_blocks = n_blocks
        self.width = width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    def _network(self) -> Any:
        from tabm import TabM as Network

        return Network.make(
            n_num_features=self.n_features_in_,
            d_out=1,
            k=self.k,
            n_blocks=self.n_blocks,
            d_block=self.width,
            dropout=0.0,
        )

    def _layers(self, parameters: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """Return each member's own dense layers: (x r) W s = x (r W s), r of the inputs, s of the outputs."""
        layers = []
        for block in range(self.n_blocks):
            weight, r, s, bias = (
                parameters[f"backbone.blocks.{block}.0.{part}"] for part in ("weight", "r", "s", "bias")
            )
            layers.append((r[..., None] * weight.mT[:, None] * s[:, :, None], bias))
        return [*layers, (parameters["output.weight"], parameters["output.bias"])]

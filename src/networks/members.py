"""Small classification networks of several members, trained alone or many of them stacked.

A network maps features (n, k) to one score (log odds) per row and member, (n, members) after the axes of size
1 are dropped. Members are trained side by side, each on its own loss; the prediction is the mean of their
probabilities. Trained stacked, a network is what its members are: dense layers with ReLU between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as log_loss
from torch.nn.functional import pad

from src.networks.device import torch_device
from src.networks.threads import one_thread

Layers = Callable[[Mapping[str, Tensor]], list[tuple[Tensor, Tensor]]]
"""From stacked parameters (b, ...) to weight (b, members, in, out) and bias (b, members, out) per layer."""


_BLOCK = 16  # single-precision numbers in the widest registers


@dataclass(frozen=True)
class Descent:
    """Full-batch training with AdamW at a constant rate (Loshchilov & Hutter 2019, arXiv 1711.05101).

    Parameters
    ----------
    epochs : int
        Steps, each on all rows.
    learning_rate, weight_decay : float
    device : str
        'auto' (a GPU if there is one), or torch's name of one.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    device: str

    @property
    def target(self) -> torch.device:
        """The device to train on."""
        return torch_device(self.device)


class Scores(nn.Module):
    """A network whose scores are counted from `offset`, the log odds of the share of cases.

    So training need not first learn the prevalence, and weight decay does not pull risks towards one half.
    """

    def __init__(self, network: nn.Module, offset: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))

    def forward(self, X: Tensor) -> Tensor:
        """Return the members' scores, shape (n, members), for X of shape (n, k)."""
        return self.network(X).reshape(len(X), -1) + self.offset


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return what `build` makes with torch's global generator at `seed`, which is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def train_alone(network: Scores, X: np.ndarray, y: np.ndarray, weight: np.ndarray, how: Descent) -> None:
    """Train one network in place, through skorch.

    Parameters
    ----------
    X : ndarray, shape (n, k)
        Standardised features.
    y, weight : ndarray, shape (n,)
        Labels 0/1 and what each row weighs.

    Raises
    ------
    FloatingPointError
        As soon as a loss is not finite.
    """
    net = _FullBatch(
        network,
        criterion=_MeanOfMembers,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=how.weight_decay,
        optimizer__fused=True,
        lr=how.learning_rate,
        max_epochs=how.epochs,
        batch_size=-1,
        train_split=None,
        callbacks="disable",
        verbose=0,
        device=how.target,
    )
    with one_thread(), torch.random.fork_rng(devices=[]):  # skorch's loader draws a seed that nothing uses
        net.fit(X.astype(np.float32), np.column_stack([y, weight]).astype(np.float32))
        network.to("cpu")


def train_together(
    networks: Sequence[Scores],
    layers: Layers,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    how: Descent,
) -> None:
    """Train networks of one shape in place, each on its own sample, as `train_alone` would.

    Parameters
    ----------
    networks : sequence of b Scores
        With their initial weights.
    layers : callable
        What the parameters of their `network` mean.
    X : ndarray, shape (b, n, k)
        Standardised features of each sample.
    y : ndarray, shape (n,)
        Labels 0/1.
    weight : ndarray, shape (b, n)
        What each row weighs; where it is 0 the features may be anything.

    Raises
    ------
    FloatingPointError
        As soon as a loss is not finite.
    """
    with one_thread():
        stack = _stacked(networks).to(how.target).requires_grad_()
        rows, labels, shares, offset = (
            torch.as_tensor(array, dtype=torch.float32, device=how.target)
            for array in (
                _whole_blocks(np.where(weight[:, :, None] > 0, X, 0.0)),
                _whole_blocks(y[None])[0],
                _whole_blocks(weight / weight.sum(axis=1, keepdims=True)),
                [network.state_dict()["offset"].item() for network in networks],
            )
        )
        optimizer = torch.optim.AdamW(
            [stack], lr=how.learning_rate, weight_decay=how.weight_decay, fused=True
        )
        for epoch in range(how.epochs):
            optimizer.zero_grad()
            scores = _dense(rows, layers(_parameters(stack, networks[0]))) + offset[:, None, None]
            loss = log_loss(scores, labels.expand_as(scores), reduction="none")
            losses = (loss.mean(dim=1) * shares).sum(dim=1)
            _check(losses, epoch + 1)
            losses.sum().backward()
            optimizer.step()
        _hand_back(stack.detach().cpu(), networks)


def probability(network: Scores, X: np.ndarray) -> np.ndarray:
    """Return the mean of the members' probabilities for rows of standardised features, shape (n,)."""
    with one_thread(), torch.inference_mode():
        scores = network(torch.as_tensor(X, dtype=torch.float32))
        return scores.double().sigmoid().mean(dim=1).numpy()


class _MeanOfMembers(nn.Module):
    """The weighted log loss of each member, and of these the mean: members do not learn from each other."""

    def forward(self, scores: Tensor, rows: Tensor) -> Tensor:
        y, weight = rows.T
        loss = log_loss(scores, y[:, None].expand_as(scores), reduction="none")
        return (loss.mean(dim=1) * (weight / weight.sum())).sum()


class _FullBatch(NeuralNet):
    """skorch's loop, with an error where the loss is not finite."""

    def get_loss(self, *args, **kwargs):
        loss = super().get_loss(*args, **kwargs)
        _check(loss, len(self.history))
        return loss


def _check(loss: Tensor, epoch: int) -> None:
    if not loss.isfinite().all():
        raise FloatingPointError(
            f"training diverged in epoch {epoch}: the loss is not finite; lower learning_rate"
        )


# Processors compute blocks of numbers otherwise than what is left over, in the last digit. Where each
# sample's rows and parameters fill whole blocks, its result does not depend on its place in the stack.


def _whole_blocks(table: np.ndarray) -> np.ndarray:
    """Return the table (b, n, ...) with rows of zeros up to a whole number of blocks."""
    n = table.shape[1]
    return np.pad(table, [(0, 0), (0, -n % _BLOCK), *[(0, 0)] * (table.ndim - 2)])


def _stacked(networks: Sequence[Scores]) -> Tensor:
    """Return the parameters of each network in a row of its own, each parameter in whole blocks."""
    return torch.stack(
        [
            torch.cat(
                [pad(own.detach().flatten(), (0, -own.numel() % _BLOCK)) for own in net.network.parameters()]
            )
            for net in networks
        ]
    )


def _parameters(stack: Tensor, network: Scores) -> dict[str, Tensor]:
    """Return the parameters in a stack by name, each (b, *shape)."""
    shapes = {name: own.shape for name, own in network.network.named_parameters()}
    parts = stack.split([n.numel() + -n.numel() % _BLOCK for n in shapes.values()], dim=1)
    return {
        name: part[:, : shape.numel()].unflatten(1, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def _hand_back(stack: Tensor, networks: Sequence[Scores]) -> None:
    """Give each network its trained parameters."""
    trained = _parameters(stack, networks[0])
    with torch.no_grad():
        for row, network in enumerate(networks):
            for name, own in network.network.named_parameters():
                own.copy_(trained[name][row])


def _dense(X: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the scores (b, members, n) of dense layers for features (b, n, k)."""
    b, members = layers[0][1].shape[:2]
    hidden = X[:, None].expand(-1, members, -1, -1).flatten(0, 1)
    for depth, (weight, bias) in enumerate(layers):
        hidden = torch.baddbmm(bias.flatten(0, 1)[:, None], hidden, weight.flatten(0, 1))
        if depth < len(layers) - 1:
            hidden = hidden.relu()
    return hidden[:, :, 0].unflatten(0, (b, members))

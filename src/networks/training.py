"""The one loop that trains networks of signals: seeded, stopped early, finite, resumed after a kill.

torch is not imported until it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.networks.checkpoints import Checkpoint

_LAST_RATE = 0.1  # of the learning rate at the start


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs, batch_size : int
        Passes over the recordings, at most, and recordings per step, at most.
    learning_rate : float
        Adam's, at the start; it falls to a tenth along a cosine.
    seed : int
        Seed of the order, of all that the loss draws and of dropout.
    patience : int
        Stop after so many epochs without a smaller loss on the recordings held out, and go back to the
        weights with the smallest; 0: train on all recordings, all epochs, and keep the last weights.
    held_out_share : float
        Share of the recordings held out where there is patience.
    mixed_precision : bool
        Compute in bfloat16 where that is safe, on a GPU only.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    patience: int = 0
    held_out_share: float = 0.1
    mixed_precision: bool = False


@dataclass(frozen=True)
class Machine:
    """What the work runs on; it may change the last digits of a result and no more.

    Parameters
    ----------
    n_jobs : int
        Threads of torch.
    device : str
        'auto' (a GPU if there is one), or torch's name of one.
    verbose : bool
        Show progress per epoch on stderr.
    """

    n_jobs: int = 1
    device: str = "auto"
    verbose: bool = False


Loss = Callable[[Any, np.ndarray, np.random.Generator], Any]
"""Called with the network, rows (positions of recordings) and a generator; returns a scalar tensor.

The network is in training mode, or in evaluation mode for recordings held out.
"""


def train(network: Any, loss: Loss, n_rows: int, how: Training, machine: Machine) -> None:
    """Train `network` in place; it ends on the CPU in evaluation mode.

    The same seed gives the same weights, whether or not the training was interrupted between two epochs (see
    `src.networks.checkpoints`): every epoch has generators of its own. torch's global generator and number of
    threads stay as they were.

    Parameters
    ----------
    network : torch.nn.Module
        Only parameters that require a gradient are trained.
    loss : callable
        See `Loss`. The mean over the recordings held out decides when to stop; its generator, and torch's,
        are the same for them in every epoch.
    n_rows : int
        Number of recordings.

    Raises
    ------
    FloatingPointError
        If a loss or a weight is not finite, or the loss raises it; names the epoch.
    ValueError
        If there are too few recordings.
    """
    from tqdm import tqdm

    run = _Run(network, loss, n_rows, how)
    checkpoint = Checkpoint(run.digest())
    with on_device(network, machine, how.seed) as target:
        run.begin(target, checkpoint.load())
        with tqdm(
            total=how.epochs,
            initial=run.epoch,
            desc=type(network).__name__.strip("_"),
            disable=not machine.verbose,
            leave=False,
        ) as bar:
            while not run.is_over:
                reached = run.advance()
                bar.set_postfix_str(reached, refresh=False)
                bar.update()
                checkpoint.report(run.epoch, how.epochs, reached)
                if checkpoint.is_due:
                    checkpoint.save(run.state())
        if run.advanced:
            checkpoint.save(run.state())
        run.end()


class _Run:
    """One training: what has been reached, and one epoch more."""

    def __init__(self, network: Any, loss: Loss, n_rows: int, how: Training) -> None:
        self.network = network
        self.loss = loss
        self.how = how
        self.rows, self.held_out = _split(n_rows, how)
        self.epoch = 0
        self.advanced = False
        self.best: dict[str, Any] = {}
        self.best_epoch = 0
        self.best_loss = np.inf

    def digest(self) -> str:
        """Hash of the settings, of the weights to begin with, and of which of them are trained."""
        import torch

        digest = hashlib.blake2b(f"{self.how} {len(self.rows)} {len(self.held_out)}".encode(), digest_size=16)
        trained = [name for name, parameter in self.network.named_parameters() if parameter.requires_grad]
        digest.update(str(trained).encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def begin(self, target: Any, state: dict[str, Any] | None) -> None:
        """Start, or go on from what `state` returned; the network is on its device."""
        import torch

        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.target = target
        self.optimizer = torch.optim.Adam(trained, lr=self.how.learning_rate)
        if state is not None:
            self.network.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.best = state["epoch"], state["best"]
            self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
        }

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or patience is."""
        patient = not self.how.patience or self.epoch - self.best_epoch < self.how.patience
        return self.epoch >= self.how.epochs or not patient

    def advance(self) -> str:
        """Train one epoch; return what to show of it."""
        try:
            shown = f"loss {self._pass():.4g}"
            if self.how.patience:
                shown += f", held out {self._compare():.4g}"
        except FloatingPointError as error:
            raise FloatingPointError(f"training diverged in epoch {self.epoch + 1}: {error}") from error
        self.epoch += 1
        self.advanced = True
        return shown

    def end(self) -> None:
        """Take the best weights."""
        if self.best:
            self.network.load_state_dict(self.best)
        self.network.eval()

    def _pass(self) -> float:
        rng = _seeded(self.how.seed, self.epoch + 1)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        total = 0.0
        for rows in batches(rng.permutation(self.rows), self.how.batch_size):
            self.optimizer.zero_grad()
            value = self._loss(rows, rng)
            value.backward()
            self.optimizer.step()
            total += value.item() * len(rows)
        if not all(parameter.isfinite().all() for parameter in self.network.parameters()):
            raise FloatingPointError("a weight is not finite")
        return total / len(self.rows)

    def _compare(self) -> float:
        """Return the loss on the recordings held out, and keep the weights if it is the smallest so far."""
        import torch

        rng = _seeded(self.how.seed, 0)
        self.network.eval()
        with torch.no_grad():
            parts = [
                self._loss(rows, rng).item() * len(rows)
                for rows in batches(self.held_out, self.how.batch_size)
            ]
        loss = sum(parts) / len(self.held_out)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch + 1
            self.best = {name: t.detach().cpu().clone() for name, t in self.network.state_dict().items()}
        return loss

    def _loss(self, rows: np.ndarray, rng: np.random.Generator) -> Any:
        import torch

        mixed = self.how.mixed_precision and self.target.type == "cuda"
        with torch.autocast(self.target.type, dtype=torch.bfloat16, enabled=mixed):
            value = self.loss(self.network, rows, rng)
        if not value.isfinite():
            raise FloatingPointError(f"the loss is {value.item()}")
        return value

    def _rate(self) -> float:
        falling = (1 + np.cos(np.pi * self.epoch / self.how.epochs)) / 2
        return float(self.how.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * falling))


@contextlib.contextmanager
def on_device(network: Any, machine: Machine, seed: int) -> Iterator[Any]:
    """Move the network to its device, with threads and torch's seed set; yield the device, restore the rest.

    The network is on the CPU afterwards, whatever happens.
    """
    import torch

    from src.networks.device import torch_device

    target = torch_device(machine.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(machine.n_jobs)
    try:
        with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
            torch.manual_seed(seed)
            network.to(target)
            yield target
    finally:
        network.to("cpu")
        torch.set_num_threads(threads)


def device_of(network: Any) -> Any:
    """Return the device a network is on."""
    return next(network.parameters()).device


def batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Split rows into parts of nearly equal length, none longer than `size`."""
    return np.array_split(rows, -(-len(rows) // size))


def _split(n_rows: int, how: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out."""
    if n_rows < 1 + bool(how.patience):
        raise ValueError(f"training needs {1 + bool(how.patience)} recordings at least; there are {n_rows}")
    if not how.patience:
        return np.arange(n_rows), np.arange(0)
    order = np.random.default_rng(how.seed).permutation(n_rows)
    count = max(1, round(how.held_out_share * n_rows))
    return np.sort(order[count:]), np.sort(order[:count])


def _seeded(seed: int, epoch: int) -> np.random.Generator:
    """Seed torch for an epoch, and return numpy's generator for it; epoch 0 is for what is held out."""
    import torch

    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
    return np.random.default_rng([seed, epoch])

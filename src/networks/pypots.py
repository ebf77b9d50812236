"""PyPOTS behind one module: quiet import, seeded training on realistic gaps, and errors instead of NaN.

Nothing heavy is imported until it is used: PyPOTS takes seconds to import.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs, batch_size : int
        Passes over the recordings, and recordings per step.
    learning_rate : float
        Adam's, at the start; it falls to a tenth along a cosine.
    gap_share : float
        Share of the steps that are hidden in each pass, for the masked imputation task.
    gap_steps : tuple of int
        Shortest and longest hidden gap in steps; lengths are log-uniform between them.
    seed : int
        Seed of weights, order and hidden gaps.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    gap_share: float
    gap_steps: tuple[int, int]
    seed: int


def build_network(name: str, seed: int, **settings: Any) -> Any:
    """Return the torch module of PyPOTS' imputer called `name`, freshly initialised.

    Parameters
    ----------
    name : str
        Class name in `pypots.imputation`, such as 'SAITS'.
    seed : int
        Seed of the weights; torch's global generator is left as it was.
    settings
        What the class takes.
    """
    # The import prints a banner to a stdout that must have an encoding.
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        import torch
        from pypots import imputation

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns that it will not save files, which is what is wanted
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return getattr(imputation, name)(device="cpu", verbose=False, **settings).model
    finally:
        logging.disable(disabled)


def train(
    network: Any,
    values: np.ndarray,
    known: np.ndarray,
    how: Training,
    n_jobs: int,
    device: str,
    verbose: bool,
) -> None:
    """Train `network` in place to reconstruct what it sees and to impute what is hidden from it.

    Both losses are PyPOTS' own (`calc_criterion`): observed reconstruction and masked imputation task of
    Du et al. 2023, section 3.1. Hidden are gaps, not single steps, because that is how a pupil is lost.

    Parameters
    ----------
    network : torch.nn.Module
        As `build_network` makes it.
    values : ndarray, shape (n, steps)
        Signal; what is not `known` is not used.
    known : ndarray of bool, shape (n, steps)
        Observed steps.
    n_jobs : int
        Threads of torch.
    device : str
        'auto' (a GPU if there is one), or torch's name of one.
    verbose : bool
        Show progress per epoch on stderr.

    Raises
    ------
    FloatingPointError
        As soon as a loss is not finite.
    """
    import torch
    from tqdm import trange

    rng = np.random.default_rng(how.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, how.epochs, how.learning_rate / 10)
    with _prepared(network, n_jobs, device, how.seed) as target:
        network.train()
        for epoch in trange(
            how.epochs, desc=type(network).__name__.strip("_"), disable=not verbose, leave=False
        ):
            hidden = draw_gaps(known, how.gap_share, how.gap_steps, rng)
            for rows in _batches(rng.permutation(len(values)), how.batch_size):
                batch = _inputs(values[rows], known[rows] & ~hidden[rows], target)
                batch |= _targets(values[rows], known[rows] & hidden[rows], target)
                optimizer.zero_grad()
                _finite_loss(network, batch, epoch + 1).backward()
                optimizer.step()
            schedule.step()
        network.to("cpu")


def reconstruct(
    network: Any, values: np.ndarray, known: np.ndarray, batch_size: int, n_jobs: int, device: str
) -> np.ndarray:
    """Return the network's own curve at every step, shape (n, steps), observed ones included.

    Raises
    ------
    FloatingPointError
        If a value is not finite.
    """
    import torch

    curves = []
    with _prepared(network, n_jobs, device, seed=0) as target, torch.no_grad():
        network.eval()
        for rows in _batches(np.arange(len(values)), batch_size):
            result = network(_inputs(values[rows], known[rows], target))
            curves.append(result["reconstruction"][..., 0].double().cpu().numpy())
        network.to("cpu")
    curve = np.concatenate(curves)
    if not np.isfinite(curve).all():
        raise FloatingPointError("the trained network returns values that are not finite")
    return curve


def draw_gaps(
    known: np.ndarray, share: float, gap_steps: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Return gaps to hide, bool (n, steps): `share` of all steps, lengths log-uniform in `gap_steps`."""
    n, steps = known.shape
    shortest, longest = gap_steps[0], min(gap_steps[1], steps)
    hidden = np.zeros_like(known)
    while hidden.mean() < share:
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest + 1), n)).astype(int)
        start = rng.integers(0, steps - length + 1)
        step = np.arange(steps)
        hidden |= (step >= start[:, None]) & (step < (start + length)[:, None])
    return hidden


def _finite_loss(network: Any, batch: dict[str, Any], epoch: int) -> Any:
    """Return the loss of one batch; not finite is an error here, in PyPOTS it is a warning."""
    try:
        loss = network(batch, calc_criterion=True)["loss"].sum()
    except AssertionError as error:  # how PyPOTS reports predictions that are NaN
        raise FloatingPointError(f"training diverged in epoch {epoch}: {error}") from error
    if not loss.isfinite():
        raise FloatingPointError(f"training diverged in epoch {epoch}: the loss is {loss.item()}")
    return loss


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    return np.array_split(order, -(-len(order) // size))


def _tensor(array: np.ndarray, target: Any) -> Any:
    import torch

    return torch.as_tensor(array[..., None], dtype=torch.float32, device=target)


def _inputs(values: np.ndarray, visible: np.ndarray, target: Any) -> dict[str, Any]:
    """Return what PyPOTS' networks see: 0 where nothing is visible, and the mask that says so."""
    return {"X": _tensor(np.where(visible, values, 0.0), target), "missing_mask": _tensor(visible, target)}


def _targets(values: np.ndarray, hidden: np.ndarray, target: Any) -> dict[str, Any]:
    return {
        "X_ori": _tensor(np.where(hidden, values, 0.0), target),
        "indicating_mask": _tensor(hidden, target),
    }


@contextlib.contextmanager
def _prepared(network: Any, n_jobs: int, device: str, seed: int) -> Iterator[Any]:
    """Move the network to its device, with threads and seed set; yield the device, restore the rest."""
    import torch

    target = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    threads = torch.get_num_threads()
    devices = [target] if target.type == "cuda" else []
    torch.set_num_threads(n_jobs)
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            network.to(target)
            yield target
    finally:
        torch.set_num_threads(threads)

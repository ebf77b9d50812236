"""PyPOTS behind one module: quiet import, losses on realistic gaps, and errors instead of NaN.

Nothing heavy is imported until it is used: PyPOTS takes seconds to import.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.networks.training import Loss, Machine, batches, device_of, on_device


@dataclass(frozen=True)
class Gaps:
    """Gaps hidden in training, because that is how a pupil is lost; others in each pass.

    Parameters
    ----------
    share : float
        Share of the steps that are hidden, at least.
    steps : tuple of int
        Shortest and longest gap in steps; lengths are log-uniform between them.
    """

    share: float
    steps: tuple[int, int]


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


def imputation_loss(values: np.ndarray, known: np.ndarray, gaps: Gaps) -> Loss:
    """Return SAITS' loss: observed reconstruction and masked imputation (Du et al. 2023, section 3.1).

    For recordings held out it is the error of the masked imputation alone. Both are PyPOTS' own.

    Parameters
    ----------
    values : ndarray, shape (n, steps)
        Signal; what is not `known` is not used.
    known : ndarray of bool, shape (n, steps)
        Observed steps.
    gaps : Gaps
        What is hidden for the masked imputation.
    """

    def loss(network: Any, rows: np.ndarray, rng: np.random.Generator) -> Any:
        hidden = draw_gaps(known[rows], gaps, rng)
        batch = _inputs(values[rows], known[rows] & ~hidden, device_of(network))
        batch |= _targets(values[rows], known[rows] & hidden, device_of(network))
        try:
            result = network(batch, calc_criterion=True)
        except AssertionError as error:  # how PyPOTS reports predictions that are NaN
            raise FloatingPointError(str(error)) from error
        return result["loss" if network.training else "metric"].sum()

    return loss


def reconstruct(
    network: Any, values: np.ndarray, known: np.ndarray, batch_size: int, machine: Machine
) -> np.ndarray:
    """Return the network's own curve at every step, shape (n, steps), observed ones included.

    Raises
    ------
    FloatingPointError
        If a value is not finite.
    """
    import torch

    curves = []
    with on_device(network, machine, seed=0) as target, torch.no_grad():
        network.eval()
        for rows in batches(np.arange(len(values)), batch_size):
            result = network(_inputs(values[rows], known[rows], target))
            curves.append(result["reconstruction"][..., 0].double().cpu().numpy())
        network.to("cpu")
    curve = np.concatenate(curves)
    if not np.isfinite(curve).all():
        raise FloatingPointError("the trained network returns values that are not finite")
    return curve


def draw_gaps(known: np.ndarray, gaps: Gaps, rng: np.random.Generator) -> np.ndarray:
    """Return what to hide of the steps `known`, bool (n, steps); gaps may touch."""
    n, steps = known.shape
    shortest, longest = gaps.steps[0], min(gaps.steps[1], steps)
    hidden = np.zeros_like(known)
    while hidden.mean() < gaps.share:
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest + 1), n)).astype(int)
        start = rng.integers(0, steps - length + 1)
        step = np.arange(steps)
        hidden |= (step >= start[:, None]) & (step < (start + length)[:, None])
    return hidden


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

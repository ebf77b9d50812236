"""PyPOTS behind one module: quiet import, losses on realistic gaps, and errors instead of NaN.

Nothing heavy is imported until it is used: PyPOTS takes seconds to import.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.networks.training import Loss, Machine, batches, device_of, on_device

PACKAGES = ("torch", "pypots")


@dataclass(frozen=True)
class Gaps:
    """Gaps hidden in training, because that is how a pupil is lost; others in each pass.

    Parameters
    ----------
    share : float
        Share of the steps that are hidden, at least.
    steps : sequence of two int
        Shortest and longest gap in steps; lengths are log-uniform between them.
    """

    share: float
    steps: Sequence[int]

    def __post_init__(self) -> None:
        """Refuse what cannot be hidden."""
        shortest, longest = self.steps
        if not (0 <= self.share < 1 and 1 <= shortest <= longest):
            raise ValueError(
                f"the share of hidden steps is {self.share}, their gaps have {shortest} to {longest} steps; "
                "expected a share from 0 to below 1, and gaps of 1 step or more, the shortest first"
            )

    def in_blocks(self, stride: int) -> Gaps:
        """Return gaps of as many samples, told in steps, on a grid of blocks of `stride` samples."""
        return Gaps(self.share, [max(1, round(samples / stride)) for samples in self.steps])


@dataclass(frozen=True)
class Drawing:
    """How curves are drawn from a diffusion.

    Parameters
    ----------
    n_draws, n_steps : int
        Curves, and noise levels that each goes through.
    bound : float
        No value is larger than this, up or down: what the network takes for the signal is cut there at every
        level (as Ho, Jain & Abbeel 2020 do), for errors at high noise grow.
    seed : int
        Seed of the noise.
    """

    n_draws: int
    n_steps: int
    bound: float
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
    disabled = logging.root.manager.disable
    # It tells of its configuration file, and warns that it will not save files, which is what is wanted.
    logging.disable(logging.WARNING)
    try:
        # The import prints a banner to a stdout that must have an encoding.
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
            import torch
            from pypots import imputation

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="enable_nested_tensor is True")  # speed only
            torch.manual_seed(seed)
            return getattr(imputation, name)(device="cpu", verbose=False, **settings).model
    finally:
        logging.disable(disabled)


def saits_loss(values: np.ndarray, known: np.ndarray, gaps: Gaps) -> Loss:
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


def reconstruction_loss(values: np.ndarray, known: np.ndarray, gaps: Gaps) -> Loss:
    """Return the mean absolute error of the reconstruction, of what is shown plus of what is hidden.

    For recordings held out it is the error of what is hidden alone. The parameters are `saits_loss`'s.
    """

    def loss(network: Any, rows: np.ndarray, rng: np.random.Generator) -> Any:
        hidden = draw_gaps(known[rows], gaps, rng)
        target = device_of(network)
        curve = network(_inputs(values[rows], known[rows] & ~hidden, target))["reconstruction"]
        error = (curve - _tensor(np.where(known[rows], values[rows], 0.0), target)).abs()
        parts = [known[rows] & hidden, known[rows] & ~hidden] if network.training else [known[rows] & hidden]
        return sum((error * _tensor(part, target)).sum() / max(part.sum(), 1) for part in parts)

    return loss


def denoising_loss(values: np.ndarray, known: np.ndarray, gaps: Gaps) -> Loss:
    """Return CSDI's loss: how well the noise on what is hidden is told (Tashiro et al. 2021, equation 7).

    For recordings held out it is the mean over all noise levels. The parameters are `saits_loss`'s.
    """

    def loss(network: Any, rows: np.ndarray, rng: np.random.Generator) -> Any:
        hidden = draw_gaps(known[rows], gaps, rng)
        target = device_of(network)
        batch = _conditions(known[rows] & ~hidden, target)
        batch["X_ori"] = _row_tensor(np.where(known[rows], values[rows], 0.0), target)
        batch["indicating_mask"] = _row_tensor(known[rows] & hidden, target)
        return network(batch, calc_criterion=True)["loss" if network.training else "metric"]

    return loss


def correction_loss(shown: np.ndarray, target: np.ndarray, gaps: Gaps) -> Loss:
    """Return the mean absolute error of the reconstruction of what is shown, held against a target.

    Parameters
    ----------
    shown : ndarray, shape (n, steps, channels)
        What the network sees, 0 where there is nothing to see; hidden gaps are 0 in all channels.
    target : ndarray, shape (n, steps)
        What the first channel should be; NaN where it is not known.
    gaps : Gaps
        What is hidden.
    """
    known = np.isfinite(target)

    def loss(network: Any, rows: np.ndarray, rng: np.random.Generator) -> Any:
        hidden = draw_gaps(known[rows], gaps, rng)
        seen = np.where(hidden[..., None], 0.0, shown[rows])
        curve = network(_inputs(seen, np.ones_like(seen), device_of(network)))["reconstruction"][..., :1]
        error = (curve - _tensor(np.where(known[rows], target[rows], 0.0), device_of(network))).abs()
        return (error * _tensor(known[rows], device_of(network))).sum() / max(known[rows].sum(), 1)

    return loss


def draw_curves(
    network: Any,
    values: np.ndarray,
    known: np.ndarray,
    drawing: Drawing,
    batch_size: int,
    machine: Machine,
) -> np.ndarray:
    """Draw curves from CSDI's diffusion, shape (draws, n, steps); where `known`, they are the values.

    The noise is removed in some of the levels it was learned at: Song, Meng & Ermon 2021 (ICLR),
    equation 12 with the variance of their equation 16 and eta = 1, which with all levels is CSDI's own
    algorithm 2. Draw k gets the same noise in every recording: a recording's curves do not depend on its
    company.

    Raises
    ------
    FloatingPointError
        If a value is not finite.
    """
    import torch

    n_draws = drawing.n_draws
    levels = _spaced(network.backbone.n_diffusion_steps, drawing.n_steps)
    noise = np.random.default_rng(drawing.seed).standard_normal((len(levels), n_draws, 1, values.shape[1]))
    curves = []
    with on_device(network, machine, drawing.seed) as target, torch.no_grad():
        network.eval()
        given = torch.as_tensor(noise, dtype=torch.float32, device=target)
        for rows in batches(np.arange(len(values)), max(1, batch_size // n_draws)):
            shown = _row_tensor(np.where(known[rows], values[rows], 0.0), target).repeat(n_draws, 1, 1)
            conditions = _conditions(np.tile(known[rows], (n_draws, 1)), target)
            noises = given.repeat_interleave(len(rows), dim=1)
            drawn = _denoise(network, shown, conditions, levels, noises, drawing.bound)
            curves.append(drawn[:, 0].double().cpu().numpy().reshape(n_draws, len(rows), -1))
    return _finite(np.concatenate(curves, axis=1))


def _spaced(n_levels: int, n_steps: int) -> list[int]:
    """Return `n_steps` noise levels, or all there are, from the highest to the lowest."""
    return sorted(set(np.linspace(0, n_levels - 1, min(n_steps, n_levels)).round().astype(int)), reverse=True)


def _denoise(
    network: Any, shown: Any, conditions: dict[str, Any], levels: list[int], noise: Any, bound: float
) -> Any:
    """Return what is left of `noise` (levels, n, 1, steps) when the network has told all of it apart."""
    import torch

    backbone, mask = network.backbone, conditions["cond_mask"]
    side = network.get_side_info(conditions["observed_tp"], mask)
    signal = [
        *(backbone.alpha[level] for level in levels),
        1.0,
    ]  # its share of the variance, from level to level
    noisy = noise[0]
    for step, level in enumerate(levels):
        inputs = backbone.set_input_to_diffmodel(noisy, shown, mask)
        told = backbone.diff_model(inputs, side, torch.tensor([level], device=mask.device))
        now, then = signal[step], signal[step + 1]
        clean = ((noisy - (1 - now) ** 0.5 * told) / now**0.5).clamp(-bound, bound)
        told = (noisy - now**0.5 * clean) / (1 - now) ** 0.5
        fresh = (1 - then) / (1 - now) * (1 - now / then)  # variance of the noise put back
        noisy = then**0.5 * clean + (1 - then - fresh) ** 0.5 * told
        if step + 1 < len(levels):
            noisy = noisy + fresh**0.5 * noise[step + 1]
    return torch.where(mask > 0, shown, noisy)


def build_timesnet(seed: int, n_steps: int, top_k: int, **settings: Any) -> Any:
    """Return a TimesNet as `build_network` does, with no more periods than there are frequencies."""
    return build_network("TimesNet", seed, n_steps=n_steps, top_k=min(top_k, n_steps // 2), **settings)


def reconstruct(
    network: Any, values: np.ndarray, known: np.ndarray, batch_size: int, machine: Machine
) -> np.ndarray:
    """Return the network's own curve at every step, shape (n, steps), observed ones included.

    Parameters
    ----------
    values, known : ndarray, shape (n, steps) or (n, steps, channels)
        What is seen, and where; of several channels the first is returned.

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
    return _finite(np.concatenate(curves))


def draw_gaps(known: np.ndarray, gaps: Gaps, rng: np.random.Generator) -> np.ndarray:
    """Return what to hide of the steps `known`, bool (n, steps); gaps may touch."""
    n, steps = known.shape
    shortest, longest = (min(length, steps) for length in gaps.steps)
    hidden = np.zeros_like(known)
    while hidden.mean() < gaps.share:
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest + 1), n)).astype(int)
        start = rng.integers(0, steps - length + 1)
        step = np.arange(steps)
        hidden |= (step >= start[:, None]) & (step < (start + length)[:, None])
    return hidden


def _finite(curves: np.ndarray) -> np.ndarray:
    if not np.isfinite(curves).all():
        raise FloatingPointError("the trained network returns values that are not finite")
    return curves


def _tensor(array: np.ndarray, target: Any) -> Any:
    import torch

    channels = array if array.ndim == 3 else array[..., None]
    return torch.as_tensor(channels, dtype=torch.float32, device=target)


def _row_tensor(array: np.ndarray, target: Any) -> Any:
    """Return (n, steps) as CSDI takes it, (n, 1, steps)."""
    return _tensor(array, target).transpose(1, 2)


def _conditions(visible: np.ndarray, target: Any) -> dict[str, Any]:
    """Return what CSDI's curves depend on besides the values: what is visible, and the time."""
    time = np.tile(np.arange(visible.shape[1]), (len(visible), 1))
    return {"cond_mask": _row_tensor(visible, target), "observed_tp": _tensor(time, target)[..., 0]}


def _inputs(values: np.ndarray, visible: np.ndarray, target: Any) -> dict[str, Any]:
    """Return what PyPOTS' networks see: 0 where nothing is visible, and the mask that says so."""
    return {"X": _tensor(np.where(visible, values, 0.0), target), "missing_mask": _tensor(visible, target)}


def _targets(values: np.ndarray, hidden: np.ndarray, target: Any) -> dict[str, Any]:
    return {
        "X_ori": _tensor(np.where(hidden, values, 0.0), target),
        "indicating_mask": _tensor(hidden, target),
    }

"""MOMENT on whole recordings: windows of its length, on a coarser grid where asked, one answer for all.

No torch until it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.networks.blocks import at_samples, block_means
from src.networks.level import typical_size
from src.networks.pypots import Gaps, draw_gaps
from src.networks.training import Loss, Machine, Training, device_of, on_device, train
from src.networks.weights import weights_folder
from src.requirements import need_packages

TUNED = ("head", "all")
"""What fine-tuning may change: the reconstruction head (linear probing), or everything."""

_HIDDEN_SHARE = 0.5  # blocks with this share of their samples missing, or more, are not shown


@dataclass(frozen=True)
class Tuning:
    """How MOMENT is fine-tuned.

    Parameters
    ----------
    tuned : {'head', 'all'}
        Linear probing, or everything (Goswami et al. 2024, section 3.4).
    gaps : Gaps
        Hidden from the network, in samples of the recording; the network never sees half a patch.
    hidden_only : bool
        Learn what is hidden (as in pretraining, section 3.3), or the whole window.
    how : Training
        A pass shows one window of every recording, wherever it falls.
    """

    tuned: str
    gaps: Gaps
    hidden_only: bool
    how: Training

    def __post_init__(self) -> None:
        """Refuse what is not known."""
        if self.tuned not in TUNED:
            raise ValueError(f"MOMENT: tuned is {self.tuned!r}; expected one of {', '.join(TUNED)}")


@dataclass(frozen=True)
class Reader:
    """How MOMENT reads recordings.

    A recording is divided by the median of what is shown of it, and averaged over blocks of `stride` samples.
    Windows of the network's length (512) lie at equal distances from its start to its end; they overlap. A
    recording shorter than a window is padded at its end. Batches all have the same size, so that what the
    network makes of a recording does not depend on its company.

    Parameters
    ----------
    checkpoint : str
        Name of the weights.
    stride : int
        Samples per block.
    overlap : float
        Share of a window that the next one sees too, at least.
    batch_size : int
        Windows at a time.
    machine : Machine
    """

    checkpoint: str
    stride: int
    overlap: float
    batch_size: int
    machine: Machine

    def __post_init__(self) -> None:
        """Refuse an overlap that would not move on."""
        if not 0 <= self.overlap < 1:
            raise ValueError(f"MOMENT: overlap is {self.overlap}; expected a share from 0 to below 1")

    def check_ready(self, method: str) -> None:
        """Raise NotReady if packages or weights are missing; `method` is for the message."""
        need_packages(method, "deep", ("torch", "transformers", "safetensors"))
        weights_folder(self.checkpoint)

    def open(self) -> Any:
        """Return the network with its published weights."""
        from src.networks.moment import load_moment

        return load_moment(weights_folder(self.checkpoint))

    def curves(self, network: Any, shown: np.ndarray) -> np.ndarray:
        """Return the network's curve at every sample, shape (n, T), in the unit of the recordings.

        Where windows overlap, the curve is their mean, weighted by the distance from the window's end. Where
        no window shows a sample, straight lines join the curve.

        Parameters
        ----------
        shown : ndarray, shape (n, T)
            Signal, NaN where the network is to fill in. Every recording shows a sample.

        Raises
        ------
        FloatingPointError
            If the network returns values that are not finite.
        """
        size = typical_size(shown)
        values, known = self._blocks(shown / size)
        with on_device(network, self.machine, seed=0):
            blocks = self._over_windows(network, values, known)
        return at_samples(blocks, self.stride, shown.shape[1]) * size

    def vectors(self, network: Any, pupil: np.ndarray) -> np.ndarray:
        """Return one embedding per recording, shape (n, width): the mean over its windows' patches.

        Parameters
        ----------
        pupil : ndarray, shape (n, T)
            Complete signal.

        Raises
        ------
        FloatingPointError
            If the network returns values that are not finite.
        """
        values, _ = self._blocks(pupil / typical_size(pupil))
        starts = window_starts(values.shape[1], network.seq_len, self.overlap)
        parts = [_window(values, start, network.seq_len) for start in starts]
        inside = _window(np.ones(values.shape), 0, network.seq_len)

        def embed(window: Any, padding: Any) -> Any:
            return network.embed(window, padding)

        with on_device(network, self.machine, seed=0):
            vectors = [self._in_batches(network, embed, part, inside) for part in parts]
        return _finite(np.mean(vectors, axis=0))

    def tune(self, network: Any, shown: np.ndarray, target: np.ndarray, tuning: Tuning) -> None:
        """Fine-tune the network in place.

        Parameters
        ----------
        shown : ndarray, shape (n, T)
            Signal, NaN where nothing is known. Every recording shows a sample.
        target : ndarray, shape (n, T)
            What is to be reconstructed, NaN where it is not known.
        """
        network.requires_grad_(tuning.tuned == "all")
        network.head.requires_grad_(True)
        size = typical_size(shown)
        values, known = self._blocks(shown / size)
        wanted, counted = block_means(target / size, self.stride)
        gaps = tuning.gaps.in_blocks(self.stride)
        loss = _tuning_loss(values, known, wanted, counted, gaps, tuning.hidden_only)
        train(network, loss, len(values), tuning.how, self.machine)

    def _blocks(self, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return block means (n, steps), and where enough is known of a block."""
        values, _ = block_means(signal, self.stride)
        lost, _ = block_means((~np.isfinite(signal)).astype(float), self.stride)
        few = lost >= _HIDDEN_SHARE
        few[few.all(axis=1)] = lost[few.all(axis=1)] == 1  # better a block shown in part than none at all
        return values, ~few

    def _over_windows(self, network: Any, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return the network's curve at every block, shape (n, steps)."""
        length, steps = network.seq_len, values.shape[1]
        total, weight = np.zeros(values.shape), np.zeros(values.shape)
        share = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / length
        for start in window_starts(steps, length, self.overlap):
            part = slice(start, min(start + length, steps))
            rows = np.flatnonzero(known[:, part].any(axis=1))
            if len(rows):
                windows = _window(values[rows], start, length), _window(known[rows], start, length)
                inside = _window(np.ones((len(rows), steps)), start, length, network.patch_len)
                curve = self._in_batches(network, _reconstruct(network), windows[0], inside, windows[1])
                total[rows, part] += share[: part.stop - start] * curve[:, : part.stop - start]
                weight[rows, part] += share[: part.stop - start]
        return _joined(total, weight)

    def _in_batches(self, network: Any, call: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
        """Return `call` of arrays (n, samples), the first as one channel, in batches of equal size."""
        import torch

        n, target = len(arrays[0]), device_of(network)
        results = []
        with torch.no_grad():
            for first in range(0, n, self.batch_size):
                rows = np.arange(first, first + self.batch_size).clip(max=n - 1)
                window, *masks = (_tensor(array[rows], target) for array in arrays)
                results.append(call(window[:, None], *masks).double().cpu().numpy())
        return _finite(np.concatenate(results)[:n])


def window_starts(steps: int, length: int, overlap: float) -> np.ndarray:
    """Return where windows start, at equal distances: the first at 0, the last at the end of the series."""
    if steps <= length:
        return np.zeros(1, dtype=int)
    hop = max(1, int(length * (1 - overlap)))
    count = 1 + -(-(steps - length) // hop)
    return np.linspace(0, steps - length, count).round().astype(int)


def _window(array: np.ndarray, start: int, length: int, patch_len: int = 1) -> np.ndarray:
    """Return `length` columns from `start` on; past the end 0, but a patch begun is filled with 1."""
    part = array[:, start : start + length].astype(float)
    begun = -(-part.shape[1] // patch_len) * patch_len
    part = np.pad(part, ((0, 0), (0, begun - part.shape[1])), constant_values=1.0)
    return np.pad(part, ((0, 0), (0, length - begun)))


def _reconstruct(network: Any) -> Callable[..., Any]:
    def call(window: Any, padding: Any, shown: Any) -> Any:
        return network.reconstruct(window, padding, shown)[:, 0]

    return call


def _joined(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return weighted means (n, steps), joined by straight lines where there is no weight."""
    steps = np.arange(total.shape[1])
    mean = total / np.where(weight > 0, weight, 1)
    for row, covered in zip(mean, weight > 0, strict=True):
        if not covered.all():
            row[~covered] = np.interp(steps[~covered], steps[covered], row[covered])
    return mean


def _tuning_loss(
    values: np.ndarray,
    known: np.ndarray,
    target: np.ndarray,
    counted: np.ndarray,
    gaps: Gaps,
    hidden_only: bool,
) -> Loss:
    """Return the mean squared error in units of the targets' variance, on one window per recording."""
    unit = max(float(np.var(target[counted])), 1e-12)

    def loss(network: Any, rows: np.ndarray, rng: np.random.Generator) -> Any:
        length = network.seq_len
        starts = rng.integers(0, max(values.shape[1] - length, 0) + 1, len(rows))

        def windows(array: np.ndarray) -> np.ndarray:
            parts = [_window(array[[r]], s, length) for r, s in zip(rows, starts, strict=True)]
            return np.concatenate(parts)

        seen = windows(known) > 0
        hidden = draw_gaps(seen, gaps, rng)
        inside = _window(np.ones((len(rows), values.shape[1])), 0, length, network.patch_len)
        wanted = (windows(counted) > 0) & (hidden | (not hidden_only))
        usable = (seen & ~hidden).any(axis=1)  # where nothing is shown, there is no level
        to = device_of(network)
        if not (wanted & usable[:, None]).any():
            return network.head.linear.bias.sum() * 0.0
        batch = windows(values), inside, seen & ~hidden, windows(target), wanted
        window, padding, shown, aim, count = (_tensor(array[usable], to) for array in batch)
        error = network.reconstruct(window[:, None], padding, shown)[:, 0] - aim
        return (error.square() * count).sum() / count.sum() / unit

    return loss


def _tensor(array: np.ndarray, target: Any) -> Any:
    import torch

    return torch.as_tensor(array, dtype=torch.float32, device=target)


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise FloatingPointError("MOMENT returns values that are not finite")
    return values

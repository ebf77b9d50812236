"""What a training that was killed left behind, so that the same command goes on from there.

Whoever starts the work says where with `keep_in`; a method never sees the path. No torch until it is used.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERY_S = 60.0
"""Seconds between two checkpoints of one training; each is taken at the end of an epoch."""

Report = Callable[[int, int, str], None]
"""Called after each epoch with the epochs done, their number, and what they reached."""

log = logging.getLogger(__name__)


def _nobody(done: int, total: int, reached: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class _Place:
    folder: Path
    numbers: Iterator[int]
    report: Report


_place: ContextVar[_Place | None] = ContextVar("place of checkpoints", default=None)


@contextmanager
def keep_in(folder: Path, report: Report = _nobody) -> Iterator[None]:
    """Keep checkpoints of all networks trained inside this context in `folder`, and report each epoch.

    Networks are told apart by the order in which they are trained, which must be the same each time. The
    folder comes into being with the first checkpoint; taking it away is up to the caller. In other threads
    and processes than the caller's, nothing is kept.
    """
    token = _place.set(_Place(folder, itertools.count(1), report))
    try:
        yield
    finally:
        _place.reset(token)


class Checkpoint:
    """The checkpoint of the network that is trained next; outside `keep_in` it does nothing.

    Parameters
    ----------
    digest : str
        Of what decides the weights besides the folder, which stands for the data; a file with another one is
        not used.
    """

    def __init__(self, digest: str) -> None:
        place = _place.get()
        self._path = None if place is None else place.folder / f"network-{next(place.numbers)}.pt"
        self._digest = digest
        self.report = _nobody if place is None else place.report
        self._written = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self._path is not None and time.monotonic() - self._written >= EVERY_S

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last, on the CPU, or None; a file with something lost is warned about."""
        if self._path is None or not self._path.exists():
            return None
        import torch

        try:
            saved = torch.load(self._path, map_location="cpu", weights_only=True)
            digest, state = saved["digest"], saved["state"]
            if saved["outline"] != _outline(state):
                raise ValueError("something is missing")
        except (RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError):
            log.warning("the checkpoint %s is damaged: training starts over", self._path)
            return None
        return state if digest == self._digest else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint by `state`: tensors and numbers, in dicts and lists."""
        if self._path is None:
            return
        import torch

        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            torch.save({"digest": self._digest, "outline": _outline(state), "state": dict(state)}, draft)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        self._written = time.monotonic()


def _outline(state: Any) -> str:
    """Name all that is in a state, with shapes, so that a tensor that is not there is missed."""
    if isinstance(state, Mapping):
        return str({key: _outline(value) for key, value in state.items()})
    if isinstance(state, list):
        return str([_outline(value) for value in state])
    return str(getattr(state, "shape", ""))

"""Curves of a cohort that a recording's gaps are filled with: their level, their seams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ANCHOR_SAMPLES = 5
"""Observed samples beside a gap whose median misfit the curve has to meet: one sample is noise."""


def typical_size(observed: np.ndarray) -> np.ndarray:
    """Return the median of each recording's observed samples, shape (n, 1); 1 where that is 0.

    `observed` (n, T) is NaN where missing, and every recording has an observed sample.
    """
    median = np.nanmedian(observed, axis=1, keepdims=True)
    return np.where(median == 0, 1.0, median)


def check_length(observed: np.ndarray, curve: np.ndarray, name: str) -> None:
    """Refuse recordings (n, T) of another length than the fitted curve (T,).

    Raises
    ------
    ValueError
        If the lengths differ; `name` says which method was fitted.
    """
    if observed.shape[1] != len(curve):
        raise ValueError(f"recordings have {observed.shape[1]} samples; {name} was fitted on {len(curve)}")


def gaps(missing: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield each gap of a recording: its samples, and the observed samples beside it.

    Parameters
    ----------
    missing : ndarray of bool, shape (T,)
        At least one sample is observed.

    Yields
    ------
    samples : ndarray of int
        Positions of the gap.
    anchors : list of one or two ndarrays of int
        Positions of the nearest `ANCHOR_SAMPLES` observed samples, or what there is of them, before the gap
        and after it; a gap at an end of the recording has one side only.
    """
    known = np.flatnonzero(~missing)
    edges = np.diff(np.concatenate([[0], missing.astype(np.int8), [0]]))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        split = np.searchsorted(known, start)
        sides = known[max(split - ANCHOR_SAMPLES, 0) : split], known[split : split + ANCHOR_SAMPLES]
        yield np.arange(start, stop), [side for side in sides if len(side)]


def meet_observed(curve: np.ndarray, observed: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the curve (n, T), moved over each gap by a straight line between the misfits at its edges.

    The misfit at an edge is the median over the anchors there (see `gaps`); a gap with one edge is moved by a
    constant. Every recording has an observed sample.
    """
    moved = curve.copy()
    for row, lost, misfit in zip(moved, missing, observed - curve, strict=True):
        for samples, anchors in gaps(lost):
            at = [beside.mean() for beside in anchors]
            row[samples] += np.interp(samples, at, [np.median(misfit[beside]) for beside in anchors])
    return moved

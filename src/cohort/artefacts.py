"""Artefacts of a hand-held pupillometer, each sample labelled with its type."""

from __future__ import annotations

import numpy as np

from src.cohort.cohort import ARTEFACT_TYPES

_CODE = {name: code for code, name in enumerate(ARTEFACT_TYPES)}
_KINDS = np.array([_CODE[name] for name in ("blink", "spike", "loss", "step", "jitter")])
_FREQUENCY = np.array([0.62, 0.24, 0.04, 0.04, 0.06])  # of the kinds above among events
_MEDIAN_SHARE, _SD_LOG_SHARE = 0.028, 0.97  # spans 0.2 % to 38 % in about 500 recordings
_SMALLEST_SHARE, _LARGEST_SHARE = 0.002, 0.8


def add_artefacts(
    pupil: np.ndarray, rate_hz: float, light_edges_s: np.ndarray, load: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spoil recordings as the device and the eyelids do.

    The share of artefact samples is log-normal over recordings (0.2 % to 38 % in 500 of them). Kinds: blinks
    of 80 to 900 ms with 1 to 4 partial samples at each edge, crowded around light onsets and offsets; losses
    of 1 to 3 s; isolated spikes both ways; steps of the baseline; jitter; one to three constant read-out
    samples at the end.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Recordings without artefacts, in any unit of length.
    rate_hz : float
        Samples per second.
    light_edges_s : ndarray, shape (k,)
        Times in seconds around which blinks crowd.
    load : ndarray, shape (n,)
        Factor on each recording's share; 0 leaves the recording as it is.
    rng : Generator
        Source of chance.

    Returns
    -------
    spoilt : ndarray, shape (n, T)
        NaN where the pupil is fully lost; partial samples at the edges keep their wrong values.
    artefact_type : ndarray of int8, shape (n, T)
        Positions in `ARTEFACT_TYPES`.
    """
    n, length = pupil.shape
    share = load * _MEDIAN_SHARE * np.exp(_SD_LOG_SHARE * rng.standard_normal(n))
    tail = np.where(load > 0, rng.integers(1, 4, n), 0)
    share = np.clip(share, np.where(load > 0, _SMALLEST_SHARE, 0), _LARGEST_SHARE)
    budget = np.round(share * length) - tail
    kind, size = _draw_events(rng, budget, rate_hz)
    row, event = np.nonzero(size)
    kind, size = kind[row, event], size[row, event]
    start = _draw_starts(rng, kind, size, length, rate_hz, light_edges_s)

    spoilt, artefact_type = pupil.copy(), np.zeros((n, length), dtype=np.int8)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    of = np.repeat(np.arange(len(size)), size)
    column = start[of] + within
    clean = pupil[row[of], column]
    spoilt[row[of], column] = _values(rng, clean, kind, size, of, within)
    artefact_type[row[of], column] = kind[of]

    last = np.arange(length)[None] >= length - tail[:, None]
    constant = pupil.mean(axis=1) * rng.uniform(1.3, 2.2, n)
    spoilt[last] = np.repeat(constant, tail)
    artefact_type[last] = _CODE["readout"]
    return spoilt, artefact_type


def _draw_events(
    rng: np.random.Generator, budget: np.ndarray, rate_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw kinds and sizes in samples, shape (n, events); size 0 where the budget is spent."""
    n = len(budget)
    shape = (n, int(budget.max(initial=0) / 4) + 40)
    kind = _KINDS[np.searchsorted(np.cumsum(_FREQUENCY)[:-1], rng.random(shape))]
    blink_s = np.clip(0.18 * np.exp(0.5 * rng.standard_normal(shape)), 0.08, 0.9)
    seconds = {
        "blink": blink_s,
        "loss": rng.uniform(1.0, 3.0, shape),
        "step": rng.uniform(0.3, 2.0, shape),
        "jitter": rng.uniform(0.2, 1.5, shape),
    }
    size = np.ones(shape, dtype=int)  # a spike is one sample
    for name, length_s in seconds.items():
        size = np.where(kind == _CODE[name], np.maximum(np.rint(length_s * rate_hz), 2), size).astype(int)
    size[size > np.maximum(0.5 * budget[:, None], 1)] = (
        0  # one long event must not stand for a whole recording's share
    )
    size[np.cumsum(size, axis=1) > budget[:, None]] = 0
    return kind, size


def _draw_starts(
    rng: np.random.Generator,
    kind: np.ndarray,
    size: np.ndarray,
    length: int,
    rate_hz: float,
    edges_s: np.ndarray,
) -> np.ndarray:
    """Place events anywhere, and 45 % of the blinks within seconds of a light's onset or offset."""
    anywhere = rng.integers(0, np.maximum(length - size, 1))
    near = rng.choice(edges_s, len(size)) + rng.exponential(1.5, len(size)) - 0.3
    near = np.clip(np.rint(near * rate_hz).astype(int), 0, np.maximum(length - size, 0))
    crowded = (kind == _CODE["blink"]) & (rng.random(len(size)) < 0.45)
    return np.where(crowded, near, anywhere)


def _values(
    rng: np.random.Generator,
    clean: np.ndarray,
    kind: np.ndarray,
    size: np.ndarray,
    of: np.ndarray,
    within: np.ndarray,
) -> np.ndarray:
    """Return the recorded value of each artefact sample; `of` is its event, `within` its place therein."""
    n = len(size)
    spike = rng.choice([-1, 1], n, p=[0.65, 0.35]) * rng.uniform(0.08, 0.45, n)
    step = rng.choice([-1, 1], n) * rng.uniform(0.05, 0.2, n)
    jitter = rng.uniform(0.03, 0.1, n)[of] * rng.standard_normal(len(of))
    factor = {
        "blink": _lid(rng, size, of, within),
        "spike": 1 + spike[of],
        "step": 1 + step[of],
        "jitter": 1 + jitter,
    }
    factor["loss"] = factor["blink"]
    out = clean.copy()
    for name, by in factor.items():
        out = np.where(kind[of] == _CODE[name], clean * by, out)
    return out


def _lid(rng: np.random.Generator, size: np.ndarray, of: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the visible share: 1 to 4 steep partial samples at each edge, NaN between them."""
    edge = np.minimum(rng.integers(1, 5, (2, len(size))), np.maximum(size // 2, 1))
    closing = (within + rng.uniform(0.4, 1.0, len(of))) / (edge[0][of] + 0.5)
    opening = (size[of] - 1 - within + rng.uniform(0.4, 1.0, len(of))) / (edge[1][of] + 0.5)
    partial = (within < edge[0][of]) | (size[of] - 1 - within < edge[1][of])
    return np.where(partial, np.clip(1 - np.minimum(closing, opening), 0.03, 0.95), np.nan)

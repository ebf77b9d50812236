"""Pupil traces as the unsupervised detectors describe them; half of a recording may be spoilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import median_filter
from scipy.special import ndtr, ndtri

NOISE_FLOOR = 1e-3
"""Smallest noise SD assumed, as a share of the pupil's size: 0.1 % is below any pupillometer's resolution."""

SMALLEST_SIZE = 0.01
"""Smallest relative size told apart from 0."""

LEAST_OPEN = 0.3
"""Light leaves a pupil more than this share of its resting size (deepest constriction in seven recordings of
the device: 63 %). What reads smaller is not learned from."""

PLAUSIBLE_SD = 3.0
"""Distance from the surroundings, in SDs of the noise, up to which a sample is taken as it is."""

CORE = 0.05
"""Share of the distances, the smallest, that `core_scale` starts from. Where half of the samples, at random,
are artefacts, an eighth of all triplets of neighbours is clean; where 60 % are, a sixteenth."""

SD_PER_MAD = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation (Hampel 1974)."""

_WIDE_SD, _NARROW_SD = 2.5, 1.5
_BEND_GAIN = np.sqrt(6.0)  # SD of the second difference of white noise of SD 1
_FEWEST_IN_CORE = 20
_FEWEST_BENDS = 60  # no noise can be told from fewer
_STRAIGHT = 1e-9  # a second difference that is 0 but for rounding


@dataclass(frozen=True)
class Traces:
    """Recordings in relative units.

    Parameters
    ----------
    size : ndarray, shape (n, 1)
        Each recording's typical size, at rest, in the signal's unit.
    level : ndarray, shape (n, T)
        Size divided by the recording's typical size, minus 1: 0 at rest, -1 where the eye is closed. Lost
        samples are filled linearly.
    noise : ndarray, shape (n, 1)
        SD of the sample-to-sample noise, as a share of the pupil's size; at least `NOISE_FLOOR`.
    around : ndarray, shape (n, T)
        Level of each sample's surroundings.
    trusted : ndarray of bool, shape (n, T)
        Samples that look like an undisturbed pupil, to be learned from; others may be as good.
    """

    size: np.ndarray
    level: np.ndarray
    noise: np.ndarray
    around: np.ndarray
    trusted: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Distance of each sample from its surroundings, in SDs of the noise, shape (n, T)."""
        return (self.level - self.around) / self.noise

    @property
    def plausible(self) -> np.ndarray:
        """`deviation` cut at +-`PLAUSIBLE_SD` (Winsorised): what a sample's neighbours are told of it."""
        return np.clip(self.deviation, -PLAUSIBLE_SD, PLAUSIBLE_SD)


def read_traces(pupil: np.ndarray, median_window: int) -> Traces:
    """Find size, noise and surroundings in the quiet stretches of every recording.

    Where half of the samples are artefacts, medians over all samples break down. So the noise is the core
    scale (`core_scale`) of the second difference, which ignores slopes, and a sample is quiet where its
    second difference is within 2.5 SDs. Lost samples and sizes of 0 and below tell nothing about noise, nor
    do more straight lines than the values' steps explain: these are held or interpolated. The typical size
    is the upper quartile of the quiet samples: what is lost reads low, and the pupil is constricted less
    than half of the time. Surroundings are the running median of the quiet samples, filled linearly between
    them. Trusted are the quiet samples within `PLAUSIBLE_SD` of that, and they give the surroundings once
    more.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Signal in any unit of size; needs at least 3 samples per recording.
    median_window : int
        Samples in the running median.
    """
    bend = _bends(pupil)
    noise = np.array([_noise(*rows) for rows in zip(bend, pupil, strict=True)])[:, None]
    quiet = bend <= _WIDE_SD * _BEND_GAIN * noise
    size = np.array([_typical_size(*rows) for rows in zip(pupil, quiet, strict=True)])[:, None]
    quiet &= pupil > LEAST_OPEN * size
    level = fill_lost(pupil) / size - 1.0
    trusted = quiet & (np.abs(level - surroundings(level, quiet, median_window)) <= PLAUSIBLE_SD * noise)
    return Traces(size, level, noise, surroundings(level, trusted, median_window), trusted)


def core_scale(distances: np.ndarray, resolution: float = 0.0) -> float:
    """Return the SD of the normal distribution that the smallest distances come from, whatever the rest is.

    The smallest distances, a share `CORE` of all, are held against the quantile they should be among the
    clean ones, those within 2.5 SDs, by iteration from above (iterative k-th ordered scale estimator, IKOSE;
    Wang, Chin & Suter 2012, IEEE TPAMI 34:1177). From there the same goes on with half of the clean ones, now
    those within 1.5 SDs: the median absolute deviation of the clean alone, less at the mercy of a few small
    distances. (With 2.5 SDs it runs away where artefacts are 40 % as dense as the clean around 0; with 1.5
    SDs it is two thirds too large where they are 70 % as dense.) So more than half of all distances may be
    outliers, as long as they are spread wide.

    Parameters
    ----------
    distances : ndarray, shape (m,)
        Absolute distances from 0, at least one.
    resolution : float
        Step in which distances are measured: k steps stand for k - 1/2 to k + 1/2 of them.
    """
    ordered = np.sort(distances)
    core = min(max(CORE * len(ordered), _FEWEST_IN_CORE), len(ordered) / 2)
    clean, before = float(len(ordered)), np.inf
    while clean < before:
        scale, before = _ordered_scale(ordered, core, clean, resolution), clean
        clean = _count_clean(ordered, scale, _WIDE_SD)
    clean = _count_clean(ordered, scale, _NARROW_SD)
    growing = shrinking = True
    while growing or shrinking:
        scale, before = _ordered_scale(ordered, clean / 2, clean, resolution), clean
        clean = _count_clean(ordered, scale, _NARROW_SD)
        growing, shrinking = growing and clean > before, shrinking and clean < before
    return scale


def _ordered_scale(ordered: np.ndarray, k: float, clean: float, resolution: float) -> float:
    """Return the SD by the k-th of `clean` ordered distances."""
    edge = ordered[max(int(np.ceil(k)), 1) - 1] + resolution / 2
    held = np.searchsorted(ordered, edge, side="right")
    return float(edge / ndtri((1 + min(held / clean, _normal_share(_WIDE_SD))) / 2))


def _count_clean(ordered: np.ndarray, scale: float, within_sd: float) -> float:
    """Return how many distances are clean, by how many of them are within so many SDs."""
    within = np.searchsorted(ordered, within_sd * scale, side="right")
    return min(within / _normal_share(within_sd), float(len(ordered)))


def _normal_share(within_sd: float) -> float:
    return float(2 * ndtr(within_sd) - 1)


def measured(pupil: np.ndarray) -> np.ndarray:
    """Return the signal, same shape, NaN where no pupil was measured: not finite, or not above 0."""
    return np.where(np.isfinite(pupil) & (pupil > 0), pupil, np.nan)


def smallest_mad(pupil: np.ndarray) -> np.ndarray:
    """Return the smallest median absolute deviation to be believed in each recording.

    Where more than half of the samples compared are equal (held, or measured in coarse steps) the median
    absolute deviation is 0, and everything else would be an outlier. It is at least `NOISE_FLOOR` of the
    recording's median size, and half a step: a deviation of 0 steps stands for up to that.

    Parameters
    ----------
    pupil : ndarray, shape (n, T)
        Signal in any unit of size, NaN where lost.

    Returns
    -------
    ndarray, shape (n, 1)
        In the signal's unit; 0 where nothing is measured.
    """
    return np.array([_smallest_mad(row[np.isfinite(row)]) for row in pupil])[:, None]


def _smallest_mad(sizes: np.ndarray) -> float:
    """Return one recording's smallest deviation to be believed, from its measured sizes."""
    return float(np.median(sizes)) * max(NOISE_FLOOR, _resolution(sizes) / 2) if len(sizes) else 0.0


def fill_lost(pupil: np.ndarray) -> np.ndarray:
    """Return the signal (n, T), what is not finite filled linearly; 0 where nothing is finite."""
    return _fill(np.array(pupil, dtype=float), np.isfinite(pupil), empty=0.0)


def log_size(level: np.ndarray) -> np.ndarray:
    """Return the logarithm of the relative size, same shape; what is lost reads 0 or below, and is capped."""
    return np.log(np.maximum(1.0 + level, SMALLEST_SIZE))


def sample_features(traces: Traces, size_scale: float) -> np.ndarray:
    """Describe every sample of every recording by three numbers.

    Parameters
    ----------
    traces : Traces
    size_scale : float
        Difference in log size that counts as one unit.

    Returns
    -------
    ndarray, shape (n, T, 3)
        Log size (a long loss is only seen here); distance from the surroundings (blinks, spikes); the
        smaller of the steps from the sample before and after (large inside jitter and at a blink's edges,
        small on the good neighbour of an artefact). The last two in SDs of the noise, compressed by arcsinh
        so that hippus and constriction, a few SDs at most, are not dwarfed. Neighbours count as `plausible`,
        so that a good sample between two artefacts does not pay for them.
    """
    own, told = traces.deviation, traces.plausible
    slope = np.diff(traces.around / traces.noise, axis=1)
    before = np.pad(np.abs(own[:, 1:] - told[:, :-1] + slope), ((0, 0), (1, 0)), mode="edge")
    after = np.pad(np.abs(told[:, 1:] - own[:, :-1] + slope), ((0, 0), (0, 1)), mode="edge")
    size = log_size(traces.level) / size_scale
    return np.stack([size, np.arcsinh(own), np.arcsinh(np.minimum(before, after))], axis=-1)


def sample_windows(traces: Traces, window: int) -> np.ndarray:
    """Describe every sample by the subsequence around it.

    Parameters
    ----------
    traces : Traces
    window : int
        Samples in a subsequence, odd.

    Returns
    -------
    ndarray, shape (n, T, window + 1)
        Distances from the surroundings in SDs of the noise, the sample's own in the middle as it is, its
        neighbours' as `plausible`, so that the window speaks of this sample; last the sample's log size (a
        flat loss differs in nothing else).
    """
    half = window // 2
    padded = np.pad(traces.plausible, ((0, 0), (half, half)), mode="reflect")
    windows = sliding_window_view(padded, window, axis=1).copy()
    windows[:, :, half] = traces.deviation
    return np.concatenate([windows, log_size(traces.level)[:, :, None]], axis=-1)


def _bends(pupil: np.ndarray) -> np.ndarray:
    """Return |second difference| as a share of the size (n, T); NaN where it tells nothing about noise."""
    triplets = sliding_window_view(measured(pupil), 3, axis=1)
    bends = np.abs(triplets @ [1.0, -2.0, 1.0]) / triplets.mean(axis=-1)
    for bend, row in zip(bends, pupil[:, 1:-1], strict=True):
        straight = bend < _STRAIGHT
        if straight.sum() > 2 * _expected_straight(bend[bend >= _STRAIGHT], row[bend >= _STRAIGHT]):
            bend[straight] = np.nan  # held or interpolated
    return np.pad(bends, ((0, 0), (1, 1)), constant_values=np.nan)


def _expected_straight(bends: np.ndarray, sizes: np.ndarray) -> float:
    """Return how many second differences of 0 are to be expected beside others, as values come in steps."""
    if not len(bends):
        return 0.0
    share = _normal_share(_resolution(sizes) / 2 / core_scale(bends))
    return float(share / (1 - share) * len(bends))


def _resolution(sizes: np.ndarray) -> float:
    """Return the smallest step between sizes, as a share of the median size."""
    return float(np.diff(np.unique(sizes)).min(initial=np.inf) / np.median(sizes)) if np.ptp(sizes) else 0.0


def _noise(bends: np.ndarray, pupil: np.ndarray) -> float:
    """Return one recording's noise SD as a share of its size."""
    known = np.isfinite(bends)
    if known.sum() < _FEWEST_BENDS:
        return NOISE_FLOOR
    return max(core_scale(bends[known], _resolution(pupil[known])) / _BEND_GAIN, NOISE_FLOOR)


def _typical_size(pupil: np.ndarray, quiet: np.ndarray) -> float:
    """Return one recording's size at rest; where nothing is quiet, of what is there; 1 where nothing is."""
    among = quiet if quiet.any() else np.isfinite(pupil) & (pupil > 0)
    return float(np.quantile(pupil[among], 0.75)) if among.any() else 1.0


def surroundings(level: np.ndarray, known: np.ndarray, window: int) -> np.ndarray:
    """Return the running median (n, T) of the known samples, or of all in a recording that has none.

    Parameters
    ----------
    level : ndarray, shape (n, T)
    known : ndarray of bool, shape (n, T)
        What is not known is filled linearly first.
    window : int
        Samples in the running median.
    """
    known = known | ~known.any(axis=1, keepdims=True)
    return median_filter(_fill(level.copy(), known, empty=0.0), size=(1, window), mode="mirror")


def _fill(signal: np.ndarray, known: np.ndarray, empty: float) -> np.ndarray:
    """Fill a signal (n, T) in place, linearly between its known samples; `empty` where there are none."""
    samples = np.arange(signal.shape[1])
    for row, there in zip(signal, known, strict=True):
        row[~there] = np.interp(samples[~there], samples[there], row[there]) if there.any() else empty
    return signal

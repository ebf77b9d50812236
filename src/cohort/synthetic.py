"""Synthetic cohort: two linear systems driven by two ramps of light, hippus, noise and labelled artefacts.

Nothing here was tuned to a table of method results. The free numbers are the spread between subjects and
the size of the deficit, set so that logistic regression on the features of the clean signals separates the
classes with an AUROC of 0.90 to 0.94, as the study's own does (Najjar et al. 2023, 0.94).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from src.cohort.artefacts import add_artefacts
from src.cohort.cohort import Cohort, CohortError
from src.cohort.subjects import anonymise

RATE_HZ = 30
N_SAMPLES = 1981
LIGHT_S = {"blue": (15.5, 24.5), "red": (46.5, 55.5)}
"""Onset and offset of the study's two ramps (Najjar et al. 2023)."""

_RAMP_EXPONENT = 3.0  # of the device's own LED drive over its 9 s
_HEALTHY = (55.2, 26.7)  # median age and interquartile range, controls (Najjar et al. 2023)
_GLAUCOMA = (68.5, 13.6)  # the same, patients
_AGE_LIMITS = (20.0, 90.0)
_SMALLEST_MM = 1.5  # the iris does not close further, and slows down before
_SLOWING_MM = 0.25


@dataclass(frozen=True)
class _Eyes:
    """What differs between recordings; every array has shape (n,). Gains are shares of the baseline."""

    baseline_mm: np.ndarray
    latency_s: np.ndarray
    threshold: np.ndarray
    fast: dict[str, np.ndarray]
    slow: dict[str, np.ndarray]
    tonic: np.ndarray
    tau_fast_s: np.ndarray
    tau_adapt_s: np.ndarray
    tau_slow_s: np.ndarray


def generate(
    n_recordings: int = 507,
    n_controls: int = 152,
    n_glaucoma: int = 56,
    effect: float = 1.0,
    artefact_load: float = 1.0,
    glaucoma_load_factor: float = 1.0,
    seed: int = 0,
) -> Cohort:
    """Make a cohort of pupil responses to a blue and a red ramp, with everything about them known.

    Clean signal: baseline times (1 - response) plus hippus. The response is the sum of a fast system with
    adaptation (phasic and cone-driven tonic part) and a slow melanopsin system that outlasts blue light
    (PMC4993463), both linear and time-invariant (PMC4993241), driven by the log-compressed ramp after a
    latency of 0.2 to 0.3 s. Constriction of healthy eyes follows bmcophthalmol 1471-2415-12-4. Glaucoma
    reduces the slow and tonic parts in proportion to severity, more for blue, and leaves the phasic part
    nearly intact (PMC3080733; Rukmini et al. 2015). The recorded signal adds sample noise of 0.5 to 2 % of
    the baseline and artefacts (see `add_artefacts`); noise is not part of the clean signal, hippus is.

    Parameters
    ----------
    n_recordings : int
        Recordings in all, one per subject; those beyond controls and glaucoma have no diagnosis and are
        drawn from the same mixture of the two.
    n_controls, n_glaucoma : int
        Subjects with a diagnosis.
    effect : float, at least 0
        1 is the study's difference between the classes. At 0 signals, ages and artefact loads have the same
        distribution in both classes, so that only chance can tell them apart.
    artefact_load : float, at least 0
        Factor on each recording's share of artefact samples (median 3 % at 1).
    glaucoma_load_factor : float, above 0
        Further factor on that share for glaucoma; at 1 artefacts tell nothing about the class.
    seed : int
        The same seed and parameters give the same cohort.

    Returns
    -------
    Cohort
        In mm at 30 Hz for 66 s, source 'synthetic', in an order that tells nothing about the class, with
        truth mask, clean signal and artefact types. `severity` is 0 in controls and up to 1 in glaucoma.

    Raises
    ------
    CohortError
        If a parameter is out of range.
    """
    _check(n_recordings, n_controls, n_glaucoma, effect, artefact_load, glaucoma_load_factor)
    rng = np.random.default_rng(seed)
    label = np.full(n_recordings, np.nan)
    label[:n_controls], label[n_controls : n_controls + n_glaucoma] = 0.0, 1.0
    prevalence = n_glaucoma / max(n_controls + n_glaucoma, 1)
    sick = np.where(np.isnan(label), rng.random(n_recordings) < prevalence, label == 1)
    severity = np.where(sick, rng.beta(3.0, 1.5, n_recordings), 0.0)
    age = _ages(rng, sick, effect)

    time = np.arange(N_SAMPLES) / RATE_HZ
    eyes = _draw_eyes(rng, age, effect * severity)
    truth = _clean_signal(rng, time, eyes)
    noisy = truth + _noise_sd(rng, eyes)[:, None] * rng.standard_normal(truth.shape)
    load = artefact_load * np.where(sick, glaucoma_load_factor**effect, 1.0)
    edges = np.array([edge for pair in LIGHT_S.values() for edge in pair])
    pupil, artefact_type = add_artefacts(noisy, RATE_HZ, edges, load, rng)

    subjects, rows = _subjects(rng, label, age, severity)
    return Cohort(
        time=time,
        pupil=np.round(pupil[rows], 3),  # a camera's resolution, and it compresses
        light={colour: np.tile(edges_s, (n_recordings, 1)) for colour, edges_s in LIGHT_S.items()},
        subjects=subjects,
        unit="mm",
        source="synthetic",
        truth_mask=artefact_type[rows] > 0,
        truth_pupil=np.round(truth[rows], 4),
        artefact_type=artefact_type[rows],
    )


def generate_hippus(time: np.ndarray, n_recordings: int, seed: int) -> Cohort:
    """Make recordings of healthy eyes in the dark: hippus, slow drift and sample noise, and no artefact.

    Whatever a detector flags here is a false alarm: spontaneous changes of the pupil are signal.

    Parameters
    ----------
    time : ndarray, shape (T,)
        Seconds, of any length and rate.
    n_recordings : int
        One per subject.
    seed : int
        The same seed and parameters give the same recordings.

    Returns
    -------
    Cohort
        In mm, as `generate` makes them but without light; subjects are blind (`Cohort.blind`).
    """
    rng = np.random.default_rng(seed)
    eyes = _draw_eyes(rng, _ages(rng, np.zeros(n_recordings, dtype=bool), 0.0), np.zeros(n_recordings))
    since_start = time - time[0]
    grid = np.arange(max(N_SAMPLES, int(np.ceil(since_start[-1] * RATE_HZ)) + 1)) / RATE_HZ
    waves = _spontaneous(rng, np.zeros((n_recordings, len(grid))), eyes)
    truth = np.array([np.interp(since_start, grid, wave) for wave in waves])
    pupil = truth + _noise_sd(rng, eyes)[:, None] * rng.standard_normal(truth.shape)
    clean = np.zeros(truth.shape, dtype=np.int8)
    return Cohort(
        time=time.copy(),
        pupil=np.round(pupil, 3),
        light={},
        subjects=pd.DataFrame(index=range(n_recordings)),
        unit="mm",
        source="synthetic",
        truth_mask=clean.astype(bool),
        truth_pupil=np.round(truth, 4),
        artefact_type=clean,
    ).blind()


def _check(n: int, controls: int, glaucoma: int, effect: float, load: float, factor: float) -> None:
    """Refuse parameters that describe no cohort."""
    if min(controls, glaucoma) < 0 or n < max(controls + glaucoma, 1):
        raise CohortError(
            f"n_recordings is {n}, n_controls {controls}, n_glaucoma {glaucoma}; "
            "expected counts of at least 0 whose sum is at most n_recordings"
        )
    if effect < 0 or load < 0 or factor <= 0:
        raise CohortError(
            f"effect is {effect}, artefact_load {load}, glaucoma_load_factor {factor}; "
            "expected at least 0, at least 0, above 0"
        )


def _subjects(
    rng: np.random.Generator, label: np.ndarray, age: np.ndarray, sev: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Name and order the subjects; 70 % of them, at random, make the split 'train'."""
    n = len(label)
    table = pd.DataFrame({"original": [f"{i:07d}" for i in range(n)], "label": label, "age": age})
    table["split"] = np.where(rng.permutation(n) < round(0.7 * n), "train", "test")
    table["eye"], table["order"], table["severity"] = None, 0, sev
    return anonymise(table)


def _ages(rng: np.random.Generator, sick: np.ndarray, effect: float) -> np.ndarray:
    """Draw ages in whole years from the truncated normal distribution of each class."""
    median = np.where(sick, _HEALTHY[0] + effect * (_GLAUCOMA[0] - _HEALTHY[0]), _HEALTHY[0])
    iqr = np.where(sick, _HEALTHY[1] + min(effect, 1.0) * (_GLAUCOMA[1] - _HEALTHY[1]), _HEALTHY[1])
    sd = iqr / 1.349
    low, high = (ndtr((limit - median) / sd) for limit in _AGE_LIMITS)
    return np.round(median + sd * ndtri(low + (high - low) * rng.random(len(sick))))


def _lognormal(rng: np.random.Generator, n: int, median: float, sd_log: float) -> np.ndarray:
    return median * np.exp(sd_log * rng.standard_normal(n))


def _draw_eyes(rng: np.random.Generator, age: np.ndarray, deficit: np.ndarray) -> _Eyes:
    """Draw what differs between eyes; `deficit` is 0 in a healthy eye and 1 at full severity."""
    n = len(age)
    gain = _lognormal(rng, n, 1.0, 0.20)
    fast = gain * _lognormal(rng, n, 1.0, 0.03)
    slow = gain * _lognormal(rng, n, 1.0, 0.09)
    return _Eyes(
        baseline_mm=np.clip(5.0 - 0.012 * (age - 60) + 0.75 * rng.standard_normal(n), 3.0, 7.8),
        latency_s=np.clip(0.25 + 0.025 * rng.standard_normal(n), 0.18, 0.35),
        threshold=_lognormal(rng, n, 0.0012, 0.9),
        fast={"blue": 0.48 * fast, "red": 0.52 * fast * _lognormal(rng, n, 1.0, 0.03)},
        slow={
            "blue": 0.35 * slow * (1 - 0.60 * np.minimum(deficit, 1.6)),
            "red": 0.13 * slow * (1 - 0.40 * np.minimum(deficit, 1.6)),
        },
        tonic=np.clip(0.60 + 0.04 * rng.standard_normal(n) - 0.11 * deficit, 0.2, 0.9),
        tau_fast_s=_lognormal(rng, n, 0.60, 0.25),
        tau_adapt_s=_lognormal(rng, n, 2.5, 0.2),
        tau_slow_s=_lognormal(rng, n, 6.0, 0.5),
    )


def _clean_signal(rng: np.random.Generator, time: np.ndarray, eyes: _Eyes) -> np.ndarray:
    """Return the pupil in mm without noise or artefacts, shape (n, T)."""
    response = np.zeros((len(eyes.baseline_mm), len(time)))
    for colour, (onset, offset) in LIGHT_S.items():
        drive = _drive(time[None] - onset - eyes.latency_s[:, None], offset - onset, eyes.threshold[:, None])
        response += eyes.fast[colour][:, None] * _fast_system(drive, eyes)
        smooth = _low_pass(drive, np.full(len(drive), 1.2))
        reached = -np.expm1(-(offset - onset) / eyes.tau_slow_s)  # so that persistence and size are separate
        response += (eyes.slow[colour] / reached)[:, None] * _low_pass(smooth, eyes.tau_slow_s)
    return _spontaneous(rng, response, eyes)


def _spontaneous(rng: np.random.Generator, response: np.ndarray, eyes: _Eyes) -> np.ndarray:
    """Return the pupil in mm that responds to light so and moves by itself, shape (n, T)."""
    n, length = response.shape
    f = np.fft.rfftfreq(2 * length, 1 / RATE_HZ)  # so that the end does not wrap round to the start
    hippus = _oscillation(rng, response.shape, _hippus_power(rng, n, f), (0.05, 0.085, 0.2))
    drift = _oscillation(rng, response.shape, _drift_power(f), (0.03, 0.08, 0.3))
    open_share = 1 - np.maximum(response, 0)
    pupil = eyes.baseline_mm[:, None] * open_share + open_share * (hippus + drift)
    return _SMALLEST_MM + _SLOWING_MM * np.logaddexp(0, (pupil - _SMALLEST_MM) / _SLOWING_MM)


def _drive(since_onset: np.ndarray, length_s: float, threshold: np.ndarray) -> np.ndarray:
    """Compress an exponential ramp of irradiance logarithmically above a threshold; 0 to 1, 0 when off."""
    on = (since_onset >= 0) & (since_onset <= length_s)
    ramp = np.expm1(_RAMP_EXPONENT * np.where(on, since_onset, 0) / length_s) / np.expm1(_RAMP_EXPONENT)
    return np.where(on, np.log1p(ramp / threshold) / np.log1p(1 / threshold), 0.0)


def _low_pass(drive: np.ndarray, tau_s: np.ndarray) -> np.ndarray:
    """Pass through a first-order system of unit gain, with one time constant per recording."""
    out = np.empty_like(drive)
    state, step = np.zeros(len(drive)), -np.expm1(-1 / (RATE_HZ * tau_s))
    for k in range(drive.shape[1]):
        state = state + step * (drive[:, k] - state)
        out[:, k] = state
    return out


def _fast_system(drive: np.ndarray, eyes: _Eyes) -> np.ndarray:
    """Second-order rise, then adaptation down to the tonic share."""
    rise = _low_pass(_low_pass(drive, eyes.tau_fast_s), eyes.tau_fast_s)
    adapted = _low_pass(rise, eyes.tau_adapt_s)
    return rise - (1 - eyes.tonic[:, None]) * adapted


def _noise_sd(rng: np.random.Generator, eyes: _Eyes) -> np.ndarray:
    """Draw the SD of each recording's sample noise in mm, shape (n,)."""
    n = len(eyes.baseline_mm)
    return eyes.baseline_mm * np.clip(_lognormal(rng, n, 0.0095, 0.38), 0.004, 0.045)


def _hippus_power(rng: np.random.Generator, n: int, f: np.ndarray) -> np.ndarray:
    """1/f power with a weak line near 0.2 Hz that drifts; `f` in Hz."""
    line = rng.uniform(0.15, 0.25, (n, 1))
    band = (f > 0.03) / np.maximum(f, 0.03) / (1 + (f / 0.4) ** 4)
    return band + 6.0 * np.exp(-(((f - line) / 0.02) ** 2))


def _drift_power(f: np.ndarray) -> np.ndarray:
    """Slow change of arousal over tens of seconds; `f` in Hz."""
    return ((f > 0) & (f <= 0.03)).astype(float)


def _oscillation(
    rng: np.random.Generator, shape: tuple[int, int], power: np.ndarray, sd_mm: tuple[float, float, float]
) -> np.ndarray:
    """Draw a spontaneous change in mm; its SD is log-normal, given as (least, median, largest)."""
    n, length = shape
    white = np.fft.rfft(rng.standard_normal((n, 2 * length)))
    wave = np.fft.irfft(white * np.sqrt(power), 2 * length)[:, :length]
    least, median, largest = sd_mm
    sd = np.clip(_lognormal(rng, n, median, 0.4), least, largest)
    return wave * (sd / wave.std(axis=1))[:, None]

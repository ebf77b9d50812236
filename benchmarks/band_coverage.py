"""How often the bands of calibration and risk-coverage curves hold the truth, point by point.

208 subjects, 56 of them cases, with a normal score; predictions are calibrated, too extreme or too timid, in
a known way. The truth at a prediction is the share of cases among all subjects with that prediction. The
predictions are taken as given, as the bands do: what a model of another sample would say is not asked.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks import Row, at_least, at_most
from src.evaluation.selective import retention_curve
from src.evaluation.smooth import loess_band

N_CONTROLS, N_CASES = 152, 56
N_SAMPLES, SEED = 2000, 20260101
AUROCS = (0.65, 0.8, 0.91)
CALIBRATED = (0.0, 1.0)
DISTORTIONS = {"calibrated": CALIBRATED, "too extreme": (-0.3, 0.6), "too timid": (0.2, 1.6)}
"""Intercept and slope of the true calibration curve on the logit scale."""

PLACES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantiles of the predictions where the calibration curve is held against the truth."""

N_KEPT = 10
LOSSES = ("error", "brier")
SCATTER = 0.4  # of the scores of two recordings of one subject


def sample(
    auroc: float, intercept: float, slope: float, rng: np.random.Generator, n_recordings: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw subjects; return labels, predictions and the subject of each recording.

    The share of cases among all with prediction p is expit(intercept + slope logit p).

    Parameters
    ----------
    auroc : float
        Of the score of a subject, in the population.
    intercept, slope : float
        Of the calibration curve.
    rng : Generator
    n_recordings : int
        Recordings per subject; their number in total stays. Several have scores around the subject's own.
    """
    n_cases, n_controls = N_CASES // n_recordings, N_CONTROLS // n_recordings
    y = np.repeat([0, 1], [n_controls, n_cases])
    distance = np.sqrt(2) * norm.ppf(auroc)
    score = np.repeat(rng.standard_normal(y.size) + distance * y, n_recordings)
    variance = 1.0
    if n_recordings > 1:
        score += SCATTER * rng.standard_normal(score.size)
        variance += SCATTER**2
    true = (distance * score - distance**2 / 2) / variance + np.log(n_cases / n_controls)
    subject = np.repeat(np.arange(y.size), n_recordings)
    return y[subject], expit((true - intercept) / slope), subject


def calibration_held(
    auroc: float, distortion: tuple[float, float], rng: np.random.Generator, n_recordings: int = 1
) -> np.ndarray:
    """Draw a sample; return at each of `PLACES` whether the band, half of it, and the band that takes every
    recording for a subject, hold the truth: (3, k).
    """
    y, p, subject = sample(auroc, *distortion, rng, n_recordings)
    places = np.quantile(p, PLACES)
    truth = expit(distortion[0] + distortion[1] * logit(places))
    curve, lo, hi = loess_band(y, p, places, subject)
    _, lo_single, hi_single = loess_band(y, p, places)
    half = ((curve + lo) / 2 <= truth) & (truth <= (curve + hi) / 2)
    return np.array([(lo <= truth) & (truth <= hi), half, (lo_single <= truth) & (truth <= hi_single)])


def retention_held(
    auroc: float, distortion: tuple[float, float], rng: np.random.Generator, n_recordings: int = 1
) -> np.ndarray:
    """Draw a sample; return for each share kept whether the bands of error and Brier hold the truth: (2, k).

    The truth is the expected loss of the very predictions that are kept.
    """
    y, p, subject = sample(auroc, *distortion, rng, n_recordings)
    share = expit(distortion[0] + distortion[1] * logit(p))
    curve = retention_curve(y, p, N_KEPT, subject)
    order = np.argsort(-np.maximum(p, 1 - p), kind="stable")
    kept = np.rint(curve["retained"] * p.size).astype(int)
    expected = {
        "error": np.where(p >= 0.5, 1 - share, share),
        "brier": (p - share) ** 2 + share * (1 - share),
    }
    held = []
    for name in LOSSES:
        truth = (np.cumsum(expected[name][order]) / np.arange(1, p.size + 1))[kept - 1]
        held.append((curve[f"{name}_lo"] <= truth) & (truth <= curve[f"{name}_hi"]))
    return np.array(held)


def run(quick: bool) -> list[Row]:
    """Simulate 2000 samples (`quick`: 100) per AUROC and kind of miscalibration.

    Nothing is asked where predictions are miscalibrated: a smoother misses a steep end of the curve.
    """
    n = 100 if quick else N_SAMPLES
    rows = []
    for auroc in AUROCS:
        for name, distortion in DISTORTIONS.items():
            asked = distortion == CALIBRATED and not quick
            rows += _calibration_rows(f"AUROC {auroc:g}, {name}", auroc, distortion, n, asked)
    rows += _two_recordings(n, not quick)
    return rows + [row for auroc in AUROCS for row in _retention_rows(auroc, n, not quick)]


def _calibration_rows(
    about: str, auroc: float, distortion: tuple[float, float], n: int, asked: bool
) -> list[Row]:
    rng = np.random.default_rng(SEED)
    held = np.mean([calibration_held(auroc, distortion, rng) for _ in range(n)], axis=0)
    where = f"{about}: calibration curve"
    rows = [_enough(where, held[0], asked)]
    if asked:
        rows.append(at_most(f"{where}, half the band", held[1].mean(), 0.9))
    return rows + [Row(f"{where}, at {q:.0%} of p", share) for q, share in zip(PLACES, held[0], strict=True)]


def _enough(measure: str, shares: np.ndarray, asked: bool) -> Row:
    """Ask for 0.92 on average; that a band is not far too wide shows in what half of it covers."""
    mean = float(shares.mean())
    return at_least(measure, mean, 0.92) if asked else Row(measure, mean)


def _two_recordings(n: int, asked: bool) -> list[Row]:
    rng = np.random.default_rng(SEED)
    held = np.mean([calibration_held(0.8, CALIBRATED, rng, 2) for _ in range(n)], axis=0)
    about = "AUROC 0.8, two recordings each"
    single = Row(f"{about}: calibration curve, taken for subjects of their own", held[2].mean())
    losses = np.mean([retention_held(0.8, CALIBRATED, rng, 2) for _ in range(n)], axis=0)
    return [_enough(f"{about}: calibration curve", held[0], asked), single, *_means(about, losses, asked)]


def _retention_rows(auroc: float, n: int, asked: bool) -> list[Row]:
    rng = np.random.default_rng(SEED)
    held = np.mean([retention_held(auroc, CALIBRATED, rng) for _ in range(n)], axis=0)
    rows = _means(f"AUROC {auroc:g}", held, asked)
    for k, shares in enumerate(held.T, 1):
        for name, share in zip(LOSSES, shares, strict=True):
            rows.append(Row(f"AUROC {auroc:g}: {name} of the {k / N_KEPT:.0%} most confident", share))
    return rows


def _means(about: str, held: np.ndarray, asked: bool) -> list[Row]:
    names = [f"{about}: {name} of those kept, all shares" for name in LOSSES]
    return [_enough(name, shares, asked) for name, shares in zip(names, held, strict=True)]

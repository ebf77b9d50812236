"""How well artefacts were found and how well gaps were filled, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SHORT_GAP_S = 0.3  # most blinks: the gaps that straight lines are made for
LONG_GAP_S = 1.0  # longer than any blink: the gaps that interpolation cannot be trusted with
_ROUNDING_S = 1e-9


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def precision(tp: int, fp: int, fn: int, tn: int) -> float:
    """Return the share of flagged samples that are artefacts; NaN where nothing is flagged."""
    return _share(tp, tp + fp)


def recall(tp: int, fp: int, fn: int, tn: int) -> float:
    """Return the share of artefact samples that are flagged; NaN where there are none."""
    return _share(tp, tp + fn)


def f1(tp: int, fp: int, fn: int, tn: int) -> float:
    """Return the harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); NaN where that is 0 / 0."""
    return _share(2 * tp, 2 * tp + fp + fn)


def fpr(tp: int, fp: int, fn: int, tn: int) -> float:
    """Return the share of clean samples that are flagged; NaN where there are none."""
    return _share(fp, fp + tn)


def mae(error: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean absolute error, in the unit of the signal; NaN without samples."""
    return _share(float(np.abs(error).sum()), error.size)


def mre(error: np.ndarray, truth: np.ndarray) -> float:
    """Return sum |error| / sum |truth|; NaN without samples."""
    return _share(float(np.abs(error).sum()), float(np.abs(truth).sum()))


def mse(error: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared error, in the squared unit of the signal; NaN without samples."""
    return _share(float((error**2).sum()), error.size)


@dataclass(frozen=True)
class SignalMetric:
    """A quality of masks (function of tp, fp, fn, tn) or of imputed samples (function of error and truth)."""

    name: str
    function: Callable[..., float]
    direction: str
    domain: tuple[float, float]


DETECTION_METRICS: tuple[SignalMetric, ...] = (
    SignalMetric("precision", precision, "higher", (0.0, 1.0)),
    SignalMetric("recall", recall, "higher", (0.0, 1.0)),
    SignalMetric("f1", f1, "higher", (0.0, 1.0)),
    SignalMetric("fpr", fpr, "lower", (0.0, 1.0)),
)

IMPUTATION_METRICS: tuple[SignalMetric, ...] = (
    SignalMetric("mae", mae, "lower", (0.0, float("inf"))),
    SignalMetric("mre", mre, "lower", (0.0, float("inf"))),
    SignalMetric("mse", mse, "lower", (0.0, float("inf"))),
)


def detection_quality(
    mask: np.ndarray,
    truth_mask: np.ndarray,
    artefact_type: np.ndarray | None,
    type_names: Sequence[str],
) -> list[dict[str, Any]]:
    """Compare a detected mask with the true one, sample by sample.

    Parameters
    ----------
    mask, truth_mask : ndarray of bool, shape (n, T)
        True where a sample was flagged, and where it is an artefact.
    artefact_type : ndarray of int, shape (n, T), optional
        Positions in `type_names`; 0 is no artefact.
    type_names : sequence of str
        Names of the types; the first one means none.

    Returns
    -------
    list of dict
        `artefact_type`, `n_samples`, `n_artefact`, `tp`, `fp`, `fn`, `tn`, `precision`, `recall`, `f1`,
        `fpr`, `f1_random` (`random_f1`); first 'all', then every type that has a name. A row of one type
        looks at the artefact samples of that type alone: a false alarm on a clean sample has no type, so
        `fp`, `tn`, `precision`, `f1`, `fpr` and `f1_random` are NaN there; recall is NaN where the type does
        not occur.
    """
    found, true = np.asarray(mask, dtype=bool), np.asarray(truth_mask, dtype=bool)
    counts = {
        "tp": int((found & true).sum()),
        "fp": int((found & ~true).sum()),
        "fn": int((~found & true).sum()),
        "tn": int((~found & ~true).sum()),
    }
    rows: list[dict[str, Any]] = [
        {"artefact_type": "all", "n_samples": true.size, "n_artefact": int(true.sum())}
        | counts
        | {metric.name: metric.function(**counts) for metric in DETECTION_METRICS}
        | {"f1_random": random_f1(found, true)}
    ]
    if artefact_type is not None:
        for code, name in list(enumerate(type_names))[1:]:
            rows.append(_type_row(name, found[true & (artefact_type == code)]))
    return rows


def _type_row(name: str, found: np.ndarray) -> dict[str, Any]:
    """Return the row of one artefact type; `found` says which of its samples were flagged."""
    tp, n, undefined = int(found.sum()), int(found.size), float("nan")
    return {
        "artefact_type": name,
        "n_samples": n,
        "n_artefact": n,
        "tp": tp,
        "fp": undefined,
        "fn": n - tp,
        "tn": undefined,
        "precision": undefined,
        "recall": recall(tp, 0, n - tp, 0),
        "f1": undefined,
        "fpr": undefined,
        "f1_random": undefined,
    }


def random_f1(mask: np.ndarray, truth_mask: np.ndarray) -> float:
    """Return the expected F1 of a mask with as many samples per recording, drawn at random.

    Chance as in Cohen 1960 (Educ Psychol Meas 20:37) and Hubert & Arabie 1985 (J Classif 2:193): what is
    flagged and what is true keep their number in every recording, and only their places are random. The hits
    in a recording are then hypergeometric with the mean flagged * artefacts / samples; the denominator of
    F1, flagged + artefacts of all recordings, does not change, so that the expectation is exact.

    Parameters
    ----------
    mask, truth_mask : ndarray of bool, shape (n, T)
        True where a sample was flagged, and where it is an artefact.

    Returns
    -------
    float
        0 to 1; NaN where nothing is flagged and nothing is an artefact.
    """
    flagged, artefacts = mask.sum(axis=1), truth_mask.sum(axis=1)
    hits = float((flagged * artefacts).sum() / max(mask.shape[1], 1))
    return _share(2 * hits, float(flagged.sum() + artefacts.sum()))


def imputation_quality(
    imputed: np.ndarray, truth: np.ndarray, missing: np.ndarray, time: np.ndarray, linear: np.ndarray
) -> list[dict[str, Any]]:
    """Compare imputed samples with the clean signal, and what linear interpolation puts there beside them.

    Parameters
    ----------
    imputed, truth : ndarray, shape (n, T)
        The completed and the clean signal, in one unit.
    missing : ndarray of bool, shape (n, T)
        True where a sample was imputed; only these are compared, where the truth is finite.
    time : ndarray, shape (T,)
        Seconds.
    linear : ndarray, shape (n, T)
        The same gaps filled by linear interpolation.

    Returns
    -------
    list of dict
        `gap` ('all', 'up to 0.3 s', '0.3 to 1 s', 'longer than 1 s'), `n_samples`, `mae`, `mre`, `mse`, and
        `mae_linear`, `mre_linear`, `mse_linear`. The length of a gap is its number of samples times the
        median sampling interval.
    """
    known = np.asarray(missing, dtype=bool) & np.isfinite(truth)
    rows = []
    for gap, within in _gap_classes(missing, time).items():
        compared = known & within
        reference = truth[compared]
        row: dict[str, Any] = {"gap": gap, "n_samples": int(compared.sum())}
        for suffix, filled in (("", imputed), ("_linear", linear)):
            error = filled[compared] - reference
            row |= {m.name + suffix: m.function(error, reference) for m in IMPUTATION_METRICS}
        rows.append(row)
    return rows


def _gap_classes(missing: np.ndarray, time: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each class of gaps, by their length, where its samples are, bool (n, T)."""
    interval = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    length_s = run_lengths(missing) * interval
    short, long = length_s <= SHORT_GAP_S + _ROUNDING_S, length_s > LONG_GAP_S + _ROUNDING_S
    return {
        "all": np.ones_like(short),
        "up to 0.3 s": short,
        "0.3 to 1 s": ~short & ~long,
        "longer than 1 s": long,
    }


def run_lengths(missing: np.ndarray) -> np.ndarray:
    """Return, for every missing sample, how many samples its gap has; 0 for the others.

    Parameters
    ----------
    missing : ndarray of bool, shape (n, T)

    Returns
    -------
    ndarray of int, shape (n, T)
    """
    gaps = np.asarray(missing, dtype=bool)
    padded = np.pad(gaps, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    start, stop = np.nonzero(change == 1)[1], np.nonzero(change == -1)[1]
    lengths = np.zeros(gaps.shape, dtype=np.int64)
    lengths[gaps] = np.repeat(stop - start, stop - start)
    return lengths

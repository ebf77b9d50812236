"""Hand-crafted features of the response to each colour of light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort

FIRST_COLOURS = ("blue", "red")
"""Column order of the study; any other colour follows in alphabetical order."""

BASELINE_WINDOW = ("onset", -5.0, 0.0)
MIN_SHARE = 0.8
_UNIT_SUFFIX = {"mm": "_mm", "px": "_px", "%": "_pct", "unstated": ""}


@dataclass(frozen=True)
class Feature:
    """A statistic of the amplitude over a closed window: seconds relative to the light's `edge`."""

    edge: str
    start_s: float
    stop_s: float
    unit: str = "pct"
    min_share: float = MIN_SHARE
    integrate: bool = False


FEATURES = {
    "MAX_CONSTRICTION": Feature("onset", 0.0, 15.0),
    "PHASIC": Feature("onset", 0.0, 5.0),
    "SUSTAINED": Feature("offset", -5.0, 0.0),
    "PIPR": Feature("offset", 0.0, 15.0, min_share=0.6),
    "PIPR_AUC": Feature("offset", 0.0, 12.0, unit="pct_s", min_share=0.6, integrate=True),
}
"""The amplitude's minimum over the window or, with `integrate`, its mean times the window's full length."""


class LightResponse:
    """Amplitude features per colour, after Najjar et al. 2023 (doi 10.1136/bjophthalmol-2021-319938).

    Amplitude = 100 (pupil - base) / base, negative in constriction; base = median of the 5 s before that
    colour's onset. Windows are closed intervals on the time grid, cut where the recording starts or ends.
    With less than 80 % of a window left (`PIPR`, `PIPR_AUC`: 60 %) the feature is NaN; so is everything of a
    colour whose base is undefined, not positive or not finite, or whose light is missing. `PIPR_AUC` is the
    mean over the cut window times 12 s, so that a shorter tail does not shrink it.

    Parameters
    ----------
    features : sequence of str
        Names among MAX_CONSTRICTION, PHASIC, SUSTAINED, PIPR, PIPR_AUC and BASELINE (the base itself, in the
        cohort's unit).

    Raises
    ------
    ValueError
        If a name is not among them, or if the signal handed to `transform` is not finite.
    """

    needs_signal = True
    needs_ages = False

    def __init__(self, features: Sequence[str]) -> None:
        known = ["BASELINE", *FEATURES]
        unknown = sorted(set(features) - set(known))
        if unknown:
            raise ValueError(f"features: {unknown} not known; expected names among {known}")
        self.features = tuple(features)

    def fit(self, pupil: np.ndarray, cohort: Cohort) -> LightResponse:
        """Return self: nothing is learned."""
        return self

    def transform(self, pupil: np.ndarray, cohort: Cohort) -> pd.DataFrame:
        """Compute the features.

        Parameters
        ----------
        pupil : ndarray, shape (n, T)
            Complete signal: every sample finite.
        cohort : Cohort
            Source of time, light and unit.

        Returns
        -------
        DataFrame, n rows
            Columns such as `blue_MAX_CONSTRICTION_pct`; colours in the order blue, red, others.
        """
        if not np.isfinite(pupil).all():
            rows = np.flatnonzero(~np.isfinite(pupil).all(axis=1))
            raise ValueError(
                f"features need a complete signal; recordings at rows {rows[:5].tolist()} have samples "
                "that are not finite: impute them first"
            )
        columns: dict[str, np.ndarray] = {}
        for colour in _ordered(cohort.light):
            columns |= self._colour_columns(colour, np.asarray(pupil, dtype=float), cohort)
        return pd.DataFrame(columns, index=pd.RangeIndex(len(cohort)), dtype=float)

    def _colour_columns(self, colour: str, pupil: np.ndarray, cohort: Cohort) -> dict[str, np.ndarray]:
        """Return every feature of one colour by column name."""
        edges = dict(zip(("onset", "offset"), cohort.light[colour].T, strict=True))
        base = _base(pupil, cohort.time, edges["onset"])
        columns = {}
        for name in self.features:
            if name == "BASELINE":
                columns[f"{colour}_BASELINE{_UNIT_SUFFIX.get(cohort.unit, f'_{cohort.unit}')}"] = base
            else:
                feature = FEATURES[name]
                column = f"{colour}_{name}_{feature.unit}"
                columns[column] = _evaluate(feature, pupil, base, cohort.time, edges[feature.edge])
        return columns


def _ordered(colours: Iterable[str]) -> list[str]:
    """Return the study's colours first, then any others by name."""
    return sorted(
        colours, key=lambda c: (FIRST_COLOURS.index(c) if c in FIRST_COLOURS else len(FIRST_COLOURS), c)
    )


def _window(
    time: np.ndarray, start: np.ndarray, stop: np.ndarray, min_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples in each recording's closed window (n, T), and whether enough of it is left (n,)."""
    # Grid times are products and onsets are read from files: equal times may differ in the last digits.
    tolerance = 0.01 * np.median(np.diff(time))
    inside = (time >= start[:, None] - tolerance) & (time <= stop[:, None] + tolerance)
    left = np.minimum(stop, time[-1]) - np.maximum(start, time[0])
    enough = left >= min_share * (stop - start) - tolerance
    return inside, enough & inside.any(axis=1)


def _base(pupil: np.ndarray, time: np.ndarray, onset: np.ndarray) -> np.ndarray:
    """Return the median pupil before the onset (n,); NaN where undefined or not positive."""
    _, start_s, stop_s = BASELINE_WINDOW
    inside, usable = _window(time, onset + start_s, onset + stop_s, MIN_SHARE)
    base = np.full(len(pupil), np.nan)
    used = inside[usable].any(axis=0)
    if usable.any():
        base[usable] = np.nanmedian(np.where(inside, pupil, np.nan)[np.ix_(usable, used)], axis=1)
    return np.where(base > 0, base, np.nan)


def _evaluate(
    feature: Feature, pupil: np.ndarray, base: np.ndarray, time: np.ndarray, edge: np.ndarray
) -> np.ndarray:
    """Return one feature per recording (n,)."""
    inside, usable = _window(time, edge + feature.start_s, edge + feature.stop_s, feature.min_share)
    if feature.integrate:
        count = np.maximum(inside.sum(axis=1), 1)
        statistic = np.where(inside, pupil, 0.0).sum(axis=1) / count
    else:
        statistic = np.where(inside, pupil, np.inf).min(axis=1)
    scale = feature.stop_s - feature.start_s if feature.integrate else 1.0
    amplitude = 100.0 * (np.where(usable, statistic, np.nan) - base) / base
    return scale * amplitude

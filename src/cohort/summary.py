"""What a cohort holds and what it lacks, in small tables to look at before anything is computed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort
from src.cohort.subjects import CLASS_NAMES

NO_DIAGNOSIS = "no diagnosis"


def diagnoses(cohort: Cohort) -> pd.Series:
    """Spell out the diagnosis of every recording.

    Returns
    -------
    Series of category, n rows
        'control', 'glaucoma' or 'no diagnosis', in that order.
    """
    names = {number: name for name, number in CLASS_NAMES.items()}
    spelt = pd.Series(cohort.labels).map(names).fillna(NO_DIAGNOSIS)
    return pd.Series(pd.Categorical(spelt, [*CLASS_NAMES, NO_DIAGNOSIS]), name="diagnosis")


def gaps_to_fill(cohort: Cohort) -> np.ndarray:
    """Mark the samples nobody should analyse as they are.

    Returns
    -------
    ndarray of bool, shape (n, T)
        True where the device lost the pupil and, where the truth is known, at artefacts.
    """
    lost = ~np.isfinite(cohort.pupil)
    return lost if cohort.truth_mask is None else lost | cohort.truth_mask


def missingness(cohort: Cohort) -> pd.DataFrame:
    """Count what each recording lacks.

    Returns
    -------
    DataFrame, n rows
        `recording`, `diagnosis`, `lost` (share of the samples the device lost, 0 to 1), `artefact` (share
        of artefacts by the truth mask; NaN where the cohort has none), `longest_gap_s` (longest stretch of
        `gaps_to_fill`).
    """
    mask = cohort.truth_mask
    return pd.DataFrame(
        {
            "recording": cohort.subjects["recording"],
            "diagnosis": diagnoses(cohort),
            "lost": (~np.isfinite(cohort.pupil)).mean(axis=1),
            "artefact": np.nan if mask is None else mask.mean(axis=1),
            "longest_gap_s": _longest_run(gaps_to_fill(cohort)) * np.median(np.diff(cohort.time)),
        }
    )


def missingness_over_time(cohort: Cohort, n_bins: int = 66) -> pd.DataFrame:
    """Count what the recordings lack at each time, for instance around the onset of a light.

    Parameters
    ----------
    n_bins : int
        Into how many parts of as many samples, give or take one, the recordings are divided.

    Returns
    -------
    DataFrame, `n_bins` rows, or one per sample where there are fewer
        `time_s` (mean of the part's samples), `lost` and `artefact` (shares of all samples of all
        recordings, as in `missingness`).
    """
    mask = cohort.truth_mask
    samples = pd.DataFrame(
        {
            "time_s": cohort.time,
            "lost": (~np.isfinite(cohort.pupil)).mean(axis=0),
            "artefact": np.nan if mask is None else mask.mean(axis=0),
        }
    )
    length = len(cohort.time)
    return samples.groupby(np.arange(length) * n_bins // length).mean().reset_index(drop=True)


def _longest_run(marked: np.ndarray) -> np.ndarray:
    """Length of the longest stretch of True in each row, (n,)."""
    running = np.zeros(len(marked), dtype=int)
    longest = running.copy()
    for column in marked.T:
        running = (running + 1) * column
        np.maximum(longest, running, out=longest)
    return longest

"""The subjects table: anonymous codes, an order that tells nothing, fixed column types."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from src.cohort.cohort import SUBJECT_COLUMNS, CohortError

CLASS_NAMES = {"control": 0.0, "glaucoma": 1.0}
"""Spelling of the diagnoses in cohort files and label tables; a missing value means no diagnosis."""

_LETTERS = np.array(["H", "G", "U"])
_EYE = "(?i:l|r|left|right|od|os)"  # any other word may name somebody


def labels_from_names(names: pd.Series) -> np.ndarray:
    """Turn class names into numbers.

    Parameters
    ----------
    names : Series of str
        'control', 'glaucoma' or missing.

    Returns
    -------
    ndarray of float
        0 control, 1 glaucoma, NaN without a diagnosis.

    Raises
    ------
    CohortError
        If a name is neither; the message holds the index of the first such row.
    """
    wrong = names.notna() & ~names.isin(CLASS_NAMES)
    if wrong.any():
        at = wrong.idxmax()
        raise CohortError(
            f"{at}: class_label is {names[wrong].iloc[0]!r}; "
            "expected 'control', 'glaucoma' or nothing (no diagnosis)"
        )
    return names.map(CLASS_NAMES).to_numpy(dtype=float)


def anonymise(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Give anonymous codes to subjects and recordings, numbered by class, original code, eye and order.

    Parameters
    ----------
    table : DataFrame, one row per recording
        `original` (the subject's code in the source), `label` (0, 1 or NaN), `age`, `split`, `eye`,
        `severity`, and `order` (what tells recordings of one subject and eye apart).

    Returns
    -------
    subjects : DataFrame
        The columns of `Cohort.subjects`, in an order that tells nothing about the class but is always the
        same. Codes are H001.. (control), G001.. (glaucoma), U001.. (no diagnosis); a subject's recordings
        share the code, and are named code-eye (code-number where eyes do not tell them apart, or have other
        names than eyes).
    rows : ndarray of int
        Position in `table` of each row of `subjects`.

    Raises
    ------
    CohortError
        If a subject's recordings disagree on the diagnosis, or by more than a year on the age.
    """
    _check_one_label(table)
    _check_one_age(table)
    kind = table["label"].fillna(2.0).astype(int)
    keys = pd.DataFrame({"kind": kind, "original": table["original"], "eye": table["eye"].fillna("")})
    keys["order"] = table["order"]
    rows = keys.reset_index(drop=True).sort_values(list(keys.columns), kind="stable").index.to_numpy()
    ordered = table.iloc[rows].reset_index(drop=True)
    code = _codes(kind.to_numpy()[rows], ordered["original"])
    subjects = pd.DataFrame({"recording": _recording_names(code, ordered["eye"]), "code": code})
    subjects["label"] = ordered["label"].astype("Float64").astype("Int8")
    subjects["age"] = ordered["age"].astype(float)
    subjects["split"] = ordered["split"].astype("str")
    subjects["eye"] = ordered["eye"].astype("str")
    subjects["severity"] = ordered["severity"].astype(float)
    mixed = _mixed_order(subjects["recording"])
    return subjects[list(SUBJECT_COLUMNS)].iloc[mixed].reset_index(drop=True), rows[mixed]


def _mixed_order(recordings: pd.Series) -> np.ndarray:
    """Sort by a hash of the names: codes are numbered by class, and a position must not tell it."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).hexdigest() for name in recordings]
    return np.argsort(digests, kind="stable")


def _check_one_label(table: pd.DataFrame) -> None:
    """Refuse a subject with two diagnoses."""
    distinct = table.groupby("original")["label"].nunique(dropna=False)
    if (distinct > 1).any():
        raise CohortError(
            f"subject {distinct.idxmax()!r} has recordings with different class_label; "
            "expected one diagnosis per subject: correct the labels"
        )


def _check_one_age(table: pd.DataFrame) -> None:
    """Refuse a subject with two ages; a birthday between two recordings may pass."""
    ages = table.groupby("original")["age"].agg(["min", "max"])
    differs = ages["max"] - ages["min"] > 1
    if differs.any():
        low, high = ages[differs].iloc[0]
        raise CohortError(
            f"subject {differs.idxmax()!r} has recordings with different ages, {low:g} and {high:g} years; "
            "expected one age per subject, or two a year apart at most: correct the ages"
        )


def _codes(kind: np.ndarray, original: pd.Series) -> np.ndarray:
    """Number the subjects of each class; as many digits as the largest class needs, at least three."""
    person = pd.MultiIndex.from_arrays([kind, original]).factorize()[0]
    first = pd.Series(person).groupby(kind).transform("min").to_numpy()
    number = person - first + 1
    width = max(3, len(str(number.max(initial=0))))
    return np.array(
        [f"{letter}{n:0{width}d}" for letter, n in zip(_LETTERS[kind], number, strict=True)], dtype=object
    )


def _recording_names(code: np.ndarray, eye: pd.Series) -> np.ndarray:
    """Name recordings: the code, and where a subject has several, the eye or a number."""
    frame = pd.DataFrame({"code": code, "eye": eye.to_numpy()})
    several = frame.groupby("code")["code"].transform("size") > 1
    by_eye = frame["eye"].notna() & ~frame.duplicated(keep=False)
    by_eye &= frame["eye"].fillna("").str.fullmatch(_EYE)
    by_eye = by_eye.groupby(frame["code"]).transform("all")
    number = (frame.groupby("code").cumcount() + 1).astype(str)
    number = number.str.zfill(number.str.len().max())  # so that names sort like numbers
    suffix = "-" + frame["eye"].where(by_eye, number).astype(str)
    return (frame["code"] + suffix.where(several, "")).to_numpy(dtype=object)

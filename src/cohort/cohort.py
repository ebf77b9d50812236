"""The one data type every stage works on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

ARTEFACT_TYPES = ("none", "blink", "loss", "spike", "step", "jitter", "readout")
"""Names of the codes in `Cohort.artefact_type`: the code is the position."""

SOURCES = ("synthetic", "measured", "unstated")
SUBJECT_COLUMNS = ("recording", "code", "label", "age", "split", "eye", "severity")
_SIGNALS = ("pupil", "truth_mask", "truth_pupil", "artefact_type")


class CohortError(ValueError):
    """A cohort that cannot be used; the message names file, row or subject, and what was expected."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Pupil recordings on one time grid, with light, subjects and, where known, the truth.

    Arrays are made read-only; derive a changed cohort with `take`, `blind` or `without_truth`.

    Parameters
    ----------
    time : ndarray, shape (T,)
        Seconds from the start of the recording, increasing and finite.
    pupil : ndarray, shape (n, T)
        Pupil size as recorded, in `unit`, artefacts included; NaN where the device lost the pupil.
    light : mapping of str to ndarray, shape (n, 2)
        Onset and offset in seconds of each colour's light, per recording; keys such as 'blue' and 'red'.
    subjects : DataFrame, n rows
        `recording` (anonymous, unique), `code` (anonymous code of the subject; repeated where a subject
        has several recordings), `label` (Int8: 1 glaucoma, 0 control, missing = no diagnosis), `age`
        (years or NaN), `split`, `eye` (str or missing), `severity` (NaN unless synthetic).
    unit : str
        Unit of `pupil`: 'mm', 'px', '%' or 'unstated'.
    source : {'synthetic', 'measured', 'unstated'}
        Where the recordings come from; shown on everything made from them unless measured.
    truth_mask : ndarray of bool, shape (n, T), optional
        True where a sample is an artefact.
    truth_pupil : ndarray, shape (n, T), optional
        The clean signal.
    artefact_type : ndarray of int8, shape (n, T), optional
        Positions in `ARTEFACT_TYPES`.

    Raises
    ------
    CohortError
        If shapes disagree, or time is not increasing and finite.
    """

    time: np.ndarray
    pupil: np.ndarray
    light: Mapping[str, np.ndarray]
    subjects: pd.DataFrame
    unit: str
    source: str
    truth_mask: np.ndarray | None = None
    truth_pupil: np.ndarray | None = None
    artefact_type: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check shapes and lock the arrays."""
        if self.source not in SOURCES:
            raise CohortError(f"source is {self.source!r}; expected one of {', '.join(SOURCES)}")
        if self.time.ndim != 1 or not np.isfinite(self.time).all() or not (np.diff(self.time) > 0).all():
            raise CohortError("time must be one increasing sequence of finite seconds")
        shape = (len(self.subjects), len(self.time))
        for name in _SIGNALS:
            signal = getattr(self, name)
            if signal is not None and signal.shape != shape:
                raise CohortError(f"{name} has shape {signal.shape}; expected {shape} (recordings, samples)")
        for colour, edges in self.light.items():
            if edges.shape != (shape[0], 2):
                raise CohortError(f"light {colour!r} has shape {edges.shape}; expected {(shape[0], 2)}")
        for array in (self.time, *self.light.values(), *(getattr(self, s) for s in _SIGNALS)):
            if array is not None:
                array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.subjects)

    @property
    def has_truth(self) -> bool:
        """Whether artefact mask and clean signal are known."""
        return self.truth_mask is not None and self.truth_pupil is not None

    @property
    def labels(self) -> np.ndarray:
        """Diagnoses as floats, shape (n,): 1 glaucoma, 0 control, NaN without a diagnosis."""
        return self.subjects["label"].to_numpy(dtype=float, na_value=np.nan)

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything in the cohort; 16 hexadecimal digits, independent of file and machine."""
        digest = hashlib.blake2b(digest_size=8)
        arrays = {"time": self.time, **{s: getattr(self, s) for s in _SIGNALS}}
        arrays |= {f"light {colour}": self.light[colour] for colour in sorted(self.light)}
        for name, array in arrays.items():
            if array is not None:
                digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
                digest.update(np.ascontiguousarray(array).data)
        digest.update(self.subjects.to_csv(index=False).encode())
        digest.update(f"{self.unit} {self.source}".encode())
        return digest.hexdigest()

    def take(self, rows: np.ndarray) -> Cohort:
        """Return the recordings at `rows` (integers or a boolean mask), in that order."""
        signals: dict[str, Any] = {
            s: None if getattr(self, s) is None else getattr(self, s)[rows] for s in _SIGNALS
        }
        light = {colour: edges[rows] for colour, edges in self.light.items()}
        subjects = self.subjects.iloc[np.arange(len(self))[rows]].reset_index(drop=True)
        return replace(self, light=light, subjects=subjects, **signals)

    def blind(self) -> Cohort:
        """Return the cohort without labels, ages, severity, split and codes (a code tells the class)."""
        n = len(self)
        names = [f"row {i}" for i in range(n)]
        blank = pd.DataFrame({"recording": names, "code": names})
        blank["label"] = pd.array([None] * n, dtype="Int8")
        blank[["age", "severity"]] = np.nan
        blank[["split", "eye"]] = None
        return replace(self, subjects=blank[list(SUBJECT_COLUMNS)])

    def without_truth(self) -> Cohort:
        """Return the cohort without mask, clean signal and artefact types."""
        return replace(self, truth_mask=None, truth_pupil=None, artefact_type=None)

"""The light response with the subject's age beside it: the baseline that says what the signal adds to age."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort
from src.features.age import Age
from src.features.light_response import LightResponse


class LightResponseWithAge:
    """The columns of `LightResponse`, then that of `Age`.

    Parameters
    ----------
    features : sequence of str
        As in `LightResponse`.
    """

    needs_signal = True
    needs_ages = True

    def __init__(self, features: Sequence[str]) -> None:
        self._parts = LightResponse(features), Age()

    def fit(self, pupil: np.ndarray, cohort: Cohort) -> LightResponseWithAge:
        """Return self: nothing is learned."""
        return self

    def transform(self, pupil: np.ndarray, cohort: Cohort) -> pd.DataFrame:
        """Compute the features; arguments and errors as in `LightResponse.transform`."""
        return pd.concat([part.transform(pupil, cohort) for part in self._parts], axis=1)

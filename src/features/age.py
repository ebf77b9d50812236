"""Age alone: the baseline that every report shows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort


class Age:
    """The subject's age as the only feature; needs no signal."""

    needs_signal = False
    needs_ages = True

    def fit(self, pupil: np.ndarray | None, cohort: Cohort) -> Age:
        """Return self: nothing is learned."""
        return self

    def transform(self, pupil: np.ndarray | None, cohort: Cohort) -> pd.DataFrame:
        """Return the column `age_years`, shape (n, 1); NaN where the age is not known."""
        ages = cohort.subjects["age"].to_numpy(dtype=float, na_value=np.nan)
        return pd.DataFrame({"age_years": ages})

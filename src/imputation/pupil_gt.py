"""The clean signal itself: what imputation could reach at best."""

from __future__ import annotations

import numpy as np

from src.imputation.imputed import Imputed, complete, mean_curve, observed_only


class TruthPupil:
    """Values of the clean signal at the missing samples (the study's `pupil-gt`)."""

    needs_truth = True

    def fit(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> TruthPupil:
        """Learn the mean curve, for recordings with no observed sample."""
        self.curve_ = mean_curve(observed_only(pupil, missing), missing)
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples.

        Parameters
        ----------
        pupil, missing : ndarray, shape (n, T)
            Signal, and True where a sample is detected as artefact or not finite.
        truth : ndarray, shape (n, T)
            The clean signal.

        Raises
        ------
        ValueError
            Without the clean signal, or where it is not finite but needed.
        """
        if truth is None:
            raise ValueError("imputation pupil-gt needs the clean signal, which was not given")
        observed = observed_only(pupil, missing)
        unusable = missing.all(axis=1, keepdims=True)
        values = np.where(unusable, self.curve_, truth)
        return complete(observed, missing, values, "pupil-gt")

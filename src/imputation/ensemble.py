"""An ensemble of imputers: the mean of its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from src.imputation.imputed import Imputed, complete, mean_curve, observed_only, spread


class MeanImputation:
    """The mean of the members' values, and their spread as its uncertainty.

    The spread is the standard deviation over the members (n - 1), as between the networks of a deep ensemble
    (Lakshminarayanan, Pritzel & Blundell 2017, NeurIPS 30, section 2.4). It says where the members disagree;
    what all of them get wrong alike is not in it, nor what a member says of its own uncertainty. Where all
    members agree to the last bit they fell back on the same thing, such as the mean curve in a recording
    without an observed sample: there the spread of the fitted recordings about their mean curve stands in. A
    single member has no spread, and then there is no `sd`.

    `learn` and `combine` are all there is to it where the members' signals are known; `fit` and `impute` do
    the same with the members themselves.

    Parameters
    ----------
    members : mapping of str to imputer
        Imputers by name, not fitted.

    Attributes
    ----------
    quality_, dropped_ : dict
        Empty: every member counts, and none is measured.
    """

    needs_truth = False

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members
        self.needs_truth = any(member.needs_truth for member in members.values())
        self.quality_: dict[str, float] = {}
        self.dropped_: dict[str, str] = {}

    def fit(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> MeanImputation:
        """Fit every member."""
        for member in self.members.values():
            member.fit(pupil, missing, **_given(member, truth))
        return self.learn(pupil, missing)

    def learn(self, pupil: np.ndarray, missing: np.ndarray) -> MeanImputation:
        """Learn the spread of the recordings (n, T) about their mean curve."""
        observed = observed_only(pupil, missing)
        self.spread_ = spread(observed, missing, mean_curve(observed, missing))
        return self

    def impute(self, pupil: np.ndarray, missing: np.ndarray, truth: np.ndarray | None = None) -> Imputed:
        """Fill the missing samples.

        Parameters
        ----------
        pupil, missing : ndarray, shape (n, T)
            Signal, and True where a sample is detected as artefact or not finite.
        truth : ndarray, shape (n, T), optional
            The clean signal, for members that need it.
        """
        members = self.members.items()
        signals = {name: m.impute(pupil, missing, **_given(m, truth)).pupil for name, m in members}
        return self.combine(pupil, missing, signals)

    def combine(self, pupil: np.ndarray, missing: np.ndarray, signals: Mapping[str, np.ndarray]) -> Imputed:
        """Fill the missing samples with the mean of what the members filled in.

        Parameters
        ----------
        pupil, missing : ndarray, shape (n, T)
            As for `impute`.
        signals : mapping of str to ndarray, shape (n, T)
            Each member's complete signal.
        """
        observed = observed_only(pupil, missing)
        filled = np.stack(list(signals.values()))
        agreed = (filled == filled[0]).all(axis=0)
        mean = np.where(agreed, filled[0], filled.mean(axis=0))
        sd = np.where(agreed, self.spread_, filled.std(axis=0, ddof=1)) if len(filled) > 1 else None
        return complete(observed, missing, mean, "ensemble", sd)


def _given(member: Any, truth: np.ndarray | None) -> dict[str, np.ndarray]:
    return {"truth": truth} if member.needs_truth and truth is not None else {}

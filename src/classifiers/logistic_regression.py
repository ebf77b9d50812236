"""Logistic regression with a ridge penalty on standardised features."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from src.classifiers.tabular import TabularClassifier


class LogisticRegression(TabularClassifier):
    """Ridge-penalised logistic regression; the intercept is not penalised.

    Solved by Newton's method, which on a few hundred rows is as fast as the quasi-Newton default and exact:
    the default stops 3.5e-3 away from the optimum, liblinear penalises the intercept and so shifts the mean
    risk.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty on the coefficients of standardised features, > 0.
    random_state : int, optional
        Accepted for the sake of the contract; nothing here is random.

    References
    ----------
    le Cessie & van Houwelingen 1992, Applied Statistics 41:191.
    """

    def __init__(self, C: float = 1.0, random_state: int | None = None) -> None:
        self.C = C
        self.random_state = random_state

    def _fit_filled(self, X: np.ndarray, positive: np.ndarray) -> None:
        self.mean_ = X.mean(axis=0)
        spread = X.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        self.model_ = SklearnLogisticRegression(C=self.C, solver="newton-cholesky", tol=1e-8)
        self.model_.fit((X - self.mean_) / self.scale_, positive)

    def _raw_importances(self) -> np.ndarray:
        """Return the coefficients of the standardised features without their signs."""
        return np.abs(self.model_.coef_[0])

    def _probability(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba((X - self.mean_) / self.scale_)[:, 1]

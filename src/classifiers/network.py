"""What the neural classifiers share: standardised features, full-batch training, many resamples at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy.special import logit

from src.classifiers.tabular import BatchedTabularClassifier, mean_and_scale
from src.requirements import need_packages


class NetworkClassifier(BatchedTabularClassifier):
    """A small network on standardised features, trained on all rows at each step.

    A subclass has the parameters named below and writes `_network` and `_layers`. A resample starts from the
    initial weights of a single fit with its random state and takes the same steps, but for rounding, which
    training in single precision enlarges: probabilities are equal within `equal_within`.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    device: str
    random_state: int | None
    packages: tuple[str, ...] = ("torch", "skorch")

    resamples_at_once = 10  # measured: more are no faster
    equal_within = 1e-3  # measured on 208 rows: mostly 1e-7, rarely up to 2e-4

    def check_ready(self) -> None:
        """Raise NotReady if a package is missing."""
        need_packages(type(self).__name__, "deep", self.packages)

    def _fit_filled(self, X: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> None:
        from src.networks.members import train_alone

        (self.mean_,), (self.scale_,) = mean_and_scale(X[None], weight[None])
        self.network_ = self._start(positive, weight)
        train_alone(self.network_, (X - self.mean_) / self.scale_, positive, weight, self._descent())

    def _fit_filled_resamples(
        self, models: list[Self], X: np.ndarray, positive: np.ndarray, weight: np.ndarray
    ) -> None:
        from src.networks.members import train_together

        mean, scale = mean_and_scale(X, weight)
        for model, own_mean, own_scale, own_weight in zip(models, mean, scale, weight, strict=True):
            model.mean_, model.scale_ = own_mean, own_scale
            model.network_ = model._start(positive, own_weight)
        standardised = (X - mean[:, None]) / scale[:, None]
        for first in range(0, len(models), self.resamples_at_once):
            # Always as many: the size of a stack changes the last digit. The last resample fills it up.
            rows = np.minimum(np.arange(first, first + self.resamples_at_once), len(models) - 1)
            networks = [models[row].network_ for row in rows]
            train_together(
                networks, self._layers, standardised[rows], positive, weight[rows], self._descent()
            )

    def _probability(self, X: np.ndarray) -> np.ndarray:
        from src.networks.members import probability

        return probability(self.network_, (X - self.mean_) / self.scale_)

    def _start(self, positive: np.ndarray, weight: np.ndarray) -> Any:
        """Return the network before training."""
        from src.networks.members import Scores, seeded

        network = seeded(self._network, self.random_state or 0)
        return Scores(network, float(logit(np.average(positive, weights=weight))))

    def _descent(self) -> Any:
        from src.networks.members import Descent

        return Descent(self.epochs, self.learning_rate, self.weight_decay, self.device)

    @abstractmethod
    def _network(self) -> Any:
        """Return a fresh torch module for `n_features_in_` features; its weights are random."""

    @abstractmethod
    def _layers(self, parameters: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """Return the dense layers of stacked parameters, as `src.networks.members.Layers` says."""

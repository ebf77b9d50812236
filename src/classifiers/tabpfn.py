"""TabPFN: a transformer that was trained to read a table and predict; here it is not trained any more."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from src.classifiers.tabular import TabularClassifier
from src.networks.weights import find_weights, weights_folder
from src.requirements import need_packages


class TabPFN(TabularClassifier):
    """The `tabpfn` package (Apache 2.0) with weights that lie on this machine; it never asks a server.

    The weights of version 2 may be used for any purpose with attribution; those of later versions not
    commercially, which is why they are not the default of this project.

    The package takes no weights of rows. Class weights multiply the odds it predicts, as they would those of
    a model that is right.

    Parameters
    ----------
    checkpoint : str
        Name of the weights in `configs/mlflow_registry/weights.yaml`.
    n_estimators : int
        Passes over the table, each with another order of features and classes.
    class_weight : 'balanced' or mapping of label to weight, optional
        How much each class weighs; see `TabularClassifier`.
    device : str
        Where to predict: 'cpu', 'auto' (a GPU if there is one), or torch's name of a device.
    random_state : int, optional
        Seed of the orders; None is 0.

    References
    ----------
    Hollmann et al. 2025, Nature 637:319, doi 10.1038/s41586-024-08328-6.
    """

    def __init__(
        self,
        checkpoint: str = "TabPFN-v2-classifier",
        n_estimators: int = 1,
        class_weight: str | Mapping[Any, float] | None = None,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.n_estimators = n_estimators
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    def check_ready(self) -> None:
        """Raise NotReady if the package or the weights are missing."""
        need_packages(type(self).__name__, "tabpfn", ("tabpfn",))
        weights_folder(self.checkpoint)

    def _fit_filled(self, X: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> None:
        self.share_ = float(np.average(positive, weights=weight))
        self.odds_ = weight[positive == 1].mean() / weight[positive == 0].mean()
        self.varies_ = bool((X[0] != X).any())
        if not self.varies_:  # the package refuses such a table
            return
        with _quiet():
            self.model_ = _package().TabPFNClassifier(
                n_estimators=self.n_estimators,
                model_path=_model_file(self.checkpoint),
                device=self.device,
                random_state=self.random_state or 0,
            )
            self.model_.fit(X, positive)

    def _probability(self, X: np.ndarray) -> np.ndarray:
        if not self.varies_:
            return np.full(len(X), self.share_)
        with _quiet():
            control, case = self.model_.predict_proba(X).T.astype(np.float64)
        return case * self.odds_ / (control + case * self.odds_)


def _package() -> Any:
    """Import tabpfn without its side effects."""
    # skrub, which it imports, would make a folder in the home.
    os.environ.setdefault("SKB_DATA_DIRECTORY", tempfile.gettempdir())
    os.environ.setdefault("TABPFN_MODEL_CACHE_SIZE", "1")  # build the network once and not for every fit
    import tabpfn

    # An alias for programs of old that warns whoever looks at all loaded modules, as torch and inspect do.
    sys.modules.pop("tabpfn.model.loading", None)
    return tabpfn


def _model_file(checkpoint: str) -> Path:
    """Return the one file of the weights; with a path that exists the package does not download."""
    (name,) = find_weights(checkpoint).files
    return weights_folder(checkpoint).resolve() / name


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold torch to one thread, and the package's warning of slow processors back."""
    from src.networks.threads import one_thread

    with warnings.catch_warnings(), one_thread():
        warnings.filterwarnings("ignore", "Running on CPU with more than", UserWarning)
        yield

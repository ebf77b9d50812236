"""Methods that show what the pipeline hands to a method, and methods that break their contract."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from src.imputation.imputed import Imputed
from src.requirements import NotReady

calls: list[tuple] = []


class Watcher:
    """A detector that flags nothing and remembers the cohorts it saw."""

    needs_truth = False

    def fit(self, cohort):
        calls.append(("fit", cohort))
        return self

    def detect(self, cohort):
        calls.append(("detect", cohort))
        return np.zeros(cohort.pupil.shape, dtype=bool)


class TruthWatcher(Watcher):
    needs_truth = True


class Everything(Watcher):
    """A detector that leaves no sample of the first recording."""

    def detect(self, cohort):
        mask = np.zeros(cohort.pupil.shape, dtype=bool)
        mask[0] = True
        return mask


class Raises(Watcher):
    def fit(self, cohort):
        calls.append(("fit", cohort))
        raise RuntimeError("this detector\nnever works")


class WrongShape(Watcher):
    def detect(self, cohort):
        return np.zeros(3, dtype=bool)


class EveryNth(Watcher):
    """A detector that flags every n-th sample."""

    def __init__(self, n: int) -> None:
        self.n = n

    def detect(self, cohort):
        calls.append(("detect", cohort))
        return np.tile(np.arange(cohort.pupil.shape[1]) % self.n == 0, (len(cohort), 1))


class Threaded(Watcher):
    """A detector that remembers how many threads it may start."""

    started: ClassVar[list[int]] = []

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def fit(self, cohort):
        self.started.append(self.n_jobs)
        return super().fit(cohort)


class Knowing(Watcher):
    """A detector that knows the truth of the cohort it detects in."""

    needs_truth = True

    def detect(self, cohort):
        return cohort.truth_mask.copy()


class WithoutWeights:
    """A method of any stage whose weights are not there."""

    needs_truth = False

    def check_ready(self):
        raise NotReady("its weights are not here: python scripts/fetch_weights.py NAME")


class Constant:
    """An imputer; the offset, if any, breaks the observed samples."""

    needs_truth = False

    def __init__(self, value: float = 3.0, offset: float = 0.0) -> None:
        self.value, self.offset = value, offset

    def fit(self, pupil, missing):
        calls.append(("fit imputer", pupil.shape))
        return self

    def impute(self, pupil, missing, truth=None):
        calls.append(("truth", truth))
        return Imputed(np.where(missing, self.value, pupil + self.offset))


class OnDevice(Constant):
    """An imputer that may run somewhere else."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device


class Trained(Constant):
    """An imputer with two networks; the process that fits it may be killed in the second's third epoch."""

    dies = False
    epochs = 0

    def fit(self, pupil, missing):
        import torch

        from src.networks.training import Machine, Training, train

        def loss(module, rows, rng):
            Trained.epochs += 1
            if Trained.dies and Trained.epochs == 7:
                raise KeyboardInterrupt
            return (module.weight**2).sum()

        for seed in (1, 2):
            network = torch.nn.Linear(1, 1, bias=False)
            torch.nn.init.constant_(network.weight, 1.0)
            train(network, loss, len(pupil), Training(4, len(pupil), 0.1, seed), Machine())
        self.value = 3.0 + network.weight.item()
        return self


class MeanSize:
    """A featuriser: mean pupil size."""

    def fit(self, pupil, cohort):
        calls.append(("fit features", cohort))
        return self

    def transform(self, pupil, cohort):
        return pd.DataFrame({"mean_mm": pupil.mean(axis=1)})


class MeanSizeAndAge(MeanSize):
    needs_ages = True

    def transform(self, pupil, cohort):
        return super().transform(pupil, cohort).assign(age_years=cohort.subjects["age"])


class ClockedAlone(ClassifierMixin, BaseEstimator):
    """A classifier whose fits take as long as they are told, by a clock of their own."""

    now = 0.0

    def __init__(self, single_s=1.0, random_state=None):
        self.single_s, self.random_state = single_s, random_state

    def fit(self, X, y):
        ClockedAlone.now += self.single_s
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Clocked(ClockedAlone):
    """One that also fits ten resamples together."""

    resamples_at_once = 10

    def __init__(self, single_s=1.0, stack_s=1.0, random_state=None):
        super().__init__(single_s, random_state)
        self.stack_s = stack_s

    def fit_resamples(self, X, y, counts, random_states):
        assert len(counts) == len(random_states) == self.resamples_at_once
        ClockedAlone.now += self.stack_s
        return [clone(self) for _ in random_states]

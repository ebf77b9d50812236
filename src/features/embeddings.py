"""What MOMENT makes of a whole recording, in a few numbers (Goswami et al. 2024, arXiv 2402.03885)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort
from src.networks.moment_recordings import Reader
from src.networks.training import Machine


class Embeddings:
    """Principal components of MOMENT's embeddings.

    A recording's embedding is the mean over the patches of all its windows (representation learning without
    labels, Goswami et al. 2024, section 3.4). Every window is normalised by its own mean and SD, so an
    embedding knows shapes and no sizes. Components are learned on the fitted recordings: the fewest that hold
    `variance` of theirs, at most `most`.

    Parameters
    ----------
    checkpoint : str
        Name of the weights.
    stride, overlap, batch_size
        See `src.networks.moment_recordings.Reader`.
    variance : float
        Share of the variance to be kept, between 0 and 1.
    most : int
        Components at most.
    n_jobs : int
        Threads of torch; another number may change the seventh digit.
    device : str
        'auto', 'cpu' or 'cuda'.
    verbose : bool
        Show progress on stderr.
    """

    needs_signal = True
    needs_ages = False

    def __init__(
        self,
        checkpoint: str,
        stride: int,
        overlap: float,
        batch_size: int,
        variance: float,
        most: int,
        n_jobs: int,
        device: str,
        verbose: bool,
    ) -> None:
        if not 0 < variance <= 1:
            raise ValueError(f"embeddings: variance is {variance}; expected a share above 0, up to 1")
        self.reader = Reader(checkpoint, stride, overlap, batch_size, Machine(n_jobs, device, verbose))
        self.variance = variance
        self.most = most

    def check_ready(self) -> None:
        """Raise NotReady if packages or weights are missing."""
        self.reader.check_ready("embeddings")

    def fit(self, pupil: np.ndarray, cohort: Cohort) -> Embeddings:
        """Learn the components from the complete signal `pupil`, shape (n, T)."""
        self.network_ = self.reader.open()
        vectors = self.reader.vectors(self.network_, pupil)
        self.mean_, self.components_ = principal_components(vectors, self.variance, self.most)
        return self

    def transform(self, pupil: np.ndarray, cohort: Cohort) -> pd.DataFrame:
        """Return the components of each recording, shape (n, components).

        Columns are `embedding_PC1_au` and so on, by falling variance, in arbitrary units: those of the
        network's last layer.
        """
        scores = (self.reader.vectors(self.network_, pupil) - self.mean_) @ self.components_.T
        names = [f"embedding_PC{number}_au" for number in range(1, scores.shape[1] + 1)]
        return pd.DataFrame(scores, columns=names)


def principal_components(vectors: np.ndarray, variance: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (p,) and the first principal axes (k, p) of vectors (n, p).

    As many axes as hold the share `variance` of the variance, `most` at most and one at least. An axis points
    to where its largest entry is positive. The order of the vectors does not matter.
    """
    vectors = vectors[np.lexsort(vectors.T)]  # sums in another order differ in the last digits
    mean = vectors.mean(axis=0)
    _, spread, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    total = np.cumsum(spread**2)
    enough = int(np.searchsorted(total, variance * total[-1] * (1 - 1e-12))) + 1
    axes = axes[: min(enough, most)]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return mean, axes * np.where(largest < 0, -1.0, 1.0)

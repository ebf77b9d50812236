"""The model confidence set: the combinations that cannot be told from the best."""

from __future__ import annotations

import numpy as np

from src.evaluation.auc import delong_components
from src.evaluation.comparisons.combinations import Combinations
from src.evaluation.comparisons.tables import refusal
from src.evaluation.resampling import subject_index

SIZE = 0.05
N_DRAWS = 1000
SEED = 20110301
_ZERO = 1e-12


def subject_losses(combinations: Combinations, metric: str) -> np.ndarray:
    """Return each subject's loss under each combination, from the mean out-of-bag predictions.

    Parameters
    ----------
    combinations : Combinations
        Recordings that some combination never left out do not count.
    metric : {'brier', 'auroc'}
        The loss of a recording is its squared error, or 1 - its DeLong component.

    Returns
    -------
    ndarray, shape (subjects that count, k)
        Losses of a subject's recordings added up; scaled so that the mean over the subjects is the mean
        over the recordings.
    """
    seen = combinations.shared
    y, p = np.asarray(combinations.y)[seen], np.asarray(combinations.p_oob, dtype=np.float64)[:, seen]
    index, subject_y = subject_index(y, np.asarray(combinations.groups)[seen])
    losses = (p - y) ** 2 if metric == "brier" else 1 - np.array([delong_components(y, row) for row in p])
    total = np.zeros((subject_y.size, len(p)))
    np.add.at(total, index, losses.T)
    return total * subject_y.size / y.size


def confidence_set(losses: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return each model's p value for belonging to the models that are not worse than another.

    Models are eliminated one after another, always the one that is worst in units of its standard error;
    the p value of a model is the largest of those of the tests up to its own. The set of size alpha holds the
    models with p > alpha. Models with identical losses are one model. Given the same draws, the p values are
    those of `arch.bootstrap.MCS(..., block_size=1, method='max')`, which is slow for many models.

    Parameters
    ----------
    losses : array_like, shape (n, k)
        Loss of each subject under each model.
    counts : array_like, shape (B, n)
        How often each draw of n subjects with replacement has a subject.

    Returns
    -------
    ndarray, shape (k,)
        In [0, 1]; 1 for the model that is left.

    References
    ----------
    Hansen, Lunde & Nason 2011, Econometrica 79:453, section 3.1 (T_max).
    """
    distinct, model = np.unique(np.round(losses, 12), axis=1, return_inverse=True)
    mean = distinct.mean(axis=0)
    deviation = np.ascontiguousarray((np.asarray(counts) @ (distinct - mean) / len(distinct)).T)
    return _eliminate(mean, deviation)[np.ravel(model)]


def _eliminate(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Eliminate the worst model until one is left; `deviation` (k, B) is overwritten.

    Means and covariances among those left are kept up to date, so that a step costs one pass over them, and
    none where a look at the models' extremes shows that no draw is as bad, or where p is 1 already.
    """
    deviation -= deviation.mean(axis=0)
    covariance = deviation @ deviation.T / deviation.shape[1]
    row, total, draw_total = covariance.sum(axis=1), covariance.sum(), deviation.sum(axis=0)
    extreme, left, p = deviation.max(axis=1), np.arange(mean.size), np.ones(mean.size)
    above, largest = np.empty_like(deviation), 0.0
    for m in range(mean.size, 1, -1):
        variance = covariance[left, left] - 2 * row[left] / m + total / m**2
        sd = np.sqrt(np.maximum(variance, _ZERO**2))
        t = (mean[left] - mean[left].mean()) / sd
        worst = int(np.argmax(t))
        # max over models of (deviation - mean deviation) / sd > t, without dividing every value
        limit = t[worst] * sd
        if np.max(extreme[left] - limit) > draw_total.min() / m:
            np.subtract(deviation[:m], limit[:, None], out=above[:m])
            largest = max(largest, float(np.mean(above[:m].max(axis=0) > draw_total / m)))
        if largest == 1:
            break
        out = left[worst]
        p[out] = largest
        total -= 2 * row[out] - covariance[out, out]
        row -= covariance[out]
        draw_total -= deviation[worst]
        deviation[worst], left[worst] = deviation[m - 1], left[m - 1]
        left = left[: m - 1]
    return p


def compare(combinations: Combinations, metric: str) -> tuple[list[dict], list[dict]]:
    """Return the parts of the table `confidence_set` and rows of `refusals` for 'brier' or 'auroc'."""
    if reason := combinations.too_few():
        return [], [refusal("confidence set", metric, reason)]
    losses = subject_losses(combinations, metric)
    n, k = losses.shape
    rng = np.random.default_rng(SEED)
    p = confidence_set(losses, rng.multinomial(n, np.full(n, 1 / n), N_DRAWS))
    return [{"metric": metric, "run": np.arange(k), "p_value": p, "included": p > SIZE}], []

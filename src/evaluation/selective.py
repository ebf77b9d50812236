"""Selective prediction: what is gained where only the most confident predictions are kept; entropies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import entr, xlogy

from src.evaluation.auc import auroc
from src.evaluation.intervals import wilson
from src.evaluation.resampling import EvaluationError, subject_index
from src.evaluation.rows import Rows, as_rows, ratio, reordered


def aurc(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the area under the risk-coverage curve.

    Predictions are sorted by confidence max(p, 1 - p), descending and stable; the result is the mean over k
    of the share of errors, [p >= 0.5] != y, among the k most confident.

    Parameters
    ----------
    y, p, weight
        As in `src.evaluation.auc.auroc`; weights are whole numbers: a prediction that counts twice stands
        twice in the order.

    Returns
    -------
    ndarray, shape () or (B,)
        In [0, 1], 0 without errors; NaN where nothing counts.

    References
    ----------
    Geifman, Uziel & El-Yaniv 2019, ICLR, section 3.
    """
    rows = as_rows(y, p, weight)
    return rows.result(rows.once(_aurc))


def eaurc(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return aurc - (r + (1 - r) ln(1 - r)), r the share of errors: what better ordering could still gain.

    Parameters, shapes and source as in `aurc`. The subtracted area belongs to the best order of very many
    predictions; of few, a perfect order can lie a little below 0.
    """
    rows = as_rows(y, p, weight)
    r = ratio(rows.total(rows.unweighted(_errors)), rows.n)
    return rows.result(rows.once(_aurc) - (r + xlogy(1 - r, 1 - r)))


def _errors(rows: Rows) -> np.ndarray:
    return ((rows.p >= 0.5) != (rows.y == 1)).astype(np.float64)


_MOST = 10_000_000  # a table of the harmonic numbers up to there is made


def _aurc(rows: Rows) -> np.ndarray:
    if (rows.w != np.floor(rows.w)).any():
        raise EvaluationError(
            "aurc needs whole numbers as weights: they say how often a prediction stands in the order"
        )
    if rows.n.max(initial=0) > _MOST:
        raise EvaluationError(
            f"aurc takes weights that add up to at most {_MOST:.0e}; found {rows.n.max():.3g}"
        )
    wrong = rows.unweighted(_errors_in_order)
    w = reordered(rows.w, rows.unweighted(_confident_first))
    n, own = np.cumsum(w, axis=1), w * wrong
    errors = np.cumsum(own, axis=1) - own
    # Of c equal entries after n with e errors, the r-th adds (e + r wrong) / (n + r): harmonic numbers.
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(rows.n.max(initial=0)) + 1))])
    steps = np.diff(harmonic.take(n.astype(np.intp)), axis=1, prepend=0.0)
    return ratio((own + (errors - wrong * (n - w)) * steps).sum(axis=1), rows.n)


def _confident_first(rows: Rows) -> np.ndarray:
    """Order by descending max(p, 1 - p), stable; the slow stable sort only where there are ties."""
    key = -np.maximum(rows.p, 1 - rows.p)
    order = np.argsort(key, axis=1)
    ranked = reordered(key, order)
    tied = (ranked[:, 1:] == ranked[:, :-1]).any(axis=1)
    order[tied] = np.argsort(key[tied], axis=1, kind="stable")
    return order


def _errors_in_order(rows: Rows) -> np.ndarray:
    return reordered(rows.unweighted(_errors), rows.unweighted(_confident_first))


def retention_curve(
    y: np.ndarray, p: np.ndarray, n_points: int = 50, groups: Sequence[str] | np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return how good the predictions are that remain when only the most confident ones are kept.

    Bands are pointwise 95 % sampling bands, given the predictions and which of them are kept; that another
    sample of patients also gives other models is not in them. With q = min(p, 1 - p), a loss is q^2, and
    1 - 2 q more where the prediction is wrong: the mean is that of q^2 plus a multiple of a weighted share of
    the wrong, whose interval is Wilson's for (sum of weights)^2 / sum of squares of the subjects' weights
    independent subjects. For the share of errors the weights are 1 (benchmark `band_coverage`).

    Parameters
    ----------
    y, p : array_like, shape (n,)
        Labels 0/1; predicted probabilities.
    n_points : int
        Most points of the curve; a point keeps the ceil(n j / n_points) most confident, j = 1, 2, ...
    groups : sequence, length n, optional
        The subject of each recording; by default every recording is a subject.

    Returns
    -------
    dict of ndarray, shape (min(n, n_points),)
        `retained` (share kept, ascending to 1), `auroc` (NaN where one class is left), `brier` and `error`
        (share of [p >= 0.5] != y) of what is kept, and `brier_lo`, `brier_hi`, `error_lo`, `error_hi` (NaN
        where every prediction kept is 0.5 and its Brier loss no chance). Confidence is max(p, 1 - p), the
        order stable.

    References
    ----------
    Geifman & El-Yaniv 2017, NeurIPS, section 2.
    """
    rows = as_rows(y, p)
    if rows.shape:
        raise EvaluationError(f"predictions have shape {np.shape(p)}; expected one prediction per recording")
    n = rows.p.shape[1]
    order = np.argsort(-np.maximum(rows.p[0], 1 - rows.p[0]), kind="stable")
    kept = np.unique((n * np.arange(1, n_points + 1) + n_points - 1) // n_points) if n else np.arange(0)
    labels, ranked = rows.y[0, order], rows.p[0, order]
    subject = (np.arange(n) if groups is None else subject_index(rows.y[0], groups)[0])[order]
    wrong, distance = _errors(rows)[0, order], np.minimum(ranked, 1 - ranked)
    curve = {"retained": np.arange(1, n + 1) / n}
    curve |= _with_band("brier", wrong, distance**2, 1 - 2 * distance, subject)
    curve |= _with_band("error", wrong, np.zeros(n), np.ones(n), subject)
    columns = {name: values[kept - 1] for name, values in curve.items()}
    return columns | {"auroc": auroc(labels, ranked, np.arange(n) < kept[:, None])}


def _with_band(
    name: str, wrong: np.ndarray, right_loss: np.ndarray, extra: np.ndarray, subject: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the mean loss of the first 1, 2, ... predictions, and its band; being wrong adds `extra`."""
    k, weight = np.arange(1.0, wrong.size + 1), np.cumsum(extra)
    squares = np.cumsum((2 * _earlier(extra, subject) + extra) * extra)
    share = ratio(np.cumsum(extra * wrong), weight)
    limits = wilson(share, ratio(weight**2, squares))
    least, most = np.cumsum(right_loss) / k, weight / k
    mean = least + np.cumsum(extra * wrong) / k
    lo, hi = (least + most * limit for limit in limits)
    return {name: mean, f"{name}_lo": np.minimum(lo, mean), f"{name}_hi": np.maximum(hi, mean)}


def _earlier(values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return for each value the sum of those of the same subject that stand before it."""
    order = np.argsort(subject, kind="stable")
    first = np.flatnonzero(np.diff(subject[order], prepend=-1))
    before = np.cumsum(values[order]) - values[order]
    sums = np.empty(values.size)
    sums[order] = before - np.repeat(before[first], np.diff(np.append(first, values.size)))
    return sums


def entropies(
    y_prob_all: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split the uncertainty about each recording into what all models share and where they disagree.

    Parameters
    ----------
    y_prob_all : array_like, shape (B, n)
        Predictions of B models; anything (NaN) where the weight is 0.
    weight : array_like, broadcast to (B, n), optional
        How often a model counts for a recording; by default once. The left-out mask takes, for each
        recording, the models that did not train on it.

    Returns
    -------
    predictive, expected, mutual_information : ndarray, shape (n,)
        Entropy of the mean prediction, mean entropy of the predictions, and their difference, in nats: each
        in [0, ln 2]. NaN where no model counts.

    References
    ----------
    Depeweg et al. 2018, ICML, section 3; Houlsby et al. 2011, arXiv 1112.5745.
    """
    rows = as_rows(0.0, y_prob_all, weight)
    shape = np.broadcast_shapes(rows.p.shape, rows.w.shape)
    p, w = (np.broadcast_to(a, shape) for a in (rows.p, rows.w))
    counted = np.flatnonzero(w)
    p, w, recording = p.take(counted), w.take(counted), counted % shape[1]
    n, total, own = (np.bincount(recording, v, minlength=shape[1]) for v in (w, w * p, w * _entropy(p)))
    predictive = _entropy(np.clip(ratio(total, n), 0, 1))
    expected = ratio(own, n)
    return predictive, expected, np.maximum(predictive - expected, 0)


def _entropy(p: np.ndarray) -> np.ndarray:
    """Return -p ln p - (1 - p) ln(1 - p), 0 at 0 and 1."""
    return entr(p) + entr(1 - p)

"""The winner's curse as a number: how much of the best combination's score is owed to having been chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.evaluation.auc import auroc
from src.evaluation.comparisons.combinations import Combinations
from src.evaluation.comparisons.tables import refusal
from src.evaluation.intervals import percentiles, subject_draws
from src.evaluation.metrics import brier

N_DRAWS = 1000
SEED = 20180911
_TIE = 1e-12


class Chosen(NamedTuple):
    """The choice on everybody, and what choosing on draws and scoring on the undrawn gives.

    `run` is the position chosen on everybody; `value`, `corrected`, `lo` and `hi` are by metric, 'brier' and
    'auroc'.
    """

    run: int
    value: dict[str, float]
    corrected: dict[str, float]
    lo: dict[str, float]
    hi: dict[str, float]
    n_draws: int


def bias_corrected_choice(
    y: np.ndarray,
    p: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    n_draws: int = N_DRAWS,
    seed: int = SEED,
) -> Chosen:
    """Correct the score of the best of k models for having been chosen (BBC).

    Subjects are drawn with replacement, classes separately; the model with the lowest Brier score on the
    drawn (ties: higher AUROC) is scored on those not drawn.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    p : array_like, shape (k, n)
        Out-of-bag predictions, no NaN.
    groups : sequence, length n
        The subject of each recording; a subject's recordings are drawn together.
    n_draws, seed : int

    Returns
    -------
    Chosen
        `corrected` is the mean over the draws that leave out subjects of both classes, `lo` and `hi` their
        2.5 and 97.5 percentiles.

    References
    ----------
    Tsamardinos, Greasidou & Borboudakis 2018, Mach Learn 107:1895, section 3 (BBC-CV).
    """
    labels, scores = np.asarray(y), np.asarray(p, dtype=np.float64)
    counts = subject_draws(labels, groups, n_draws, seed)
    chosen = _choose(labels, scores, counts)
    undrawn = counts == 0
    usable = np.array([undrawn[:, labels == label].any(axis=1) for label in (0, 1)]).all(axis=0)
    rows = scores[chosen[usable]], undrawn[usable]
    draws = {"brier": brier(labels, *rows), "auroc": auroc(labels, *rows)}
    best = int(_choose(labels, scores, np.ones((1, labels.size)))[0])
    limits = {name: percentiles(values) for name, values in draws.items()}
    return Chosen(
        run=best,
        value={"brier": float(brier(labels, scores[best])), "auroc": float(auroc(labels, scores[best]))},
        corrected={name: float(values.mean()) for name, values in draws.items()},
        lo={name: float(limit[0]) for name, limit in limits.items()},
        hi={name: float(limit[1]) for name, limit in limits.items()},
        n_draws=int(usable.sum()),
    )


def _choose(y: np.ndarray, p: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the position of the best model of each draw; among equal predictions the first."""
    first = np.sort(np.unique(p, axis=0, return_index=True)[1])
    scores = counts @ ((p[first] - y) ** 2).T / counts.sum(axis=1, keepdims=True)
    candidates = scores <= scores.min(axis=1, keepdims=True) + _TIE  # sums round differently
    best = np.argmax(candidates, axis=1)
    for draw in np.flatnonzero(candidates.sum(axis=1) > 1):
        tied = np.flatnonzero(candidates[draw])
        best[draw] = tied[np.argmax(auroc(y, p[first[tied]], counts[draw]))]
    return first[best]


def winners_curse(combinations: Combinations) -> tuple[list[dict], list[dict]]:
    """Return the parts of the table `winners_curse` and rows of `refusals`.

    `run` is the champion and `oob` its headline. `value`, `corrected`, `optimism` (the apparent gain:
    how much better `value` looks than `corrected`), `lo` and `hi` speak of the mean out-of-bag predictions,
    on which `run_pooled` is the best: another estimand, to be shown as the size of the curse and not beside
    `oob` as its interval.
    """
    c = combinations
    best = c.champion
    if reason := c.too_few() or ("no Brier score is defined" if best is None else ""):
        return [], [refusal("winner's curse", metric, reason) for metric in ("brier", "auroc")]
    seen = c.shared
    chosen = bias_corrected_choice(np.asarray(c.y)[seen], c.p_oob[:, seen], np.asarray(c.groups)[seen])
    return [
        {
            "metric": metric,
            "run": best,
            "oob": c.estimates[metric][best] if metric in c.estimates else np.nan,
            "run_pooled": chosen.run,
            "value": chosen.value[metric],
            "corrected": chosen.corrected[metric],
            "optimism": sign * (chosen.value[metric] - chosen.corrected[metric]),
            "lo": chosen.lo[metric],
            "hi": chosen.hi[metric],
            "n_draws": chosen.n_draws,
        }
        for metric, sign in (("brier", -1), ("auroc", 1))
    ], []

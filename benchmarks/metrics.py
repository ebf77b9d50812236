"""Metrics of every iteration of a run against a plain loop over scikit-learn and statsmodels."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
from scipy.special import logit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from benchmarks import Row, at_least, at_most
from benchmarks.loop import CODES, SEED, table
from benchmarks.timing import fastest
from src.classifiers.logistic_regression import LogisticRegression
from src.evaluation.curves import all_curves
from src.evaluation.estimators import estimate_all, pool
from src.evaluation.loop import bootstrap
from src.evaluation.metrics import ITERATION_METRICS, all_metrics, iteration_metrics

MIN_GAIN, MAX_THREE_MS, MAX_DRAWS_MS = 100, 90, 60


def run(quick: bool) -> list[Row]:
    """Evaluate one run of 1000 iterations (`quick`: 200) of logistic regression.

    Processor time counts, as the machine may be shared; the best of five turns.
    """
    X, y = table()
    n = 200 if quick else 1000
    done = bootstrap(LogisticRegression(), X, y, CODES, CODES, n, SEED)
    p, counts = done.y_prob_all, done.inbag_counts
    arrays, left_out, mean = (y, p, counts, done.y_prob_apparent), counts == 0, pool(p, counts == 0).mean
    costs = fastest(
        {
            "own": lambda: iteration_metrics(y, p, left_out),
            "three": lambda: [iteration_metrics(y, p, w) for w in (left_out, counts, np.ones(y.size))],
            "draws": lambda: all_metrics(y, mean, counts),
            "once": lambda: all_metrics(y, mean),
            "estimates": lambda: estimate_all(*arrays, CODES),
            "curves": lambda: all_curves(*arrays),
        },
        5,
    )
    plain_costs = fastest({"plain": lambda: plain_metrics(y, p, left_out)}, 1)
    ms = {name: cost.processor * 1e3 for name, cost in costs.items()}
    own, plain = iteration_metrics(y, p, left_out), plain_metrics(y, p, left_out)
    apart = max(float(np.abs(own[m.name] - plain[:, k]).max()) for k, m in enumerate(ITERATION_METRICS))
    gain = plain_costs["plain"].processor / costs["own"].processor
    return [
        Row(f"metrics of {n} iterations on what they left out", ms["own"], "ms"),
        Row("a plain loop of scikit-learn and statsmodels", plain_costs["plain"].processor * 1e3, "ms"),
        at_least("plain loop / own", gain, MIN_GAIN),
        at_most("largest difference from the plain loop", apart, 1e-8),
        at_most("the same on the left-out, the resamples and everybody", ms["three"], MAX_THREE_MS, "ms"),
        at_most(f"all weighted metrics of {n} draws of subjects", ms["draws"], MAX_DRAWS_MS, "ms"),
        Row("all metrics of one set of predictions", ms["once"], "ms"),
        Row("estimates and intervals of the run", ms["estimates"], "ms"),
        Row("curves of the run", ms["curves"], "ms"),
    ]


def plain_metrics(y: np.ndarray, y_prob_all: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return the metrics of `ITERATION_METRICS`, one column each, one iteration after the other."""
    return np.array([_one(y[out], p[out].astype(float)) for p, out in zip(y_prob_all, left_out, strict=True)])


def _one(y: np.ndarray, p: np.ndarray) -> list[float]:
    brier, share, x = brier_score_loss(y, p), y.mean(), logit(p)
    family = sm.families.Binomial()
    (intercept,) = sm.GLM(y, np.ones((len(y), 1)), family=family, offset=x).fit().params
    joint, slope = sm.GLM(y, sm.add_constant(x), family=family).fit().params
    benefits = [((p >= t) * (y - (1 - y) * t / (1 - t))).mean() for t in (0.05, 0.10, 0.15, 0.20)]
    scaled = 1 - brier / (share * (1 - share))
    ranks = [roc_auc_score(y, p), average_precision_score(y, p)]
    return [*ranks, brier, scaled, intercept, slope, joint, y.sum() / p.sum(), *benefits]

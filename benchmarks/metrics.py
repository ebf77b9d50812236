"""Metrics of every iteration of a run against a plain loop over scikit-learn and statsmodels."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
from scipy.special import logit
from sklearn.metrics import brier_score_loss, roc_auc_score

from benchmarks import Row
from benchmarks.loop import CODES, SEED, table
from benchmarks.timing import fastest
from src.classifiers.logistic_regression import LogisticRegression
from src.evaluation.curves import all_curves
from src.evaluation.estimators import estimate_all
from src.evaluation.loop import bootstrap
from src.evaluation.metrics import METRICS, iteration_metrics


def run(quick: bool) -> list[Row]:
    """Evaluate one run of 1000 iterations (`quick`: 200) of logistic regression; the best of three counts."""
    X, y = table()
    n = 200 if quick else 1000
    done = bootstrap(LogisticRegression(), X, y, CODES, CODES, n, SEED)
    arrays = (y, done.y_prob_all, done.inbag_counts, done.y_prob_apparent)
    left_out = done.inbag_counts == 0
    costs = fastest(
        {
            "own": lambda: iteration_metrics(y, done.y_prob_all, left_out),
            "plain": lambda: plain_metrics(y, done.y_prob_all, left_out),
            "estimates": lambda: estimate_all(*arrays, CODES),
            "curves": lambda: all_curves(*arrays),
        },
        1 if quick else 3,
    )
    own, plain = iteration_metrics(y, done.y_prob_all, left_out), plain_metrics(y, done.y_prob_all, left_out)
    apart = max(float(np.abs(own[m.name] - plain[:, k]).max()) for k, m in enumerate(METRICS))
    return [
        Row(f"metrics of {n} iterations", costs["own"].clock, "s"),
        Row("the same / plain loop", costs["own"].clock / costs["plain"].clock),
        Row("largest difference from the plain loop", apart),
        Row("estimates and intervals of the run", costs["estimates"].clock, "s"),
        Row("curves of the run", costs["curves"].clock, "s"),
    ]


def plain_metrics(y: np.ndarray, y_prob_all: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return the metrics of `METRICS`, one column each, one iteration after the other."""
    return np.array([_one(y[out], p[out].astype(float)) for p, out in zip(y_prob_all, left_out, strict=True)])


def _one(y: np.ndarray, p: np.ndarray) -> list[float]:
    brier, share, x = brier_score_loss(y, p), y.mean(), logit(p)
    family = sm.families.Binomial()
    (intercept,) = sm.GLM(y, np.ones((len(y), 1)), family=family, offset=x).fit().params
    joint, slope = sm.GLM(y, sm.add_constant(x), family=family).fit().params
    benefits = [((p >= t) * (y - (1 - y) * t / (1 - t))).mean() for t in (0.05, 0.10, 0.15, 0.20)]
    scaled = 1 - brier / (share * (1 - share))
    return [roc_auc_score(y, p), brier, scaled, intercept, slope, joint, y.sum() / p.sum(), *benefits]

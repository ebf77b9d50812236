"""How often the sampling intervals hold the truth: simulated samples whose populations are known.

208 subjects, 56 of them cases, with eight normal features; 1000 samples, 200 iterations each. The truth of an
out-of-bag estimate is the mean, over the models of that very sample, of their performance in the population.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.tree import DecisionTreeClassifier
from tqdm import tqdm

from benchmarks import Row, at_most, within
from src.classifiers.logistic_regression import ridge
from src.evaluation.auc import auroc as auroc_of
from src.evaluation.estimators import COVERAGE_CHECKED, Estimate, evaluate_run
from src.evaluation.metrics import brier
from src.evaluation.resampling import inbag_counts

N_CONTROLS, N_CASES, N_FEATURES, N_ITERATIONS = 152, 56, 8, 200
PREVALENCE = N_CASES / (N_CONTROLS + N_CASES)
Y = np.repeat([0, 1], [N_CONTROLS, N_CASES])
CODES = [f"S{i:03d}" for i in range(Y.size)]
AUROCS = (0.5, 0.8, 0.91, 0.95)
REQUIRED = ("auroc", "brier")
HELD = (*REQUIRED, *sorted({metric for metric, _ in COVERAGE_CHECKED} - {*REQUIRED}))
BENEFITS = {f"net_benefit_{percent:02d}": percent / 100 for percent in (5, 10, 15, 20)}
N_SAMPLES, N_SAMPLES_TREE, N_POPULATION = 1000, 200, 100_000
WORKERS = 2

_Z = np.linspace(-9, 9, 181)
_DENSITY = norm.pdf(_Z) * (_Z[1] - _Z[0])


class Linear(NamedTuple):
    """Models with a linear score: intercepts (B,) and coefficients (B, k) on the logit scale."""

    intercept: np.ndarray
    coefficients: np.ndarray

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions for all rows, (B, n)."""
        return expit(self.intercept[:, None] + self.coefficients @ X.T)


def sample(auroc: float, rng: np.random.Generator, n_controls: int, n_cases: int) -> np.ndarray:
    """Return normal features, controls first; the best linear score has this AUROC in the population.

    Every feature has variance 1 and the same distance between the classes; they are independent.
    """
    X = rng.standard_normal((n_controls + n_cases, N_FEATURES))
    X[n_controls:] += _distance(auroc)
    return X


def _distance(auroc: float) -> float:
    """Return the distance of the classes' means in one feature: AUROC = Phi(sqrt(k) distance / sqrt 2)."""
    return float(math.sqrt(2 / N_FEATURES) * norm.ppf(auroc))


def fit_all(X: np.ndarray, y: np.ndarray, weight: np.ndarray, C: float = 1.0) -> Linear:
    """Fit ridge logistic regression, on standardised features, to many resamples at once.

    Parameters
    ----------
    X : ndarray, shape (n, k)
    y : ndarray, shape (n,)
    weight : ndarray, shape (B, n)
        How often each row is trained on.
    C : float
        Inverse strength of the penalty, as in `src.classifiers.logistic_regression`; may be infinite.

    Raises
    ------
    ArithmeticError
        If Newton's method does not converge.
    """
    w = weight.astype(np.float64)
    n = w.sum(axis=1, keepdims=True)
    mean = w @ X / n
    spread = np.sqrt(w @ X**2 / n - mean**2)
    beta = ridge((X - mean[:, None]) / spread[:, None], y, w, C)
    coefficients = beta[:, 1:] / spread
    return Linear(beta[:, 0] - (coefficients * mean).sum(axis=1), coefficients)


def population(models: Linear, auroc: float) -> dict[str, np.ndarray]:
    """Return what the models are worth in the population, at the sample's prevalence; arrays of shape (B,).

    A linear score is normal in both classes with one variance. Closed form but for the means of p, p^2 and
    precision, which are integrals over a normal density (trapezoids, exact to 1e-9).
    """
    sd = np.sqrt((models.coefficients**2).sum(axis=1))
    low = models.intercept
    high = low + models.coefficients.sum(axis=1) * _distance(auroc)
    s = low[:, None] + sd[:, None] * _Z, high[:, None] + sd[:, None] * _Z
    p = [expit(score) for score in s]
    brier = PREVALENCE * ((1 - p[1]) ** 2 @ _DENSITY) + (1 - PREVALENCE) * (p[0] ** 2 @ _DENSITY)
    expected = PREVALENCE * (p[1] @ _DENSITY) + (1 - PREVALENCE) * (p[0] @ _DENSITY)
    slope = (high - low) / sd**2
    passed = PREVALENCE * norm.sf(_Z), (1 - PREVALENCE) * norm.sf((s[1] - low[:, None]) / sd[:, None])
    worth = {
        "auroc": norm.cdf((high - low) / sd / math.sqrt(2)),
        "auprc": passed[0] / (passed[0] + passed[1]) @ _DENSITY,
        "brier": brier,
        "brier_scaled": 1 - brier / (PREVALENCE * (1 - PREVALENCE)),
        "cal_intercept": _intercepts(s),
        "cal_slope": slope,
        "cal_intercept_joint": logit(PREVALENCE) - slope * (low + high) / 2,
        "oe_ratio": PREVALENCE / expected,
    }
    for name, t in BENEFITS.items():
        cases, controls = (norm.sf((logit(t) - mean) / sd) for mean in (high, low))
        worth[name] = PREVALENCE * cases - (1 - PREVALENCE) * controls * t / (1 - t)
    return worth


def _intercepts(s: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the a with PREVALENCE = mean of expit(a + score), by Newton's method."""
    a = np.zeros(len(s[0]))
    for _ in range(100):
        p = [expit(a[:, None] + score) for score in s]
        means = [[q @ _DENSITY, (q * (1 - q)) @ _DENSITY] for q in p]
        value, slope = ((1 - PREVALENCE) * low + PREVALENCE * high for low, high in zip(*means, strict=True))
        step = (PREVALENCE - value) / slope
        a += step
        if np.abs(step).max() < 1e-10:
            return a
    raise ArithmeticError("the intercepts of the population do not converge")


class Held(NamedTuple):
    """Whether there is an interval, and whether it and half of it hold the truth."""

    measure: str
    exists: bool
    whole: bool
    half: bool


def linear_sample(auroc: float, seed: int) -> list[Held]:
    """Draw a sample, fit ridge logistic models, and hold every interval against their population."""
    X = sample(auroc, np.random.default_rng([seed, round(1000 * auroc)]), N_CONTROLS, N_CASES)
    counts = inbag_counts(Y, CODES, N_ITERATIONS, seed)
    models = fit_all(X, Y, np.vstack([counts, np.ones(Y.size)]))
    p, worth = models.predict(X), population(models, auroc)
    rows = _by_key(p, counts)
    held = [_held(name, rows[name, "oob"], values[:-1].mean()) for name, values in worth.items()]
    for name in ("auroc", "cal_slope"):
        for estimator in ("oob", "optimism_corrected"):
            measure = f"{name}, {estimator}, full-data model"
            held.append(_held(measure, rows[name, estimator], worth[name][-1]))
    return held


def tree_sample(auroc: float, seed: int) -> list[Held]:
    """Draw a sample, fit small trees, and hold the intervals against a large second sample."""
    rng = np.random.default_rng([seed, round(1000 * auroc)])
    X = sample(auroc, rng, N_CONTROLS, N_CASES)
    n_cases = round(N_POPULATION * PREVALENCE)
    rest = sample(auroc, rng, N_POPULATION - n_cases, n_cases).astype(np.float32)
    counts = inbag_counts(Y, CODES, N_ITERATIONS, seed)
    p, worth = [], []
    for weight in [*counts, np.ones(Y.size)]:
        tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
        tree.fit(X, Y, sample_weight=weight)
        p.append(tree.predict_proba(X)[:, 1])
        worth.append(_worth_of_leaves(tree.tree_, tree.tree_.apply(rest), n_cases))
    rows, truth = _by_key(np.array(p), counts), np.array(worth)
    held = [_held(name, rows[name, "oob"], truth[:-1, k].mean()) for k, name in enumerate(REQUIRED)]
    return [*held, _held("auroc, oob, full-data model", rows["auroc", "oob"], truth[-1, 0])]


def _worth_of_leaves(tree: Any, leaves: np.ndarray, n_cases: int) -> tuple[float, float]:
    """Return AUROC and Brier of a tree from the leaves of controls first, then cases."""
    p = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
    weight = np.concatenate([np.bincount(part, minlength=p.size) for part in np.split(leaves, [-n_cases])])
    y, both = np.repeat([0, 1], p.size), np.tile(p, 2)
    return float(auroc_of(y, both, weight)), float(brier(y, both, weight))


def _by_key(p: np.ndarray, counts: np.ndarray) -> dict[tuple[str, str], Estimate]:
    """Evaluate the models of a sample; the last row of `p` is the model of everybody."""
    estimates = evaluate_run(Y, p[:-1].astype(np.float32), counts, p[-1], CODES).estimates
    return {(row.metric, row.estimator): row for row in estimates}


def _held(measure: str, row: Estimate, truth: float) -> Held:
    """Compare an interval with the truth; one that is missing holds nothing."""
    lo, hi = halved(row)
    whole = row.sampling_lo <= truth <= row.sampling_hi
    return Held(measure, bool(np.isfinite(lo)), bool(whole), bool(lo <= truth <= hi))


def halved(row: Estimate) -> tuple[float, float]:
    """Return the interval that half the standard error would give."""
    ends = np.array([row.sampling_lo, row.sampling_hi])
    if row.sampling_method == "delong logit":
        lo, hi = expit((logit(ends) + logit(row.estimate)) / 2)
    else:
        lo, hi = (ends + row.estimate) / 2
    return float(lo), float(hi)


class Coverage(NamedTuple):
    """In how many samples there is an interval, it holds the truth, and half of it does."""

    exists: float
    whole: float
    half: float


def coverage(one: Callable[[int], list[Held]], n: int, pool: Executor, about: str) -> dict[str, Coverage]:
    """Return the shares of `n` samples, for everything that one sample is asked."""
    results = pool.map(one, range(n), chunksize=5)
    samples = list(tqdm(results, total=n, desc=about, disable=None, leave=False))
    return {
        held[0].measure: Coverage(*(float(np.mean([h[k] for h in held])) for k in (1, 2, 3)))
        for held in zip(*samples, strict=True)
    }


def run(quick: bool) -> list[Row]:
    """Simulate 1000 samples per AUROC (`quick`: 40) and 200 of trees (`quick`: 4), in two processes."""
    n, n_trees = (40, 4) if quick else (N_SAMPLES, N_SAMPLES_TREE)
    rows = []
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        for auroc in AUROCS:
            found = coverage(partial(linear_sample, auroc), n, pool, f"AUROC {auroc:g}")
            # Forty samples cannot tell 0.92 from 0.88: nothing is asked of them.
            rows += _reported(f"AUROC {auroc:g}", found) if quick else _asked(f"AUROC {auroc:g}", found)
        trees = coverage(partial(tree_sample, 0.8), n_trees, pool, "trees")
    return rows + [Row(f"AUROC 0.8, trees: {name}", shares.whole) for name, shares in trees.items()]


def _asked(about: str, found: dict[str, Coverage]) -> list[Row]:
    """A planted error, half the standard error, has to show as coverage below the limit."""
    rows = [within(f"{about}: {name}", found[name].whole, 0.95, 0.03) for name in HELD]
    errors = [at_most(f"{about}: {n}, half the standard error", found[n].half, 0.92) for n in REQUIRED]
    return rows + errors + _reported(about, {n: shares for n, shares in found.items() if n not in HELD})


def _reported(about: str, found: dict[str, Coverage]) -> list[Row]:
    rows = []
    for name, shares in found.items():
        rows.append(Row(f"{about}: {name}", shares.whole))
        if shares.exists < 1:
            rows.append(Row(f"{about}: {name}, samples with an interval", shares.exists))
    return rows

"""The metrics of predicted probabilities: one table, and all of them for every iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from src.evaluation import descriptive
from src.evaluation.auc import auprc, auroc, tpauc, tpauc_norm
from src.evaluation.calibration import (
    cal_intercept,
    cal_intercept_joint,
    cal_slope,
    ece10,
    n_clipped,
    oe_ratio,
)
from src.evaluation.decision import net_benefit
from src.evaluation.rows import Rows, as_rows, ranked_blocks, ratio
from src.evaluation.selective import aurc, eaurc
from src.evaluation.smooth import e50, e90, emax, ici

Direction = Literal["higher", "lower", "target", "none"]
Kind = Literal["essential", "uncertainty", "descriptive"]


def brier(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return mean((p - y)^2), in [0, 1]; NaN where nothing counts.

    Parameters and shapes as in `src.evaluation.auc.auroc`. Source: Brier 1950, Mon Weather Rev 78:1.
    """
    rows = as_rows(y, p, weight)
    return rows.result(rows.once(_brier))


def _brier(rows: Rows) -> np.ndarray:
    return ratio(rows.total((rows.p - rows.y) ** 2), rows.n)


def brier_scaled(y: np.ndarray, p: np.ndarray | Rows, weight: np.ndarray | None = None) -> np.ndarray:
    """Return 1 - brier / (prev (1 - prev)), prev the observed share of cases (index of prediction accuracy).

    At most 1; 0 for the constant prediction prev; NaN where a class is absent. Parameters and shapes as in
    `src.evaluation.auc.auroc`. Source: Kattan & Gerds 2018, Diagn Progn Res 2:7.
    """
    rows = as_rows(y, p, weight)
    prevalence = ratio(rows.n_cases, rows.n)
    return rows.result(1 - ratio(rows.once(_brier), prevalence * (1 - prevalence)))


@dataclass(frozen=True)
class Metric:
    """A metric of predicted probabilities.

    Parameters
    ----------
    name : str
        As in the database.
    function : callable
        (y, p, weight=None) -> ndarray, shape () or (B,); see `src.evaluation.auc.auroc`. Where `p` is
        `Rows`, what metrics share is computed once.
    direction : {'higher', 'lower', 'target', 'none'}
        Which way is better; neither, where the value only describes.
    domain : tuple of float
        Smallest and largest value possible.
    target : float, optional
        The ideal value where direction is 'target'.
    kind : {'essential', 'uncertainty', 'descriptive'}
        Descriptive metrics are improper at clinical thresholds and never rank anything.
    per_iteration : bool
        Whether it is computed for every iteration.
    smoothed : bool
        Whether it rests on a smooth calibration curve: no weights, no value per iteration.
    undefined : str
        When it is NaN, in words.
    """

    name: str
    function: Callable[..., np.ndarray]
    direction: Direction
    domain: tuple[float, float]
    target: float | None = None
    kind: Kind = "essential"
    per_iteration: bool = True
    smoothed: bool = False
    undefined: str = "there are no predictions"


_ONE_CLASS = "a class is absent"
_NO_MAXIMUM = f"{_ONE_CLASS}, the predictions are constant, or a threshold separates the classes"
_NO_CURVE = "three quarters of the predictions around some value are equal, so no curve goes through them"


def _net_benefit(percent: int) -> Metric:
    t = percent / 100
    return Metric(
        f"net_benefit_{percent:02d}", partial(net_benefit, threshold=t), "higher", (-t / (1 - t), 1.0)
    )


def _smoothed(function: Callable[..., np.ndarray]) -> Metric:
    return Metric(
        function.__name__,
        function,
        "lower",
        (0.0, _INFINITY),
        per_iteration=False,
        smoothed=True,
        undefined=_NO_CURVE,
    )


def _rule(function: Callable[..., np.ndarray], threshold: descriptive.Threshold, suffix: str) -> Metric:
    undefined = _OF_RULES[function]
    return _described(
        f"{function.__name__}_{suffix}",
        partial(function, threshold=threshold),
        (-1.0 if function is descriptive.mcc else 0.0, 1.0),
        undefined=undefined if threshold != "youden" else " or ".join(dict.fromkeys([_ONE_CLASS, undefined])),
    )


def _described(
    name: str,
    function: Callable[..., np.ndarray],
    domain: tuple[float, float],
    direction: Direction = "higher",
    undefined: str = _ONE_CLASS,
) -> Metric:
    return Metric(
        name, function, direction, domain, kind="descriptive", per_iteration=False, undefined=undefined
    )


_INFINITY = float("inf")
_REALS = (-_INFINITY, _INFINITY)

_OF_RULES = {
    descriptive.sensitivity: "there are no cases",
    descriptive.specificity: "there are no controls",
    descriptive.ppv: "nobody is positive",
    descriptive.npv: "nobody is negative",
    descriptive.f1: "there are no cases and nobody is positive",
    descriptive.balanced_accuracy: _ONE_CLASS,
    descriptive.accuracy: "there are no predictions",
    descriptive.mcc: f"{_ONE_CLASS} or all are on one side of the threshold",
    descriptive.ppv_adj: f"{_ONE_CLASS} or nobody is positive",
    descriptive.npv_adj: f"{_ONE_CLASS} or nobody is negative",
}
"""Metrics of a rule, and when they are undefined."""

METRICS: tuple[Metric, ...] = (
    Metric("auroc", auroc, "higher", (0.0, 1.0), undefined=_ONE_CLASS),
    Metric("auprc", auprc, "higher", (0.0, 1.0), kind="descriptive", undefined="there are no cases"),
    Metric("brier", brier, "lower", (0.0, 1.0)),
    Metric("brier_scaled", brier_scaled, "higher", (-_INFINITY, 1.0), undefined=_ONE_CLASS),
    Metric("cal_intercept", cal_intercept, "target", _REALS, 0.0, undefined=_ONE_CLASS),
    Metric("cal_slope", cal_slope, "target", _REALS, 1.0, undefined=_NO_MAXIMUM),
    Metric("cal_intercept_joint", cal_intercept_joint, "target", _REALS, 0.0, undefined=_NO_MAXIMUM),
    Metric("oe_ratio", oe_ratio, "target", (0.0, _INFINITY), 1.0, undefined="every prediction is 0"),
    *map(_net_benefit, (5, 10, 15, 20)),
    *map(_smoothed, (ici, e50, e90, emax)),
    Metric("ece10", ece10, "lower", (0.0, 1.0), per_iteration=False),
    Metric("aurc", aurc, "lower", (0.0, 1.0), kind="uncertainty", per_iteration=False),
    Metric("eaurc", eaurc, "lower", (-_INFINITY, 1.0), kind="uncertainty", per_iteration=False),
    *(_rule(function, 0.5, "at_50") for function in _OF_RULES),
    *(_rule(function, "youden", "youden") for function in _OF_RULES),
    _described("threshold_youden", descriptive.threshold_youden, (0.0, 1.0), "none"),
    _described("tpauc", tpauc, (0.0, 0.04)),
    _described("tpauc_norm", tpauc_norm, (0.0, 1.0)),
)
"""Every metric of predictions, in the order of the tables."""

ITERATION_METRICS: tuple[Metric, ...] = tuple(m for m in METRICS if m.per_iteration)
"""The metrics of every iteration."""

CLOSED_METRICS: tuple[Metric, ...] = tuple(m for m in METRICS if not m.smoothed)
"""Those that need no smooth curve, and so take weights."""


def all_metrics(
    y: np.ndarray,
    p: np.ndarray | Rows,
    weight: np.ndarray | None = None,
    only: Iterable[Metric] | None = None,
) -> dict[str, np.ndarray]:
    """Compute many metrics at once; y, p and weight as in `src.evaluation.auc.auroc`.

    Parameters
    ----------
    only : iterable of Metric, optional
        Which; by default all of `METRICS` or, with a weight, all that take one (the smoothed do not).

    Returns
    -------
    dict of str to ndarray, shape () or (B,)
        Keys in the order asked for; NaN where a metric is undefined.
    """
    usual = METRICS if weight is None else CLOSED_METRICS
    chosen = list(usual if only is None else only)
    functions = {metric.name: metric.function for metric in chosen}
    return _together([_evaluate(functions, rows) for rows in as_rows(y, p, weight).blocks()])


def _evaluate(functions: dict[str, Callable[..., np.ndarray]], rows: Rows) -> dict[str, np.ndarray]:
    return {name: function(rows.y, rows) for name, function in functions.items()}


def _together(blocks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    if len(blocks) == 1:
        return blocks[0]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def iteration_metrics(y: np.ndarray, y_prob_all: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the metrics of every iteration.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    y_prob_all : array_like, shape (B, n)
        Predictions; anything (NaN) where the weight is 0.
    weight : array_like of bool or counts, broadcast to (B, n)
        How often a prediction counts: the mask of what an iteration left out, its in-bag counts, or ones.

    Returns
    -------
    dict of str to ndarray, shape (B,)
        The metrics of `ITERATION_METRICS`, `n_clipped` (predictions of 0 or 1, clipped at 1e-8) and
        `n_left_out` (the predictions that count, so often as they count).

    Raises
    ------
    EvaluationError
        If a prediction that counts is not a probability.
    """
    return metrics_of_blocks(ranked_blocks(y, y_prob_all, weight))


def metrics_of_blocks(
    blocks: Sequence[Rows], metrics: Sequence[Metric] = ITERATION_METRICS
) -> dict[str, np.ndarray]:
    """Return the metrics, and the counts of `iteration_metrics`, of iterations in blocks of rows."""
    functions = {metric.name: metric.function for metric in metrics}
    functions |= {"n_clipped": n_clipped, "n_left_out": _n_counted}
    return _together([_evaluate(functions, rows) for rows in blocks])


def _n_counted(y: np.ndarray, rows: Rows) -> np.ndarray:
    return rows.result(rows.n).astype(np.int64)

"""Every metric of the table against its definition, written as a plain loop over one set of predictions."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation.auc import auroc_delong_hi, auroc_delong_lo, tpauc, tpauc_norm
from src.evaluation.metrics import ITERATION_METRICS, METRICS, all_metrics, iteration_metrics
from src.evaluation.resampling import EvaluationError

NAN = float("nan")
FITTED = {"cal_intercept", "cal_slope", "cal_intercept_joint"}  # held to their equations in test_metrics.py
CLOSED = [metric for metric in METRICS if metric.name not in FITTED]
WEIGHABLE = [metric for metric in METRICS if not metric.smoothed]


def over(a, b):
    return a / b if b > 0 else NAN


def plain_auroc(y, p):
    pairs = [(a, b) for a, la in zip(p, y, strict=True) for b, lb in zip(p, y, strict=True) if la > lb]
    return over(sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs), len(pairs))


def plain_auprc(y, p):
    area, recall = 0.0, 0.0
    for t in sorted(set(p), reverse=True):
        found = sum(label for label, value in zip(y, p, strict=True) if value >= t)
        new = over(found, sum(y))
        area, recall = area + (new - recall) * found / sum(value >= t for value in p), new
    return area


def plain_net_benefit(y, p, t):
    tp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 1)
    fp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 0)
    return tp / len(y) - fp / len(y) * t / (1 - t)


def plain_ece(y, p):
    total = 0.0
    for k in range(10):
        members = [(a, b) for a, b in zip(y, p, strict=True) if k / 10 < b <= (k + 1) / 10]
        if members:
            labels, values = zip(*members, strict=True)
            gap = abs(sum(labels) / len(members) - sum(values) / len(members))
            total += len(members) / len(y) * gap
    return total


def plain_aurc(y, p):
    order = sorted(range(len(y)), key=lambda i: -max(p[i], 1 - p[i]))
    errors, risks = 0, []
    for k, i in enumerate(order, start=1):
        errors += (p[i] >= 0.5) != (y[i] == 1)
        risks.append(errors / k)
    return sum(risks) / len(risks)


def plain_eaurc(y, p):
    r = sum((b >= 0.5) != (a == 1) for a, b in zip(y, p, strict=True)) / len(y)
    return plain_aurc(y, p) - (r + ((1 - r) * math.log(1 - r) if r < 1 else 0.0))


def plain_distances(y, p):
    """Return |c(p) - p|, each c a weighted quadratic fitted on its own; NaN if one has no neighbourhood."""
    apart = []
    for x0 in p:
        reach = sorted(abs(v - x0) for v in p)[max(1, math.floor(len(p) * 0.75 + 1e-5)) - 1]
        if reach == 0:
            return [NAN]
        root = [max(0.0, 1 - (abs(v - x0) / reach) ** 3) ** 1.5 for v in p]
        design = np.array(
            [[r, r * (v - x0) / reach, r * ((v - x0) / reach) ** 2] for r, v in zip(root, p, strict=True)]
        )
        length = np.linalg.norm(design, axis=0)
        length[length == 0] = 1
        fit = np.linalg.pinv(design / length, rcond=1e-13) @ (np.array(root) * y)
        apart.append(abs(fit[0] / length[0] - x0))
    return apart


def plain_quantile(values, q):
    """Return the type 7 quantile: position (n - 1) q among the ordered, linear between neighbours."""
    ordered, place = sorted(values), (len(values) - 1) * q
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(values) - 1)] - ordered[low])


def plain_youden(y, p):
    if sum(y) in (0, len(y)):
        return NAN
    best, where = -math.inf, NAN
    for t in sorted(set(p), reverse=True):
        tp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 1)
        fp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 0)
        j = tp * (len(y) - sum(y)) - fp * sum(y)
        if j > best:
            best, where = j, t
    return where


def plain_rule(y, p, t):
    pairs = [] if math.isnan(t) else [(label, value >= t) for label, value in zip(y, p, strict=True)]
    tp, fn = pairs.count((1, True)), pairs.count((1, False))
    fp, tn = pairs.count((0, True)), pairs.count((0, False))
    sensitivity, specificity = over(tp, tp + fn), over(tn, tn + fp)
    found, alarms = 0.0354 * sensitivity, 0.9646 * (1 - specificity)
    cleared, missed = 0.9646 * specificity, 0.0354 * (1 - sensitivity)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": over(tp, tp + fp),
        "npv": over(tn, tn + fn),
        "f1": over(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "accuracy": over(tp + tn, tp + fp + fn + tn),
        "mcc": over(tp * tn - fp * fn, math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        "ppv_adj": over(found, found + alarms),
        "npv_adj": over(cleared, cleared + missed),
    }


def plain_tpauc(y, p, sens_min=0.8, spec_min=0.8):
    """Integrate max(ROC - sens_min, 0) up to 1 - spec_min in trapezoids, cut where a line crosses 0."""
    cases, controls = sum(y), len(y) - sum(y)
    if not cases or not controls:
        return NAN
    points = [(0.0, -sens_min)]
    for t in sorted(set(p), reverse=True):
        tp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 1)
        fp = sum(1 for label, value in zip(y, p, strict=True) if value >= t and label == 0)
        points.append((fp / controls, tp / cases - sens_min))
    area, end = 0.0, 1 - spec_min
    for (x0, h0), (x1, h1) in pairwise(points):
        if x0 >= end or x1 == x0:
            continue
        slope = (h1 - h0) / (x1 - x0)
        bends = [x0, min(x1, end)]
        if h0 < 0 < h0 + slope * (bends[1] - x0):
            bends.insert(1, x0 - h0 / slope)
        heights = [max(0.0, h0 + slope * (x - x0)) for x in bends]
        area += sum(
            (b - a) * (f + g) / 2 for a, b, f, g in zip(bends, bends[1:], heights, heights[1:], strict=False)
        )
    return area


def plain(y, p):
    """Return every closed metric of one set of predictions."""
    y, p = [int(v) for v in y], [float(v) for v in p]
    share, brier = sum(y) / len(y), sum((b - a) ** 2 for a, b in zip(y, p, strict=True)) / len(y)
    apart, youden = plain_distances(y, p), plain_youden(y, p)
    values = {
        "auroc": plain_auroc(y, p),
        "auprc": plain_auprc(y, p),
        "brier": brier,
        "brier_scaled": 1 - over(brier, share * (1 - share)),
        "oe_ratio": over(sum(y), sum(p)),
        "ici": sum(apart) / len(apart),
        "e50": plain_quantile(apart, 0.5),
        "e90": plain_quantile(apart, 0.9),
        "emax": max(apart),
        "ece10": plain_ece(y, p),
        "aurc": plain_aurc(y, p),
        "eaurc": plain_eaurc(y, p),
        "threshold_youden": youden,
        "tpauc": plain_tpauc(y, p),
        "tpauc_norm": plain_tpauc(y, p) / (0.2 * 0.2),
    }
    values |= {
        f"net_benefit_{int(100 * t):02d}": plain_net_benefit(y, p, t) for t in (0.05, 0.10, 0.15, 0.20)
    }
    values |= {f"{name}_at_50": value for name, value in plain_rule(y, p, 0.5).items()}
    return values | {f"{name}_youden": value for name, value in plain_rule(y, p, youden).items()}


TIED = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.5000001, 0.6, 0.7, 0.9, 1.0])
SPREAD = st.floats(1 / 1024, 1 - 1 / 1024, width=32)


@st.composite
def predictions(draw, min_size=1, max_size=14):
    """Small tables: ties, zeros, ones, one class only, constants, or values all over the place."""
    n = draw(st.integers(min_size, max_size))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    p = draw(st.lists(draw(st.sampled_from([TIED, SPREAD])), min_size=n, max_size=n))
    return np.array(y), np.array(p)


def assert_same(found, expected, names, rtol=1e-9, atol=1e-9):
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


@given(predictions())
@settings(max_examples=300)
def test_every_closed_metric_is_its_definition(table):
    y, p = table
    expected = plain(y, p)
    assert set(expected) == {metric.name for metric in CLOSED}
    # Curves through few or nearly equal values are ill-conditioned: the last digits are the solver's.
    apart = np.diff(np.unique(p))
    rough = {m.name for m in METRICS if m.smoothed} if len(apart) < 4 or apart.min() < 1e-4 else set()
    found = all_metrics(y, p, only=CLOSED)
    assert_same(found, expected, set(expected) - rough)
    assert_same(found, expected, rough, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_every_closed_metric_is_its_definition_on_many_predictions(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 90)
    p = np.round(rng.beta(1 + y, 2), [8, 2, 1][seed])
    assert_same(all_metrics(y, p), plain(y, p), [metric.name for metric in CLOSED])


@given(predictions(), st.data())
def test_weights_mean_repeated_predictions(table, data):
    y, p = table
    w = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y))))
    w[0] = max(w[0], w.sum() == 0)
    weighted = all_metrics(y, p, w)
    repeated = all_metrics(np.repeat(y, w), np.repeat(p, w), only=WEIGHABLE)
    assert list(weighted) == list(repeated)
    assert_same(weighted, repeated, set(weighted) - FITTED)
    assert_same(weighted, repeated, FITTED, rtol=1e-6, atol=1e-8)


@given(predictions(min_size=3), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60)
def test_many_weights_for_one_row_of_predictions_are_those_one_by_one(table, seed, several):
    y, p = table
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 3, (5, y.size))
    labels = rng.integers(0, 2, (5, y.size)) if several else np.broadcast_to(y, (5, y.size))
    together = all_metrics(labels if several else y, p, w)
    for b in range(5):
        assert_same(
            {k: v[b] for k, v in together.items()}, all_metrics(labels[b], p, w[b]), together, 1e-8, 1e-8
        )


def iterations(n_iterations=300, n=40, decimals=8, seed=0):
    """Predictions and in-bag counts of more iterations than fit in a block."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    p = np.round(rng.beta(1 + y, 2, (n_iterations, n)), decimals)
    return y, p, rng.poisson(1, (n_iterations, n))


@pytest.mark.parametrize("decimals", [8, 1])
def test_iterations_in_blocks_are_the_iterations_one_by_one(decimals):
    y, p, counts = iterations(decimals=decimals)
    for weight in (counts == 0, counts, np.ones(y.size)):
        together = iteration_metrics(y, np.where(np.broadcast_to(weight, p.shape) > 0, p, np.nan), weight)
        assert list(together) == [m.name for m in ITERATION_METRICS] + ["n_clipped", "n_left_out"]
        for b in (0, 127, 128, 299):
            w = np.broadcast_to(weight, p.shape)[b].astype(int)
            rows = np.repeat(np.arange(y.size), w)
            alone = {k: v for k, v in plain(y[rows], p[b, rows]).items() if k in together}
            assert_same({k: together[k][b] for k in alone}, alone, alone)
            for metric in ITERATION_METRICS:
                value = metric.function(y[rows], p[b, rows])
                np.testing.assert_allclose(together[metric.name][b], value, rtol=1e-8, atol=1e-8)
            assert together["n_left_out"][b] == w.sum()
            assert together["n_clipped"][b] == np.isin(p[b, rows], [0, 1]).sum()


@given(predictions(min_size=2), st.sampled_from([np.sqrt, np.square, lambda p: (1 + p) / 2]))
def test_ranks_are_all_that_some_metrics_see(table, monotone):
    y, p = table
    ranks_alone = [m for m in METRICS if m.name in {"auroc", "auprc", "tpauc"} or m.name.endswith("_youden")]
    before, after = (all_metrics(y, q, only=ranks_alone) for q in (p, monotone(p)))
    if len(set(p)) == len(set(monotone(p))):
        assert_same(before, after, set(before) - {"threshold_youden"})


@given(predictions(min_size=2))
def test_swapping_the_classes_mirrors_the_metrics(table):
    y, p = table
    q = np.round(p * 64) / 64  # so that 1 - q and 1 - (1 - q) are exact
    one, other = all_metrics(y, q), all_metrics(1 - y, 1 - q)
    same = {"auroc", "brier", "brier_scaled", "cal_slope", "ici", "e50", "e90", "emax"}
    assert_same(one, other, same - {"cal_slope"} if len(set(q)) < 5 else same, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one["cal_intercept"], -other["cal_intercept"], atol=1e-6)
    if 0.5 not in q:
        assert_same(one, other, {"aurc", "accuracy_at_50", "mcc_at_50", "balanced_accuracy_at_50"})
        np.testing.assert_allclose(one["sensitivity_at_50"], other["specificity_at_50"])
        np.testing.assert_allclose(one["ppv_at_50"], other["npv_at_50"])


@given(predictions(min_size=2), st.floats(0, 0.95), st.floats(0, 0.95))
def test_two_way_partial_areas_at_any_borders(table, sens_min, spec_min):
    y, p = table
    raw, norm = (f(y, p, sens_min=sens_min, spec_min=spec_min) for f in (tpauc, tpauc_norm))
    np.testing.assert_allclose(raw, plain_tpauc(y, p, sens_min, spec_min), atol=1e-12)
    np.testing.assert_allclose(norm, raw / ((1 - sens_min) * (1 - spec_min)), atol=1e-9)
    whole = tpauc(y, p, sens_min=0, spec_min=0)
    np.testing.assert_allclose(whole, plain_auroc(y, p), atol=1e-12)


@given(predictions(min_size=2))
def test_delong_limits_are_the_double_loop(table):
    y, p = table
    cases, controls = p[y == 1], p[y == 0]
    lo, hi = auroc_delong_lo(y, p), auroc_delong_hi(y, p)
    if min(len(cases), len(controls)) < 2:
        assert np.isnan(lo) and np.isnan(hi)
        return
    wins = (cases[:, None] > controls) + 0.5 * (cases[:, None] == controls)
    variance = sum(wins.mean(axis=k).var(ddof=1) / wins.shape[1 - k] for k in (0, 1))
    half = 1.959963984540054 * math.sqrt(variance)
    np.testing.assert_allclose([lo, hi], np.clip([wins.mean() - half, wins.mean() + half], 0, 1), atol=1e-9)


def test_no_predictions_leave_everything_undefined():
    for metric in WEIGHABLE:
        assert np.isnan(metric.function(np.array([]), np.array([]))), metric.name
        assert np.isnan(metric.function([0, 1], [0.2, 0.4], [0, 0])), metric.name


CONDITIONS = {
    "a class is absent": lambda y, p, t: len(set(y)) < 2,
    "there are no cases": lambda y, p, t: not y.any(),
    "there are no controls": lambda y, p, t: y.all(),
    "nobody is positive": lambda y, p, t: not (p >= t).any(),
    "nobody is negative": lambda y, p, t: (p >= t).all(),
    "all are on one side of the threshold": lambda y, p, t: len(set(p >= t)) < 2,
    "every prediction is 0": lambda y, p, t: not p.any(),
    "the predictions are constant": lambda y, p, t: len(set(p)) < 2,
    "a threshold separates the classes": lambda y, p, t: (
        max(p[y == 0]) <= min(p[y == 1]) or max(p[y == 1]) <= min(p[y == 0])
    ),
    "so no curve goes through them": lambda y, p, t: max(Counter(p).values()) >= 0.75 * len(p) - 1,
    "there are no predictions": lambda y, p, t: False,
}


@given(predictions())
@settings(max_examples=200)
def test_what_is_undefined_says_why(table):
    y, p = table
    found = all_metrics(y, p)
    for metric in METRICS:
        if np.isnan(found[metric.name]):
            t = found["threshold_youden"] if metric.name.endswith("_youden") else 0.5
            reasons = [holds for phrase, holds in CONDITIONS.items() if phrase in metric.undefined]
            assert any(holds(y, p, t) for holds in reasons), (metric.name, metric.undefined)


def test_what_cannot_be_evaluated_is_named():
    y, p = np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3])
    with pytest.raises(EvaluationError, match="label of iteration 0 for position 2 is 2; expected 0 or 1"):
        all_metrics(np.array([0, 1, 2]), p)
    with pytest.raises(EvaluationError, match="weight of iteration 0 for position 1 is -1; expected a count"):
        all_metrics(y, p, np.array([1, -1, 1]))
    with pytest.raises(EvaluationError, match=r"labels of shape \(3,\) .* predictions of shape \(2,\)"):
        all_metrics(y, p[:2])
    with pytest.raises(EvaluationError, match="take no weights"):
        all_metrics(y, p, [1, 2, 1], only=[m for m in METRICS if m.smoothed])
    with pytest.raises(EvaluationError, match="whole numbers"):
        all_metrics(y, p, np.array([1, 0.5, 1]))
    assert all_metrics(np.array([0, 1, np.nan]), p, np.array([1, 1, 0]), only=ITERATION_METRICS)["auroc"] == 1


def test_the_table_of_metrics_is_consistent():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    p = rng.beta(1 + y, 2)
    for metric in METRICS:
        assert (metric.direction == "target") == (metric.target is not None)
        assert metric.domain[0] <= metric.function(y, p) <= metric.domain[1], metric.name
        assert metric.function(y, np.stack([p, p])).shape == (2,)
        assert not (metric.smoothed and metric.per_iteration)

"""Risk and coverage, retention curves, entropies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.auc import auroc
from src.evaluation.resampling import EvaluationError
from src.evaluation.selective import aurc, eaurc, entropies, retention_curve


def test_risk_and_coverage_by_hand():
    # Confidence .9 (right), .8 (wrong), .7 (right), .6 (wrong): risks 0, 1/2, 1/3, 2/4.
    y, p = [1, 1, 0, 0], [0.9, 0.2, 0.3, 0.6]
    assert aurc(y, p) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert eaurc(y, p) == pytest.approx(1 / 3 - (0.5 + 0.5 * np.log(0.5)))


def test_equally_confident_predictions_keep_their_order():
    # 0.75 and 0.25 are equally confident; the error counts from where it stands.
    assert aurc([0, 0], [0.75, 0.25]) == pytest.approx((1 + 1 / 2) / 2)
    assert aurc([0, 0], [0.25, 0.75]) == pytest.approx((0 + 1 / 2) / 2)


def test_half_is_a_positive_prediction_and_all_wrong_is_one():
    assert aurc([1, 1], [0.5, 0.5]) == 0
    assert aurc([0, 0], [0.5, 0.5]) == 1 and eaurc([0, 0], [0.5, 0.5]) == 0


def test_the_perfect_order_has_no_excess_when_predictions_are_many():
    n = 20_000
    y, p = np.ones(n), np.where(np.arange(n) < 0.7 * n, 0.9, 0.4)
    assert eaurc(y, p) == pytest.approx(0, abs=1e-4)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=90), st.integers(1, 60)
)
def test_a_point_of_the_retention_curve_is_the_metric_of_what_is_kept(table, n_points):
    y, k = np.array(table).T
    p = k / 20
    curve = retention_curve(y, p, n_points)
    order = sorted(range(y.size), key=lambda i: -max(p[i], 1 - p[i]))
    assert len(curve["retained"]) == min(n_points, y.size) and curve["retained"][-1] == 1
    for j, share in enumerate(curve["retained"]):
        kept = order[: round(share * y.size)]
        np.testing.assert_allclose(curve["auroc"][j], auroc(y[kept], p[kept]), atol=1e-12)
        assert curve["brier"][j] == pytest.approx(np.mean((p[kept] - y[kept]) ** 2), abs=1e-12)
        assert curve["error"][j] == pytest.approx(np.mean((p[kept] >= 0.5) != y[kept]), abs=1e-12)


def test_the_whole_curve_averages_to_the_area_under_it():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 40), rng.random(40)
    curve = retention_curve(y, p)
    assert curve["error"].mean() == pytest.approx(float(aurc(y, p)))
    with pytest.raises(EvaluationError, match="one prediction per recording"):
        retention_curve(y, np.stack([p, p]))


def test_models_that_agree_leave_no_mutual_information_and_those_that_do_not_all_of_it():
    p = np.array([[0.3, 0.0, 0.5, np.nan], [0.3, 1.0, 0.5, 0.2], [np.nan, np.nan, 0.5, np.nan]])
    mask = np.isfinite(p)
    mask[:, 3] = False
    predictive, expected, mutual = entropies(p, mask)
    half = -0.3 * np.log(0.3) - 0.7 * np.log(0.7)
    np.testing.assert_allclose(predictive, [half, np.log(2), np.log(2), np.nan])
    np.testing.assert_allclose(expected, [half, 0, np.log(2), np.nan], atol=1e-12)
    np.testing.assert_allclose(mutual, [0, np.log(2), 0, np.nan], atol=1e-12)


def test_counts_weigh_the_models():
    p = np.random.default_rng(1).random((4, 6))
    counts = np.random.default_rng(2).integers(0, 3, (4, 6))
    counts[0] = 1
    for i in range(6):
        repeated = np.repeat(p[:, i], counts[:, i])[:, None]
        for found, alone in zip(entropies(p, counts), entropies(repeated), strict=True):
            assert found[i] == pytest.approx(alone[0], abs=1e-12)

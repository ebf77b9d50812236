"""Bands of calibration, risk-coverage and retention curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from benchmarks.band_coverage import CALIBRATED, DISTORTIONS, calibration_held, retention_held, sample
from src.evaluation.curves import all_curves
from src.evaluation.intervals import wilson
from src.evaluation.resampling import EvaluationError, inbag_counts, summed_by_subject
from src.evaluation.selective import retention_curve
from src.evaluation.smooth import loess, loess_band, loess_weights

Z = 1.96
ALPHA = 2 * norm.sf(Z)
TABLES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=60)


def made_up(n=60, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    return y, expit(rng.normal(size=n) + 1.2 * y - 1)


def plain_weights(p, place, span=0.75):
    """Weighted least squares, fitted once for every single outcome set to 1."""
    q = int(np.floor(p.size * span + 1e-5))
    reach = np.sort(np.abs(p - place))[q - 1]
    root = np.sqrt(np.clip(1 - (np.abs(p - place) / reach) ** 3, 0, None) ** 3)
    design = np.stack([np.ones(p.size), p - place, (p - place) ** 2], axis=1)
    return np.array([np.linalg.lstsq(design * root[:, None], root * one)[0][0] for one in np.eye(p.size)])


@pytest.mark.parametrize("span", [0.3, 0.75, 1.0])
def test_weights_of_the_curve_are_those_of_weighted_least_squares(span):
    y, p = made_up()
    places = np.linspace(p.min(), p.max(), 9)
    weights = loess_weights(p, places, span)
    np.testing.assert_allclose(weights, [plain_weights(p, place, span) for place in places], atol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights @ y, loess(y, p, places, span), atol=1e-12)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_is_that_of_statsmodels(k, n):
    k = min(k, n)
    expected = proportion_confint(k, n, alpha=ALPHA, method="wilson")
    np.testing.assert_allclose(wilson(np.array(k / n), np.array(n)), expected, atol=1e-12)


def test_the_band_is_wilsons_for_the_effective_number_of_recordings():
    y, p = made_up()
    places = np.linspace(p.min(), p.max(), 7)
    curve, lo, hi = loess_band(y, p, places)
    for j, place in enumerate(places):
        weights = plain_weights(p, place)
        share = min(max(weights @ y, 0), 1)
        limits = proportion_confint(share / (weights @ weights), 1 / (weights @ weights), ALPHA, "wilson")
        np.testing.assert_allclose([lo[j], hi[j]], limits, atol=1e-9)
    np.testing.assert_allclose(curve, loess(y, p, places), atol=1e-12)


def test_a_band_by_hand():
    # Three of four are neighbours; the farthest has weight 0, so the value at .2 is the mean of two.
    p, places = np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.2])
    _, lo, hi = loess_band(np.array([0, 1, 0, 1]), p, places)
    half = Z * np.sqrt((0.25 + Z**2 / 8) / 2) / (1 + Z**2 / 2)
    assert (lo[0], hi[0]) == pytest.approx((0.5 - half, 0.5 + half))
    y = np.array([1, 1, 0, 0])
    assert loess_band(y, p, places)[1][0] == pytest.approx(2 / (2 + Z**2))
    assert loess_band(y, p, places, ["a", "a", "b", "b"])[1][0] == pytest.approx(1 / (1 + Z**2))


def test_an_undefined_value_has_no_band():
    y, p = np.array([0, 1, 1, 0]), np.array([0.4, 0.4, 0.4, 0.9])
    curve, lo, hi = loess_band(y, p, np.array([0.4, 0.9]))
    assert np.isnan([curve[0], lo[0], hi[0]]).all() and np.isfinite([curve[1], lo[1], hi[1]]).all()


def test_where_the_curve_leaves_0_to_1_the_band_does_not():
    p = np.linspace(0.01, 0.99, 40)
    curve, lo, hi = loess_band((p > 0.7).astype(int), p, p)
    assert curve.min() < 0 and curve.max() > 1
    assert lo.min() >= 0 and hi.max() <= 1 and (lo < hi).all()
    inside = (curve >= 0) & (curve <= 1)
    assert (lo[inside] <= curve[inside]).all() and (curve[inside] <= hi[inside]).all()


def test_a_second_identical_recording_of_everybody_tells_nothing_new():
    y, p = made_up(40)
    places = np.linspace(p.min(), p.max(), 9)
    twice = np.repeat(y, 2), np.repeat(p, 2)
    owners = np.repeat([f"S{i}" for i in range(40)], 2)
    _, lo, hi = band = loess_band(y, p, places)
    np.testing.assert_allclose(loess_band(*twice, places, owners), band, atol=1e-9)
    _, lo_single, hi_single = loess_band(*twice, places)
    assert (hi_single - lo_single < 0.9 * (hi - lo)).all()
    once, kept = retention_curve(y, p, 10), retention_curve(*twice, 10, owners)
    for name, values in once.items():
        np.testing.assert_allclose(kept[name], values, atol=1e-12, err_msg=name)


def test_the_order_of_the_recordings_does_not_matter():
    y, p = made_up(50)
    owners = np.arange(50) // 6 * 3 + np.arange(50) % 3  # two recordings of one class each
    shuffled = np.random.default_rng(0).permutation(50)
    places = np.linspace(0.2, 0.8, 5)
    first = loess_band(y, p, places, owners)
    again = loess_band(y[shuffled], p[shuffled], places, owners[shuffled])
    np.testing.assert_allclose(first, again, atol=1e-9)
    one, other = (retention_curve(y[o], p[o], 20, owners[o]) for o in (np.arange(50), shuffled))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, atol=1e-12, err_msg=name)


def test_sums_by_subject():
    values = np.array([[1.0, 2.0, 4.0, 8.0]])
    assert summed_by_subject(values, np.array([0, 1, 0, 2])).tolist() == [[5.0, 2.0, 8.0]]


@given(TABLES)
def test_bands_of_what_is_kept_are_those_of_a_plain_loop(table):
    y, k = np.array(table).T
    p, owners = k / 20, np.array([f"{label}{i // 3}" for i, label in enumerate(y)])
    curve = retention_curve(y, p, 7, owners)
    order = sorted(range(y.size), key=lambda i: -max(p[i], 1 - p[i]))
    for j, share in enumerate(curve["retained"]):
        kept = order[: round(share * y.size)]
        limits = plain_limits(y, p, owners, kept, np.ones(y.size))
        np.testing.assert_allclose((curve["error_lo"][j], curve["error_hi"][j]), limits, atol=1e-9)
        q = np.minimum(p, 1 - p)
        limits = plain_limits(y, p, owners, kept, 1 - 2 * q)
        scaled = np.mean(q[kept] ** 2) + np.mean(1 - 2 * q[kept]) * limits
        np.testing.assert_allclose((curve["brier_lo"][j], curve["brier_hi"][j]), scaled, atol=1e-9)


def plain_limits(y, p, owners, kept, weight):
    """Wilson's interval of the weighted share of errors."""
    total = sum(weight[i] for i in kept)
    if total == 0:
        return np.full(2, np.nan)
    share = sum(weight[i] for i in kept if (p[i] >= 0.5) != y[i]) / total
    of_subject = [sum(weight[i] for i in kept if owners[i] == name) for name in set(owners[kept])]
    n = total**2 / sum(w**2 for w in of_subject)
    return np.array(proportion_confint(share * n, n, ALPHA, "wilson"))


@given(TABLES)
def test_bands_contain_their_curve(table):
    y, k = np.array(table).T
    curve = retention_curve(y, k / 20)
    for name in ("error", "brier"):
        lo, value, hi = curve[f"{name}_lo"], curve[name], curve[f"{name}_hi"]
        known = np.isfinite(lo)
        assert (lo[known] >= 0).all() and (hi[known] <= 1 + 1e-12).all()
        assert (lo[known] <= value[known]).all() and (value[known] <= hi[known]).all()
        assert (name == "error") <= known.all()


def test_the_curves_of_a_run_know_its_subjects():
    y, _ = made_up(60)
    rng = np.random.default_rng(1)
    p = expit(rng.normal(size=(30, 60)) + 1.2 * y - 1)
    owners = [f"{label}{i // 6}" for i, label in enumerate(y)]
    counts = inbag_counts(y, owners, 30, 0)
    single, known = (all_curves(y, p, counts, p[0], groups=g)["calibration_curves"] for g in (None, owners))
    np.testing.assert_array_equal(single["observed"], known["observed"])
    for estimator in ("oob_pooled", "apparent"):
        rows = single["estimator"] == estimator
        widths = [(c["observed_hi"] - c["observed_lo"])[rows].mean() for c in (single, known)]
        assert widths[1] > 1.2 * widths[0]
    with pytest.raises(EvaluationError, match="both classes"):
        all_curves(y, p, counts, None, groups=[f"S{i // 2}" for i in range(60)])


@pytest.mark.parametrize("distortion", DISTORTIONS.values(), ids=list(DISTORTIONS))
def test_the_simulated_truth_is_the_share_of_cases_at_a_prediction(distortion):
    rng = np.random.default_rng(0)
    for n_recordings in (1, 2):
        drawn = [sample(0.8, *distortion, rng, n_recordings) for _ in range(300)]
        y, p = (np.concatenate([one[k] for one in drawn]) for k in (0, 1))
        truth = expit(distortion[0] + distortion[1] * logit(p))
        for group in np.array_split(np.argsort(p), 8):
            assert y[group].mean() == pytest.approx(truth[group].mean(), abs=0.02)


def test_the_bands_cover_and_half_of_them_does_not():
    rng = np.random.default_rng(0)
    held, half, _ = np.mean([calibration_held(0.8, CALIBRATED, rng) for _ in range(150)], axis=(0, 2))
    assert 0.92 < held < 0.99 and half < 0.85
    whole, _, single = np.mean([calibration_held(0.8, CALIBRATED, rng, 2) for _ in range(150)], axis=(0, 2))
    assert whole - single > 0.03
    assert np.mean([retention_held(0.8, CALIBRATED, rng) for _ in range(150)], axis=(0, 2)).min() > 0.92

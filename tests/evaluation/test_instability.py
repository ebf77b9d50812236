"""Instability against plain loops over models and recordings, and against three models known by heart."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from src.evaluation.instability import instability_tables
from src.evaluation.metrics import iteration_metrics
from src.evaluation.resampling import EvaluationError

B, N = 60, 40
RNG = np.random.default_rng(3)
Y = np.repeat([0, 1], [26, 14])
SCORE = RNG.normal(size=N) + 1.2 * Y - 1
ORIGINAL = expit(SCORE)
MODELS = expit(SCORE * RNG.uniform(0.5, 1.5, (B, 1)) + 0.5 * RNG.normal(size=(B, N)))


def on_everybody(y, p):
    return iteration_metrics(y, p, np.ones_like(p))


@pytest.fixture(scope="module")
def tables():
    return instability_tables(Y, MODELS, ORIGINAL, on_everybody(Y, MODELS))


def rows_of(table, curve):
    return {name: column[table["curve"] == curve] for name, column in table.items()}


def test_each_recording_is_that_of_a_plain_loop(tables):
    table = tables["instability_subjects"]
    for i in range(N):
        values = [MODELS[b, i] for b in range(B)]
        assert table["mape"][i] == pytest.approx(sum(abs(v - ORIGINAL[i]) for v in values) / B)
        assert table["p_lo"][i] == pytest.approx(np.percentile(values, 2.5))
        assert table["p_hi"][i] == pytest.approx(np.percentile(values, 97.5))
        for ending, t in (("05", 0.05), ("10", 0.10), ("15", 0.15), ("20", 0.20), ("50", 0.50)):
            flipped = [(v >= t) != (ORIGINAL[i] >= t) for v in values]
            assert table[f"flip_rate_{ending}"][i] == pytest.approx(sum(flipped) / B)


def test_the_decision_band_is_that_of_a_plain_loop(tables):
    table = rows_of(tables["instability_curves"], "decision")
    assert table["x"].tolist() == [k / 100 for k in range(1, 100)]
    for k in (4, 19, 49, 80):
        t = table["x"][k]

        def net_benefit(p, t=t):
            treated = p >= t
            return (treated & (Y == 1)).sum() / N - (treated & (Y == 0)).sum() / N * t / (1 - t)

        values = [net_benefit(p) for p in MODELS]
        band = [table[name][k] for name in ("lo", "median", "hi")]
        np.testing.assert_allclose(band, np.percentile(values, [2.5, 50, 97.5]), atol=1e-12)
        assert table["original"][k] == pytest.approx(net_benefit(ORIGINAL))


def test_the_calibration_band_is_that_of_one_logistic_regression_per_model(tables):
    table = rows_of(tables["instability_curves"], "calibration")
    x = np.linspace(ORIGINAL.min(), ORIGINAL.max(), 50)
    np.testing.assert_allclose(table["x"], x)

    def curve(p):
        a, b = sm.GLM(Y, sm.add_constant(logit(p)), family=sm.families.Binomial()).fit(tol=1e-12).params
        return expit(a + b * logit(x))

    band = np.percentile([curve(p) for p in MODELS], [2.5, 50, 97.5], axis=0)
    for name, expected in zip(("lo", "median", "hi"), band, strict=True):
        np.testing.assert_allclose(table[name], expected, atol=1e-6)
    np.testing.assert_allclose(table["original"], curve(ORIGINAL), atol=1e-6)


def test_the_summary_is_of_the_same_numbers(tables):
    summary, people = tables["instability_summary"], tables["instability_subjects"]
    assert summary["mape_mean"][0] == pytest.approx(people["mape"].mean())
    assert summary["mape_max"][0] == people["mape"].max()
    assert summary["flip_rate_50_mean"][0] == pytest.approx(people["flip_rate_50"].mean())
    for name, values in on_everybody(Y, MODELS).items():
        if f"{name}_lo" in summary:
            ends = summary[f"{name}_lo"][0], summary[f"{name}_hi"][0]
            np.testing.assert_allclose(ends, np.percentile(values, [2.5, 97.5]))
    assert {"auroc_lo", "cal_slope_hi"} <= set(summary) and {len(c) for c in summary.values()} == {1}


def test_models_like_the_original_are_stable():
    same = np.tile(ORIGINAL, (5, 1))
    tables = instability_tables(Y, same, ORIGINAL, on_everybody(Y, same))
    people, curves = tables["instability_subjects"], tables["instability_curves"]
    assert not any(people[name].any() for name in people if name.startswith(("mape", "flip")))
    for name in ("lo", "median", "hi"):
        np.testing.assert_allclose(curves[name], curves["original"], atol=1e-9)


def test_three_models_by_heart():
    y, original = np.array([0, 1, 0, 1]), np.array([0.1, 0.6, 0.5, 0.3])
    models = np.array([[0.1, 0.6, 0.5, 0.3], [0.3, 0.4, 0.5, 0.3], [0.2, 0.8, 0.2, 0.3]])
    people = instability_tables(y, models, original, on_everybody(y, models))["instability_subjects"]
    np.testing.assert_allclose(people["mape"], [0.1, 0.4 / 3, 0.1, 0], atol=1e-12)
    np.testing.assert_allclose(people["flip_rate_50"], [0, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(people["flip_rate_20"], [2 / 3, 0, 0, 0])


def test_where_models_separate_the_classes_there_is_no_calibration_band():
    perfect = np.where(Y == 1, 0.9, 0.1) + RNG.uniform(-0.05, 0.05, (B, N))
    tables = instability_tables(Y, perfect, ORIGINAL, on_everybody(Y, perfect))
    calibration = rows_of(tables["instability_curves"], "calibration")
    assert np.isnan(calibration["lo"]).all() and np.isfinite(calibration["original"]).all()
    assert np.isfinite(rows_of(tables["instability_curves"], "decision")["lo"]).all()
    assert np.isnan(tables["instability_summary"]["cal_slope_lo"]).all()
    # One model in sixty does not hide the others.
    few = MODELS.copy()
    few[7] = perfect[7]
    tables = instability_tables(Y, few, ORIGINAL, on_everybody(Y, few))
    assert np.isfinite(rows_of(tables["instability_curves"], "calibration")["hi"]).all()


def test_missing_predictions_are_refused():
    holes = MODELS.copy()
    holes[0, 0] = np.nan
    with pytest.raises(EvaluationError, match="needs every model's prediction for everybody"):
        instability_tables(Y, holes, ORIGINAL, {})
    with pytest.raises(EvaluationError, match=r"\(60, 40\), the original model's \(39,\)"):
        instability_tables(Y, MODELS, ORIGINAL[1:], {})

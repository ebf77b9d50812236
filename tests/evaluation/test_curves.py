"""The curve tables of one run."""

import numpy as np
import pytest
from scipy.special import expit

from src.evaluation.curves import all_curves, distribution
from src.evaluation.decision import net_benefit
from src.evaluation.estimators import estimate_all, pool
from src.evaluation.resampling import inbag_counts

N, B = 90, 120


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    y = (np.arange(N) % 3 == 0).astype(int)
    x = rng.normal(size=N) + 1.5 * y
    p = expit(x - 1 + 0.4 * rng.normal(size=(B, N))).astype(np.float32)
    return y, p, inbag_counts(y, [str(i) for i in range(N)], B, 0), expit(x - 1)


@pytest.fixture(scope="module")
def curves(run):
    return all_curves(*run)


def part(table, **wanted):
    rows = np.logical_and.reduce([table[name] == value for name, value in wanted.items()])
    return {name: column[rows] for name, column in table.items()}


def test_all_columns_of_a_table_are_equally_long(curves):
    for name, table in curves.items():
        assert len({len(column) for column in table.values()}) == 1, name


@pytest.mark.parametrize("estimator", ["oob", "oob_pooled", "apparent"])
def test_the_area_under_a_roc_curve_is_the_auroc(run, curves, estimator):
    expected = next(e.estimate for e in estimate_all(*run) if (e.metric, e.estimator) == ("auroc", estimator))
    curve = part(curves["roc_curves"], estimator=estimator)
    tolerance = 0.01 if estimator == "oob" else 1e-9
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(expected, abs=tolerance)


def test_only_the_mean_curve_has_a_band_and_no_threshold(curves):
    mean, exact = (part(curves["roc_curves"], estimator=e) for e in ("oob", "apparent"))
    assert (mean["tpr_lo"] <= mean["tpr"]).all() and (mean["tpr"] <= mean["tpr_hi"]).all()
    assert np.isnan(mean["threshold"]).all() and np.isnan(exact["tpr_lo"]).all()
    assert exact["threshold"][0] == np.inf and (np.diff(exact["threshold"]) < 0).all()


def test_a_threshold_gives_its_point(run, curves):
    y, _, _, apparent = run
    curve = part(curves["roc_curves"], estimator="apparent")
    positive = apparent >= curve["threshold"][20]
    assert positive[y == 1].mean() == curve["tpr"][20] and positive[y == 0].mean() == curve["fpr"][20]


def test_decision_curves_at_the_study_prevalence_average_net_benefit(run, curves):
    y, p, counts, apparent = run
    oob = part(curves["decision_curves"], estimator="oob", population="study")
    values = net_benefit(y, p, counts == 0, threshold=0.2)
    assert oob["net_benefit"][oob["threshold"] == 0.20] == pytest.approx(values.mean())
    everybody = net_benefit(y, np.ones_like(p), counts == 0, threshold=0.2)
    assert oob["treat_all"][oob["threshold"] == 0.20] == pytest.approx(everybody.mean())
    single = part(curves["decision_curves"], estimator="apparent", population="study")
    expected = net_benefit(y, apparent, threshold=0.37)
    assert single["net_benefit"][single["threshold"] == 0.37] == pytest.approx(float(expected))
    assert np.isnan(single["net_benefit_pop_unshifted"]).all()


def test_the_population_curve_is_the_shifted_rule_weighted_by_its_prevalence(run, curves):
    y, _, _, apparent = run
    odds = apparent / (1 - apparent) * (0.0354 / 0.9646) / (y.mean() / (1 - y.mean()))
    for name, p in (("net_benefit", odds / (1 + odds)), ("net_benefit_pop_unshifted", apparent)):
        sensitivity, fpr = (p[y == 1] >= 0.05).mean(), (p[y == 0] >= 0.05).mean()
        expected = 0.0354 * sensitivity - 0.9646 * fpr * 0.05 / 0.95
        table = part(curves["decision_curves"], estimator="apparent", population="population")
        assert table[name][table["threshold"] == 0.05] == pytest.approx(expected)


def test_calibration_curves_span_the_predictions(run, curves):
    y, p, counts, _ = run
    pooled = pool(p, counts == 0).mean
    curve = part(curves["calibration_curves"], estimator="oob_pooled")
    assert (curve["p"][0], curve["p"][-1]) == (pooled.min(), pooled.max()) and len(curve["p"]) == 100
    bins = part(curves["calibration_bins"], estimator="oob_pooled")
    assert bins["n"].tolist() == [9] * 10
    assert (bins["observed"] * bins["n"]).sum() == pytest.approx(y.sum())


def test_histograms_count_every_recording_once(run, curves):
    table = curves["probability_distributions"]
    assert table["n"].sum() == N and part(table, y=1)["n"].sum() == 30
    assert part(table, y=0)["share"].sum() == pytest.approx(1)
    edge = distribution(np.array([1, 1, 0]), np.array([1.0, 0.05, 0.0]))
    assert edge["n"][20 + 19] == 1 and edge["n"][20 + 1] == 1 and edge["n"][0] == 1


def test_without_apparent_predictions_that_estimator_is_absent(run):
    y, p, counts, _ = run
    tables = all_curves(y, np.where(counts == 0, p, np.nan), None, None)
    assert set(tables["roc_curves"]["estimator"]) == {"oob", "oob_pooled"}
    np.testing.assert_allclose(
        part(tables["roc_curves"], estimator="oob")["tpr"],
        part(all_curves(*run)["roc_curves"], estimator="oob")["tpr"],
    )

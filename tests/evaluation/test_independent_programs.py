"""Metrics against scikit-learn, statsmodels, scipy, R's loess code, and values published with R and Stata."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import logit
from scipy.stats import entropy, mannwhitneyu
from sklearn import metrics as sk
from skmisc.loess import loess as r_loess

from src.evaluation.auc import auprc, auroc, auroc_delong_hi, auroc_delong_lo, delong_variance, tpauc
from src.evaluation.metrics import METRICS, all_metrics
from src.evaluation.selective import entropies
from src.evaluation.smooth import loess

# Hanley & McNeil 1982, Radiology 143:29, table 1: ratings 1 to 5 of 58 normal and 51 abnormal CT images.
RATING = np.tile(np.arange(1.0, 6.0), 2)
ABNORMAL = np.repeat([0, 1], 5)
IMAGES = np.array([33, 6, 6, 11, 2, 3, 2, 2, 11, 33])

# R's data set `cars`: speeds (with their numbers) and stopping distances.
SPEED = np.repeat(
    [4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25],
    [2, 2, 1, 1, 3, 2, 4, 4, 4, 3, 2, 3, 4, 3, 5, 1, 1, 4, 1],
).astype(float)
# fmt: off
DISTANCE = np.array([
    2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26, 54, 32,
    40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85.0,
])
# fmt: on


def simulated(seed, n=208, decimals=6):
    """Return labels and predictions that are too extreme; few decimals make ties."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < 0.27 * n).astype(int)
    x = rng.normal(size=n) + 1.5 * y
    return y, np.clip(np.round(1 / (1 + np.exp(2 - 1.8 * x)), decimals), 0.001, 0.999)


@pytest.fixture(params=[(0, 6), (1, 6), (2, 2), (3, 1)], ids=str)
def table(request):
    return simulated(request.param[0], decimals=request.param[1])


def test_auroc_and_its_limits_are_those_of_statas_roctab():
    # Stata's manual, entry roctab, example 1 (these ratings): ROC area 0.8932, standard error 0.0307, 95 %
    # confidence interval 0.83295 to 0.95339; DeLong's standard error is roctab's default.
    assert auroc(ABNORMAL, RATING, IMAGES) == pytest.approx(0.8932, abs=5e-5)
    assert auroc_delong_lo(ABNORMAL, RATING, IMAGES) == pytest.approx(0.83295, abs=5e-6)
    assert auroc_delong_hi(ABNORMAL, RATING, IMAGES) == pytest.approx(0.95339, abs=5e-6)
    variance = delong_variance(np.repeat(ABNORMAL, IMAGES), np.repeat(RATING, IMAGES))
    assert variance**0.5 == pytest.approx(0.0307, abs=5e-5)


def test_loess_is_that_of_r_on_its_own_example():
    # R's help page predict.loess: cars.lo2 <- loess(dist ~ speed, cars, control = loess.control(surface =
    # "direct")); predict(cars.lo2, data.frame(speed = seq(5, 30, 1))).
    expected = [
        [7.741006, 9.926596, 12.442424, 15.281082, 18.425712, 21.865315, 25.713413, 29.350386, 33.230660],
        [37.167935, 41.205226, 45.781544, 48.355889, 50.067148, 51.986702, 56.445263, 62.025404, 68.569313],
        [76.193111, 85.053364, 95.300523, 106.974661, 120.092581, 134.665851, 150.698545, 168.190283],
    ]
    np.testing.assert_allclose(
        loess(DISTANCE, SPEED, np.arange(5.0, 31.0)), np.concatenate(expected), atol=1e-6
    )


def test_smoothed_metrics_are_those_of_rs_loess_code(table):
    y, p = table
    model = r_loess(p, y.astype(float), span=0.75, degree=2, family="gaussian", surface="direct")
    model.fit()
    apart = np.abs(model.outputs.fitted_values - p)
    values = all_metrics(y, p, only=[m for m in METRICS if m.smoothed])
    expected = {
        "ici": apart.mean(),
        "e50": np.median(apart),
        "e90": np.quantile(apart, 0.9),
        "emax": apart.max(),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-9), name


def test_ranks_and_losses_are_those_of_scikit_learn_and_scipy(table):
    y, p = table
    values = all_metrics(y, p)
    expected = {
        "auroc": sk.roc_auc_score(y, p),
        "auprc": sk.average_precision_score(y, p),
        "brier": sk.brier_score_loss(y, p),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-12), name
    wins = mannwhitneyu(p[y == 1], p[y == 0]).statistic
    assert values["auroc"] == pytest.approx(wins / (y.sum() * (1 - y).sum()), abs=1e-12)
    # scikit-learn scales the partial area to 1/2 for the diagonal and 1 for the largest (McClish).
    scaled = sk.roc_auc_score(y, p, max_fpr=0.2)
    area = (2 * scaled - 1) * (0.2 - 0.2**2 / 2) + 0.2**2 / 2
    assert tpauc(y, p, sens_min=0, spec_min=0.8) == pytest.approx(area, abs=1e-12)


def test_average_precision_of_scikit_learns_own_example():
    # Documentation of sklearn.metrics.average_precision_score: 0.83. Davis & Goadrich's area (PRROC's
    # auc.integral and auc.davis.goadrich) interpolates and is another number.
    assert auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(5 / 6)


@pytest.mark.parametrize("suffix", ["at_50", "youden"])
def test_rules_are_those_of_scikit_learn(table, suffix):
    y, p = table
    values = all_metrics(y, p)
    t = 0.5 if suffix == "at_50" else float(values["threshold_youden"])
    rule = (p >= t).astype(int)
    expected = {
        "sensitivity": sk.recall_score(y, rule),
        "specificity": sk.recall_score(y, rule, pos_label=0),
        "ppv": sk.precision_score(y, rule),
        "npv": sk.precision_score(y, rule, pos_label=0),
        "f1": sk.f1_score(y, rule),
        "balanced_accuracy": sk.balanced_accuracy_score(y, rule),
        "accuracy": sk.accuracy_score(y, rule),
        "mcc": sk.matthews_corrcoef(y, rule),
    }
    for name, value in expected.items():
        assert values[f"{name}_{suffix}"] == pytest.approx(value, abs=1e-12), name
    # The adjusted values are the unadjusted ones of a sample with that prevalence.
    weight = np.where(y == 1, 0.0354 / y.mean(), 0.9646 / (1 - y.mean()))
    adjusted = [sk.precision_score(y, rule, pos_label=label, sample_weight=weight) for label in (1, 0)]
    assert [values[f"{name}_adj_{suffix}"] for name in ("ppv", "npv")] == pytest.approx(adjusted, abs=1e-12)


def test_youdens_threshold_is_where_scikit_learns_curve_is_highest(table):
    y, p = table
    fpr, tpr, threshold = sk.roc_curve(y, p, drop_intermediate=False)
    best = np.max(tpr - fpr)
    t = all_metrics(y, p)["threshold_youden"]
    assert t in threshold[np.abs(tpr - fpr - best) < 1e-12]


def test_recalibration_is_that_of_statsmodels(table):
    y, p = table
    x = logit(p)
    values = all_metrics(y, p)
    joint = sm.Logit(y, sm.add_constant(x)).fit(disp=0, method="newton", tol=1e-12, maxiter=100).params
    shift = sm.GLM(y, np.ones((y.size, 1)), family=sm.families.Binomial(), offset=x).fit(tol=1e-14).params
    assert values["cal_intercept_joint"] == pytest.approx(joint[0], abs=1e-8)
    assert values["cal_slope"] == pytest.approx(joint[1], abs=1e-8)
    assert values["cal_intercept"] == pytest.approx(shift[0], abs=1e-8)


def test_entropies_are_those_of_scipy():
    p = np.random.default_rng(0).random((7, 5))
    p[0, 0], p[:, 4] = 0.0, 1.0
    predictive, expected, mutual = entropies(p)
    of_models = entropy(np.stack([p, 1 - p]))
    np.testing.assert_allclose(expected, of_models.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(
        predictive, entropy(np.stack([p.mean(axis=0), 1 - p.mean(axis=0)])), atol=1e-12
    )
    np.testing.assert_allclose(mutual, predictive - expected, atol=1e-12)

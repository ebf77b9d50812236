"""Values that R packages gave and others published: pROC, PRROC, dcurves, and a port of PMCMRplus.

The data are in `r_values`: the data set aSAH of pROC, numbers that R draws from a published seed, and the
data set df_binary of dcurves. `test_values_of_r.py` compares far more, with values computed for it.
Not comparable, and so not here: PRROC's areas under precision-recall curves, which interpolate (Davis &
Goadrich 2006) as `auprc` does not, and Emax, E90 and Eavg of rms' val.prob, which come from lowess. Of
CalibrationCurves there are printed values, but its example data only in R's binary format.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from src.evaluation.auc import auprc, auroc, auroc_delong_hi, auroc_delong_lo, delong_variance, tpauc
from src.evaluation.comparisons.pairs import paired_delong
from src.evaluation.comparisons.ranks import friedman, nemenyi, ranks
from src.evaluation.decision import THRESHOLDS, decision_curve, net_benefit, treat_all
from src.evaluation.descriptive import sensitivity, specificity, threshold_youden

FOLDER = Path(__file__).parent / "r_values"
SCORES = json.loads((FOLDER / "values.json").read_text())["scores"]
DF_BINARY = np.loadtxt(FOLDER / "df_binary.csv", delimiter=",", skiprows=1)
POOR = np.array(SCORES["wfns"]["y"])  # aSAH: 41 of 113 patients with a poor outcome

# pROC's tests/testthat/helper-partial-auc-boundary.R, the curves "ties" and "constant".
TIES = np.array([0, 0, 0, 1, 1, 1, 0, 1]), np.array([1, 2, 3, 3, 4, 5, 5, 6.0])
CONSTANT = np.array([0, 0, 1, 1]), np.ones(4)


def curve(name):
    others = {"ties": TIES, "constant": CONSTANT}
    return others[name] if name in others else (POOR, np.array(SCORES[name]["p"]))


# pROC's tests/testthat: test-auc.R, test-var.R, helper-partial-auc-boundary-expected.R.
@pytest.mark.parametrize(
    ("name", "area", "variance"),
    [
        ("wfns", 0.823678861788618, 0.00146991470882363),
        ("ndka", 0.611957994579946, 0.0031908105493913),
        ("s100b", 0.73136856368563685, 0.00266868245717244),
        ("ties", 0.8125, None),
        ("constant", 0.5, None),
    ],
)
def test_areas_and_delongs_variances_of_pROC(name, area, variance):
    y, score = curve(name)
    assert auroc(y, score) == pytest.approx(area, abs=1e-12)
    if variance is not None:
        assert delong_variance(y, score) == pytest.approx(variance, abs=1e-12)


def test_delongs_interval_of_pROC():
    # pROC's tests/testthat/test-ci.auc.R: ci.auc(outcome ~ ndka)
    y, score = curve("ndka")
    assert auroc_delong_lo(y, score) == pytest.approx(0.501244999271703, abs=1e-12)
    assert auroc_delong_hi(y, score) == pytest.approx(0.722670989888189, abs=1e-12)


# pROC's tests/testthat, test-auc.R and helper-partial-auc-boundary-expected.R: auc(partial.auc = ...), the
# area within a band of specificities.
@pytest.mark.parametrize(
    ("name", "low", "high", "area"),
    [
        ("wfns", 0.9, 1, 0.0334417344173442),
        ("wfns", 0.8, 0.9, 0.0598373983739837),
        ("wfns", 0, 0.5, 0.488134475939354),
        ("ndka", 0.9, 1, 0.0107046070460705),
        ("ndka", 0.8, 0.9, 0.0277777777777778),
        ("ndka", 0, 0.5, 0.416836043360434),
        ("s100b", 0.9, 0.95, 0.017208672086720844),
        ("s100b", 0.05, 0.45, 0.36003871467286097),
        ("ties", 0.9, 0.95, 0.01624999999999998),
        ("ties", 0.05, 0.45, 0.4),
        ("constant", 0.9, 0.95, 0.0037499999999999955),
        ("constant", 0.05, 0.45, 0.3),
    ],
)
def test_partial_areas_of_pROC(name, low, high, area):
    y, score = curve(name)
    left = tpauc(y, score, sens_min=0, spec_min=high) if high < 1 else 0
    assert tpauc(y, score, sens_min=0, spec_min=low) - left == pytest.approx(area, abs=1e-12)


# The same with partial.auc.focus = "sensitivity": the specificity integrated over a band of sensitivities, a
# difference of areas between the curve and a least sensitivity.
@pytest.mark.parametrize(
    ("name", "low", "high", "area"),
    [
        ("wfns", 0.9, 1, 0.0400999322493225),
        ("wfns", 0.8, 0.9, 0.0609953703703703),
        ("wfns", 0, 0.5, 0.483358739837398),
        ("ndka", 0.9, 1, 0.0037940379403794),
        ("ndka", 0.8, 0.9, 0.0242547425474255),
        ("ndka", 0, 0.5, 0.428523035230352),
        ("s100b", 0.9, 0.95, 0.0098331639566395547),
        ("s100b", 0.05, 0.45, 0.38641556571815716),
        ("ties", 0.9, 0.95, 0.02874999999999996),
        ("ties", 0.05, 0.45, 0.38),
        ("constant", 0.9, 0.95, 0.0037499999999999955),
    ],
)
def test_partial_areas_of_pROC_over_sensitivities(name, low, high, area):
    y, score = curve(name)
    above = tpauc(y, score, sens_min=high, spec_min=0) if high < 1 else 0
    assert tpauc(y, score, sens_min=low, spec_min=0) - above == pytest.approx(area, abs=1e-12)


# pROC's tests/testthat/test-roc.test.R: roc.test of paired curves, limits at 1.959964 standard errors.
@pytest.mark.parametrize(
    ("a", "b", "z", "p", "lo", "hi"),
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
)
def test_paired_delong_of_pROC(a, b, z, p, lo, hi):
    found = paired_delong(POOR, curve(a)[1], curve(b)[1])
    assert found.difference / found.se == pytest.approx(z, abs=1e-10)
    assert found.p == pytest.approx(p, abs=1e-12)
    assert (found.lo, found.hi) == pytest.approx((lo, hi), abs=4e-5 * found.se)


def test_paired_delong_of_identical_curves():
    # pROC's tests/testthat/test-roc.test.R: the p value is 1
    assert paired_delong(POOR, curve("wfns")[1], curve("wfns")[1]).p == 1


def test_youdens_cutoff_of_pROC():
    # coords(roc(outcome ~ s100b), "best"): threshold 0.205, specificity 0.8055556, sensitivity 0.6341463, as
    # printed on the help page of bestCut in the R package alloy. pROC cuts halfway between two values.
    y, score = curve("s100b")
    quarter = score / 4  # rules are about probabilities: this fits, and keeps the order
    t = 4 * threshold_youden(y, quarter)
    assert (t + score[score < t].max()) / 2 == pytest.approx(0.205, abs=1e-12)
    assert specificity(y, quarter, threshold="youden") == pytest.approx(0.8055556, abs=5e-8)
    assert sensitivity(y, quarter, threshold="youden") == pytest.approx(0.6341463, abs=5e-8)


def test_areas_of_PRROC():
    # PRROC's tests/testthat/test-ROC.R and test-PR.R: 100 normal scores with mean 2 against 100 with mean 0,
    # drawn with seed 101; one and the same score; scores that are all right; all wrong.
    drawn = SCORES["prroc"]
    assert auroc(drawn["y"], drawn["p"]) == pytest.approx(0.9236, abs=1e-12)
    y = np.tile([0, 1], 250)
    assert auroc(y, np.ones(500)) == auprc(y, np.ones(500)) == 0.5
    rng = np.random.default_rng(0)
    y, score = np.repeat([1, 0], 100), np.concatenate([rng.random(100), -rng.random(100)])
    assert auroc(y, score) == auprc(y, score) == 1
    assert auroc(1 - y, score) == 0


# Net benefit by dcurves of the model `cancerpredmarker` in its data set df_binary, thresholds 0.01 to 0.45:
# dcurves/data/r_bin_dca_result_1.csv of the repository MSKCC-Epi-Bio/dcurves, whose tests compare it with the
# package's Python port.
# fmt: off
MODEL = [
    0.13243097643097645, 0.12601360544217688, 0.11829553264604813, 0.11205555555555556,
    0.1055438596491228, 0.10459574468085107, 0.09747670250896057, 0.0948985507246377,
    0.088981684981685, 0.08740740740740742, 0.08367041198501873, 0.07975757575757576,
    0.07958620689655173, 0.07984496124031008, 0.07921568627450981, 0.07752380952380954,
    0.0734136546184739, 0.07209756097560976, 0.07241152263374487, 0.06733333333333334,
    0.06774683544303797, 0.06423931623931625, 0.06626839826839828, 0.06484210526315791,
    0.06400000000000002, 0.06014414414414416, 0.057278538812785385, 0.05762962962962964,
    0.05568075117370892, 0.05466666666666668, 0.05198067632850242, 0.04854901960784314,
    0.04911442786069652, 0.05054545454545456, 0.050153846153846146, 0.04858333333333335,
    0.04427513227513229, 0.04184946236559141, 0.03927868852459016, 0.038666666666666676,
    0.03590960451977401, 0.030896551724137945, 0.029847953216374283, 0.029523809523809525,
    0.02824242424242425,
]
# fmt: on


def test_decision_curve_of_dcurves():
    y, p = DF_BINARY.T
    assert (y.size, y.mean()) == (750, 0.14)
    np.testing.assert_allclose(decision_curve(y, p, y.mean())[:45], MODEL, atol=1e-12)
    found = [net_benefit(y, p, threshold=t) for t in THRESHOLDS[:45]]
    np.testing.assert_allclose(found, MODEL, atol=1e-12)


# The same repository, dcurves/data/r_dca_famhistory.csv: family history, a prediction of 0 or 1, which 24 of
# 105 cases and 91 of 645 others have; and treating everybody.
@pytest.mark.parametrize(
    ("percent", "family_history", "everybody"),
    [
        (1, 0.030774410774410774, 0.13131313131313133),
        (5, 0.025614035087719297, 0.09473684210526317),
        (10, 0.018518518518518517, 0.04444444444444445),
        (14, 0.012248062015503873, 0),
        (15, 0.010588235294117645, -0.011764705882352927),
        (20, 0.0016666666666666635, -0.07499999999999998),
        (21, -2.531645569620253e-4, -0.08860759493670883),
        (35, -0.033333333333333354, -0.32307692307692315),
        (50, -0.08933333333333335, -0.72),
        (65, -0.19333333333333338, -1.4571428571428573),
        (90, -1.0600000000000003, -7.600000000000001),
    ],
)
def test_net_benefit_of_dcurves(percent, family_history, everybody):
    y, p = np.repeat([1, 1, 0, 0], [24, 81, 91, 554]), np.repeat([1.0, 0, 1, 0], [24, 81, 91, 554])
    t = THRESHOLDS[percent - 1]
    assert net_benefit(y, p, threshold=t) == pytest.approx(family_history, abs=1e-12)
    assert decision_curve(y, p, 0.14)[percent - 1] == pytest.approx(family_history, abs=1e-12)
    assert treat_all(0.14)[percent - 1] == pytest.approx(everybody, abs=1e-12)


def test_nemenyi_of_the_port_of_PMCMRplus():
    # scikit-posthocs, tests/test_posthocs.py: seven methods in three blocks, with ties. The file does not say
    # which program gave these p values. They have PMCMRplus's form and digits, and are those of R's ptukey
    # ("seven_methods" in r_values/values.json).
    values = np.array([[4, 3, 4, 4, 5, 6, 3], [1, 2, 3, 5, 6, 7, 7], [1, 2, 6, 4, 1, 5, 1]])
    below_the_diagonal = [
        [0.9999999],
        [0.8414506, 0.8833015],
        [0.9177741, 0.9449086, 0.9999962],
        [0.9177741, 0.9449086, 0.9999962, 1.0],
        [0.2147827, 0.2597539, 0.9449086, 0.8833015, 0.8833015],
        [0.9976902, 0.9991770, 0.9888953, 0.9976902, 0.9976902, 0.5511935],
    ]
    found = nemenyi(ranks(values).mean(axis=0), 3)
    np.testing.assert_allclose(found[np.tril_indices(7, -1)], np.concatenate(below_the_diagonal), atol=6e-8)
    # The same file, test_durbin: R's statistic and p value; in complete blocks Durbin's test is Friedman's.
    assert friedman(values) == pytest.approx((8.468354, 0.205758), abs=5e-7)

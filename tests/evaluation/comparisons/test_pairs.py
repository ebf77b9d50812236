"""Pairs: what is compared with what, the tests against slow twins, and how often they reject a true null."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr
from small_study import grid, of_predictions, simulated, table_of
from statsmodels.stats.multitest import multipletests

from src.evaluation.auc import auroc, delong_variance
from src.evaluation.comparisons import compare_all, paired_delong, paired_influence
from src.evaluation.comparisons.paired import adjusted, wald_tests
from src.evaluation.influence import delong_influence, influence_se
from src.evaluation.resampling import inbag_counts


def delong_by_loops(y, p_a, p_b):
    """Return the difference of the AUROCs and its variance, from the definition of the components."""
    cases, controls = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    v10, v01 = np.zeros((2, cases.size)), np.zeros((2, controls.size))
    for k, p in enumerate((p_a, p_b)):
        for i, case in enumerate(cases):
            for j, control in enumerate(controls):
                win = 1.0 if p[case] > p[control] else 0.5 if p[case] == p[control] else 0.0
                v10[k, i] += win / controls.size
                v01[k, j] += win / cases.size
    covariance = np.cov(v10) / cases.size + np.cov(v01) / controls.size
    contrast = np.array([1, -1])
    return float(contrast @ v10.mean(axis=1)), float(contrast @ covariance @ contrast)


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 9), st.booleans())
def test_paired_delong_is_its_definition_by_loops(seed, n_controls, n_cases, tied):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([0, 1], [n_controls, n_cases]))
    p = rng.integers(0, 4, (2, y.size)) / 4 if tied else rng.random((2, y.size))
    difference, variance = delong_by_loops(y, *p)
    result = paired_delong(y, *p)
    assert result.difference == pytest.approx(difference, abs=1e-12)
    assert result.se == pytest.approx(np.sqrt(max(variance, 0)), abs=1e-7)
    if variance > 1e-10:
        assert result.p == pytest.approx(2 * ndtr(-abs(difference) / np.sqrt(variance)), rel=1e-6)
        assert result.lo == pytest.approx(difference - 1.96 * np.sqrt(variance), rel=1e-6)


def test_delong_by_hand():
    # controls 0.1 0.4, cases 0.3 0.8: a wins 3 of 4 pairs; b, with the cases at 0.5 and 0.8, all four
    result = paired_delong([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], [0.1, 0.4, 0.5, 0.8])
    assert result.difference == -0.25
    # components of a - b: cases -1/2, 0; controls 0, -1/2; each variance 1/8, over 2
    assert result.se == pytest.approx(np.sqrt(1 / 8 / 2 + 1 / 8 / 2))


def test_a_against_b_is_b_against_a_mirrored():
    rng = np.random.default_rng(0)
    y, p, q = rng.permutation(np.repeat([0, 1], [30, 20])), rng.random(50), rng.random(50)
    there, back = paired_delong(y, p, q), paired_delong(y, q, p)
    np.testing.assert_allclose(there, (-back.difference, back.se, -back.hi, -back.lo, back.p))


def test_identical_ranks_have_p_1():
    rng = np.random.default_rng(1)
    y, p = np.repeat([0, 1], [30, 20]), rng.random(50)
    assert tuple(paired_delong(y, p, p**3)) == (0, 0, 0, 0, 1)
    assert tuple(paired_influence(0.0, p, p, y)) == (0, 0, 0, 0, 1)


def test_identical_ranks_of_the_pooled_predictions_have_p_1_though_the_estimates_differ():
    y, p = np.repeat([0, 1], [30, 20]), np.random.default_rng(1).random(50)
    influence = delong_influence(y, np.array([p, p**3]), np.arange(50))
    result = wald_tests(np.array([0.01]), influence[:1] - influence[1:], y, "paired DeLong")
    assert result["p"] == 1 and np.isnan(result["lo"]) and "counts the same" in result["reason"][0]
    same = wald_tests(np.array([0.01]), influence[:1] - influence[1:], y, "influence")
    assert np.isnan(same["p"])


def test_one_prediction_alone_has_the_delong_variance_also_with_two_recordings_per_subject():
    rng = np.random.default_rng(2)
    groups = np.array([f"s{i // 2}" for i in range(40)])
    y = np.repeat([0, 1], [24, 16])
    p = rng.random((1, 40)) + rng.random(20)[np.arange(40) // 2] + y
    se = influence_se(delong_influence(y, p, groups)[0], y[::2])
    assert se == pytest.approx(np.sqrt(delong_variance(y, p[0], groups)), rel=1e-12)
    alone = influence_se(delong_influence(y, p, np.arange(40))[0], y)
    assert alone == pytest.approx(np.sqrt(delong_variance(y, p[0])), rel=1e-12) and alone < 0.9 * se


def test_two_identical_recordings_per_subject_change_nothing():
    rng = np.random.default_rng(3)
    y, p, q = np.repeat([0, 1], [24, 16]), rng.random(40), rng.random(40)
    twice = paired_delong(np.repeat(y, 2), np.repeat(p, 2), np.repeat(q, 2), np.repeat(np.arange(40), 2))
    np.testing.assert_allclose(twice, paired_delong(y, p, q))


def test_a_recording_never_left_out_counts_in_no_combination():
    rng = np.random.default_rng(4)
    y, p = np.repeat([0, 1], [9, 6]), rng.random((2, 15))
    holed = p.copy()
    holed[0, 3] = np.nan
    got, rest = delong_influence(y, holed, np.arange(15)), np.delete(np.arange(15), 3)
    assert np.isnan(got[:, 3]).all()
    np.testing.assert_allclose(got[:, rest], delong_influence(y[rest], p[:, rest], rest))


def test_influence_pairs_by_hand():
    # controls' differences 1 3, cases' differences 0 6: variances 2 and 18; two subjects each, four in all
    a, b = np.array([2.0, 3.0, 5.0, 5.0]), np.array([1.0, 0.0, 5.0, -1.0])
    result = paired_influence(3.0, a, b, np.array([0, 0, 1, 1]))
    se = np.sqrt(2 * 2 + 2 * 18) / 4
    assert result.se == pytest.approx(se)
    assert (result.lo, result.hi) == (pytest.approx(3 - 1.96 * se), pytest.approx(3 + 1.96 * se))
    assert result.p == pytest.approx(2 * ndtr(-3 / se))


def test_brier_pairs_agree_with_an_explicit_bootstrap_of_subjects():
    rng = np.random.default_rng(5)
    c = simulated(n=90)
    table = compare_all(c, ["brier"])["pairwise_comparisons"]
    loss = (c.p_oob[table["run_a"][0]] - c.y) ** 2 - (c.p_oob[table["run_b"][0]] - c.y) ** 2
    assert table["difference"][0] == pytest.approx(loss.mean())
    drawn = [np.concatenate([rng.choice(loss[c.y == k], (4000, (c.y == k).sum())) for k in (0, 1)], axis=1)]
    assert table["se"][0] == pytest.approx(drawn[0].mean(axis=1).std(), rel=0.05)


def test_each_combination_is_compared_with_the_champion_and_with_its_own_ground_truth_cell():
    cells = grid(outlier=("truth", "LOF"), classifier=("A",))
    # 0 truth+truth, 1 truth+linear, 2 LOF+truth, 3 LOF+linear; 1 and 2 tie in Brier, 2 wins by AUROC
    c = table_of(cells, [0, 0, 1, 1], {"brier": [0.3, 0.1, 0.1, 0.2], "auroc": [0.6, 0.7, 0.8, 0.5]})
    table = compare_all(c, ["brier"])["pairwise_comparisons"]
    pairs = list(zip(table["against"], table["run_a"], table["run_b"], strict=True))
    assert pairs[:3] == [("champion", 0, 2), ("champion", 1, 2), ("champion", 3, 2)]
    assert pairs[3:] == [("ground truth", 1, 0), ("ground truth", 2, 0), ("ground truth", 3, 0)]
    np.testing.assert_allclose(table["difference"], [0.2, 0, 0.1, -0.2, -0.2, -0.1], atol=1e-12)
    assert set(table["reason"]) == {"no influence values of two subjects per class"}


def test_a_missing_ground_truth_cell_is_named():
    cells = [cell for cell in grid() if cell != ("simple", "truth", "truth", "B")]
    c = simulated(cells)
    tables = compare_all(c, ["brier"])
    refused = tables["refusals"]
    row = list(refused["comparison"]).index("pairs against ground truth")
    assert refused["reason"][row] == "missing: simple + truth + truth + B"
    a = tables["pairwise_comparisons"]["run_a"][tables["pairwise_comparisons"]["against"] == "ground truth"]
    assert {c.cells[i][3] for i in a} == {"A"}
    without = compare_all(simulated(reference={"outlier_method": "truth"}), ["brier"])["refusals"]["reason"]
    assert "no ground-truth level of imputation_method" in without


def test_an_undefined_estimate_is_a_row_with_a_reason_and_no_test():
    c = table_of(grid(), [0, 0, 1, 1], {"brier": np.arange(12.0), "auroc": [np.nan] * 6 + [0.5] * 6})
    table = compare_all(c, ["auroc"])["pairwise_comparisons"]
    undefined = np.isnan(table["difference"])
    assert undefined.any() and np.isnan(table["p"][undefined]).all() and (table["p"][~undefined] == 1).all()
    assert set(table["reason"][undefined]) == {"an estimate is undefined"}


def test_the_scatter_over_iterations_is_the_percentiles_of_the_defined_differences():
    rng = np.random.default_rng(6)
    values = rng.random((12, 41))
    values[3, :7] = np.nan
    table = compare_all(simulated(iterations={"brier": values}), ["brier", "auroc"])["pairwise_comparisons"]
    for i in range(len(table["metric"])):
        if table["metric"][i] == "brier":
            d = values[table["run_a"][i]] - values[table["run_b"][i]]
            expected = np.nanpercentile(d, [2.5, 97.5])
            np.testing.assert_allclose((table["refit_lo"][i], table["refit_hi"][i]), expected)
        else:
            assert np.isnan(table["refit_lo"][i])


@settings(max_examples=15)  # statsmodels collects garbage in every call
@given(st.lists(st.floats(0, 1, allow_subnormal=False), max_size=20), st.integers(0, 3))
def test_corrections_for_several_tests_are_those_of_statsmodels(values, n_undefined):
    p = np.random.default_rng(0).permutation([*values, *[np.nan] * n_undefined])
    got, known = adjusted(p), np.isfinite(p)
    for name, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        assert np.isnan(got[name][~known]).all()
        if known.any():
            np.testing.assert_allclose(got[name][known], multipletests(p[known], method=method)[1])


def test_each_metric_and_comparison_is_a_family_of_its_own():
    table = compare_all(simulated())["pairwise_comparisons"]
    for metric in ("auroc", "brier"):
        for against in ("champion", "ground truth"):
            own = (table["metric"] == metric) & (table["against"] == against)
            expected = multipletests(table["p"][own], method="holm")[1]
            np.testing.assert_allclose(table["p_holm"][own], expected)


def discriminant(x, y, counts):
    """Return the linear discriminant's probabilities for everybody, one row per resample."""
    weights = [counts * (y == c) for c in (0, 1)]
    means = [w @ x / w.sum(axis=1, keepdims=True) for w in weights]
    moments = (counts @ (x[:, :, None] * x[:, None, :]).reshape(y.size, -1)).reshape(-1, *2 * [x.shape[1]])
    between = sum(
        w.sum(axis=1)[:, None, None] * m[:, :, None] * m[:, None, :]
        for w, m in zip(weights, means, strict=True)
    )
    slope = np.linalg.solve((moments - between) / y.size, (means[1] - means[0])[:, :, None])[:, :, 0]
    odds = np.log(y.mean() / (1 - y.mean()))
    return expit(slope @ x.T - ((means[0] + means[1]) / 2 * slope).sum(axis=1)[:, None] + odds)


@pytest.fixture(scope="module")
def null_studies():
    """z of AUROC (DeLong) and of Brier (influence) for two equally good, different sets of features."""
    rng, y, z = np.random.default_rng(0), np.repeat([0, 1], [152, 56]), []
    for study in range(250):
        counts = inbag_counts(y, [f"s{i}" for i in range(208)], 40, study).astype(float)
        out = counts == 0
        signal = rng.normal(size=(208, 4))
        signal[:, 0] += 1.8 * y
        runs = [discriminant(signal + rng.normal(0, 0.5, signal.shape), y, counts) for _ in range(2)]
        pooled = np.array([np.where(out, p, 0).sum(axis=0) / out.sum(axis=0) for p in runs])
        aurocs = np.array([auroc(y, p, out) for p in runs])
        losses = np.array([np.where(out, (p - y) ** 2, 0) for p in runs])
        means = losses.sum(axis=2) / out.sum(axis=1)
        influence = np.where(out, losses - means[:, :, None], 0).sum(axis=1) / out.sum(axis=0)
        components = delong_influence(y, pooled, np.arange(208))
        pairs = [(aurocs, components), (means, influence)]
        z.append([(v[0] - v[1]).mean() / influence_se(i[0] - i[1], y) for v, i in pairs])
        by_iterations = (aurocs[0] - aurocs[1]).mean() / ((aurocs[0] - aurocs[1]).std() / np.sqrt(40))
        z[-1].append(by_iterations)
    return np.abs(np.array(z))


@pytest.mark.parametrize("metric", [0, 1], ids=["auroc", "brier"])
def test_a_true_null_is_rejected_about_one_time_in_twenty(null_studies, metric):
    # 250 studies: 5 % +- 1.4 %
    assert 0.01 <= np.mean(null_studies[:, metric] > 1.96) <= 0.10


def test_the_simulation_catches_half_a_standard_error_and_iterations_taken_for_observations(null_studies):
    assert (np.mean(2 * null_studies[:, :2] > 1.96, axis=0) > 0.2).all()
    assert np.mean(null_studies[:, 2] > 1.96) > 0.5


def test_predictions_of_two_recordings_per_subject_are_compared_by_subject():
    rng = np.random.default_rng(7)
    groups = [f"s{i // 2}" for i in range(80)]
    y = np.repeat([0, 1], 40)
    shift = np.repeat(rng.normal(0, 1, (2, 40)), 2, axis=1)  # the same for both recordings
    p = expit(shift + rng.normal(0, 0.1, (2, 80)) + y)
    cells = grid(outlier=("truth", "LOF"), imputation=("truth",), classifier=("A",))
    by_subject = compare_all(of_predictions(cells, y, p, groups))["pairwise_comparisons"]["se"]
    by_recording = compare_all(of_predictions(cells, y, p))["pairwise_comparisons"]["se"]
    np.testing.assert_allclose(by_subject, np.sqrt(2) * by_recording, rtol=0.1)

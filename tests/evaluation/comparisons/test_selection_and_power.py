"""The winner's curse against a slow twin and where the truth is known; the detectable difference."""

import numpy as np
import pytest
from scipy.special import expit
from small_study import grid, of_predictions, simulated, table_of

from src.evaluation.auc import auroc
from src.evaluation.comparisons import champion, compare_all
from src.evaluation.comparisons.power import detectable, detectable_difference
from src.evaluation.comparisons.selection import bias_corrected_choice
from src.evaluation.intervals import subject_draws
from src.evaluation.metrics import brier


def test_the_champion_has_the_lowest_brier_and_ties_go_to_the_higher_auroc():
    assert champion(np.array([0.2, 0.1, 0.1, 0.3]), np.array([0.9, 0.7, 0.8, 0.99])) == 2
    assert champion(np.array([np.nan, 0.1, 0.1]), np.array([0.9, np.nan, 0.8])) == 2
    assert champion(np.array([0.1, 0.1]), np.array([0.8, 0.8])) == 0
    assert champion(np.array([np.nan, np.nan]), np.array([0.8, 0.8])) is None


def test_choosing_on_the_drawn_is_the_slow_twin():
    rng = np.random.default_rng(0)
    groups = [f"s{i // 2 if i < 20 else i}" for i in range(50)]
    y = np.repeat([0, 1], 25)[np.argsort(np.arange(50) % 10 < 5, kind="stable")]
    y = np.where(np.arange(50) < 20, y[np.arange(50) // 2 * 2], y)
    p = expit(rng.normal(size=(7, 50)) + y)
    got = bias_corrected_choice(y, p, groups, n_draws=40, seed=5)
    scores = {"brier": [], "auroc": []}
    for counts in subject_draws(y, groups, 40, 5).astype(int):
        drawn, undrawn = np.repeat(np.arange(50), counts), np.flatnonzero(counts == 0)
        best = champion(brier(y[drawn], p[:, drawn]), auroc(y[drawn], p[:, drawn]))
        scores["brier"].append(brier(y[undrawn], p[best, undrawn]))
        scores["auroc"].append(auroc(y[undrawn], p[best, undrawn]))
    for metric, values in scores.items():
        assert got.corrected[metric] == pytest.approx(np.mean(values))
        assert (got.lo[metric], got.hi[metric]) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert got.n_draws == 40 and got.run == champion(brier(y, p), auroc(y, p))


def test_ties_in_brier_are_broken_by_auroc_and_equal_predictions_by_their_order():
    y = np.array([0, 0, 0, 1, 1, 1])
    # the errors of each are 0.1 0.1 0.3 0.3 0.3 0.8; cases win 6, 6 and 7 of the 9 pairs
    p = np.array(
        [[0.1, 0.1, 0.8, 0.7, 0.7, 0.7], [0.3, 0.3, 0.3, 0.9, 0.9, 0.2], [0.1, 0.3, 0.3, 0.9, 0.7, 0.2]]
    )
    np.testing.assert_allclose(brier(y, p), brier(y, p[0]))
    np.testing.assert_allclose(auroc(y, p) * 9, [6, 6, 7])
    assert bias_corrected_choice(y, p, list("abcdef"), 5).run == 2
    assert bias_corrected_choice(y, p[[0, 2, 2]], list("abcdef"), 5).run == 1
    assert bias_corrected_choice(y, p[[0, 0, 2]], list("abcdef"), 5).run == 2


def test_among_equally_good_models_the_best_owes_its_lead_to_chance():
    rng = np.random.default_rng(1)
    y = rng.permutation(np.repeat([0, 1], [152, 56]))
    values, corrected, alone = [], [], []
    for seed in range(40):
        p = expit(rng.normal(size=(60, 208)) * 0.8 + 1.2 * y - 1.6)
        got = bias_corrected_choice(y, p, np.arange(208), 50, seed)
        values.append([got.value["brier"], got.value["auroc"]])
        corrected.append([got.corrected["brier"], got.corrected["auroc"]])
        alone.append([brier(y, p).mean(), auroc(y, p).mean()])
    value, fair, true = (np.mean(x, axis=0) for x in (values, corrected, alone))
    assert value[0] < true[0] - 0.01 and value[1] > true[1] + 0.02
    np.testing.assert_allclose(fair, true, atol=0.005)  # the lead itself is 0.015 and 0.03


def test_the_table_says_who_won_and_by_how_much_too_well():
    c = simulated()
    table = compare_all(c, ["brier"])["winners_curse"]
    assert table["metric"].tolist() == ["brier", "auroc"]
    best = champion(c.estimates["brier"], c.estimates["auroc"])
    assert table["run"].tolist() == [best, best] == table["run_pooled"].tolist()  # here oob = pooled
    np.testing.assert_allclose(table["value"], [c.estimates[m][best] for m in ("brier", "auroc")])
    np.testing.assert_allclose(
        table["optimism"],
        [table["corrected"][0] - table["value"][0], table["value"][1] - table["corrected"][1]],
    )
    assert (table["lo"] <= table["corrected"]).all() and (table["corrected"] <= table["hi"]).all()
    assert table["n_draws"].tolist() == [1000, 1000]


def test_one_model_has_no_winners_curse():
    c = simulated(grid()[:1])
    tables = compare_all(c)
    assert tables["winners_curse"]["run"].size == 0 and tables["confidence_set"]["run"].size == 0
    reasons = dict(zip(tables["refusals"]["comparison"], tables["refusals"]["reason"], strict=True))
    assert reasons["winner's curse"] == reasons["confidence set"] == "needs two combinations; there are 1"
    assert reasons["detectable difference"] == "there is nothing to compare"


def test_without_shared_predictions_or_brier_scores_the_reason_is_given():
    c = simulated()
    p = c.p_oob.copy()
    p[3] = np.nan
    lost = table_of(c.cells, c.y, c.estimates, p_oob=p)
    refused = compare_all(lost)["refusals"]
    assert refused["reason"][list(refused["comparison"]).index("winner's curse")].startswith(
        "needs two subjects of each class"
    )
    blind = table_of(
        c.cells, c.y, {"brier": np.full(12, np.nan), "auroc": c.estimates["auroc"]}, p_oob=c.p_oob
    )
    refused = compare_all(blind)["refusals"]
    for comparison in ("winner's curse", "pairs against champion"):
        row = list(refused["comparison"]).index(comparison)
        assert refused["reason"][row] == "no Brier score is defined"


def test_a_detectable_difference_is_found_four_times_in_five():
    difference = detectable(0.02)
    assert difference == pytest.approx(0.02 * (1.959964 + 0.841621), rel=1e-6)
    z = np.random.default_rng(2).normal(difference / 0.02, 1, 40_000)
    assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.8, abs=0.01)


def test_the_detectable_difference_is_of_the_median_pair_with_the_champion():
    row = detectable_difference("brier", np.array([0.01, 0.0, np.nan, 0.03, 0.02]), np.array([0, 0, 1]))
    assert row["se_difference"] == 0.02 and row["detectable"] == pytest.approx(detectable(0.02))
    assert (row["n_cases"], row["n_controls"], row["power"], row["alpha"]) == (1, 2, 0.8, 0.05)
    c = simulated()
    tables = compare_all(c, ["auroc"])
    pairs = tables["pairwise_comparisons"]
    se = np.median(pairs["se"][pairs["against"] == "champion"])
    assert tables["detectable_difference"]["se_difference"] == pytest.approx(se)
    nobody = of_predictions(grid()[:2], c.y, np.repeat(c.p_oob[:1], 2, axis=0))
    assert np.isnan(compare_all(nobody, ["auroc"])["detectable_difference"]["detectable"]).all()

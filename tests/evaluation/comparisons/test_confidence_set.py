"""The confidence set: the p values of another program for the same draws, and identical models."""

import numpy as np
import pytest
from arch.bootstrap import MCS
from small_study import grid, of_predictions, simulated

from src.evaluation.auc import auroc
from src.evaluation.comparisons import compare_all
from src.evaluation.comparisons.confidence_set import confidence_set, subject_losses
from src.evaluation.metrics import brier


def losses_of(n=50, k=14, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(1, 0.1, (n, 1)) + rng.normal(0, 0.03, (n, k)) + np.linspace(0, 0.03, k)


def counts_of(mcs, n):
    """Return the draws that arch used."""
    return np.array([np.bincount(rows, minlength=n) for rows in mcs._bootstrap_indices])


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_those_of_arch_for_its_draws(seed):
    losses = losses_of(seed=seed)
    mcs = MCS(losses, 0.05, reps=200, block_size=1, method="max", seed=seed)
    mcs.compute()
    p = confidence_set(losses, counts_of(mcs, len(losses)))
    np.testing.assert_array_equal(p, mcs.pvalues.Pvalue.sort_index())
    assert np.unique(p).size > 2


def test_half_a_deviation_would_not_pass_for_arch():
    losses = losses_of()
    mcs = MCS(losses, 0.05, reps=200, block_size=1, method="max", seed=0)
    mcs.compute()
    wrong = confidence_set((losses - losses.mean(axis=0)) / 2 + losses.mean(axis=0), counts_of(mcs, 50))
    assert np.abs(wrong - mcs.pvalues.Pvalue.sort_index()).max() > 0.1


def test_identical_models_share_the_p_value_and_count_once():
    losses = losses_of()
    counts = np.random.default_rng(0).multinomial(50, np.full(50, 0.02), 300)
    p = confidence_set(losses, counts)
    again = confidence_set(losses[:, [0, 3, 0, *range(14), 13]], counts)
    np.testing.assert_array_equal(again[3:17], p)
    assert again.tolist()[:3] == [p[0], p[3], p[0]] and again[17] == p[13]
    assert confidence_set(np.repeat(losses[:, :1], 3, axis=1), counts).tolist() == [1, 1, 1]


def test_a_model_that_is_worse_for_everybody_is_out_and_equal_ones_are_in():
    rng = np.random.default_rng(1)
    losses = np.column_stack([rng.random((100, 3)), rng.random(100) + 1])
    counts = rng.multinomial(100, np.full(100, 0.01), 500)
    p = confidence_set(losses, counts)
    assert p[3] == 0 and (p[:3] > 0.05).all()
    # by the same amount for everybody: no scatter at all
    assert confidence_set(losses[:, :1] + [[0, 0.1]], counts).tolist() == [1, 0]


def test_losses_average_to_the_metric_also_with_two_recordings_per_subject():
    rng = np.random.default_rng(2)
    groups = [f"s{i // 2 if i < 40 else i}" for i in range(60)]
    y = np.repeat([0, 1], [36, 24])
    p = rng.random((12, 60))
    c = of_predictions(grid(), y, p, groups)
    assert subject_losses(c, "brier").shape == (40, 12)
    np.testing.assert_allclose(subject_losses(c, "brier").mean(axis=0), brier(y, p))
    single = of_predictions(grid(), y, p)
    np.testing.assert_allclose(1 - subject_losses(single, "auroc").mean(axis=0), auroc(y, p))


def test_the_table_holds_every_combination_for_both_metrics_and_is_the_same_again():
    c = simulated()
    table, again = (compare_all(c, ["brier"])["confidence_set"] for _ in range(2))
    assert table["metric"].tolist() == ["brier"] * 12 + ["auroc"] * 12
    assert table["run"].tolist() == [*range(12)] * 2
    np.testing.assert_array_equal(table["included"], table["p_value"] > 0.05)
    np.testing.assert_array_equal(table["p_value"], again["p_value"])
    for metric in ("brier", "auroc"):
        assert table["p_value"][table["metric"] == metric].max() == 1

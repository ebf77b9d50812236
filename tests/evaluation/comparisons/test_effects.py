"""Method effects: which cells they average, whose variance they have, and what is refused."""

import numpy as np
import pytest
from small_study import grid, of_predictions, simulated, table_of

from src.evaluation.comparisons import compare_all
from src.evaluation.influence import influence_se


def effects_of(combinations, metric="brier", factor="outlier_method"):
    table = compare_all(combinations, [metric])["method_effects"]
    own = table["factor"] == factor
    return {name: column[own] for name, column in table.items()}


def refusals_of(combinations, comparison="method effects"):
    table = compare_all(combinations, ["brier"])["refusals"]
    own = table["comparison"] == comparison
    return dict(zip(table["factor"][own], table["reason"][own], strict=True))


def test_effects_by_hand():
    # imputation   truth       linear
    # classifier   A     B     A     B
    # truth        0.10  0.20  0.12  0.22
    # LOF          0.11  0.23  0.13  0.25     minus truth: 0.01 0.03 0.01 0.03, mean 0.02
    # SVM          0.10  0.20  0.16  0.22     minus truth: 0    0    0.04 0,    mean 0.01
    brier = [0.10, 0.20, 0.12, 0.22, 0.11, 0.23, 0.13, 0.25, 0.10, 0.20, 0.16, 0.22]
    c = table_of(grid(), [0, 0, 1, 1], {"brier": brier, "auroc": np.full(12, 0.5)})
    outlier = effects_of(c)
    assert outlier["method"].tolist() == ["LOF", "SVM"]
    np.testing.assert_allclose(outlier["effect"], [0.02, 0.01])
    assert outlier["n_cells"].tolist() == [4, 4]
    imputation = effects_of(c, factor="imputation_method")
    np.testing.assert_allclose(imputation["effect"], [(0.02 + 0.02 + 0.02 + 0.02 + 0.06 + 0.02) / 6])
    assert imputation["n_cells"].tolist() == [6]
    assert effects_of(c, factor="classifier")["method"].size == 0


def test_the_order_of_the_combinations_does_not_matter():
    c = simulated()
    order = np.random.default_rng(1).permutation(12)
    shuffled = of_predictions([c.cells[i] for i in order], c.y, c.p_oob[order])
    one, other = effects_of(c, "auroc"), effects_of(shuffled, "auroc")
    rows = [one["method"].tolist().index(name) for name in other["method"]]
    for column in ("effect", "se", "lo", "hi", "p"):
        np.testing.assert_allclose(one[column][rows], other[column])


@pytest.mark.parametrize("metric", ["brier", "auroc"])
def test_the_interval_is_that_of_an_explicit_bootstrap_of_subjects(metric):
    c = simulated(n=120, seed=3)
    rng = np.random.default_rng(4)
    of_method, of_truth = ([i for i, cell in enumerate(c.cells) if cell[1] == m] for m in ("LOF", "truth"))
    draws = []
    for _ in range(500):
        rows = np.concatenate([rng.choice(np.flatnonzero(c.y == k), (c.y == k).sum()) for k in (0, 1)])
        again = of_predictions(c.cells, c.y[rows], c.p_oob[:, rows]).estimates[metric]
        draws.append(again[of_method].mean() - again[of_truth].mean())
    effects = effects_of(c, metric)
    assert effects["effect"][0] == pytest.approx(
        c.estimates[metric][of_method].mean() - c.estimates[metric][of_truth].mean()
    )
    assert effects["se"][0] == pytest.approx(np.std(draws), rel=0.12)


def test_cells_are_not_taken_for_independent():
    # the classifiers give the same predictions: two cells know no more than one
    c = simulated(grid(imputation=("truth",), classifier=("A",)))
    twice = of_predictions(
        grid(imputation=("truth",), classifier=("A", "B")), c.y, np.repeat(c.p_oob, 2, axis=0)
    )
    np.testing.assert_allclose(effects_of(c)["se"], effects_of(twice)["se"])


def test_two_feature_sets_are_two_studies():
    c = simulated(grid(features=("simple", "baseline")))
    table = compare_all(c, ["brier"])["method_effects"]
    half = simulated_half = of_predictions(c.cells[12:], c.y, c.p_oob[12:])
    own = table["featurization"] == "baseline"
    assert own.sum() == 3 and (~own).sum() == 3
    np.testing.assert_allclose(
        table["effect"][own], compare_all(simulated_half, ["brier"])["method_effects"]["effect"]
    )
    assert half.cells[0][0] == "baseline"


def test_a_method_without_all_its_cells_is_refused_by_name_and_the_others_are_not():
    cells = grid()
    gone = ("simple", "LOF", "linear", "B")
    c = simulated([cell for cell in cells if cell != gone], missing=[gone])
    assert effects_of(c)["method"].tolist() == ["SVM"]
    refused = refusals_of(c)
    assert refused["outlier_method"] == "LOF: missing: simple + LOF + linear + B"
    assert refused["imputation_method"] == "linear: missing: simple + LOF + linear + B"


def test_without_the_ground_truths_cells_nothing_has_an_effect():
    gone = ("simple", "truth", "truth", "B")
    c = simulated([cell for cell in grid() if cell != gone])
    assert compare_all(c, ["brier"])["method_effects"]["effect"].size == 0
    expected = "; ".join(f"{name}: missing: simple + truth + truth + B" for name in ("LOF", "SVM"))
    assert refusals_of(c)["outlier_method"] == expected


def test_an_undefined_cell_is_named():
    brier = np.arange(12.0)
    brier[4] = np.nan
    c = table_of(grid(), [0, 0, 1, 1], {"brier": brier, "auroc": np.full(12, 0.5)})
    assert refusals_of(c)["outlier_method"] == "LOF: the metric is undefined in: simple + LOF + truth + A"


def test_a_grid_without_ground_truth_says_so():
    c = simulated(grid(outlier=("LOF", "SVM"), imputation=("truth",)))
    assert refusals_of(c) == {
        "outlier_method": "the grid has no ground-truth level truth",
        "imputation_method": "one level only (truth)",
    }


def test_many_missing_cells_are_counted_after_the_first_twenty():
    cells = grid(classifier=tuple(f"C{i}" for i in range(30)))
    c = simulated([cell for cell in cells if cell[1] != "LOF"], missing=[x for x in cells if x[1] == "LOF"])
    assert refusals_of(c)["outlier_method"].endswith("; and 40 more")


def test_p_values_are_of_the_influences_and_their_mean():
    c = simulated()
    effects = effects_of(c)
    cells = np.array([cell[1] for cell in c.cells])
    influence = c.influence["brier"]
    mean = influence[cells == "SVM"].mean(axis=0) - influence[cells == "truth"].mean(axis=0)
    assert effects["se"][1] == pytest.approx(influence_se(mean, c.subject_y))

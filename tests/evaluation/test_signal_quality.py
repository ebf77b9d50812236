"""Masks and imputed samples against the truth, by hand."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from src.evaluation.signal_quality import detection_quality, imputation_quality, random_f1, run_lengths

NAMES = ("none", "blink", "spike", "step")
#          sample   0  1  2  3  4  5
TYPES = np.array([[0, 1, 1, 2, 0, 0]], dtype=np.int8)
LOST = np.array([[False, True, False]]), np.arange(3.0)
FOUND = np.array([[1, 1, 0, 1, 0, 0]], dtype=bool)


def test_the_view_of_imputers_sorts_by_the_classes_of_gaps_there_are():
    view = Path(__file__).parents[2] / "src" / "results" / "views" / "v_imputer_checks.sql"
    classes = [row["gap"] for row in imputation_quality(*np.zeros((2, 1, 3)), *LOST, np.zeros((1, 3)))]
    assert str(classes) in view.read_text(encoding="utf-8")


def test_counts_and_rates_by_hand():
    row = detection_quality(FOUND, TYPES > 0, TYPES, NAMES)[0]
    assert {k: row[k] for k in ("tp", "fp", "fn", "tn", "n_samples", "n_artefact")} == {
        "tp": 2, "fp": 1, "fn": 1, "tn": 2, "n_samples": 6, "n_artefact": 3,
    }  # fmt: skip
    assert (row["precision"], row["recall"], row["f1"], row["fpr"]) == pytest.approx(
        (2 / 3, 2 / 3, 2 / 3, 1 / 3)
    )


def test_each_type_has_its_recall_and_false_alarms_have_no_type():
    rows = {row["artefact_type"]: row for row in detection_quality(FOUND, TYPES > 0, TYPES, NAMES)}
    assert list(rows) == ["all", "blink", "spike", "step"]
    assert (rows["blink"]["recall"], rows["spike"]["recall"]) == (0.5, 1.0)
    assert rows["step"]["n_artefact"] == 0 and np.isnan(rows["step"]["recall"])
    undefined = ("fp", "tn", "precision", "f1", "fpr", "f1_random")
    assert all(np.isnan(rows["blink"][name]) for name in undefined)
    assert sum(rows[name]["tp"] for name in NAMES[1:]) == rows["all"]["tp"]
    assert sum(rows[name]["fn"] for name in NAMES[1:]) == rows["all"]["fn"]


def test_without_types_there_is_one_row_and_without_artefacts_nothing_to_recall():
    (row,) = detection_quality(np.zeros((2, 3), dtype=bool), np.zeros((2, 3), dtype=bool), None, NAMES)
    assert np.isnan([row["precision"], row["recall"], row["f1"]]).all() and row["fpr"] == 0


def test_chance_by_hand():
    # Recording 1: 3 of 6 flagged, 3 artefacts, 1.5 hits by chance; recording 2: nothing flagged, 2 artefacts.
    found = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=bool)
    true = np.array([[1, 0, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0]], dtype=bool)
    assert random_f1(found, true) == 2 * 1.5 / (3 + 5)
    assert detection_quality(found, true, None, NAMES)[0]["f1_random"] == 2 * 1.5 / (3 + 5)
    assert random_f1(true, true) == pytest.approx(2 * (9 / 6 + 4 / 6) / 10)
    assert np.isnan(random_f1(found & False, found & False))


def test_chance_is_the_mean_over_all_masks_of_the_same_size():
    found, true = (
        np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]) > 0,
        np.array([[1, 1, 1, 0, 0], [0, 1, 0, 0, 1]]) > 0,
    )
    scores = []
    for first in itertools.combinations(range(5), 2):
        for second in itertools.combinations(range(5), 1):
            mask = np.zeros((2, 5), dtype=bool)
            mask[0, list(first)] = mask[1, list(second)] = True
            scores.append(detection_quality(mask, true, None, NAMES)[0]["f1"])
    assert random_f1(found, true) == pytest.approx(np.mean(scores))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_rates_agree_with_scikit_learn(samples):
    found, true = np.array(samples).T
    row = detection_quality(found[None], true[None], None, NAMES)[0]
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        np.testing.assert_allclose(row[name], score(true, found, zero_division=np.nan))


def test_errors_of_imputed_samples_by_hand():
    truth = np.array([[4.0, 2.0, 5.0, 1.0]])
    imputed = np.array([[9.0, 3.0, 3.0, 9.0]])
    missing = np.array([[False, True, True, False]])
    linear = np.array([[0.0, 3.0, 5.0, 0.0]])
    row = imputation_quality(imputed, truth, missing, np.arange(4.0), linear)[0]
    assert (row["n_samples"], row["mae"], row["mre"], row["mse"]) == (2, 1.5, 3 / 7, 2.5)
    assert (row["mae_linear"], row["mre_linear"], row["mse_linear"]) == (0.5, 1 / 7, 0.5)


def test_gaps_by_length():
    time = np.arange(100) / 30
    missing, error = np.zeros((2, 100), dtype=bool), np.zeros((2, 100))
    for row, start, length, off in ((0, 10, 30, 1.0), (0, 60, 9, 0.5), (1, 0, 10, 2.0), (1, 50, 31, 3.0)):
        missing[row, start : start + length] = True  # 1 s, 0.3 s, 0.33 s, 1.03 s
        error[row, start : start + length] = off
    truth = np.full((2, 100), 2.0)
    rows = imputation_quality(truth + error, truth, missing, time, truth - 2 * error)
    assert [(row["gap"], row["n_samples"], row["mae"], row["mae_linear"]) for row in rows] == [
        ("all", 80, pytest.approx((30 + 4.5 + 20 + 93) / 80), pytest.approx(2 * (30 + 4.5 + 20 + 93) / 80)),
        ("up to 0.3 s", 9, 0.5, 1.0),
        ("0.3 to 1 s", 40, (30 * 1.0 + 10 * 2.0) / 40, 2 * (30 * 1.0 + 10 * 2.0) / 40),
        ("longer than 1 s", 31, 3.0, 6.0),
    ]


def test_nothing_missing_is_nothing_measured_and_unknown_truth_is_left_out():
    truth, time = np.array([[1.0, np.nan, 3.0]]), np.arange(3.0)
    rows = imputation_quality(truth, truth, np.zeros((1, 3), dtype=bool), time, truth)
    assert [row["n_samples"] for row in rows] == [0, 0, 0, 0]
    assert np.isnan([[row["mae"], row["mre"], row["mae_linear"]] for row in rows]).all()
    imputed = np.array([[1.0, 7.0, 4.0]])
    row = imputation_quality(imputed, truth, np.ones((1, 3), dtype=bool), time, imputed)[0]
    assert (row["n_samples"], row["mae"]) == (2, 0.5)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_run_lengths_are_those_counted_one_by_one(rows):
    gaps = np.array(rows)
    lengths = run_lengths(gaps)
    for row, values in zip(gaps, lengths, strict=True):
        for i in range(6):
            left, right = i, i
            while left > 0 and row[i] and row[left - 1]:
                left -= 1
            while right < 5 and row[i] and row[right + 1]:
                right += 1
            assert values[i] == (right - left + 1 if row[i] else 0)

import pickle
import tracemalloc

import numpy as np
import pytest
from fake_store import CODES, N_ITERATIONS, RESAMPLE_ID, Y, foreign_results, own_results, predictions

from src.results.bootstrap_table import normalise
from src.results.run_evaluation import MAX_RECORDINGS, evaluate_file
from src.results.safe_pickle import RejectedRun

#              left out     predictions
# iteration 0  0, 2         .9  .1
# iteration 1  1            .3
SMALL = {
    "y_true": [[1, 0], [0]],
    "y_prob": [[0.9, 0.1], [0.3]],
    "train_indices": [[1, 1, 1], [0, 2, 2]],
    "test_indices": [[0, 2], [1]],
}


def small(**changes):
    return {key: [list(row) for row in rows] for key, rows in SMALL.items()} | changes


def test_a_file_of_another_program_becomes_a_matrix_with_gaps():
    table = normalise(small())
    np.testing.assert_array_equal(table.p_all, [[0.9, np.nan, 0.1], [np.nan, 0.3, np.nan]])
    np.testing.assert_array_equal(table.left_out, [[True, False, True], [False, True, False]])
    np.testing.assert_array_equal(table.inbag_counts, [[0, 3, 0], [1, 0, 2]])
    np.testing.assert_array_equal(table.y, [1, 0, 0])
    assert table.codes == table.groups == ("G001", "H001", "H002")
    assert table.foreign
    assert table.p_apparent is None
    assert table.factors is None


@pytest.mark.parametrize(
    "changes",
    [
        {"y_prob": [[[0.1, 0.9], [0.9, 0.1]], [[0.7, 0.3]]]},
        {"y_prob": [[[0.9], [0.1]], [[0.3]]]},
        {"y_prob": [np.array([0.9, 0.1]), np.array([0.3])]},
        {"y_true": [[1.0, 0.0], [False]]},
        {"y": [1, 0, 0], "auroc": [1.0, float("nan")], "subject_codes": ["Smith", "Jones", "Doe"]},
    ],
)
def test_other_spellings_of_the_same_results_give_the_same_table(changes):
    expected, table = normalise(small()), normalise(small(**changes))
    np.testing.assert_array_equal(table.p_all, expected.p_all)
    np.testing.assert_array_equal(table.y, expected.y)
    assert (table.cohort_hash, table.resample_id) == (expected.cohort_hash, expected.resample_id)
    assert table.codes == expected.codes


def test_without_train_indices_the_counts_are_unknown():
    results = small()
    del results["train_indices"]
    assert normalise(results).inbag_counts is None


def test_an_iteration_may_leave_nobody_out():
    results = {
        "y_true": [[1, 0, 0], []],
        "y_prob": [[0.9, 0.1, 0.3], []],
        "test_indices": [[0, 2, 1], []],
    }
    np.testing.assert_array_equal(normalise(results).left_out, [[True] * 3, [False] * 3])


def test_outcomes_and_left_out_sets_make_the_identity_of_foreign_files():
    one = normalise(small())
    other = normalise(small(test_indices=[[0, 1], [2]], train_indices=[[2, 2, 2], [0, 1, 1]]))
    assert one.cohort_hash == other.cohort_hash
    assert one.resample_id != other.resample_id


def test_an_own_file_keeps_codes_groups_identity_and_all_predictions():
    results = own_results(
        {"featurization": "f", "outlier_method": "o", "imputation_method": "i", "classifier": "c"}
    )
    results["groups"] = ["G001", "G001", *CODES[2:]]
    table = normalise(results)
    assert table.codes == tuple(CODES)
    assert table.groups[:2] == ("G001", "G001")
    assert not table.foreign
    assert (table.cohort_hash, table.resample_id) == ("c0ffee", RESAMPLE_ID)
    assert table.factors == results["factors"]
    counts, p, apparent = predictions(0)
    np.testing.assert_array_equal(table.p_all, p.astype(float))
    np.testing.assert_array_equal(table.inbag_counts, counts)
    np.testing.assert_array_equal(table.p_apparent, apparent.astype(float))
    assert table.n_iterations == N_ITERATIONS


def test_own_and_foreign_files_of_the_same_run_agree():
    own, foreign = normalise(own_results({})), normalise(foreign_results())
    np.testing.assert_array_equal(foreign.left_out, own.left_out)
    np.testing.assert_array_equal(foreign.y, Y)
    np.testing.assert_array_equal(foreign.p_all[own.left_out], own.p_all[own.left_out])
    np.testing.assert_array_equal(foreign.inbag_counts, own.inbag_counts)


SIGNALLING = np.uint32(0x7F800001).view("f4")  # a NaN that processors warn of where it is converted
REJECTED = {
    "y_true is missing": {"y_true": None},
    "y_prob is missing": {"y_prob": []},
    "disagree on the number of left-out": {"y_prob": [[0.9], [0.3]]},
    "y_prob has 1 iterations": {"y_prob": [[0.9, 0.1]]},
    r"y_prob\[0\] has the value 1.5": {"y_prob": [[1.5, 0.1], [0.3]]},
    r"y_prob\[1\] has the value nan": {"y_prob": [[0.9, 0.1], [float("nan")]]},
    r"y_prob\[1\] has the value -0.1": {"y_prob": [[0.9, 0.1], [-0.1]]},
    "do not add up to 1": {"y_prob": [[[0.9, 0.9], [0.1, 0.9]], [[0.5, 0.5]]]},
    "3 columns|2 dimensions": {"y_prob": [[[0.2, 0.3, 0.5]] * 2, [[0.2, 0.3, 0.5]]]},
    r"y_prob\[1\] is no array of numbers": {"y_prob": [[0.9, 0.1], [np.array(["b"])]]},
    r"y_prob\[0\] is no array of numbers": {"y_prob": [["high", "low"], [0.3]]},
    "values other than 0 and 1": {"y_true": [[1, 2], [0]]},
    "changes its outcome": {"test_indices": [[0, 2], [0]], "train_indices": [[1, 1, 1], [1, 2, 2]]},
    "lists a recording twice": {
        "y_true": [[1, 1, 0], [0]], "y_prob": [[0.9, 0.9, 0.1], [0.3]], "test_indices": [[0, 0, 2], [1]],
    },
    "tests recordings it was trained on": {"train_indices": [[0, 1, 1], [0, 2, 2]]},
    "no indices": {"test_indices": [[0.5, 2.0], [1.0]]},
    "indices from -1": {"test_indices": [[-1, 2], [1]]},
    "to 1000000000000": {"test_indices": [[0, 10**12], [1]]},
    "train_indices has 1 iterations": {"train_indices": [[1, 1, 1]]},
    "never left out": {"train_indices": [[1, 1, 3], [0, 2, 2]]},
    "all outcomes are 0": {"y_true": [[0, 0], [0]]},
    "y and y_true disagree": {"y": [0, 0, 1]},
    "an index is 2 but there are 2": {"y": [1, 0]},
    "inbag_counts and train_indices disagree": {"inbag_counts": [[0, 2, 0], [1, 0, 2]]},
    "y_prob_all and y_prob disagree": {"y_prob_all": [[0.8, 0.5, 0.1], [0.5, 0.3, 0.5]]},
    "y_prob_all has values outside": {"y_prob_all": [[0.9, 7.0, 0.1], [0.5, 0.3, 0.5]]},
    "y_prob_all has values outside 0 to 1": {
        "y_prob_all": np.array([[0.9, SIGNALLING, 0.1], [0.5, 0.3, 0.5]], dtype="f4"),
    },
    "y_prob_apparent has values outside": {"y_prob_apparent": [0.9, 2.0, 0.1]},
    "auroc has the shape": {"auroc": [1.0]},
    "different shapes": {"y_prob": [[0.9, 0.1], [[0.7, 0.3]]]},
    "subject_codes has a code twice": {
        "cohort_hash": "a", "resample_id": "b", "subject_codes": ["x", "x", "y"],
    },
    "subject_codes is not one short text": {
        "cohort_hash": "a", "resample_id": "b", "subject_codes": ["x", "y\n", "z"],
    },
}  # fmt: skip


@pytest.mark.parametrize("reason", REJECTED)
def test_impossible_results_are_rejected_with_the_reason(reason):
    with pytest.raises(RejectedRun, match=reason) as error:
        normalise(small(**REJECTED[reason]))
    assert "\n" not in str(error.value)


def test_more_recordings_than_can_be_evaluated_in_minutes_are_refused(tmp_path):
    n = MAX_RECORDINGS + 1
    y = np.arange(n) % 2
    file = tmp_path / "many.pkl"
    results = {"y_true": [y], "y_prob": [np.full(n, 0.5)], "test_indices": [np.arange(n)]}
    file.write_bytes(pickle.dumps(results))
    with pytest.raises(RejectedRun, match="20001 recordings; at most 20000 can be evaluated"):
        evaluate_file(file)


def test_one_long_text_among_numbers_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(RejectedRun, match="y is no array of numbers"):
        normalise(small(y=["x" * 10**5, *["b"] * 200]))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10**7

"""Resamples: who is trained on, what the draws depend on, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.resampling import (
    EvaluationError,
    apparent_random_state,
    inbag_counts,
    left_out,
    random_states,
    resample_id,
    train_rows,
)

Y = np.array([0] * 9 + [1] * 6)
CODES = [f"r{i}" for i in range(15)]


def test_every_resample_draws_as_many_of_each_class_as_there_are():
    counts = inbag_counts(Y, CODES, 50, seed=3)
    assert counts.dtype == np.uint8 and counts.shape == (50, 15)
    assert (counts[:, Y == 0].sum(axis=1) == 9).all() and (counts[:, Y == 1].sum(axis=1) == 6).all()


def test_a_subject_is_drawn_equally_often_and_left_out_with_its_known_probability():
    counts = inbag_counts(Y, CODES, 20_000, seed=0)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.04)
    share_out = left_out(counts).mean(axis=0)
    np.testing.assert_allclose(share_out[Y == 0], (1 - 1 / 9) ** 9, atol=0.015)
    np.testing.assert_allclose(share_out[Y == 1], (1 - 1 / 6) ** 6, atol=0.015)


def test_draws_depend_on_the_seed_and_a_longer_run_begins_like_a_shorter_one():
    long, short = inbag_counts(Y, CODES, 30, seed=1), inbag_counts(Y, CODES, 7, seed=1)
    np.testing.assert_array_equal(long[:7], short)
    assert not np.array_equal(long, inbag_counts(Y, CODES, 30, seed=2))


@given(st.data())
def test_recordings_of_a_subject_are_drawn_and_left_out_together(data):
    n_recordings = data.draw(st.lists(st.integers(1, 3), min_size=11, max_size=16))
    subject = np.repeat(np.arange(len(n_recordings)), n_recordings)
    y = (subject >= 5).astype(int)
    shuffled = np.array(data.draw(st.permutations(range(subject.size))))
    counts = inbag_counts(
        y[shuffled], [f"s{k}" for k in subject[shuffled]], 20, seed=data.draw(st.integers(0, 99))
    )
    for s in np.unique(subject):
        own = counts[:, subject[shuffled] == s]
        assert (own == own[:, :1]).all()


def test_subjects_with_two_recordings_leave_the_number_of_subjects_drawn_unchanged():
    groups = [f"s{i // 2}" for i in range(24)]
    y = np.repeat([0, 1], 12)
    counts = inbag_counts(y, groups, 40, seed=0)
    assert (counts[:, ::2].sum(axis=1) == 12).all()


def test_train_rows_repeat_what_was_drawn_twice():
    assert train_rows(np.array([2, 0, 1], dtype=np.uint8)).tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        (np.ones(12), None, r"one class only \(12 recordings\)"),
        ([0] * 8 + [1] * 4, None, "4 subjects of class 1 are too few to resample; expected at least 5"),
        ([0] * 8 + [2] * 8, None, "label 2 is not 0"),
        ([0] * 8 + [1] * 7 + [np.nan], None, "label nan is not 0"),
        ([0] * 8 + [1] * 8, ["a"] * 16, "subject 'a' has recordings of both classes"),
        ([0] * 8 + [1] * 8, ["a"] * 15, "15 subjects for 16 labels"),
        ([0] * 8 + [1] * 8, [str(i // 2) for i in range(16)], "4 subjects of class 0 are too few"),
    ],
)
def test_what_cannot_be_resampled_is_refused(y, groups, message):
    with pytest.raises(EvaluationError, match=message):
        inbag_counts(np.asarray(y), groups or [str(i) for i in range(len(y))], 10, seed=0)


def test_no_iterations_are_refused():
    with pytest.raises(EvaluationError, match="n_iterations is 0; expected at least 1"):
        inbag_counts(Y, CODES, 0, seed=0)


def test_resample_id_names_everything_the_draws_depend_on():
    same = resample_id(1, 10, CODES, Y)
    assert same == resample_id(1, 10, list(CODES), Y.astype(np.int8), groups=CODES)
    other_y = Y[::-1]
    others = {
        resample_id(2, 10, CODES, Y),
        resample_id(1, 11, CODES, Y),
        resample_id(1, 10, CODES[::-1], Y),
        resample_id(1, 10, CODES, other_y),
        resample_id(1, 10, CODES, Y, groups=["s0", *CODES[1:]]),
    }
    assert len(others) == 5 and same not in others and len(same) == 16


def test_random_states_differ_by_iteration_and_do_not_depend_on_their_number():
    states = random_states(7, 50)
    np.testing.assert_array_equal(states[:5], random_states(7, 5))
    assert len({*states.tolist(), apparent_random_state(7)}) == 51
    assert states.min() >= 0 and states.max() < 2**31

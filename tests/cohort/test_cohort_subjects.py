"""The order of recordings: the same for the same names, whatever else is known about them."""

import numpy as np
import pandas as pd
import pytest

from src.cohort.subjects import anonymise

N_PER_CLASS = 20


def table_of(n_per_class=N_PER_CLASS):
    """Subjects a00.. sorted by class: control, glaucoma, no diagnosis."""
    n = 3 * n_per_class
    table = pd.DataFrame({"original": [f"a{i:02d}" for i in range(n)]})
    table["label"] = np.repeat([0.0, 1.0, np.nan], n_per_class)
    table["age"], table["severity"] = np.linspace(40, 80, n), np.linspace(0, 1, n)
    table["split"], table["eye"], table["order"] = "train", None, ""
    return table


def names_of(table):
    return list(anonymise(table)[0]["recording"])


def test_rows_say_where_each_recording_came_from():
    table = table_of()
    subjects, rows = anonymise(table)
    assert sorted(rows) == list(range(len(table)))
    np.testing.assert_array_equal(subjects["age"], table["age"][rows])
    np.testing.assert_array_equal(
        subjects["label"].to_numpy(dtype=float, na_value=np.nan), table["label"][rows]
    )
    number = rows % N_PER_CLASS + 1  # counted within the class
    assert list(subjects["code"]) == [
        f"{'HGU'[row // N_PER_CLASS]}{k:03d}" for row, k in zip(rows, number, strict=True)
    ]


def test_the_order_of_the_source_does_not_matter():
    table = table_of()
    shuffle = np.random.default_rng(3).permutation(len(table))
    subjects, rows = anonymise(table)
    again, rows_again = anonymise(table.iloc[shuffle].reset_index(drop=True))
    pd.testing.assert_frame_equal(again, subjects)
    np.testing.assert_array_equal(shuffle[rows_again], rows)


@pytest.mark.parametrize(
    "change",
    [
        {"label": np.repeat([1.0, 0.0, np.nan], N_PER_CLASS)},
        {"label": np.tile([np.nan, 1.0, 0.0], N_PER_CLASS)},
        {"age": 50.0, "severity": np.nan, "split": "test", "eye": "L"},
    ],
    ids=["classes swapped", "classes dealt out", "all else changed"],
)
def test_names_alone_decide_the_order(change):
    table = table_of()
    assert names_of(table.assign(**change)) == names_of(table)


def test_two_recordings_keep_their_order_whoever_else_is_there():
    few = names_of(table_of(7))
    assert few == [name for name in names_of(table_of()) if name in few]


@pytest.mark.parametrize(
    ("eyes", "suffixes"),
    [
        (("L", "R"), {"L", "R"}),
        (("od", "OS"), {"od", "OS"}),
        (("ANNA", "SMITH"), {"1", "2"}),
        (("L", "Anna"), {"1", "2"}),
    ],
)
def test_only_names_of_eyes_are_in_those_of_recordings(eyes, suffixes):
    table = table_of().iloc[[0, 0]].assign(eye=list(eyes)).reset_index(drop=True)
    assert {name.partition("-")[2] for name in names_of(table)} == suffixes

import os
import pickle
import struct
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from fake_store import own_results
from hypothesis import given, settings
from hypothesis import strategies as st

from src.results.bootstrap_pickle import OPTIONAL_FORMAT, RESULTS_FORMAT, dump, load
from src.results.safe_pickle import RejectedRun, loads_plain

FACTORS = {"featurization": "f", "outlier_method": "o", "imputation_method": "i", "classifier": "c"}


class Runs:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_many_numbers_are_not_many_lists(monkeypatch):
    monkeypatch.setattr("src.results.safe_pickle.MAX_CONTAINERS", 50)
    numbers = [np.float64(value) for value in range(300)]
    assert loads_plain(pickle.dumps(numbers)) == numbers
    with pytest.raises(RejectedRun, match="more than 50 lists and dicts"):
        loads_plain(pickle.dumps([[] for _ in range(51)]))


def test_tuples_and_objects_are_counted_too(monkeypatch):
    monkeypatch.setattr("src.results.safe_pickle.MAX_OBJECTS", 50)
    monkeypatch.setattr("src.results.safe_pickle.MAX_CONTAINERS", 50)
    dtypes = b"cnumpy\ndtype\nq\x00X\x02\x00\x00\x00f8\x85q\x01" + b"0h\x00h\x01R" * 51
    for content in (b"N" + b"\x85" * 51 + b".", b"(" * 51 + b"t" * 51 + b".", dtypes + b"."):
        with pytest.raises(RejectedRun, match="more than 50 tuples and objects"):
            loads_plain(b"\x80\x02" + content)
    with pytest.raises(RejectedRun, match="more than 50 lists and dicts"):
        loads_plain(b"(l" * 51 + b".")


@pytest.mark.parametrize(
    "call",
    [
        b"c_codecs\nencode\nq\x00X\xe8\x03\x00\x00" + b"x" * 1000 + b"X\x06\x00\x00\x00latin1\x86q\x01",
        b"cnumpy._core.multiarray\nscalar\nq\x00cnumpy\ndtype\nX\x04\x00\x00\x00U250\x85R"
        + b"B\xe8\x03\x00\x00" + b"x\0\0\0" * 250 + b"\x86q\x01",
    ],
)  # fmt: skip
def test_what_the_file_holds_once_is_not_copied_without_end(call):
    with pytest.raises(RejectedRun, match="holds the same text or number too often"):
        loads_plain(b"\x80\x02" + call + b"00](" + b"h\x00h\x01R" * 100 + b"e.")


VALUES = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "text": np.array(["a", "longer"]),
    "no dimension": np.array(2.5),
    "empty": np.empty((0, 4)),
    "numpy scalar": np.float64(0.25),
    "nested": [[1, 2.5, None], {"a": [True, "x"]}, []],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", VALUES)
def test_plain_values_survive_every_protocol(name, protocol):
    read = loads_plain(pickle.dumps({"value": VALUES[name]}, protocol=protocol))["value"]
    if isinstance(VALUES[name], np.ndarray):
        assert read.dtype == VALUES[name].dtype
        np.testing.assert_array_equal(read, VALUES[name])
    else:
        assert read == VALUES[name]


def test_names_of_numpy_1_are_read():
    content = pickle.dumps(np.arange(3.0), protocol=2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in content
    np.testing.assert_array_equal(loads_plain(content), [0, 1, 2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_does_not_run(tmp_path, protocol):
    target = tmp_path / "touched"
    content = pickle.dumps({"y": Runs(os.system, f"touch {target}")}, protocol=protocol)
    pickle.loads(content)  # noqa: S301 - shows that the pickle is live
    assert target.exists()
    target.unlink()
    with pytest.raises(RejectedRun, match="system"):
        loads_plain(content)
    assert not target.exists()


HOSTILE = {
    "builtins": Runs(eval, "1 + 1"),
    "numpy function": Runs(np.fromfile, "/etc/hostname"),
    "object array": np.array([[1], "a"], dtype=object),
    "structured array": np.zeros(2, dtype=[("a", "f8")]),
    "complex array": np.zeros(2, dtype=complex),
    "dates": np.array(["2026-01-01"], dtype="datetime64[D]"),
    "masked array": np.ma.masked_array([1.0], [True]),
    "other class": OrderedDict(a=1),
    "set": {1, 2},
    "bytes": b"abc",
    "complex": 1j,
    "path": Path("x"),
    "integer keys": {1: 2},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused_in_one_line(name):
    with pytest.raises(RejectedRun) as error:
        loads_plain(pickle.dumps({"value": HOSTILE[name]}))
    assert "\n" not in str(error.value)


def test_states_cannot_be_set_on_what_stands_for_numpy():
    # dtype class, then BUILD with a dict: would set attributes of the class itself
    with pytest.raises(RejectedRun):
        loads_plain(b"cnumpy\ndtype\n}S'x'\nI1\nsb.")
    np.testing.assert_array_equal(loads_plain(pickle.dumps(np.arange(2.0))), [0, 1])


BOMBS = {
    "memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
    "text memo index": b"Np4000000000\n.",
    "length beyond the end": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "frame beyond the end": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "huge shape": pickle.dumps(np.zeros(3), protocol=2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    "deep nesting": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "compressed": zlib.compress(b"0" * 10**6),
    "itself": b"\x80\x04]\x94h\x00a.",
    "lists of lists": b"\x80\x04]\x94" + b"".join(
        b"](" + bytes([ord("h"), i]) * 30 + b"e\x94" for i in range(12)
    ) + b".",
    "one list 16 million times": b"\x80\x04]\x94" + b"".join(
        b"](" + bytes([ord("h"), i]) * 4000 + b"e\x94" for i in range(2)
    ) + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_without_cost(name):
    with pytest.raises(RejectedRun):
        loads_plain(BOMBS[name])


NUMBER = b"\x8a\x08" + (2**61 - 1).to_bytes(8, "little")
KEYS = {
    "a large number": NUMBER,
    "a tuple": b"J\xff\xff\xff\xff\x85",
    "none": b"N",
    "bytes": b"C\x01a",
    "an array's type": b"cnumpy\ndtype\n",
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("form", [b"}%sNs.", b"}(%sNu.", b"(d%sNs.", b"(%sNd.", b"}\x94h\x00%sNs0h\x00."])
def test_no_key_is_hashed_unless_it_is_text(name, form):
    # Numbers and tuples can be chosen so that all hashes agree: 20,000 of them take seconds, more take hours.
    with pytest.raises(RejectedRun, match=r"keys are no strings|not empty at first"):
        loads_plain(b"\x80\x04" + form % KEYS[name])


def test_a_dict_takes_no_state():
    for state in (b"}", b"N}\x86", b"}(S'__class__'\nNu"):
        with pytest.raises(RejectedRun, match="state"):
            loads_plain(b"\x80\x04}" + state + b"b.")


CONTENT = pickle.dumps({"y": np.arange(5), "p": [np.zeros(2), [0.5, 0.25]], "n": "text"}, protocol=4)


@pytest.mark.parametrize("length", range(len(CONTENT)))
def test_truncated_files_are_refused(length):
    with pytest.raises(RejectedRun):
        loads_plain(CONTENT[:length])


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_give_values_or_a_rejection(changes):
    content = bytearray(CONTENT)
    for position, value in changes:
        content[position] = value
    try:
        loads_plain(bytes(content))
    except RejectedRun as error:
        assert "\n" not in str(error)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_noise_gives_values_or_a_rejection(content):
    try:
        loads_plain(content)
    except RejectedRun as error:
        assert "\n" not in str(error)


def test_results_come_back_as_they_were_written(tmp_path):
    results = own_results(FACTORS)
    dump(results, tmp_path / "r.pkl")
    read = load(tmp_path / "r.pkl")
    assert read.keys() == results.keys() == RESULTS_FORMAT.keys()
    np.testing.assert_array_equal(read["y_prob_all"], results["y_prob_all"])
    assert read["y_prob_all"].dtype == np.float32
    assert read["factors"] == FACTORS
    assert read["auroc"] == results["auroc"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.pkl"]


def test_importances_may_be_there_and_need_not(tmp_path):
    importances = {key: np.full((3, 2), np.nan, dtype=np.float32) for key in OPTIONAL_FORMAT}
    dump(own_results(FACTORS) | importances, tmp_path / "r.pkl")
    assert load(tmp_path / "r.pkl").keys() == RESULTS_FORMAT.keys() | OPTIONAL_FORMAT.keys()


def test_dump_says_where_a_value_is_not_plain(tmp_path):
    results = own_results(FACTORS)
    with pytest.raises(TypeError, match=r"results\['versions'\]\['numpy'\] is a "):
        dump(results | {"versions": {"numpy": Path("x")}}, tmp_path / "r.pkl")
    with pytest.raises(TypeError, match=r"results\['auroc'\]\[0\] is a float64"):
        dump(results | {"auroc": [np.float64(1)]}, tmp_path / "r.pkl")
    with pytest.raises(TypeError, match="array of object"):
        dump(results | {"y": np.array([None])}, tmp_path / "r.pkl")
    with pytest.raises(ValueError, match="'extra' is not part"):
        dump(results | {"extra": 1}, tmp_path / "r.pkl")
    del results["groups"]
    with pytest.raises(ValueError, match="'groups' is missing"):
        dump(results, tmp_path / "r.pkl")
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_a_rejection(tmp_path):
    with pytest.raises(RejectedRun, match=r"none\.pkl cannot be read"):
        load(tmp_path / "none.pkl")

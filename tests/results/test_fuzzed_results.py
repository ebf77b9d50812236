"""Whatever is in a results file: its results or a reason, nothing run, in little time and memory."""

import os
import pickle
import pickletools
import struct
from collections.abc import Iterator
from functools import reduce

import numpy as np
import pytest
from fuzzing import Reader, inputs, reading, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

FACTORS = {"featurization": "f", "outlier_method": "o", "imputation_method": "i", "classifier": "c"}
Y = np.array([1, 1, 1, 0, 0, 0], dtype=np.int8)
LEFT_OUT = [np.array([0, 3]), np.array([1, 4]), np.array([2, 5])]


def results() -> dict:
    """Three iterations over six recordings."""
    p = np.linspace(0.1, 0.9, 18, dtype=np.float32).reshape(3, 6)
    return {
        "factors": FACTORS,
        "cohort_hash": "c0ffee",
        "resample_id": "abc",
        "subject_codes": [f"S{k}" for k in range(6)],
        "groups": [f"S{k}" for k in range(6)],
        "y": Y,
        "y_prob_all": p,
        "y_prob_apparent": p[0],
        "auroc": [0.5, 0.5, 0.5],
        "features": ["blue_PHASIC_pct"],
        "y_true": [Y[out] for out in LEFT_OUT],
        "y_prob": [row[out] for row, out in zip(p, LEFT_OUT, strict=True)],
        "train_indices": [np.setdiff1d(np.arange(6), out) for out in LEFT_OUT],
        "test_indices": LEFT_OUT,
    }


class Runs:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


VALID = [pickle.dumps(results(), protocol) for protocol in range(6)]
PIECES = [bytes([ord(opcode.code)]) for opcode in pickletools.opcodes]
PIECES += [
    b"cos\nsystem\n(S'touch canary'\ntR",
    b"\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch canary\x85R",
    b'cbuiltins\nexec\n(S\'open("canary","w")\'\ntR',
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"(i__main__\nRuns\n",
    struct.pack("<I", 2**32 - 1),
    struct.pack("<Q", 2**63 - 1),
    b"\x95" + struct.pack("<Q", 2**62),
    b"r" + struct.pack("<I", 2**31),
    b"\x8b" + struct.pack("<I", 2**31 - 1),
    b"I" + b"9" * 4000 + b"\n",
    b"V\\ud800\n",
    b"K\x00\x85",
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    with reading("results", tmp_path_factory.mktemp("inputs"), VALID[4]) as reader:
        yield reader


@inputs(0.5)
@given(spoilt_bytes(VALID, PIECES))
def test_spoilt_files(reader, content):
    reader(content)


def odd_values() -> st.SearchStrategy:
    numbers = st.one_of(
        st.floats(), st.integers(-3, 9), st.sampled_from([2**63, 10**400, -1, 1.5, float("nan"), True, None])
    )
    arrays = st.builds(
        lambda values, dtype, shape: np.resize(np.array(values).astype(dtype), shape),
        st.lists(st.integers(0, 250), min_size=1, max_size=8),
        st.sampled_from(["f4", "f8", "i8", "u1", "?", ">f8", "U3", "M8[s]", "c16"]),
        st.sampled_from(
            [(), (0,), (2,), (6,), (3, 6), (6, 3), (2, 2), (1, 1, 1, 1), (0, 6), (3, 0), (10**5,)]
        ),
    )
    texts = st.one_of(
        st.text(max_size=6), st.sampled_from(["x" * 10**5, "\ud800", "'; DROP TABLE runs; --", "S1"])
    )
    leaves = st.one_of(numbers, arrays, texts, st.binary(max_size=4))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=12,
    )


def near_misses() -> st.SearchStrategy:
    """Values that nearly fit: one number changed, an entry twice or gone."""

    def change(key, at, value):
        old = results()[key]
        if isinstance(old, dict | str):
            return value
        changed = (
            [np.array(row, dtype=object) for row in old] if isinstance(old, list) else old.astype(object)
        )
        if isinstance(old, list):
            row = changed[at % len(changed)]
            changed[at % len(changed)] = [value, *row.ravel().tolist()[1:]] if row.ndim else value
            return [
                list(row)
                if isinstance(row, np.ndarray) and row.ndim
                else getattr(row, "item", lambda row=row: row)()
                for row in changed
            ]
        changed.ravel()[at % old.size] = value
        return changed.tolist()

    one = st.tuples(
        st.sampled_from(sorted(results())),
        st.integers(0, 20),
        st.one_of(
            st.sampled_from(
                [
                    float("nan"),
                    float("inf"),
                    -0.1,
                    1.1,
                    2,
                    -1,
                    7,
                    10**9,
                    2**70,
                    "S1",
                    None,
                    True,
                    [0.5, 0.5],
                    [],
                ]
            )
        ),
    )
    return one.map(lambda drawn: {drawn[0]: change(*drawn)})


@inputs(0.45)
@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(sorted(results())), odd_values(), max_size=2), near_misses()
        ),
        min_size=1,
        max_size=2,
    ),
    st.lists(st.sampled_from(sorted(results())), max_size=2),
    st.integers(0, 5),
)
def test_odd_content(reader, changes, gone, protocol):
    content = reduce(dict.__or__, changes, results())
    for key in gone:
        content.pop(key, None)
    reader(pickle.dumps(content, protocol))


def calls() -> st.SearchStrategy[bytes]:
    """Live pickles: unpickled by pickle, each would leave a file behind."""
    call = st.sampled_from(
        [
            Runs(os.system, "touch canary"),
            Runs(os.mkdir, "canary"),
            Runs(exec, "open('canary', 'w')"),
            Runs(np.savetxt, "canary", [1.0]),
        ]
    )
    return st.builds(
        lambda call, key, protocol: pickle.dumps(results() | {key: [call]}, protocol),
        call,
        st.sampled_from([*results(), "extra"]),
        st.integers(0, 5),
    )


def bombs() -> st.SearchStrategy[bytes]:
    """Small files that unfold: shared lists of lists, deep ones, arrays of no bytes, long numbers."""
    width, depth = st.integers(2, 3000), st.integers(1, 9)
    shared = st.builds(
        _shared, width, depth, st.sampled_from([b"]", b"K\x01", b"N", b"}", b"X\x01\x00\x00\x00a", b")"])
    )
    deep = st.builds(
        lambda n, o: b"\x80\x04" + o * n + b".",
        st.integers(1, 200_000),
        st.sampled_from([b"]", b"}", b"(", b")", b"\x85", b"N\x85"]),
    )
    huge = st.builds(
        lambda shape, dtype: pickle.dumps(results() | {"y": np.zeros(0, dtype)}, 2).replace(
            b"K\x00\x85", b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape) + b"t"
        ),
        st.lists(st.sampled_from([0, 1, 2**31, 2**40, 2**62, -1]), min_size=1, max_size=5),
        st.sampled_from(["f8", "U1", "u1"]),
    )
    number = st.builds(
        lambda n: b"\x80\x04\x8b" + struct.pack("<I", n) + b"\x7f" * n + b".",
        st.sampled_from([10, 10**4, 10**6]),
    )
    many = st.builds(
        lambda n, o: b"\x80\x04](" + o * n + b"e.",
        st.integers(1, 400_000),
        st.sampled_from([b"]", b"N", b"K\x01", b"]\x94", b")"]),
    )
    within = st.builds(
        lambda bomb, key: VALID[0][:-2] + b"S'" + key.encode() + b"'\n" + bomb[2:-1] + b"s.",
        st.one_of(shared, many),
        st.sampled_from(["y_prob", "y", "extra", "factors", "y_prob_all"]),
    )
    return st.one_of(shared, deep, huge, number, many, within)


def _shared(width: int, depth: int, leaf: bytes) -> bytes:
    """Lists of the same list, `depth` deep: width ** depth values."""
    level = b"](" + leaf * width + b"e\x94"
    for k in range(depth):
        level += b"](" + (b"h" + bytes([k])) * width + b"e\x94"
    return b"\x80\x04" + level + b"."


@inputs(0.05)
@given(st.one_of(calls(), bombs()))
def test_calls_and_bombs(reader, content):
    reader(content)

"""Whatever is in a device file: a recording or a sentence about what is wrong."""

from collections.abc import Iterator

import numpy as np
import pytest
from fuzzing import Input, Reader, inputs, reading, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

FEWEST = 68 * 12  # samples of 68 s, 1/12 s apart


def recording(step: float = 1 / 12, pupil: float = 40.0, ending: str = "\n") -> bytes:
    """A device file with a blue and a red light."""
    rows = []
    for k, t in enumerate(np.arange(0.05, 68, step)):
        red, blue = 100 * (47 <= t <= 56), 90 * (16 <= t <= 25)
        rows.append(f"{k}, {t:.3f}, {pupil:.2f}, 514, 503, 30, 3, 0, 0, {red}, 0, {blue}, {red}, 0, 0, ")
    return ending.join(rows).encode()


VALID = [recording(), recording(0.09, 22.5), recording(ending="\r\n")]
WORDS = [
    "",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-320",
    "-1",
    "0",
    "9" * 400,
    "0x10",
    "1_0",
    "١",
]
WORDS += ["True", "None", "=cmd|' /C calc'!A0", "x" * 3000, "1;2", '"1"', "\x00", "1e5", "\u2028", "1+1j"]
PIECES = [f", {word},".encode() for word in WORDS]
PIECES += [
    b"\n",
    b"\r",
    b"\x00" * 9,
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"," * 2000,
    b"\x1c",
    b"\xed\xa0\x80",
    b'"',
    b"\n\n",
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    with reading("recording", tmp_path_factory.mktemp("inputs"), VALID[0]) as reader:
        yield reader


@inputs(0.5)
@given(spoilt_bytes(VALID, PIECES))
def test_spoilt_files(reader, content):
    reader(content)


def _with_fields(changes, order):
    """The recording with fields replaced, and lines moved, repeated or gone."""
    rows = [line.split(",") for line in VALID[0].decode().splitlines()]
    for line, place, word in changes:
        rows[line][place] = word
    for kind, line, other in order:
        line, other = line % len(rows), other % len(rows)
        if kind == "swap":
            rows[line], rows[other] = rows[other], rows[line]
        elif kind == "twice":
            rows.insert(line, rows[other])
        else:
            del rows[line : line + other // 100]
        rows = rows or [[""]]
    return Input("\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass"))


@inputs(0.46)
@given(
    st.builds(
        _with_fields,
        st.lists(
            st.tuples(
                st.integers(0, FEWEST - 2),
                st.sampled_from([0, 1, 1, 2, 2, 9, 11, 12]),
                st.one_of(st.sampled_from(WORDS), st.floats().map(str), st.text(max_size=5)),
            ),
            max_size=3,
        ),
        st.lists(
            st.tuples(st.sampled_from(["swap", "twice", "drop"]), st.integers(0, 900), st.integers(0, 900)),
            max_size=2,
        ),
    )
)
def test_odd_fields_and_lines(reader, content):
    reader(content)


@inputs(0.04)
@given(
    st.sampled_from([b",", b"\n", b"1,", b"\x00", b"9", b",,,,,,,,,,,\n", b"0,1,2,3,4,5,6,7,8,9,10,11\n"]),
    st.integers(0, 3 * 2**20),
)
def test_large_files_of_little(reader, piece, size):
    reader(piece * (size // len(piece)))

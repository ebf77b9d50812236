"""Whatever is in a cohort file: a cohort or a sentence about what is wrong; nothing else is read or run."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import pytest
from fuzzing import Input, Reader, changed, inputs, reading, spoilt_changes
from hypothesis import given
from hypothesis import strategies as st

from src.cohort.cohort import CohortError
from src.cohort.probe import check_ends
from src.cohort.sources import cohort_file

TIME = np.arange(220) / 10  # 22 s at 10 Hz
BLOCK, FIRST_BLOCK = 16_384, 3 * 4096


def frame() -> pd.DataFrame:
    """Three recordings of two subjects."""
    parts = []
    for code, label, eye in (("P-17", "glaucoma", "L"), ("P-17", "glaucoma", "R"), ("P-4", "control", None)):
        part = pd.DataFrame({"time": TIME, "pupil_orig": 5 - 2.0 * ((TIME > 4) & (TIME < 9))})
        part["Red"] = ((TIME >= 12) & (TIME <= 16)).astype(float)
        part["Blue"] = ((TIME >= 4) & (TIME <= 9)).astype(float)
        part["pupil_gt"], part["outlier_mask"], part["Age"] = part["pupil_orig"], 0, 61
        part["subject_code"], part["class_label"], part["eye"] = code, label, eye
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def written(path, *statements: str) -> bytes:
    """A cohort file after some SQL."""
    path.unlink(missing_ok=True)
    train = frame()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("frame", train)
        connection.execute(f"ATTACH '{path}' AS made (BLOCK_SIZE {BLOCK})")
        connection.execute("USE made")
        connection.execute("CREATE TABLE train AS FROM frame")
        connection.execute("CREATE TABLE metadata AS SELECT 'unit' AS key, 'mm' AS value")
        for statement in statements:
            with suppress(duckdb.Error):  # what DuckDB does not write cannot be read
                connection.execute(statement)
        connection.execute("USE memory; DETACH made")
    return path.read_bytes()


with TemporaryDirectory() as folder:
    VALID = written(Path(folder) / "c.duckdb")
    BOTH = written(
        Path(folder) / "c.duckdb",
        "CREATE TABLE test AS FROM train WHERE subject_code = 'P-4'",
        "DELETE FROM train WHERE subject_code = 'P-4'",
        "ALTER TABLE train DROP pupil_gt",
    )
FILES = pytest.mark.parametrize("valid", [Input(VALID), Input(BOTH)], ids=["train", "train and test"])
CHANGES = spoilt_changes([VALID, BOTH], [b"\xff" * 8, b"\x00" * 64, b"DUCK", b"train", b"VARCHAR"])


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    with reading("cohort", tmp_path_factory.mktemp("inputs"), VALID) as reader:
        yield reader


def checksum(block: bytes) -> bytes:
    """DuckDB's own, so that what is changed gets past it."""
    words = np.frombuffer(block, "<u8") * np.uint64(0xBF58476D1CE4E5B9)
    return (np.bitwise_xor.reduce(words) ^ np.uint64(5381)).tobytes()


def signed(content: bytes) -> bytes:
    """The file with the right checksum in every header and block."""
    edges = [0, 4096, 8192, *range(FIRST_BLOCK, len(content), BLOCK), len(content)]
    parts = [content[start:stop] for start, stop in pairwise(edges)]
    return b"".join(
        checksum(part[8:]) + part[8:] if len(part) % 8 == 0 and len(part) > 8 else part for part in parts
    )


def test_the_checksum_is_duckdbs():
    assert signed(VALID) == VALID


@FILES
@inputs(0.25)
@given(CHANGES)
def test_spoilt_files(reader, valid, changes):
    reader(changed(valid, changes), without_end=refused_or_read_to_its_end)


@FILES
@inputs(0.2)
@given(CHANGES)
def test_spoilt_files_with_the_right_checksums(reader, valid, changes):
    """On some of them DuckDB reads in circles."""
    reader(signed(changed(valid, changes)), without_end=refused_or_read_to_its_end)


def refused_or_read_to_its_end(content: bytes) -> None:
    """Whether DuckDB comes to an end may depend on what it read before; commands begin with nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.duckdb"
        path.write_bytes(content)
        try:
            cohort_file(str(path))
        except CohortError as error:
            assert "crashes or does not end" in str(error)
            return
        for _ in range(3):
            check_ends(path)


COLUMNS = ["time", "pupil_orig", "Red", "Blue", "pupil_gt", "outlier_mask", "Age"]
TEXTS = ["subject_code", "class_label", "eye"]
ROWS = [
    "true",
    "rowid = 5",
    "rowid BETWEEN 200 AND 239",
    "subject_code = 'P-4'",
    "eye = 'L'",
    "rowid % 7 = 0",
]
NUMBERS = [
    "NULL",
    "'nan'",
    "'inf'",
    "'-inf'",
    "0",
    "-1",
    "2",
    "1e308",
    "-1e308",
    "1e-320",
    "time",
    "-time",
    "rowid",
]
WORDS = [
    "NULL",
    "''",
    "'control'",
    "'glaucoma'",
    "'P-4'",
    "'x'';DROP TABLE train;--'",
    "chr(10)",
    "repeat('x', 9999)",
]
WORDS += ["'<script>x()</script>'", "'../../etc'", "rowid::VARCHAR", "'P-4' || chr(0)", "'İ'"]
KINDS = ["VARCHAR", "INTEGER", "BOOLEAN", "FLOAT", "BLOB", "DECIMAL(18,3)", "HUGEINT", "DOUBLE[]"]


def statements() -> st.SearchStrategy[str]:
    """SQL that changes values, columns or rows of the valid file."""
    update = "UPDATE train SET {} = {} WHERE {}".format
    rows = st.sampled_from(ROWS)
    return st.one_of(
        st.builds(update, st.sampled_from(COLUMNS), st.sampled_from(NUMBERS), rows),
        st.builds(update, st.sampled_from(TEXTS), st.sampled_from(WORDS), rows),
        st.builds("DELETE FROM train WHERE {}".format, rows),
        st.builds("INSERT INTO train FROM train WHERE {}".format, rows),
        st.builds("CREATE TABLE test AS FROM train WHERE {}".format, rows),
        st.builds("ALTER TABLE train DROP {}".format, st.sampled_from(COLUMNS + TEXTS)),
        st.builds(
            "ALTER TABLE train ALTER {0} TYPE {1} USING [{0}]::{1}[][1]".format,
            st.sampled_from(COLUMNS + TEXTS),
            st.sampled_from(KINDS),
        ),
        st.builds(
            "UPDATE metadata SET value = {}".format, st.sampled_from(["'%'", "'yards'", "NULL", "chr(0)"])
        ),
        st.sampled_from(
            ["DROP TABLE metadata; CREATE TABLE metadata AS SELECT [1] AS key, {'a': 1} AS value"]
        ),
    )


@inputs(0.1)
@given(st.lists(statements(), min_size=1, max_size=3))
def test_odd_values(reader, tmp_path_factory, drawn):
    reader(Input(written(tmp_path_factory.getbasetemp() / "odd.duckdb", *drawn)))


PROGRAMS = {
    "a view on a file": "DROP TABLE train; CREATE VIEW train AS FROM read_text('/etc/hostname')",
    "a view on no end": "DROP TABLE train; CREATE VIEW train AS FROM range(1000000000000) AS t(time)",
    "a view on itself": "ALTER TABLE train RENAME TO t; CREATE VIEW train AS SELECT t.* FROM t, range(99999)",
    "a computed column": "ALTER TABLE train RENAME TO t; CREATE TABLE train (time DOUBLE, Red DOUBLE, "
    "Blue DOUBLE, subject_code VARCHAR, class_label VARCHAR, "
    "pupil_orig DOUBLE GENERATED ALWAYS AS (list_sum(range(1000000)) + time)); "
    "INSERT INTO train SELECT time, Red, Blue, subject_code, class_label FROM t",
    "functions of DuckDB's names": "CREATE MACRO duckdb_columns() AS TABLE FROM read_text('/etc/hostname'); "
    "CREATE MACRO duckdb_tables() AS TABLE FROM range(1000000000000); CREATE VIEW columns AS SELECT 1; "
    "CREATE MACRO contains(a, b) AS false; CREATE MACRO strlen(a) AS 0; CREATE MACRO count() AS 0",
    "many rows": "INSERT INTO train SELECT t.* FROM train AS t, range(250000) WHERE t.rowid = 1",
    "long texts": "UPDATE train SET subject_code = repeat('x', 1000000) WHERE rowid = 3",
    "a long text for a number": "ALTER TABLE train ALTER pupil_orig TYPE VARCHAR; "
    "UPDATE train SET pupil_orig = repeat('x', 100000) WHERE rowid = 3",
    "much metadata": "INSERT INTO metadata SELECT 'unit', repeat('x', 1000) FROM range(100000)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_file_that_computes_or_unfolds(reader, tmp_path, name):
    answer = reader(written(tmp_path / "c.duckdb", *PROGRAMS[name].split("; ")))
    assert (answer == "clean") == (name == "functions of DuckDB's names"), answer


def test_what_duckdb_reads_in_circles_is_refused_by_commands(tmp_path):
    """As the fuzzing found it."""
    path = tmp_path / "c.duckdb"
    name = ("insert", 0.1889777817171643, b"VARCHAR")
    path.write_bytes(signed(changed(VALID, [name, ("flip", 0.5020268344521348, 0), name, name])))
    with pytest.raises(CohortError, match="crashes or does not end"):
        cohort_file(str(path))


def test_text_that_is_none_is_refused(reader):
    """As the fuzzing found it."""
    write = ("write", 0.8047534579868677, b"\xff" * 8)
    assert "it has text that is no UTF-8" in reader(signed(changed(BOTH, [write, write])))


def test_times_too_far_apart_to_subtract_are_refused(reader, tmp_path):
    statements = "UPDATE train SET time = -1e308", "UPDATE train SET time = -time WHERE eye = 'L'"
    assert "expected seconds" in reader(written(tmp_path / "c.duckdb", *statements))

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from src.results.builder import new_results
from src.results.database import SCHEMA_VERSION, ResultsError, open_results
from src.results.publishing import PublishingError, new_version

ROOT = Path(__file__).resolve().parents[2]
N_TABLES = (ROOT / "src" / "results" / "schema.sql").read_text().count("CREATE TABLE ")


PROVENANCE = {
    "schema_version": SCHEMA_VERSION,
    "created_at": pd.Timestamp("2026-01-01"),
    **dict.fromkeys(("source", "cohort_hash", "resample_id", "tracking_store"), "x"),
    **dict.fromkeys(("n_subjects", "n_recordings", "n_cases", "n_controls", "n_iterations"), 1),
    **{"prevalence_study": 0.5, "prevalence_population": 0.5, "foreign": False},
}


def make(path):
    """A results database without results."""
    with new_results(path) as writer:
        writer.insert("provenance", pd.DataFrame([PROVENANCE]))


def tables(path):
    with open_results(path) as database:
        return database.query("SELECT count(*) AS n FROM duckdb_tables()")["n"][0]


def child(body, *arguments):
    start = (
        "import shutil, sys, time\nfrom pathlib import Path\nfrom src.results.publishing import new_version\n"
    )
    command = [sys.executable, "-c", start + body, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_a_new_version_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "results.db"
    with new_version(target) as draft:
        make(draft)
        assert not target.exists()
    assert tables(target) == N_TABLES
    before = target.read_bytes()
    with pytest.raises(RuntimeError, match="half way"), new_version(target) as draft:
        draft.write_bytes(b"half")
        raise RuntimeError("half way")
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".results.db.lock", "results.db"]


@pytest.mark.parametrize("kind", ["duckdb", "text"])
def test_a_file_that_is_no_results_database_is_never_replaced(tmp_path, kind):
    target = tmp_path / "mine"
    if kind == "text":
        target.write_text("mine")
    else:
        with duckdb.connect(str(target)) as connection:
            connection.execute("CREATE TABLE train AS SELECT 1 AS x")
    before = target.read_bytes()
    with pytest.raises(PublishingError, match="is no results database"), new_version(target):
        pass
    assert target.read_bytes() == before


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    target = tmp_path / "results.db"
    killed = child(
        "with new_version(Path(sys.argv[1])) as draft:\n"
        "    draft.write_bytes(b'half'); print('building', flush=True); time.sleep(60)\n",
        target,
    )
    assert killed.stdout.readline() == "building\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(list(tmp_path.glob(".results.db.*.building"))) == 1
    assert not target.exists()
    with new_version(target) as draft:
        make(draft)
    assert tables(target) == N_TABLES
    assert list(tmp_path.glob(".results.db.*.building*")) == []


def test_two_processes_take_turns(tmp_path):
    make(tmp_path / "empty.db")
    both = [
        child(
            "with new_version(Path(sys.argv[1])) as draft:\n"
            "    start = time.monotonic(); time.sleep(0.3); shutil.copy(sys.argv[2], draft)\n"
            "    print(start, time.monotonic())\n",
            tmp_path / "results.db",
            tmp_path / "empty.db",
        )
        for _ in range(2)
    ]
    spans = sorted([float(word) for word in process.communicate()[0].split()] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert spans[0][1] < spans[1][0]


@pytest.mark.parametrize("place", ["file/r.db", "/proc/r.db"])
def test_a_place_that_cannot_be_written_fails_at_once(tmp_path, place):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError), new_version(tmp_path / place):
        pass


def test_a_missing_database_names_the_command_that_builds_it(tmp_path):
    with (
        pytest.raises(ResultsError, match=r"extract_results\.py --db .*none\.db"),
        open_results(tmp_path / "none.db"),
    ):
        pass
    with duckdb.connect(str(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE x AS SELECT 1 AS x")
    with (
        pytest.raises(ResultsError, match="no table provenance; choose another --db"),
        open_results(tmp_path / "other.db"),
    ):
        pass


def test_a_database_of_another_version_or_a_damaged_one_is_named(tmp_path):
    file = tmp_path / "old.db"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE provenance AS SELECT 1 AS schema_version, range AS x FROM range(9)")
    with pytest.raises(ResultsError, match=r"another version .* 1, 1.*Build it with"), open_results(file):
        pass
    file.write_bytes(file.read_bytes()[:4096])
    with pytest.raises(ResultsError, match="damaged"), open_results(file):
        pass


def test_a_database_that_is_being_written_says_so(tmp_path):
    file = tmp_path / "busy.db"
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(ResultsError, match="is being written; wait"), open_results(file):
            pass
        with pytest.raises(PublishingError, match="is open in another program; close"), new_version(file):
            pass
        writer.stdin.close()


def test_what_is_wrong_with_the_sql_is_duckdbs_to_say(tmp_path):
    make(tmp_path / "r.db")
    with open_results(tmp_path / "r.db") as database, pytest.raises(duckdb.BinderException):
        database.query("SELECT nothing FROM provenance")

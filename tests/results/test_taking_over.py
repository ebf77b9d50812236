"""A second extraction takes over what is unchanged, and gives what an extraction from nothing gives."""

import os
import shutil
from itertools import product

import duckdb
import pytest
from damage import HEADERS, flipped
from fake_store import FakeStore, foreign_results, importances

import src.results.extraction as extraction
from src.results.checks import table_keys
from src.results.database import open_results
from src.results.extraction import ExtractionError, extract
from src.results.publishing import PublishingError

CELLS = list(product(["simple"], ["pupil-gt", "LOF"], ["pupil-gt", "linear"], ["CatBoost", "XGBoost"]))
AGE = ("age", "none", "none", "LogisticRegression")
CHANGES_WITH_TIME = {"created_at"}


@pytest.fixture
def store(tmp_path):
    """Six combinations with their stages, and a baseline."""
    store = FakeStore(tmp_path / "mlruns")
    store.sweep(CELLS)
    for seed, cell in enumerate(CELLS[:6]):
        store.combination(cell, seed, tags=links(store, cell), **importances(seed))
    store.combination(AGE, 9, kind="baseline")
    return store


def links(store, cell):
    known = store.__dict__.setdefault("known", {})
    if cell[:3] not in known:
        known[cell[:3]] = store.stages(*cell[:3])
    return known[cell[:3]]


@pytest.fixture
def again(store, tmp_path):
    """Extract into the same database, and compare every table with an extraction from nothing."""

    def run():
        summary = extract(store.root, tmp_path / "kept.db", progress=False)
        extract(store.root, tmp_path / "new.db", progress=False, rebuild=True)
        compare(tmp_path / "kept.db", tmp_path / "new.db")
        return summary

    return run


def compare(one, other):
    with open_results(one) as a, open_results(other) as b:
        keys = table_keys(a._connection)
        for table, key in keys.items():
            columns = a.query(f"SELECT * FROM {table} LIMIT 0").columns.difference(CHANGES_WITH_TIME)
            sql = f"SELECT {', '.join(columns.map(repr).str.replace(chr(39), chr(34)))} FROM {table} "
            sql += "ORDER BY " + ", ".join(key)
            kept, new = a.query(sql), b.query(sql)
            assert kept.equals(new), f"{table}\n{kept.compare(new) if len(kept) == len(new) else len(kept)}"


def test_what_is_unchanged_is_taken_over(store, again):
    assert again().n_taken_over == 0
    assert again().n_taken_over == 7


def test_a_new_run_alone_is_evaluated(store, again, monkeypatch):
    again()
    store.combination(CELLS[6], 6, tags=links(store, CELLS[6]))
    summary = again()
    assert (summary.n_combinations, summary.n_taken_over) == (7, 7)
    assert summary.coverage == {"finished": 7, "missing": 1}


def test_a_new_stage_run_adds_its_rows(store, again):
    again()
    cell = ("simple", "SubPCA", "linear", "CatBoost")
    store.combination(cell, 6, tags=links(store, cell))
    assert again().n_taken_over == 7


def test_a_rewritten_file_is_evaluated_again(store, again):
    again()
    run = sorted(path.parent for path in store.root.glob("4/*/params"))[2]
    other = store.combination(CELLS[7], 17)
    shutil.copy(other / "artifacts" / "bootstrap_results.pkl", run / "artifacts" / "bootstrap_results.pkl")
    shutil.rmtree(other)
    assert again().n_taken_over < 7


def test_a_copied_store_counts_as_unchanged_though_its_files_are_newer(store, again):
    again()
    for file in store.root.rglob("*.pkl"):
        os.utime(file, (1, 1))
    assert again().n_taken_over == 7


def test_runs_that_are_gone_superseded_or_broken_leave_no_rows(store, again):
    again()
    runs = sorted(path.parent for path in store.root.glob("4/*/params"))
    shutil.rmtree(runs[1])
    store.combination(CELLS[2], 12)
    (runs[3] / "artifacts" / "bootstrap_results.pkl").write_bytes(b"broken")
    summary = again()
    assert summary.n_taken_over < 7
    assert summary.n_rejected == 1


def test_an_older_run_comes_back_when_the_newer_is_broken(store, again):
    newer = store.combination(CELLS[0], 12)
    again()
    (newer / "artifacts" / "bootstrap_results.pkl").write_bytes(b"broken")
    assert again().n_taken_over == 6


def test_other_code_takes_nothing_over(store, again, monkeypatch):
    again()
    monkeypatch.setattr(extraction, "evaluation_code", lambda: "other")
    assert again().n_taken_over == 0


def test_a_database_of_an_earlier_schema_is_built_anew(store, again, tmp_path):
    with duckdb.connect(str(tmp_path / "kept.db")) as connection:
        connection.execute("CREATE TABLE provenance AS SELECT 1 AS schema_version")
    assert again().n_taken_over == 0


def test_another_cohort_takes_nothing_over(store, tmp_path):
    store.combination(CELLS[0], 1, tags={"cohort_hash": "feed"}, cohort_hash="feed")
    database = tmp_path / "kept.db"
    extract(store.root, database, progress=False)
    other = extract(store.root, database, cohort="feed", progress=False)
    assert (other.n_combinations, other.n_taken_over) == (1, 0)
    extract(store.root, tmp_path / "new.db", cohort="feed", progress=False)
    compare(database, tmp_path / "new.db")


def test_runs_of_another_program_are_taken_over(tmp_path):
    store = FakeStore(tmp_path / "mlruns")
    for seed, cell in enumerate(CELLS[:3]):
        factors = dict(
            zip(("featurization", "outlier_method", "imputation_method", "classifier"), cell, strict=True)
        )
        store.foreign(None, foreign_results(seed) | {"factors": factors})
    for name, taken_over in (("a", 0), ("a", 3), ("b", 0)):
        summary = extract(store.root, tmp_path / f"{name}.db", progress=False)
        assert summary.n_taken_over == taken_over
    compare(tmp_path / "a.db", tmp_path / "b.db")


def test_data_tests_hold_for_what_is_taken_over(store, tmp_path):
    database = tmp_path / "kept.db"
    extract(store.root, database, progress=False)
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE predictions SET n_oob = 1 WHERE recording_code = 'G001'")
    before = database.read_bytes()
    with pytest.raises(ExtractionError, match="left-out recordings add up"):
        extract(store.root, database, progress=False)
    assert database.read_bytes() == before


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store of one run, and its database."""
    store = FakeStore(tmp_path_factory.mktemp("sound") / "mlruns")
    store.combination(CELLS[0], **importances(0))
    extract(store.root, store.root / "sound.db", progress=False)
    return store.root, store.root / "sound.db"


def read_whole(database):
    with open_results(database) as results:
        for table in table_keys(results._connection):
            results.query(f"SELECT * FROM {table}")


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_nothing_is_taken_over_from_a_damaged_database(sound, tmp_path, caplog, seed):
    store, database = sound
    damaged = flipped(database, tmp_path / "r.db", seed)
    before = damaged.read_bytes()
    try:
        summary = extract(store, damaged, progress=False)
    except PublishingError as error:
        assert "if it is a damaged results database, delete it and repeat the command" in str(error)
        assert damaged.read_bytes() == before
        damaged.unlink()
        summary = extract(store, damaged, progress=False)
    else:
        (line,) = caplog.messages
        assert line.startswith(f"{damaged} is damaged (Corrupt") and "evaluated again" in line
    assert summary.n_taken_over == 0
    read_whole(damaged)
    compare(damaged, database)


def test_what_only_a_writer_finds_damaged_is_one_sentence(sound, tmp_path, monkeypatch):
    def reopened(path):
        raise duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2")

    store, database = sound
    shutil.copy(database, tmp_path / "r.db")
    monkeypatch.setattr(extraction, "reopened_results", reopened)
    with pytest.raises(ExtractionError, match=r"r.db is damaged \(Corrupt .*\); delete it and repeat"):
        extract(store, tmp_path / "r.db", progress=False)
    assert (tmp_path / "r.db").read_bytes() == database.read_bytes()


def test_half_a_database_is_no_full_disk(sound, tmp_path):
    store, database = sound
    content = database.read_bytes()
    for kept in (100, HEADERS, len(content) // 2):
        (tmp_path / "r.db").write_bytes(content[:kept])
        with pytest.raises(PublishingError, match="delete it and repeat the command, otherwise choose"):
            extract(store, tmp_path / "r.db", progress=False)

import html
import re

import pandas as pd
import pytest
from fake_store import FakeStore

import src.results.extraction as extraction
from src.results.database import open_results
from src.results.extraction import ExtractionError, extract
from src.results.parquet import export_parquet
from src.results.publishing import PublishingError

CELL = ("simple", "LOF", "linear", "CatBoost")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    store = FakeStore(folder / "mlruns")
    store.combination(CELL, 1)
    extract(store.root, folder / "results.db", progress=False)
    return folder


def test_the_dictionary_explains_every_table_column_view_and_macro(made):
    page = (made / "results_dictionary.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    with open_results(made / "results.db") as database:
        columns = database.query(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        )
        tables = database.query("SELECT table_name, comment FROM duckdb_tables()")
        n = database.query("SELECT count(*) AS n FROM iteration_metrics")["n"][0]
    for name in {*columns["table_name"], "compare_runs"}:
        assert f'<section id="{name}">' in page
    for comment in {*columns["comment"], *tables["comment"]}:
        assert comment in text
    assert f"iteration_metrics table, {n} rows" in " ".join(text.split())
    assert "CREATE VIEW v_leaderboard" in text
    assert "COMMENT ON" not in text


def test_the_dictionary_needs_nothing_from_elsewhere(made):
    page = (made / "results_dictionary.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert "://" not in page
    assert "@import" not in page


def test_the_dictionary_can_be_put_elsewhere_and_stays_when_an_extraction_fails(made, tmp_path, monkeypatch):
    extract(made / "mlruns", tmp_path / "a.db", progress=False, dictionary=tmp_path / "words.html")
    before = (tmp_path / "words.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.db.lock", "a.db", "words.html"]
    monkeypatch.setattr(extraction, "failed_checks", lambda connection, taken_over: ["a rule"])
    with pytest.raises(ExtractionError):
        extract(made / "mlruns", tmp_path / "a.db", progress=False, dictionary=tmp_path / "words.html")
    assert (tmp_path / "words.html").read_bytes() == before


def test_every_table_is_exported_as_it_is(made, tmp_path):
    tables = export_parquet(made / "results.db", tmp_path / "out" / "parquet")
    assert sorted(path.stem for path in (tmp_path / "out" / "parquet").iterdir()) == tables
    with open_results(made / "results.db") as database:
        for table in ("predictions", "metric_estimates", "provenance", "method_effects"):
            stored = database.query(f"SELECT * FROM {table} ORDER BY ALL")
            exported = database.query(
                "SELECT * FROM read_parquet(?) ORDER BY ALL",
                [str(tmp_path / "out" / "parquet" / f"{table}.parquet")],
            )
            pd.testing.assert_frame_equal(stored, exported)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["parquet"]


def test_an_earlier_export_is_replaced_and_other_files_are_not(made, tmp_path):
    folder = tmp_path / "parquet"
    folder.mkdir()
    export_parquet(made / "results.db", folder)
    (folder / "runs.parquet").write_bytes(b"old")
    export_parquet(made / "results.db", folder)
    assert len(pd.read_parquet(folder / "runs.parquet")) == 1
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(PublishingError, match=r"holds mine\.txt"):
        export_parquet(made / "results.db", folder)
    assert (folder / "mine.txt").read_text() == "mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(PublishingError, match="no folder"):
        export_parquet(made / "results.db", tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "parquet"]

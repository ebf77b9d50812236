"""A database in which a table is empty: the report is made, and says what it lacks."""

from __future__ import annotations

import json
import shutil

import duckdb
import pytest
from asked import HOSTILE, answer, changed
from damage import flipped_in

from src.figures.style import journal_style
from src.registry import load_registry
from src.report.benchmark import read_benchmark
from src.report.files import as_data
from src.report.page import as_page
from src.report.parts.tripod import NOT_HERE
from src.report.question import BenchmarkError, ask
from src.report.reading import Reading
from src.report.text import as_text
from src.results.database import MissingTable, ResultsError, open_results

SAID = {
    "runs": "Ranking: nothing to show",
    "metric_estimates": "Ranking: nothing to show",
    "essential_metrics": "Champion: none",
    "coverage": "Coverage: unknown",
    "decision_curves": "Net benefit: nothing to show",
    "outlier_quality": "Detectors",
    "imputation_quality": "Imputers by length of the gap: nothing to show",
    "methods": "LogisticRegression",
    "metrics": "AUROC",
}
"""Words that the text says where a table is empty; for every other table its name is enough."""


@pytest.fixture(scope="module")
def copy(report_db, tmp_path_factory):
    """A connection to a copy that may be written to."""
    path = shutil.copy(report_db, tmp_path_factory.mktemp("copy") / "copy.db")
    with duckdb.connect(str(path)) as connection:
        yield connection


@pytest.fixture(scope="module")
def names(copy):
    """Tables with rows, but the one without which a file is no results database."""
    names = [name for (name,) in copy.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
    filled = [name for name in names if copy.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()]
    return [name for name in filled if name != "provenance"]


@pytest.mark.parametrize("number", range(4))
def test_every_table_may_be_empty(copy, names, number, monkeypatch):
    assert len(names) > 30
    # Figures have tests of their own, and many queries.
    monkeypatch.setattr(Reading, "pictures", lambda *_: ([], []))
    registry = load_registry()
    for name in names[number::4]:
        copy.execute("BEGIN")
        copy.execute(f"DELETE FROM {name}")
        benchmark = read_benchmark(
            lambda sql, params=None: copy.execute(sql, params).fetch_df(), registry, ask(registry)
        )
        copy.execute("ROLLBACK")
        text = as_text(benchmark)
        assert len(benchmark.parts) == 10
        empty = next(line for line in text.splitlines() if line.startswith("- The database has nothing in:"))
        assert name in empty.replace(".", "").replace(",", "").split(), name
        assert SAID.get(name, "") in text, name
        assert json.dumps(as_data(benchmark), allow_nan=False)


@pytest.mark.parametrize(
    "emptied", [("metric_estimates", "coverage"), ("essential_metrics", "runs", "methods")]
)
def test_pages_are_made_of_what_is_left(report_db, tmp_path, emptied):
    benchmark = answer(changed(report_db, tmp_path, *(f"DELETE FROM {name}" for name in emptied)))
    with journal_style():
        page = as_page(benchmark)
    assert page.count("<h2>") == 11 and HOSTILE not in page


def test_a_store_of_another_program_leaves_more_to_the_authors(report_db, tmp_path):
    nothing = ("unit", "n_unlabelled", "seed", "fit_on", "code_commit", "package_versions", "sweep_id")
    columns = ", ".join(f"{name} = NULL" for name in nothing)
    times = "UPDATE runs SET fit_seconds = NULL, duration_s = NULL, n_unusable = NULL"
    benchmark = answer(
        changed(report_db, tmp_path, f'UPDATE provenance SET {columns}, "foreign" = true', times)
    )
    text = as_text(benchmark)
    assert "an unknown number of recordings without one" in text
    assert "Times of the combinations: nothing to show" in text
    answers = benchmark.part("tripod").table("tripod").rows.set_index("item")["answer"]
    assert set(answers[["11", "12c", "12g", "13", "18f"]]) == {NOT_HERE}
    origin = benchmark.part("provenance").table("provenance").rows.set_index("name")["value"]
    assert origin[list(nothing[:-2])].isna().all()
    assert json.dumps(as_data(benchmark), allow_nan=False)


@pytest.mark.parametrize("name", ["baseline_metrics", "instability_summary"])
def test_parts_whose_table_is_gone_say_so_and_the_others_are_made(report_db, tmp_path, name):
    benchmark = answer(changed(report_db, tmp_path, f"DROP TABLE {name}"))
    assert len(benchmark.parts) == 10 and f"the database has no table {name}." in as_text(benchmark)
    assert len(benchmark.reading.ranking.table) == 34
    assert benchmark.part("cost").tables and benchmark.part("effects").title == "What matters?"


def test_without_a_champion_there_is_still_a_ranking(report_db, tmp_path):
    benchmark = answer(changed(report_db, tmp_path, "DROP TABLE winners_curse"))
    assert "Champion: the database has no table winners_curse." in benchmark.part("leaderboard").lines
    assert benchmark.part("leaderboard").table("ranking").rows["rank"].notna().sum() == 34
    assert benchmark.part("utility").lines == ["Not made: the database has no table winners_curse."]
    assert benchmark.champion is None


def test_a_ranking_needs_its_tables(report_db, tmp_path):
    with pytest.raises(MissingTable, match=r"^the database has no table metric_estimates$"):
        answer(changed(report_db, tmp_path, "DROP TABLE metric_estimates"))


def test_only_an_absent_table_is_called_that(report_db):
    with open_results(report_db) as results, pytest.raises(duckdb.CatalogException):
        results.query("SELECT no_such_function(1)")


def test_no_value_of_any_metric_is_said(report_db, tmp_path):
    database = changed(report_db, tmp_path, "UPDATE metric_estimates SET estimate = NULL")
    with pytest.raises(BenchmarkError, match=r"no values of auroc and of no other metric of classification$"):
        answer(database)


def test_no_baseline_is_shown_that_its_table_does_not_have(report_db, tmp_path):
    benchmark = answer(changed(report_db, tmp_path, "DELETE FROM baseline_metrics"))
    assert "Age only: no age-only baseline in this database." in benchmark.part("leaderboard").lines
    assert "age only" not in [row[0].text for row in benchmark.part("leaderboard").table("ranking").cells]


def test_runs_that_are_gone_are_counted_where_others_speak_of_them(report_db, tmp_path):
    left = "(SELECT min(run_id) FROM coverage WHERE status = 'finished')"
    gone = [
        f"DELETE FROM {name} WHERE run_id IN (SELECT run_id FROM coverage) AND run_id <> {left}"
        for name in ("essential_metrics", "runs", "metric_estimates")
    ]
    benchmark = answer(changed(report_db, tmp_path, *gone))
    assert len(benchmark.reading.ranking.table) == 1
    ran = benchmark.part("ran").lines
    assert any(line.startswith("Coverage: 1 of 36 planned combinations have results;") for line in ran)
    assert any(
        line.startswith("33 combinations that coverage calls finished have no results") for line in ran
    )
    compared = (
        "Confidence set, winner's curse, effects and shares of the scatter were computed over 34 "
        "combinations, of which 33 are no longer here."
    )
    assert compared in benchmark.part("leaderboard").below and compared in benchmark.part("effects").lines
    checklist = benchmark.part("tripod").table("tripod").rows.set_index("item")["answer"]
    assert "the best of 34:" in checklist["26"] and "35 of 36 planned" in checklist["26"]


def test_nothing_is_said_of_runs_that_are_all_here(report_db):
    text = as_text(answer(report_db))
    assert "no longer here" not in text and "have no results in this database" not in text


@pytest.mark.parametrize("table", ["metric_estimates", "baseline_metrics", "coverage"])
def test_no_report_is_made_from_a_damaged_database(report_db, tmp_path, table):
    with pytest.raises(ResultsError, match=r"r\.db is damaged \(Corrupt .*Build it with"):
        answer(flipped_in(report_db, tmp_path / "r.db", table))

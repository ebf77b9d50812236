"""A database in which a table is empty: the report is made, and says what it lacks."""

from __future__ import annotations

import json

import duckdb
import pytest
from asked import HOSTILE, answer, changed, select

from src.figures.style import journal_style
from src.report.files import as_data
from src.report.page import as_page
from src.report.text import as_text
from src.results.builder import new_results


def tables(folder):
    """Names of all tables of the schema, but the one without which a file is no results database."""
    with new_results(folder / "empty.db"):
        pass
    with duckdb.connect(str(folder / "empty.db"), read_only=True) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    return [name for (name,) in names if name != "provenance"]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return tables(tmp_path_factory.mktemp("schema"))


@pytest.fixture(scope="module")
def full(report_db):
    return answer(report_db)


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


@pytest.mark.parametrize("number", range(4))
def test_every_table_may_be_empty(report_db, names, full, tmp_path, number):
    held = [name for name in names if len(select(report_db, f"SELECT 1 FROM {name} LIMIT 1"))]
    assert len(held) > 15
    for name in held[number::4]:
        folder = tmp_path / name
        folder.mkdir()
        benchmark = answer(changed(report_db, folder, f"DELETE FROM {name}"))
        text = as_text(benchmark)
        assert [part.title for part in benchmark.parts] == [part.title for part in full.parts]
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

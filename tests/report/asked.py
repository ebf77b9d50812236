"""What the tests of the report share: asking a database, and changing a copy of one."""

from __future__ import annotations

import shutil

import duckdb

from src.registry import load_registry
from src.report.benchmark import read_benchmark
from src.report.question import ask
from src.results.database import open_results

HOSTILE = "<script>x()</script>'; --"
"""The name of a detector in the small database: markup and SQL."""


def answer(database, dataset="", **words):
    registry = load_registry()
    with open_results(database) as results:
        return read_benchmark(results.query, registry, ask(registry, **words), dataset)


def changed(database, tmp_path, *statements):
    copy = tmp_path / "changed.db"
    shutil.copy(database, copy)
    with duckdb.connect(str(copy)) as connection:
        for statement in statements:
            connection.execute(statement)
    return copy


def select(database, sql):
    with open_results(database) as results:
        return results.query(sql)


def shown(benchmark, part, table):
    """Head and rows of a table as they are read."""
    found = benchmark.part(part).table(table)
    return [c.head for c in found.columns], [[cell.text for cell in row] for row in found.cells]


def said(benchmark, part):
    one = benchmark.part(part)
    return [*one.lines, *one.below]

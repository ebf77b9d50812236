"""The data dictionary: what every table, view and column of the database means, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, StrictUndefined

from src.results.builder import HERE, view_files
from src.results.checks import table_keys


@dataclass(frozen=True)
class Relation:
    """A table, view or macro: its comment, columns (name, type, comment), key, SQL and number of rows."""

    name: str
    kind: str
    comment: str
    columns: list[dict[str, str]]
    key: list[str]
    sql: str
    n_rows: int | None


def dictionary_page(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Make the page from the comments in a results database.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The database is its default one.
    name : str
        What the page calls the database.

    Returns
    -------
    str
        HTML that needs nothing from elsewhere.
    """
    template = (HERE / "dictionary.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    facts = _facts(connection)
    return environment.from_string(template).render(name=name, facts=facts, relations=_relations(connection))


def write_page(page: str, path: Path) -> None:
    """Write the page; it appears under its name only when it is complete."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def _facts(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute(
        "SELECT 'Source ' || source || ', cohort ' || cohort_hash || ', resamples ' || resample_id || '; ' "
        "|| n_cases || ' recordings with glaucoma, ' || n_controls || ' without; ' "
        "|| (SELECT count(*) FROM runs) || ' runs of ' || n_iterations || ' iterations; built ' "
        "|| strftime(created_at, '%Y-%m-%d %H:%M') || ' UTC.' FROM provenance"
    ).fetchone()
    return row[0] if row else ""


def _relations(connection: duckdb.DuckDBPyConnection) -> list[Relation]:
    columns: dict[str, list[dict[str, str]]] = {}
    for table, *values in connection.execute(
        "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE database_name = current_database() ORDER BY table_oid, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(dict(zip(("name", "type", "comment"), values, strict=True)))
    return [
        *_tables(connection, columns),
        *_written(connection, columns, "view", "view_name, comment FROM duckdb_views()"),
        *_written(connection, columns, "macro", "function_name, comment FROM duckdb_functions()"),
    ]


def _tables(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, Any]) -> list[Relation]:
    keys = table_keys(connection)
    rows = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() "
        "WHERE database_name = current_database() ORDER BY table_oid"
    ).fetchall()
    return [
        Relation(name, "table", comment, columns[name], keys[name], "", _count(connection, name))
        for name, comment in rows
    ]


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def _written(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, Any], kind: str, source: str
) -> list[Relation]:
    """What has a file of SQL of its own."""
    rows = connection.execute(
        f"SELECT {source} WHERE NOT internal AND database_name = current_database() ORDER BY 1"
    ).fetchall()
    sql = view_files()
    return [
        Relation(name, kind, comment, columns.get(name, []), [], _statement(sql[name]), None)
        for name, comment in rows
    ]


def _statement(sql: str) -> str:
    """The SQL of a view's file without its comments on columns."""
    return sql[: sql.index("COMMENT ON ")].strip()

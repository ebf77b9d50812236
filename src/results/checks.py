"""The data tests of a new results database."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import duckdb

_KEY = re.compile(r"Key: ([\w, ]+)\.\Z")
_PLACES = 3


def failed_checks(
    connection: duckdb.DuckDBPyConnection, taken_over: Collection[str] = frozenset()
) -> list[str]:
    """Run the statements of `checks.sql`, and test that the keys in the table comments are unique.

    Parameters
    ----------
    connection : DuckDBPyConnection
    taken_over : collection of str
        Runs whose rows come from a database that passed these tests: their keys, which are most of the work,
        are not tested again.

    Returns
    -------
    list of str
        One line per broken rule, with the first places; empty for a sound database.
    """
    sql = (Path(__file__).parent / "checks.sql").read_text(encoding="utf-8")
    broken = []
    for statement in connection.extract_statements(sql):
        rows = connection.execute(statement).fetchall()
        if rows:
            places = ", ".join(str(place) for _, place in rows[:_PLACES])
            broken.append(f"{rows[0][0]}: {len(rows)} times not, e.g. {places}")
    return broken + _repeated_keys(connection, taken_over)


def table_keys(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the unique columns of every table, from its comment."""
    tables = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = current_database()"
    ).fetchall()
    return {name: _KEY.findall(comment)[0].split(", ") for name, comment in tables}


def _repeated_keys(connection: duckdb.DuckDBPyConnection, taken_over: Collection[str]) -> list[str]:
    broken = []
    runs = connection.execute("SELECT run_id FROM runs").fetchall()
    new = [run_id for (run_id,) in runs if run_id not in taken_over]
    for table, key in table_keys(connection).items():
        columns = ", ".join(f'"{name}"' for name in key)
        of_new = taken_over and key[0] == "run_id" and key[1:]
        rows = connection.execute(
            f"SELECT {columns} FROM {table} {'WHERE run_id IN (SELECT unnest($1))' if of_new else ''} "
            f"GROUP BY {columns} HAVING count(*) > 1 LIMIT 1",
            [new] if of_new else None,
        ).fetchall()
        if rows:
            broken.append(f"the key of {table} is unique: not for {rows[0]}")
    return broken

"""Creating a results database and filling it in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from src.results.database import CONFIG

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent


class ResultsWriter:
    """A results database being filled. Made by `new_results` or `reopened_results`.

    Attributes
    ----------
    connection : DuckDBPyConnection
    tables : dict
        Table name to its columns, in order, with their types.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.tables: dict[str, dict[str, str]] = {}
        rows = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'results' "
            "AND table_name IN (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
        ).fetchall()
        for table, column, kind in rows:
            self.tables.setdefault(table, {})[column] = kind

    def insert(self, table: str, rows: pd.DataFrame | pa.Table) -> None:
        """Append rows to a table.

        Parameters
        ----------
        table : str
            Name of a table in `schema.sql`.
        rows : pandas.DataFrame or pyarrow.Table
            Columns by name, in any order; columns of the table that are absent become NULL. NaN in a data
            frame becomes NULL.

        Raises
        ------
        ValueError
            If there is a column the table lacks.
        """
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pandas(rows, preserve_index=False)
        columns = self.tables[table]
        unknown = [name for name in rows.column_names if name not in columns]
        if unknown:
            raise ValueError(
                f"Table {table} has no column {', '.join(unknown)}; it has {', '.join(columns)}."
            )
        if not len(rows):
            return
        names = [name for name in columns if name in rows.column_names]
        values = ", ".join(f'"{name}"::{columns[name]}' for name in names)
        into = ", ".join(f'"{name}"' for name in names)
        self.connection.register("incoming", rows)
        self.connection.execute(f"INSERT INTO {table} ({into}) SELECT {values} FROM incoming")
        self.connection.unregister("incoming")

    def commit(self) -> None:
        """Put what was written so far on the disk, out of memory."""
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def clear(self, tables: Iterable[str]) -> None:
        """Delete all rows of these tables."""
        for table in tables:
            self.connection.execute(f"DELETE FROM {table}")

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        """Delete the runs' rows from every table that has the column `run_id`."""
        ids = list(run_ids)
        for table, columns in self.tables.items():
            if ids and "run_id" in columns:
                self.connection.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [ids])


@contextmanager
def new_results(path: Path) -> Iterator[ResultsWriter]:
    """Create an empty results database and open it for writing.

    The file is readable by DuckDB 1.2 and later. Leaving without an exception commits what was written and
    closes the file.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.

    Yields
    ------
    ResultsWriter
    """
    with _attached(path, "(STORAGE_VERSION 'v1.2.0')") as connection:
        connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        _comment_like_first(connection, "duckdb_tables()", "table_name")
        for statement in _views_in_order():
            connection.execute(statement)
        _comment_like_first(connection, "duckdb_views()", "view_name")
        yield ResultsWriter(connection)


@contextmanager
def reopened_results(path: Path) -> Iterator[ResultsWriter]:
    """Open a results database of this very schema for writing; otherwise as `new_results`."""
    with _attached(path, "") as connection:
        yield ResultsWriter(connection)


@contextmanager
def _attached(path: Path, options: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file as the default database of a connection, inside one transaction: one write to the disk."""
    with duckdb.connect(":memory:", config=CONFIG) as connection:
        quoted = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS results {options}")
        connection.execute("USE results")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        connection.execute("USE memory")
        connection.execute("DETACH results")


def _comment_like_first(connection: duckdb.DuckDBPyConnection, relations: str, name: str) -> None:
    """Give a column without a comment that of the first table with a column of its name."""
    rows = connection.execute(
        "SELECT bare.table_name, bare.column_name, min_by(told.comment, told.table_oid) "
        "FROM duckdb_columns() AS bare JOIN duckdb_columns() AS told USING (database_name, column_name) "
        f"WHERE bare.table_name IN (SELECT {name} FROM {relations} WHERE NOT internal) "
        "AND told.table_name IN (SELECT table_name FROM duckdb_tables()) "
        "AND bare.comment IS NULL AND told.comment IS NOT NULL GROUP BY ALL"
    ).fetchall()
    for relation, column, comment in rows:
        quoted = comment.replace("'", "''")
        connection.execute(f"COMMENT ON COLUMN {relation}.\"{column}\" IS '{quoted}'")


def view_files() -> dict[str, str]:
    """Return the SQL of every view and macro, by name."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted((HERE / "views").glob("*.sql"))}


def _views_in_order() -> list[str]:
    """The statements of all views, those that read another view after it."""
    waiting = view_files()
    ordered: list[str] = []
    while waiting:
        ready = [name for name, sql in waiting.items() if not any(o in sql for o in waiting if o != name)]
        if not ready:
            raise ValueError(f"The views {', '.join(waiting)} read one another in a circle.")
        ordered += [waiting.pop(name) for name in ready]
    return ordered

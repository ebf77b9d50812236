"""Creating a results database and filling it in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from src.results.database import CONFIG

HERE = Path(__file__).parent
SCHEMA_VERSION = 1


class ResultsWriter:
    """A results database being filled. Made by `new_results`.

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
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE table_name IN (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
        ).fetchall()
        for table, column, kind in rows:
            self.tables.setdefault(table, {})[column] = kind

    def insert(self, table: str, rows: pd.DataFrame) -> None:
        """Append a whole data frame to a table.

        Parameters
        ----------
        table : str
            Name of a table in `schema.sql`.
        rows : pandas.DataFrame
            Columns by name, in any order; columns of the table that are absent become NULL. NaN becomes NULL.

        Raises
        ------
        ValueError
            If the frame has a column the table lacks.
        """
        columns = self.tables[table]
        unknown = [name for name in rows.columns if name not in columns]
        if unknown:
            raise ValueError(
                f"Table {table} has no column {', '.join(unknown)}; it has {', '.join(columns)}."
            )
        if rows.empty:
            return
        self.connection.register("incoming", rows)
        try:
            values = ", ".join(_value(name, kind) for name, kind in columns.items() if name in rows.columns)
            names = ", ".join(f'"{name}"' for name in columns if name in rows.columns)
            self.connection.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM incoming")
        finally:
            self.connection.unregister("incoming")

    def delete_run(self, run_id: str) -> None:
        """Delete a run's rows from every table that has the column `run_id`."""
        for table, columns in self.tables.items():
            if "run_id" in columns:
                self.connection.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])


def _value(name: str, kind: str) -> str:
    """SQL that reads one column of the frame; NaN becomes NULL, or it would compare as the largest number."""
    if kind in ("DOUBLE", "FLOAT"):
        return f'CASE WHEN isnan("{name}"::DOUBLE) THEN NULL ELSE "{name}"::DOUBLE END'
    return f'"{name}"::{kind}'


@contextmanager
def new_results(path: Path) -> Iterator[ResultsWriter]:
    """Create an empty results database and open it for writing.

    The file is readable by DuckDB 1.2 and later. It is closed and checkpointed on leaving.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.

    Yields
    ------
    ResultsWriter
    """
    with duckdb.connect(":memory:", config=CONFIG) as connection:
        quoted = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS results (STORAGE_VERSION 'v1.2.0')")
        connection.execute("USE results")
        connection.execute("BEGIN")  # one write to the disk, not one per statement
        connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        for view in _views_in_order():
            connection.execute(view)
        _comment_views(connection)
        connection.execute("COMMIT")
        yield ResultsWriter(connection)
        connection.execute("USE memory")
        connection.execute("DETACH results")


def _comment_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a column of a view without a comment that of the first table with a column of its name."""
    rows = connection.execute(
        "SELECT v.table_name, v.column_name, min_by(t.comment, t.table_oid) "
        "FROM duckdb_columns() AS v JOIN duckdb_columns() AS t USING (column_name) "
        "WHERE v.table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal) "
        "AND t.table_name IN (SELECT table_name FROM duckdb_tables()) AND v.comment IS NULL GROUP BY ALL"
    ).fetchall()
    for view, column, comment in rows:
        quoted = comment.replace("'", "''")
        connection.execute(f"COMMENT ON COLUMN {view}.\"{column}\" IS '{quoted}'")


def _views_in_order() -> list[str]:
    """The statements of all views, those that read another view after it."""
    waiting = {file.stem: file.read_text(encoding="utf-8") for file in sorted((HERE / "views").glob("*.sql"))}
    ordered: list[str] = []
    while waiting:
        ready = [name for name, sql in waiting.items() if not any(o in sql for o in waiting if o != name)]
        if not ready:
            raise ValueError(f"The views {', '.join(waiting)} read one another in a circle.")
        ordered += [waiting.pop(name) for name in ready]
    return ordered

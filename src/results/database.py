"""The one way to read the results database: read-only, SQL in, data frame out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

DEFAULT_DATABASE = Path(__file__).resolve().parents[2] / "data" / "public" / "foundation_plr_results.db"


# Nothing is fetched from the network, nor loaded from the home folder, by opening a file.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class ResultsError(RuntimeError):
    """The results database cannot be opened; the message says what to do."""


class ResultsDatabase:
    """An open results database. Made by `open_results`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, params: Sequence[Any] | dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer a query in full.

        Parameters
        ----------
        sql : str
            One SELECT; tables and views are those of `schema.sql` and `views/`.
        params : sequence or dict, optional
            Values for `?` or `$name` in the query. Values never belong in the SQL text.

        Returns
        -------
        pandas.DataFrame
            NULL comes out as NaN in number columns and as None or NaN in others.
        """
        return self._connection.execute(sql, params).fetch_df()


@contextmanager
def open_results(path: str | Path | None = None) -> Iterator[ResultsDatabase]:
    """Open the results database read-only.

    Parameters
    ----------
    path : str or Path, optional
        The database file; `data/public/foundation_plr_results.db` when not given.

    Yields
    ------
    ResultsDatabase

    Raises
    ------
    ResultsError
        If the file is missing or is not a results database. The message names the file and the command that
        builds it.
    """
    file = Path(path) if path is not None else DEFAULT_DATABASE
    with _connect(file) as connection:
        yield ResultsDatabase(connection)


def _connect(file: Path) -> duckdb.DuckDBPyConnection:
    build = f"Build it with: python scripts/extract_results.py --db {file}"
    if not file.is_file():
        raise ResultsError(f"There is no results database {file}. {build}")
    try:
        connection = duckdb.connect(str(file), read_only=True, config=CONFIG)
    except duckdb.Error as error:
        raise ResultsError(f"{file} cannot be opened as a results database ({error}). {build}") from error
    tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    if ("provenance",) not in tables:
        connection.close()
        raise ResultsError(f"{file} is a DuckDB file, but no results database: no table provenance. {build}")
    return connection

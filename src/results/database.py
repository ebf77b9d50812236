"""The one way to read the results database: read-only, SQL in, data frame out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 4
"""Of the tables in `schema.sql`; changes when a reader of the old ones could not read the new ones."""

DEFAULT_DATABASE = Path(__file__).resolve().parents[2] / "data" / "public" / "foundation_plr_results.db"


# Nothing is fetched from the network, nor loaded from the home folder, by opening a file.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class ResultsError(RuntimeError):
    """The results database cannot be read; the message says what to do."""


class MissingTable(ResultsError):
    """A query names a table or view that the results database does not have; the message names it."""


class ResultsDatabase:
    """An open results database. Made by `open_results`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, file: Path) -> None:
        self._connection = connection
        self._file = file

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

        Raises
        ------
        MissingTable
            If a table or view that the query needs, itself or through a view, is not there.
        ResultsError
            If the file is damaged. What else is wrong with the SQL is DuckDB's to say.
        """
        try:
            return self._connection.execute(sql, params).fetch_df()
        except duckdb.CatalogException as error:
            if found := _NO_TABLE.search(str(error)):
                raise MissingTable(f"the database has no table {found[1]}") from error
            raise
        except duckdb.Error as error:
            if reason := damage(error):
                raise ResultsError(f"{self._file} is damaged ({reason}). {_build(self._file)}") from error
            raise


def damage(error: duckdb.Error) -> str:
    """Return what DuckDB says of a file that it cannot read, one line; empty where the error is another.

    A block whose checksum is wrong is an error of no class of its own.
    """
    reason = str(error).partition("\n")[0]
    unreadable = isinstance(error, _DAMAGE) or "Corrupt database file" in reason
    return reason if unreadable and not is_locked(error) else ""


def is_locked(error: duckdb.Error) -> bool:
    """Whether a file cannot be opened because another program writes it."""
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


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
        If the file is missing, damaged, being written, of another version, or no results database. The
        message names the file and what to do.
    """
    file = Path(path) if path is not None else DEFAULT_DATABASE
    with _connect(file) as connection:
        database = ResultsDatabase(connection, file)
        _check_version(database, file)
        yield database


_NO_TABLE = re.compile(r"Table with name (.+) does not exist")
_DAMAGE = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)


def _connect(file: Path) -> duckdb.DuckDBPyConnection:
    if not file.is_file():
        raise ResultsError(f"There is no results database {file}. {_build(file)}")
    try:
        return duckdb.connect(str(file), read_only=True, config=CONFIG)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        if is_locked(error):
            raise ResultsError(f"{file} is being written; wait until that is done ({reason})") from error
        raise ResultsError(
            f"{file} is no results database, or damaged ({reason}). Choose another --db or, if it was one, "
            f"delete it. {_build(file)}"
        ) from error


def _check_version(database: ResultsDatabase, file: Path) -> None:
    tables = database.query("SELECT table_name FROM duckdb_tables()")["table_name"]
    if "provenance" not in set(tables):
        raise ResultsError(
            f"{file} is a DuckDB file, but no results database: no table provenance; choose another --db"
        )
    version = database.query("SELECT schema_version FROM provenance")["schema_version"].tolist()
    if version != [SCHEMA_VERSION]:
        raise ResultsError(
            f"{file} was made by another version of this program (tables of version "
            f"{', '.join(map(str, version)) or 'none'}; expected {SCHEMA_VERSION}). {_build(file)}"
        )


def _build(file: Path) -> str:
    return f"Build it with: python scripts/extract_results.py --db {file}"

"""The results database as a folder of Parquet files, one per table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from src.results.database import CONFIG
from src.results.publishing import PublishingError


def export_parquet(database: Path, folder: Path) -> list[str]:
    """Write every table of a results database as `<table>.parquet`.

    The files appear together: the folder is built beside its place and moved there.

    Parameters
    ----------
    database : Path
    folder : Path
        A folder that does not exist, is empty, or holds an earlier export, which is replaced.

    Returns
    -------
    list of str
        The tables.

    Raises
    ------
    PublishingError
        If there is something else in the folder.
    OSError
        If the folder cannot be written.
    """
    folder = folder.absolute()
    with duckdb.connect(str(database), read_only=True, config=CONFIG) as connection:
        rows = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall()
        tables = [name for (name,) in rows]
        _refuse_other_files(folder, tables)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            draft = Path(name) / "new"
            draft.mkdir()
            for table in tables:
                _write(connection, table, draft)
            if folder.exists():
                folder.rename(Path(name) / "old")
            draft.rename(folder)
    return tables


def _write(connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> None:
    target = str(folder / f"{table}.parquet").replace("'", "''")
    try:
        connection.execute(f"COPY {table} TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    except duckdb.IOException as error:
        raise OSError(None, str(error).partition("\n")[0], target) from error


def _refuse_other_files(folder: Path, tables: list[str]) -> None:
    """Nobody's files are removed because of a mistyped option."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or folder.is_symlink():
        raise PublishingError(f"{folder} is no folder; choose another --parquet")
    known = {f"{table}.parquet" for table in tables}
    if other := sorted(path.name for path in folder.iterdir() if path.name not in known):
        raise PublishingError(
            f"{folder} holds {other[0]}, which is no table of this database; choose another --parquet"
        )

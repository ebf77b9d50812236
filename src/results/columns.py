"""Columns of numpy arrays as Arrow tables: how rows travel between processes and into the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def arrow_table(columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """Turn columns of equal length into an Arrow table.

    Parameters
    ----------
    columns : mapping of str to ndarray or pyarrow.Array
        Numbers, booleans or text; what is Arrow's already is taken as it is.

    Returns
    -------
    pyarrow.Table
        Text is dictionary-encoded. NaN, infinity and empty text are null.
    """
    return pa.table({name: _arrow_array(values) for name, values in columns.items()})


def table_of_rows(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Turn rows into an Arrow table; what a row lacks, None and NaN are null."""
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    return pa.table({name: pa.array([row.get(name) for row in listed], from_pandas=True) for name in names})


def texts_at(texts: Sequence[str], index: np.ndarray) -> pa.DictionaryArray:
    """A column of texts by their positions: each is there once, however long it is and often it occurs."""
    return pa.DictionaryArray.from_arrays(index.astype(np.int32), pa.array(texts, pa.string()))


def with_constant(table: pa.Table, name: str, value: str | None) -> pa.Table:
    """Add a column that says the same in every row, or is null."""
    if value is None:
        return table.append_column(name, pa.nulls(len(table), pa.dictionary(pa.int32(), pa.string())))
    return table.append_column(name, texts_at([value], np.zeros(len(table))))


def stacked(tables: Iterable[pa.Table]) -> pa.Table:
    """Put tables below each other; what one of them lacks is null there."""
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def stacked_by(name: str, tables: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    """Put tables below each other, with the text that comes with each as a column."""
    texts, parts = zip(*tables, strict=True)
    index = np.repeat(np.arange(len(texts), dtype=np.int32), [len(part) for part in parts])
    return stacked(parts).append_column(name, pa.DictionaryArray.from_arrays(index, list(texts)))


def _arrow_array(values: np.ndarray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    values = np.asarray(values)
    if values.dtype.kind == "f":
        return pa.array(values.astype(np.float64), mask=~np.isfinite(values))
    if values.dtype.kind == "O":  # never one behind the other: few long texts may be many rows
        return pa.array(values, type=pa.dictionary(pa.int32(), pa.string()), mask=values == "")
    if values.dtype.kind == "U":
        return pa.array(values, type=pa.string(), mask=values == "").dictionary_encode()
    return pa.array(values)

"""Databases with a flipped bit, as a failing disk or an interrupted copy leaves them."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb

HEADERS = 3 * 4096
"""Bytes at the beginning of a DuckDB file; behind them are blocks of data and of the catalogue."""
BLOCK = 2**18


def flipped(original: Path, copy: Path, seed: int) -> Path:
    """Copy a DuckDB file with one bit flipped: in its headers for every fourth seed, in a block otherwise."""
    rng = random.Random(seed)
    end = original.stat().st_size
    return _flipped_at(
        original, copy, rng.randrange(HEADERS) if seed % 4 == 3 else rng.randrange(HEADERS, end)
    )


def flipped_in(original: Path, copy: Path, table: str) -> Path:
    """Copy a DuckDB file with one bit flipped in a block that holds rows of a table."""
    sql = f"SELECT max(block_id) FROM pragma_storage_info('{table}')"
    with duckdb.connect(str(original), read_only=True) as connection:
        block = connection.execute(sql).fetchall()[0][0]
    return _flipped_at(original, copy, HEADERS + block * BLOCK + BLOCK // 2)


def _flipped_at(original: Path, copy: Path, at: int) -> Path:
    content = bytearray(original.read_bytes())
    content[at] ^= 4
    copy.write_bytes(content)
    return copy

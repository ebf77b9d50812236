"""Where the numbers come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from src.report.document import NO_ESTIMATE, Column, Part, Row, Table, count, words
from src.report.reading import Reading

TITLE = "Where do the numbers come from?"
_COMMENTS = """
SELECT column_name AS name, comment FROM duckdb_columns() WHERE table_name = 'provenance'
ORDER BY column_index
"""
_EXCLUDED = """
SELECT reason, coalesce(kind, 'not said') AS kind, count(*) AS runs, min(detail) AS example
FROM excluded_runs GROUP BY ALL ORDER BY runs DESC, reason, kind
"""
_IDENTICAL = """
SELECT a.run_name AS a, b.run_name AS b
FROM identical_predictions i JOIN runs a ON a.run_id = i.run_id_a JOIN runs b ON b.run_id = i.run_id_b
ORDER BY ALL
"""
_SPECIAL = """
SELECT run_name, tuned, caveat, unpublished_weights FROM runs
WHERE coalesce(tuned, caveat, unpublished_weights) IS NOT NULL ORDER BY ALL
"""
_SOURCES = {
    "synthetic": "The recordings are synthetic: the numbers are about the generator, not about patients.",
    "unstated": "The store does not say where the recordings come from: they may be made up.",
}
_NOT_STORED = "The profile of the methods' settings (smoke, quick or paper) is not stored in the database."


def answer(reading: Reading) -> Part:
    """Say where the numbers come from, and what about single runs must be known."""
    origin = reading.background.provenance
    tables = [_origin(reading), _versions(origin), _excluded(reading), _identical(reading), _special(reading)]
    nothing = [table.title for table in tables if table.rows.empty]
    lines = [_SOURCES[source]] if (source := str(origin["source"])) in _SOURCES else []
    lines += [_NOT_STORED] if "profile" not in origin else []
    lines += [f"None: {'; '.join(nothing)}."] if nothing else []
    return Part("provenance", TITLE, lines, [t for t in tables if len(t.rows)])


def _origin(reading: Reading) -> Table:
    """The row of provenance, a line per column, without what stands elsewhere."""
    rows = reading.query(_COMMENTS)
    rows = rows[rows["name"] != "package_versions"]
    value = Column(
        "value", "Value", lambda row: "unknown" if pd.isna(row["value"]) else str(row["value"]), numeric=False
    )
    rows = rows.assign(value=[_plain(reading.background.provenance[name]) for name in rows["name"]])
    columns = [words("name", "Name"), value, words("comment", "What it is")]
    return Table("provenance", "Origin", NO_ESTIMATE, columns, rows, whole=True)


def _plain(value: Any) -> Any:
    return value if pd.isna(value) else str(value)


def _versions(origin: Row | Mapping[str, Any]) -> Table:
    known = origin["package_versions"]
    versions: dict[str, Any] = {} if pd.isna(known) else json.loads(known)
    rows = pd.DataFrame(
        {"package": list(versions), "version": [str(version) for version in versions.values()]}
    )
    columns = [words("package", "Package"), words("version", "Version")]
    return Table("versions", "Package versions", NO_ESTIMATE, columns, rows)


def _excluded(reading: Reading) -> Table:
    columns = [
        words("reason", "Reason"),
        words("kind", "Kind"),
        count("runs", "Runs"),
        words("example", "For example"),
    ]
    title = "Runs of the store that are not in this report"
    return Table("excluded", title, NO_ESTIMATE, columns, reading.query(_EXCLUDED))


def _identical(reading: Reading) -> Table:
    columns = [words("a", "One run"), words("b", "The other")]
    title = "Combinations with the same predictions to the last bit"
    return Table("identical", title, NO_ESTIMATE, columns, reading.query(_IDENTICAL))


def _special(reading: Reading) -> Table:
    columns = [
        words("run_name", "Run"),
        words("tuned", "Tuned by"),
        words("caveat", "Caveat"),
        words("unpublished_weights", "Weights that are not the published ones"),
    ]
    title = "Runs that are tuned, have a caveat, or unpublished weights"
    return Table("special", title, NO_ESTIMATE, columns, reading.query(_SPECIAL))

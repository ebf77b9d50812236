"""A report as plain text: every part in short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from src.figures.style import records
from src.report.benchmark import Benchmark
from src.report.document import Part, Table

_ROWS = 12
"""Rows of a table that the text shows, unless it is shown whole."""
_RANKED = 25
"""Combinations of the ranking that the text shows."""
_LETTERS = 100
"""Letters of a cell that the text shows."""


def as_text(benchmark: Benchmark) -> str:
    """Return the whole report as plain text."""
    lines = [
        benchmark.reading.background.stamp,
        benchmark.title,
        "=" * len(benchmark.title),
        *(f"- {note}" for note in benchmark.notes),
    ]
    for number, part in enumerate(benchmark.parts, 1):
        lines += ["", *_part(number, part)]
    return "\n".join(line.rstrip() for line in lines).lstrip("\n") + "\n"


def _part(number: int, part: Part) -> Iterable[str]:
    title = f"{number}. {part.title}"
    yield from [title, "=" * len(title), *(f"- {line}" for line in part.lines)]
    below = [f"- {line}" for line in part.below]
    for place, table in enumerate(part.tables):
        yield from ["", *_table(table)]
        if not place and below:
            yield from ["", *below]


def _table(table: Table) -> list[str]:
    brief = [column for column in table.columns if column.brief]
    cells = [[_short(column.show(row)) for column in brief] for row in records(table.rows)]
    shown = cells if table.whole else cells[: len(cells) - table.in_csv + _RANKED if table.in_csv else _ROWS]
    lines = [table.title, table.estimator, *_align([column.head for column in brief], shown)]
    if len(shown) == len(cells):
        return lines
    if table.in_csv:
        lines.append(f"first {_RANKED} of {table.in_csv}; all in benchmark_results.csv")
    else:
        lines.append(f"{len(shown)} of {len(cells)} rows; all are in benchmark_results.json and on the page.")
    return lines


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LETTERS else f"{flat[: _LETTERS - 4]} ..."


def _align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in [head, *rows]
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]

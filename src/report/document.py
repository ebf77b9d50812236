"""What a report is made of: parts of sentences, tables and pictures, written as text, page and data alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Sheet

from src.figures.style import records

Row = Mapping[str, Any]

OOB = "Estimator: oob, the mean over the resamples of the value on the subjects each left out."
POOLED = (
    "Estimator: oob_pooled, one value from each subject's mean left-out prediction: a bagged model, another "
    "estimand than the ranking's."
)
APPARENT = "Bootstrap models against the model trained on everybody, all of them scored on everybody."
NO_ESTIMATE = "Counted, not estimated."


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Value of the row that it sorts by.
    head : str
    show : callable
        Row -> what stands in the cell.
    beside : tuple of str
        Other values of the row that stand in the cell.
    numeric : bool
        True where `name` is a number.
    brief : bool
        True where the text, too, shows it.
    """

    name: str
    head: str
    show: Callable[[Row], str]
    beside: tuple[str, ...] = ()
    numeric: bool = True
    brief: bool = True


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what it sorts by: a number, a text, or None where there is nothing."""

    text: str
    key: float | str | None


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    name : str
        Its name in the data.
    title : str
        What a row is.
    estimator : str
        What kind of numbers these are.
    columns : sequence of Column
    rows : DataFrame
    whole : bool
        True where the text, too, shows every row.
    in_csv : int
        How many of its rows, the last ones, are those of benchmark_results.csv: the text shows the first.
    """

    name: str
    title: str
    estimator: str
    columns: Sequence[Column]
    rows: pd.DataFrame
    whole: bool = False
    in_csv: int = 0

    @property
    def cells(self) -> list[list[Cell]]:
        """The cells of all rows."""
        return [
            [Cell(column.show(row), _key(row, column)) for column in self.columns]
            for row in records(self.rows)
        ]

    @property
    def values(self) -> pd.DataFrame:
        """The numbers and names behind the cells."""
        names = dict.fromkeys(name for column in self.columns for name in (column.name, *column.beside))
        return self.rows[[name for name in names if name in self.rows]]


@dataclass(frozen=True)
class Picture:
    """A picture of a report: its name, what it shows, and how it is drawn (within `journal_style`)."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Sheet]


@dataclass(frozen=True)
class Part:
    """The answer to one question.

    Attributes
    ----------
    name : str
    title : str
        The question.
    lines : sequence of str
        Sentences above the tables; those that begin with WARNING are shown as warnings.
    tables : sequence of Table
    pictures : sequence of Picture
    below : sequence of str
        Sentences below the first table: what it does not say.
    """

    name: str
    title: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    below: Sequence[str] = ()

    def table(self, name: str) -> Table:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)


def words(name: str, head: str) -> Column:
    """Return a column of text."""
    return Column(name, head, lambda row: "-" if _lacks(row, name) else str(row[name]), numeric=False)


def count(name: str, head: str) -> Column:
    """Return a column of whole numbers."""
    return Column(name, head, lambda row: "-" if _lacks(row, name) else f"{row[name]:.0f}")


def number(name: str, head: str, digits: int = 3, sign: str = "") -> Column:
    """Return a column of numbers without an interval; `sign` is '+' where both signs are to be shown."""
    return Column(name, head, lambda row: _figure(row, name, digits, sign))


def estimate(
    name: str, head: str, digits: int = 3, sign: str = "", ends: tuple[str, str] = ("", "")
) -> Column:
    """Return a column of estimates, each with its 95 % sampling interval in brackets where there is one.

    The ends of the interval are the values NAME_lo and NAME_hi, unless named.
    """
    low, high = ends if all(ends) else (f"{name}_lo", f"{name}_hi")

    def show(row: Row) -> str:
        text = _figure(row, name, digits, sign)
        if _lacks(row, name) or _lacks(row, low) or _lacks(row, high):
            return text
        return f"{text} [{_figure(row, low, digits, sign)}, {_figure(row, high, digits, sign)}]"

    return Column(name, head, show, (low, high))


def spread(low: str, high: str, head: str) -> Column:
    """Return a column of percentiles over refits, no interval of an estimate; the text leaves it out."""

    def show(row: Row) -> str:
        if _lacks(row, low) or _lacks(row, high):
            return "-"
        return f"{_figure(row, low)} to {_figure(row, high)}"

    return Column(low, head, show, (high,), brief=False)


def percent(name: str, head: str, digits: int = 1) -> Column:
    """Return a column of shares, shown in per cent."""
    return Column(name, head, lambda row: "-" if _lacks(row, name) else f"{row[name]:.{digits}%}")


def p_value(name: str, head: str) -> Column:
    """Return a column of p values."""

    def show(row: Row) -> str:
        if _lacks(row, name):
            return "-"
        return "<0.001" if row[name] < 0.001 else f"{row[name]:.3f}"

    return Column(name, head, show)


def verdict(name: str, head: str, yes: str = "yes", no: str = "no") -> Column:
    """Return a column of what holds or does not."""
    return Column(
        name, head, lambda row: "-" if _lacks(row, name) else yes if row[name] else no, numeric=False
    )


def _figure(row: Row, name: str, digits: int = 3, sign: str = "") -> str:
    if _lacks(row, name):
        return "-"
    return f"{round(float(row[name]), digits) + 0.0:{sign}.{digits}f}"  # + 0.0: no -0.000


def _lacks(row: Row, name: str) -> bool:
    return bool(pd.isna(row.get(name)))


def _key(row: Row, column: Column) -> float | str | None:
    if _lacks(row, column.name):
        return None if column.numeric or column.show(row) == "-" else column.show(row)
    return float(row[column.name]) if column.numeric else column.show(row)

"""What every part of a report is made from: the open database, the question, and the ranking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import pandas as pd
from matplotlib.figure import Figure as Sheet

from src.figures.catalogue import answers, find_figures
from src.figures.factors import STAGES
from src.figures.figure import Figure, Tables
from src.figures.style import FACTORS, Background, finish, records
from src.registry import Registry
from src.report.document import Column, Picture, Row
from src.report.question import Question
from src.report.ranking import Query, Ranking
from src.results.database import MissingTable

FACTOR_WORDS = {
    "featurization": "Features",
    "outlier_method": "Outlier method",
    "imputation_method": "Imputation",
    "classifier": "Classifier",
}
_LOST = """
SELECT count(*) AS n FROM coverage c
WHERE status = 'finished' AND NOT EXISTS (SELECT 1 FROM essential_metrics e WHERE e.run_id = c.run_id)
"""
_COMPARED = """
SELECT count(*) AS n,
       count(*) FILTER (NOT EXISTS (SELECT 1 FROM essential_metrics e WHERE e.run_id = c.run_id)) AS gone
FROM (SELECT run_id FROM confidence_set
      UNION SELECT run_id FROM coverage WHERE status = 'finished' AND run_id IS NOT NULL) c
"""
TRUTH_MARK = "*"
"""Stands behind the rank of a combination that was given the true mask or the true signal."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """The results database as one report reads it.

    Attributes
    ----------
    query : callable
        Runs SQL on the results database and returns a DataFrame.
    question : Question
    registry : Registry
    ranking : Ranking
    background : Background
    """

    query: Query
    question: Question
    registry: Registry
    ranking: Ranking
    background: Background

    @property
    def factors(self) -> list[str]:
        """Columns that name a row of the ranking; the feature set only where there is more than one."""
        return self.factors_of(self.question.about.factors)

    @property
    def methods(self) -> list[Column]:
        """Columns of display names that say which combination a row is."""
        return [self.method(name) for name in self.factors_of(list(FACTORS.values()))]

    def factors_of(self, factors: Sequence[str]) -> list[str]:
        """Leave out the feature set where there is only one."""
        several = len(set(self.background.coverage["featurization"])) > 1
        return [name for name in factors if name != "featurization" or several]

    def method(self, factor: str) -> Column:
        """Return a column of the display names of the methods of one factor."""

        def show(row: Row) -> str:
            name = row.get(factor)
            return "-" if pd.isna(name) or name == "none" else self.background.label(STAGES[factor], name)

        return Column(factor, FACTOR_WORDS[factor], show, numeric=False)

    def method_of(self, stage: str, name: str, head: str) -> Column:
        """Return a column of display names of methods whose stage is a value of the row."""
        return Column(
            name, head, lambda row: self.background.label(row[stage], row[name]), (stage,), numeric=False
        )

    def name(self, row: Row) -> str:
        """Display names of the methods of a row of the ranking."""
        return " + ".join(self.background.label(STAGES[column], row[column]) for column in self.factors)

    def first(self, sql: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        """First row of an answer; None where there is none."""
        rows = self.query(sql, params)
        return records(rows.head(1))[0] if len(rows) else None

    def of_combinations(self, sql: str, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Rows with `run_id` and `classifier`: those of the models asked for, in the order of the ranking."""
        rows = self.query(sql, params)
        if models := self.question.models:
            rows = rows[rows["classifier"].isin(models)]
        place = {run: place for place, run in enumerate(self.ranking.table["run_id"])}
        order = rows["run_id"].map(place).fillna(len(place))
        return rows.iloc[order.argsort(kind="stable")].reset_index(drop=True)

    def metric_name(self, name: str) -> str:
        """Display name of a metric, or its name where the registry does not know it."""
        return self.registry.metrics[name].display_name if name in self.registry.metrics else name

    def lacking(self, what: str, table: str, comparison: str = "") -> str:
        """Say that there is nothing to show, and why: refused, or an empty table."""
        reasons = self._refused.get(comparison, ())
        if not reasons:
            return f"{what}: nothing to show, table {table} has no rows for it."
        return f"{what}: refused: {_cut('; '.join(reasons))}"

    def unless_gone(self, what: str, make: Callable[[Reading], T], otherwise: T) -> tuple[T, list[str]]:
        """Make a piece of a part; `otherwise` and a sentence where a table that it needs is not there."""
        try:
            return make(self), []
        except MissingTable as error:
            return otherwise, [f"{what}: {error}."]

    def told(self, what: str, tell: Callable[[Reading], list[str]]) -> list[str]:
        """Sentences, or the one that a table they need is not there."""
        nothing: list[str] = []
        lines, gone = self.unless_gone(what, tell, nothing)
        return lines + gone

    @cached_property
    def lost(self) -> int:
        """Combinations that coverage calls finished and that have no results."""
        return int(self.query(_LOST)["n"].iloc[0])

    def about_compared(self) -> list[str]:
        """Say over how many combinations the comparisons were computed, where some are no longer here."""
        compared = self.query(_COMPARED).iloc[0]
        if not compared["gone"]:
            return []
        return [
            "Confidence set, winner's curse, effects and shares of the scatter were computed over "
            f"{compared['n']} combinations, of which {compared['gone']} are no longer here."
        ]

    def pictures(self, *names: str) -> tuple[list[Picture], list[str]]:
        """Prepare figures of the catalogue by name; beside them why the others cannot be drawn."""
        pictures, lines = [], []
        for figure in (self._figures[name] for name in names):
            reason, tables = answers(figure, self)
            if reason:
                lines.append(f'Figure "{figure.title}" is not drawn: {reason}.')
                continue
            draw = partial(_draw, figure, tables, self.background)
            pictures.append(Picture(figure.name, figure.title, figure.caption, draw))
        return pictures, lines

    @cached_property
    def _figures(self) -> Mapping[str, Figure]:
        return {figure.name: figure for figure in find_figures()}

    @cached_property
    def _refused(self) -> Mapping[str, Sequence[str]]:
        rows = self.query("SELECT DISTINCT comparison, reason FROM refusals ORDER BY ALL")
        return {str(name): part["reason"].tolist() for name, part in rows.groupby("comparison")}


_LETTERS = 180


def _cut(text: str) -> str:
    if len(text) <= _LETTERS:
        return text
    return f"{text[:_LETTERS].rsplit(' ', 1)[0]} ... (in full in the table refusals)"


def _draw(figure: Figure, tables: Tables, background: Background) -> Sheet:
    sheet = figure.draw(tables, background)
    finish(sheet, figure.title, background)
    return sheet

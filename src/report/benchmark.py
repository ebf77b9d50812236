"""The benchmark report: a question, and the answer read from the results database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from src.figures.style import read_background
from src.registry import Registry
from src.report.champion import best
from src.report.document import Part, Row
from src.report.parts import (
    calibration,
    cleaning,
    cost,
    effects,
    leaderboard,
    provenance,
    quality,
    ran,
    stability,
    tripod,
    utility,
)
from src.report.question import BenchmarkError, Question
from src.report.ranking import Query, read_ranking
from src.report.reading import Reading
from src.results.database import MissingTable

_TITLES = {
    "classification": "Screening: combinations of outlier method, imputation and classifier",
    "imputation": "Imputation against the clean signal",
    "outlier_detection": "Outlier detection against the true mask",
}
_OF_A_METHOD = (ran, quality, cleaning, provenance)
_PARTS: Mapping[str, tuple[ModuleType, ...]] = {
    "classification": (
        ran,
        leaderboard,
        effects,
        calibration,
        utility,
        stability,
        cleaning,
        cost,
        provenance,
        tripod,
    ),
    "imputation": _OF_A_METHOD,
    "outlier_detection": _OF_A_METHOD,
}


@dataclass(frozen=True)
class Benchmark:
    """A report: what text, page and data are written from, after the database is closed.

    Attributes
    ----------
    reading : Reading
        The question, the ranking and the background; its `query` may not be used any more.
    parts : tuple of Part
    champion : mapping or None
        Row of the combination chosen by the rule, of the whole database; None for other stages than
        classification.
    practical : mapping or None
        Row of the best by the same rule of those that need no ground truth; None where there is none.
    """

    reading: Reading
    parts: tuple[Part, ...]
    champion: Row | None
    practical: Row | None

    @property
    def title(self) -> str:
        """One line that says what the report is about."""
        question = self.reading.question
        return f"{_TITLES[question.stage]}, ranked by {question.metric.display_name}"

    @property
    def notes(self) -> list[str]:
        """What holds for the whole report."""
        question = self.reading.question
        if not question.models:
            return []
        column = question.about.models.replace("_", " ")
        return [
            f"Only {column} {', '.join(question.models)} is listed where a row is a combination (--models); "
            "figures, effects, comparisons and counts are of the whole database."
        ]

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)


def read_benchmark(query: Query, registry: Registry, question: Question, dataset: str = "") -> Benchmark:
    """Answer a question from the open results database.

    Parameters
    ----------
    query : callable
        Runs SQL on the results database and returns a DataFrame.
    registry : Registry
        Knows the direction of each metric.
    question : Question
    dataset : str
        Source or first letters of the cohort's hash, where the caller insists on one.

    Raises
    ------
    BenchmarkError
        If the database holds another dataset, no value of the metric, not these models, or nothing at all on
        the quality of the methods asked for.
    MissingTable
        If the database lacks a table of the ranking itself. A part that lacks another one says so.
    """
    background = read_background(query)
    _check_dataset(background.provenance, dataset)
    ranking = read_ranking(query, registry, question)
    reading = Reading(query, question, registry, ranking, background)
    parts = tuple(_answer(part, reading) for part in _PARTS[question.stage])
    champion, practical = _best(reading) if question.stage == "classification" else (None, None)
    return Benchmark(reading, parts, champion, practical)


def _answer(part: ModuleType, reading: Reading) -> Part:
    """A part of the report, or in its place the sentence that a table it is made from is not there."""
    try:
        made: Part = part.answer(reading)
    except MissingTable as error:
        return Part(part.__name__.rpartition(".")[2], part.TITLE, [f"Not made: {error}."])
    return made


def _best(reading: Reading) -> tuple[Row | None, Row | None]:
    """The champions; none where a table they are chosen from is not there, which the leaderboard says."""
    try:
        return best(reading)
    except MissingTable:
        return None, None


def _check_dataset(provenance: Mapping[str, Any], dataset: str) -> None:
    cohort, source = str(provenance["cohort_hash"]), str(provenance["source"])
    if dataset and dataset.lower() != source and not cohort.startswith(dataset.lower()):
        raise BenchmarkError(
            f"no dataset {dataset!r} in this database; it holds one: cohort {cohort} (source {source})"
        )

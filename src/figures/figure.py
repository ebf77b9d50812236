"""What a figure is: queries, a drawing, and the words that go with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Sheet

from src.figures.style import Background

Tables = Mapping[str, pd.DataFrame]

PARTS = (
    "What ran",
    "Which combination is best",
    "What matters",
    "Discrimination",
    "Calibration",
    "Clinical utility",
    "Stability",
    "Quality of the cleaning",
    "Features",
    "Recordings",
)
"""The questions figures answer, in the order of showing them."""


@dataclass(frozen=True)
class Figure:
    """One figure of the project.

    Parameters
    ----------
    name : str
        Stem of its files.
    title : str
        Stands on the picture.
    caption : str
        Stands beside it: what is drawn, which estimator, and the rule by which anything was selected.
    queries : mapping of str to str
        SQL on the results database; the first is what the figure is about: without a row of it there
        is nothing to draw.
    draw : callable
        Gets the answers, under the names of the queries, and the background; returns the picture. It only
        draws: a number that is not in the database does not belong on a figure.
    needs : tuple of str
        Tables and views that must exist and hold rows.
    part : str
        The question it answers: one of `PARTS`.
    comparison : str
        Name in the table `refusals`: where there is nothing to draw, the reason given there is said.
    when_empty : str
        What is said where the first query gives no row, and nothing was refused.
    """

    name: str
    title: str
    caption: str
    queries: Mapping[str, str]
    draw: Callable[[Tables, Background], Sheet]
    needs: tuple[str, ...]
    part: str
    comparison: str = ""
    when_empty: str = "its query gives no rows"

"""What a figure is: queries, a drawing, and the words that go with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Sheet

from src.figures.style import Background

Tables = Mapping[str, pd.DataFrame]


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
    """

    name: str
    title: str
    caption: str
    queries: Mapping[str, str]
    draw: Callable[[Tables, Background], Sheet]
    needs: tuple[str, ...]

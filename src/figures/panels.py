"""Small multiples: one panel per selected combination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FixedLocator

from src.figures.style import WIDTHS_MM, Background, new_sheet, records, wrap

_HEAD_MM = 20
"""Room for the words above a panel and the labels below it."""


def grid(
    count: int, height_mm: float = 0, parts: tuple[float, ...] = (1,), square: bool = False
) -> tuple[Sheet, list[Any]]:
    """Lay out one panel per combination, at most four in a row, all on the same axes.

    Their x axis holds probabilities.

    Parameters
    ----------
    count : int
        Number of combinations.
    height_mm : float
        Height of one row of panels, their words included.
    parts : tuple of float
        Relative heights where each panel is a stack of axes.
    square : bool
        Make panels about as high as they are wide, instead of `height_mm`.

    Returns
    -------
    Figure
        The picture.
    list
        Per combination its axes; a list of axes from the top where there are several parts.
    """
    across, down = _shape(count)
    width = "single" if across == 1 else "middle" if across == 2 else "double"
    if square:
        height_mm = WIDTHS_MM[width] / across - 12 + _HEAD_MM
    sheet = new_sheet(width, down * height_mm + 6)
    axes = sheet.subplots(
        down * len(parts), across, squeeze=False, sharex=True, sharey="row", height_ratios=list(parts) * down
    )
    stacks = []
    for number in range(down * across):
        row, column = divmod(number, across)
        if row and not column:
            for part in range(len(parts)):
                axes[row * len(parts) + part, 0].sharey(axes[part, 0])
        stack = [axes[row * len(parts) + part, column] for part in range(len(parts))]
        if number < count:
            stacks.append(stack if len(parts) > 1 else stack[0])
        for one in stack:
            one.set_visible(number < count)
            one.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
            one.tick_params(labelbottom=one is stack[-1] and number + across >= count, labelleft=column == 0)
    return sheet, stacks


def _shape(count: int) -> tuple[int, int]:
    """Columns and rows of a grid."""
    across = count if count <= 4 else 3
    return across, -(-count // across)


def heads(panels: Sequence[Axes], chosen: pd.DataFrame, background: Background, letters: int = 34) -> None:
    """Write the role and the methods of each combination above its panel, `letters` to a line at most."""
    rows = records(chosen)
    methods = [wrap(background.combination(row), letters) for row in rows]
    lines = 1 + max(text.count("\n") for text in methods)
    for axes, row, text in zip(panels, rows, methods, strict=True):
        place: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "va": "top",
            "fontsize": 5.5,
        }
        axes.annotate(text, (0, 1), xytext=(0, 3 + 6.6 * lines), **place)
        axes.set_title(wrap(row["role"], letters - 4), loc="left", fontsize=6.5, pad=5.5 + 6.6 * lines)


def label_edges(panels: Sequence[Axes], x: str, y: str) -> None:
    """Label the axes at the edges of a grid: the lowest of each column, the first of each row."""
    across, _ = _shape(len(panels))
    for number, axes in enumerate(panels):
        if number + across >= len(panels):
            axes.set_xlabel(x)
        if number % across == 0:
            axes.set_ylabel(y)


def squares(axes: Axes, x: Iterable[float], y: Iterable[float], colours: Sequence[Any], gid: str) -> None:
    """Fill cells around whole numbers, with a thin white line between them, as one collection."""
    corners = [
        [(i - 0.5, j - 0.5), (i + 0.5, j - 0.5), (i + 0.5, j + 0.5), (i - 0.5, j + 0.5)]
        for i, j in zip(x, y, strict=True)
    ]
    axes.add_collection(
        PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=0.5, gid=gid)
    )

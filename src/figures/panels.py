"""Small multiples: one panel per selected combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from src.figures.style import Background, new_sheet, wrap

_ACROSS = 4


def grid(count: int, height_mm: float, parts: tuple[float, ...] = (1,)) -> tuple[Sheet, list[Any]]:
    """Lay out one panel per combination, at most four in a row.

    Parameters
    ----------
    count : int
        Number of combinations.
    height_mm : float
        Height of one row of panels.
    parts : tuple of float
        Relative heights where each panel is a stack of axes.

    Returns
    -------
    Figure
        The picture.
    list
        Per combination its axes; a list of axes from the top where there are several parts.
    """
    across = min(count, _ACROSS)
    down = -(-count // across)
    sheet = new_sheet("double" if across > 2 else "middle", down * height_mm + 6)
    axes = sheet.subplots(
        down * len(parts), across, squeeze=False, sharex=True, sharey="row", height_ratios=list(parts) * down
    )
    stacks = []
    for number in range(down * across):
        row, column = divmod(number, across)
        stack = [axes[row * len(parts) + part, column] for part in range(len(parts))]
        if number < count:
            stacks.append(stack if len(parts) > 1 else stack[0])
        for one in stack:
            one.set_visible(number < count)
            one.tick_params(labelbottom=one is stack[-1] and number + across >= count, labelleft=column == 0)
    return sheet, stacks


def heads(panels: Sequence[Axes], chosen: pd.DataFrame, background: Background) -> None:
    """Write the role and the methods of each combination above its panel, all at one height."""
    rows = chosen.to_dict("records")
    methods = [wrap(background.combination(row), 34) for row in rows]
    lines = 1 + max(text.count("\n") for text in methods)
    for axes, row, text in zip(panels, rows, methods, strict=True):
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "fontsize": 5.5}
        axes.annotate(text, (0, 1), xytext=(0, 3 + 6.6 * lines), **place)
        axes.set_title(wrap(row["role"], 30), loc="left", fontsize=6.5, pad=4 + 6.6 * lines)


def label_edges(panels: Sequence[Axes], x: str, y: str) -> None:
    """Label the axes at the edges of a grid: the lowest of each column, the first of each row."""
    for number, axes in enumerate(panels):
        if number + _ACROSS >= len(panels):
            axes.set_xlabel(x)
        if number % _ACROSS == 0:
            axes.set_ylabel(y)

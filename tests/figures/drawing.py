"""Drawing figures for tests, and counting what is on them."""

from __future__ import annotations

from collections import Counter
from functools import cache

from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from src.figures.catalogue import find_figures, read, what_lacks
from src.figures.style import finish, journal_style, read_background
from src.results.database import open_results

FIGURES = {figure.name: figure for figure in find_figures()}


def drawn(figure, database, laid_out=True):
    """Draw a figure; return the picture, its tables and the background, or None without data."""
    with open_results(database) as results, journal_style():
        if what_lacks(figure, results):
            return None
        background, tables = read_background(results.query), read(figure, results)
        if next(iter(tables.values())).empty:
            return None
        sheet = figure.draw(tables, background)
        finish(sheet, figure.title, background)
        if laid_out:
            sheet.draw_without_rendering()
    return sheet, tables, background


@cache
def drawn_once(name, database):
    """The same from a figure's name, for tests that change neither picture nor database."""
    return drawn(FIGURES[name], database)


def marks(sheet):
    """How many marks were drawn, by the group they belong to."""
    counts = Counter()
    for axes in sheet.axes:
        for line in axes.lines:
            counts[line.get_gid()] += 1
        for patch in axes.patches:
            counts[patch.get_gid()] += 1
        for group in axes.collections:
            points = group.get_offsets() if isinstance(group, PathCollection) else group.get_paths()
            counts[group.get_gid()] += len(points)
    return counts


def colours(sheet):
    """Every colour of the marks of a picture, without their transparency."""
    found = []
    for axes in sheet.axes:
        for line in axes.lines:
            found += [line.get_color(), line.get_markerfacecolor(), line.get_markeredgecolor()]
        for patch in axes.patches:
            found += [patch.get_facecolor(), patch.get_edgecolor()]
        for group in axes.collections:
            found += [*group.get_facecolor(), *group.get_edgecolor()]
    return {to_hex(colour) for colour in found}

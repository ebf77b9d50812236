"""Coverage: which of the planned combinations are there, and why the others are not."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.figure import Figure, Tables
from src.figures.style import (
    CONTROLS,
    GREY,
    INK,
    WARNING,
    WIDTHS_MM,
    Background,
    legend_below,
    new_sheet,
    records,
    strip_axes,
    wrap,
)

_KINDS_NAMED = 8
_PLACED = f"""
WITH reasons AS (
    SELECT *, coalesce(failed_stage, '') AS stage, coalesce(reason, 'no reason given') AS words,
           split_part(words, ': ', 1) AS beginning
    FROM v_coverage
),
counted AS (
    SELECT status, stage, beginning, count(*) AS n, count(DISTINCT words) AS n_reasons, min(words) AS example
    FROM reasons WHERE status <> 'finished' GROUP BY ALL
),
kinds AS (
    SELECT *, row_number() OVER (ORDER BY n DESC, status, stage, beginning) AS number,
           CASE WHEN number <= {_KINDS_NAMED} THEN chr(96 + number::INTEGER) ELSE '+' END AS kind
    FROM counted
),
placed AS (
    SELECT v.featurization, v.outlier_method, v.imputation_method, v.classifier, v.status,
           v.failed_stage, v.reason, k.kind,
           dense_rank() OVER (ORDER BY v.outlier_order, v.outlier_method) - 1 AS y,
           dense_rank() OVER (ORDER BY v.imputation_order, v.imputation_method) - 1 AS x,
           dense_rank() OVER (
               ORDER BY v.featurization_order, v.featurization, v.classifier_order, v.classifier
           ) - 1 AS panel
    FROM reasons v LEFT JOIN kinds k USING (status, stage, beginning)
)"""
_CELLS = _PLACED + " SELECT * FROM placed ORDER BY panel, y, x"
_COUNTS = (
    _PLACED
    + """
SELECT panel, y, x, count(*) FILTER (status = 'finished') AS finished, count(*) AS planned
FROM placed GROUP BY GROUPING SETS ((panel, y), (panel, x), (panel)) ORDER BY panel, y, x
"""
)
_REASONS = (
    _PLACED
    + " SELECT kind, status, nullif(stage, '') AS stage, n, n_reasons, example FROM kinds ORDER BY number"
)
_ROW_MM, _MARGIN_MM, _NAME_LETTER_MM = 3.5, 6.5, 1.2
_NARROW_MM, _WIDE_MM = 2.6, 4.5
"""No cell is narrower than the one; a picture that gives more than the other is made smaller."""
_LOOKS: dict[str, dict[str, Any]] = {
    "finished": {"marker": "o", "s": 8, "facecolors": CONTROLS, "edgecolors": CONTROLS},
    "failed": {"marker": "s", "s": 38, "facecolors": WARNING, "edgecolors": WARNING},
    "missing": {"marker": "s", "s": 34, "facecolors": "white", "edgecolors": INK},
}
_LETTERS = {"failed": "white", "missing": INK}


def _draw(tables: Tables, background: Background) -> Sheet:
    cells, counts = tables["cells"], tables["counts"]
    n_panels, n_rows, n_columns = (int(cells[column].max()) + 1 for column in ("panel", "y", "x"))
    rows = _names(cells, "y", "outlier", "outlier_method", background)
    columns = _names(cells, "x", "imputation", "imputation_method", background)
    width, across, panel_mm = _layout(n_panels, n_columns, max(map(len, rows)))
    down = -(-n_panels // across)
    titles = [_title(cells[cells["panel"] == number], panel_mm, background) for number in range(n_panels)]
    head_mm = 13 + 3.1 * (1 + max(title.count("\n") for title in titles))
    sheet = new_sheet(width, down * (_ROW_MM * n_rows + head_mm) + 1.1 * max(map(len, columns)))
    panels = sheet.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    panels[0].set_xticks(range(n_columns), columns)
    panels[0].set_yticks(range(n_rows), rows)
    letters = max(len(_count(row)) for row in records(counts[counts["x"].notna()]))
    for number, axes in enumerate(panels[:n_panels]):
        part, of_panel = cells[cells["panel"] == number], counts[counts["panel"] == number]
        _panel(axes, part, n_rows, n_columns)
        _margins(axes, of_panel, n_rows, n_columns)
        _head(axes, titles[number], of_panel, letters)
        axes.tick_params(axis="x", labelbottom=number + across >= n_panels, rotation=90, labelsize=5.5)
        axes.tick_params(axis="y", labelleft=number % across == 0, labelsize=6)
    for axes in panels[n_panels:]:
        axes.set_visible(False)
    everywhere = len(cells) == n_panels * n_rows * n_columns
    legend_below(sheet, _legend(cells, tables["reasons"], everywhere, WIDTHS_MM[width]), columns=1)
    return sheet


def _names(cells: pd.DataFrame, place: str, stage: str, column: str, background: Background) -> list[str]:
    return [background.label(stage, name) for name in cells.sort_values(place)[column].unique()]


def _layout(n_panels: int, n_columns: int, letters: int) -> tuple[str, int, float]:
    """Return the width of the picture, the number of panels side by side, and the width of one in mm."""
    names_mm = 5 + _NAME_LETTER_MM * letters
    room = WIDTHS_MM["middle"] - names_mm
    if room >= n_panels * (_MARGIN_MM + _WIDE_MM * n_columns):
        return "middle", n_panels, room / n_panels
    room = WIDTHS_MM["double"] - names_mm
    fitting = int(room // (_MARGIN_MM + _NARROW_MM * n_columns))
    down = -(-n_panels // max(1, fitting))
    across = -(-n_panels // down)
    return "double", across, room / across


def _title(cells: pd.DataFrame, panel_mm: float, background: Background) -> str:
    first, letters = cells.iloc[0], int(panel_mm / 1.65)
    name = wrap(background.label("classifier", first["classifier"]), letters)
    if len(set(background.coverage["featurization"])) > 1:
        name += "\n" + wrap(background.label("features", first["featurization"]), letters)
    return name


def _head(axes: Axes, title: str, counts: pd.DataFrame, letters: int) -> None:
    """Put title and total of a panel above the counts of its columns, which have up to `letters`."""
    total = counts[counts["x"].isna() & counts["y"].isna()].iloc[0]
    words = f"{title}\n{total['finished']} of {total['planned']}"
    axes.set_title(words, loc="left", fontsize=6.5, pad=6 + 3.6 * letters)


def _count(row: dict[str, Any]) -> str:
    whole = row["finished"] == row["planned"]
    return f"{row['finished']}" if whole else f"{row['finished']}/{row['planned']}"


def _panel(axes: Axes, cells: pd.DataFrame, n_rows: int, n_columns: int) -> None:
    """Draw a panel's cells: a shape and a colour per status, and the letter of the reason."""
    strip_axes(axes)
    axes.hlines(range(n_rows), -0.5, n_columns - 0.5, colors="#EEEEEE", linewidth=0.5, zorder=0, gid="line")
    axes.vlines(range(n_columns), -0.5, n_rows - 0.5, colors="#EEEEEE", linewidth=0.5, zorder=0, gid="line")
    for status, look in _LOOKS.items():
        part = cells[cells["status"] == status]
        axes.scatter(part["x"], part["y"], linewidths=0.6, zorder=2, gid=status, **look)
        for row in records(part[part["kind"].notna()]):
            place: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 5.5}
            axes.text(row["x"], row["y"], row["kind"], color=_LETTERS[status], gid="kind", **place)
    axes.set_xlim(-0.5, n_columns - 0.5)
    axes.set_ylim(n_rows - 0.5, -0.5)


def _margins(axes: Axes, counts: pd.DataFrame, n_rows: int, n_columns: int) -> None:
    """Write how many are finished: per row at the right, per column above; of how many where some are not."""
    look: dict[str, Any] = {"fontsize": 5.5, "gid": "count"}
    for row in records(counts[counts["x"].notna() | counts["y"].notna()]):
        words = _count(row)
        look["color"] = WARNING if "/" in words else GREY
        if pd.isna(row["x"]):
            axes.text(n_columns - 0.4, row["y"], words, ha="left", va="center", **look)
        else:
            axes.text(row["x"], -0.6, words, ha="center", va="bottom", rotation=90, **look)


def _legend(cells: pd.DataFrame, reasons: pd.DataFrame, everywhere: bool, width_mm: float) -> list[Line2D]:
    """One entry for what is finished, and one per kind of reason."""
    handles = [
        _handle("finished", f"finished: {(cells['status'] == 'finished').sum()} of {len(cells)} planned")
    ]
    named = reasons[reasons["kind"] != "+"]
    for row in records(named):
        where = f" in {row['stage']}" if pd.notna(row["stage"]) else ""
        example = ", for example" if row["n_reasons"] > 1 else ""
        words = f"{row['kind']}: {row['n']} {row['status']}{where}{example}: {row['example']}"
        letters = int((width_mm - 14) / _NAME_LETTER_MM)
        handles.append(_handle(row["status"], textwrap.shorten(words, letters, placeholder=" …")))
    if len(others := reasons[reasons["kind"] == "+"]):
        words = f"+: {others['n'].sum()} for {len(others)} other kinds of reasons (table coverage)"
        handles.append(Line2D([], [], linewidth=0, label=words))
    if not everywhere:
        handles.append(Line2D([], [], linewidth=0, label="empty: not planned"))
    return handles


def _handle(status: str, words: str) -> Line2D:
    look = _LOOKS[status]
    return Line2D(
        [],
        [],
        linewidth=0,
        marker=look["marker"],
        markersize=look["s"] ** 0.5,
        markerfacecolor=look["facecolors"],
        markeredgecolor=look["edgecolors"],
        label=words,
    )


COVERAGE = Figure(
    name="coverage",
    title="What ran: planned combinations and what became of them",
    caption=(
        "One mark per planned combination: rows are outlier methods, columns imputation methods, one panel "
        "per classifier (and feature set where there are several). Dots are finished, filled squares failed, "
        "open squares missing; the letter says for what kind of reason (status, stage and beginning of the "
        f"reason; the {_KINDS_NAMED} commonest are named). At the margins: how many are finished, of how "
        "many where some are not. An intersection without a mark was not planned."
    ),
    queries={"cells": _CELLS, "counts": _COUNTS, "reasons": _REASONS},
    draw=_draw,
    needs=("v_coverage",),
    part="What ran",
    when_empty="nothing was planned",
)

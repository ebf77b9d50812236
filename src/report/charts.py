"""One chart per metric: every combination with its intervals, best on top; and what quality costs in time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from src.figures.style import FACTORS, GREY, INK, finish, legend_below, new_sheet, records
from src.registry import Metric
from src.report.document import Picture
from src.report.ranking import direction, rank
from src.report.reading import FACTOR_WORDS, TRUTH_MARK, Reading

SHOWN = 40
"""Rows on a chart; the rest is in the tables."""


def draw_chart(reading: Reading, metric: Metric) -> Sheet:
    """Draw one metric of the ranking, ordered by that metric; to be called within `journal_style`."""
    table = reading.ranking.table
    rows = rank(table, metric)
    rows = rows[rows[metric.name].notna()].head(SHOWN).assign(y=lambda table: range(len(table)))
    heading = f"{metric.display_name} ({direction(metric)})"
    if len(table) > SHOWN:
        heading += f", best {SHOWN} of {len(table)}"
    sheet = new_sheet("double", 14 + 4.4 * len(rows))
    axes = sheet.subplots()
    handles = _marks(axes, rows, metric, _colours(reading, rows))
    axes.set_yticks(rows["y"], [_label(reading, row) for row in records(rows)])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if metric.target is not None:
        axes.axvline(metric.target, color=GREY, linewidth=0.8, linestyle=":", zorder=0, gid="target")
    axes.set_xlabel(metric.display_name)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if rows["uses_truth"].any():
        handles.append(Line2D([], [], linewidth=0, label=f"{TRUTH_MARK} uses the ground truth"))
    if handles:
        legend_below(sheet, handles, columns=2)
    finish(sheet, heading, reading.background)
    return sheet


def chart(reading: Reading, metric: Metric, estimator: str) -> Picture:
    """Return the chart of a metric as a picture of the report."""
    stage = FACTOR_WORDS[reading.question.about.models].lower()
    caption = f"Every combination, best on top, a colour per {stage}. {estimator}"
    draw = partial(draw_chart, reading, metric)
    return Picture(f"chart_{metric.name}", metric.display_name, caption, draw)


def draw_cost(reading: Reading, rows: pd.DataFrame) -> Sheet:
    """Draw the Brier score over the time of fitting (logarithmic), a colour per classifier."""
    sheet = new_sheet("middle", 62)
    axes = sheet.subplots()
    handles = []
    for name, part in rows.groupby("classifier", sort=True):
        colour = reading.background.colour("classifier", str(name))
        label = reading.background.label("classifier", str(name))
        look: Mapping[str, Any] = {"s": 12, "c": colour, "edgecolors": INK, "linewidths": 0.4}
        axes.scatter(part["fit_seconds"], part["brier"], gid="cost", **look)
        handles.append(
            Line2D(
                [], [], linewidth=0, marker="o", markersize=4, color=colour, markeredgecolor=INK, label=label
            )
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("time to fit and predict all resamples, s")
    axes.set_ylabel("Brier score (oob; lower is better)")
    legend_below(sheet, handles, columns=3)
    finish(sheet, "Time against quality", reading.background)
    return sheet


def _label(reading: Reading, row: Mapping[str, Any]) -> str:
    return reading.name(row) + (f" {TRUTH_MARK}" if row["uses_truth"] else "")


def _colours(reading: Reading, rows: pd.DataFrame) -> list[str]:
    column = reading.question.about.models
    stage = next(stage for stage, name in FACTORS.items() if name == column)
    return [reading.background.colour(stage, name) for name in rows[column]]


def _marks(axes: Axes, rows: pd.DataFrame, metric: Metric, colours: list[str]) -> list[Line2D]:
    name, y, handles = metric.name, rows["y"], []
    if f"{name}_refit_lo" in rows and rows[f"{name}_refit_lo"].notna().any():
        refit = rows[f"{name}_refit_lo"], rows[f"{name}_refit_hi"]
        axes.hlines(y, *refit, colors=INK, linewidth=0.5, zorder=2.5, gid="refit")
        handles.append(
            Line2D([], [], color=INK, linewidth=0.5, label="refit interval (thin): spread over resamples")
        )
    if f"{name}_lo" in rows and rows[f"{name}_lo"].notna().any():
        axes.hlines(y, rows[f"{name}_lo"], rows[f"{name}_hi"], colors=colours, linewidth=2.8, gid="sampling")
        handles.append(Line2D([], [], color=GREY, linewidth=2.8, label="95 % sampling interval (thick)"))
    axes.scatter(rows[name], y, s=14, c=colours, edgecolors=INK, linewidths=0.6, zorder=3, gid="estimate")
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    return handles

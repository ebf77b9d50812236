"""Critical-difference diagrams: mean ranks of methods, and which cannot be told apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.factors import (
    FACTOR_ORDER,
    FEATURE_SETS,
    REFUSED,
    STAGES,
    TITLES,
    TWO_SHOWN,
    of_feature_set,
    p_words,
    refusal_notes,
)
from src.figures.figure import Figure, Tables
from src.figures.style import CASES, INK, Background, legend_below, new_sheet, records

_SHOWN = f"""
WITH {FEATURE_SETS.format(table="critical_differences")},
shown AS (
    SELECT dense_rank() OVER (ORDER BY f.place, {FACTOR_ORDER}) AS panel, v.*
    FROM v_critical_differences v JOIN feature_sets f USING (featurization)
    WHERE v.metric = '{{metric}}' AND v.mean_rank IS NOT NULL
)"""
_RANKS = (
    _SHOWN
    + """
SELECT panel, metric_display, featurization, factor, method, mean_rank, n_methods, n_blocks,
       critical_difference, friedman_chi2, friedman_p, title,
       row_number() OVER (PARTITION BY panel ORDER BY mean_rank, method) AS place
FROM shown ORDER BY panel, place
"""
)
_GROUPS = (
    _SHOWN
    + """
, reaching AS (
    SELECT a.panel, a.mean_rank AS lo, max(b.mean_rank) AS hi, count(DISTINCT b.method) AS n_methods
    FROM shown a
    JOIN shown b ON b.panel = a.panel AND b.mean_rank >= a.mean_rank
        AND b.mean_rank - a.mean_rank <= a.critical_difference
    GROUP BY ALL
)
SELECT panel, lo, hi, n_methods,
       row_number() OVER (PARTITION BY panel ORDER BY lo) AS number
FROM (
    SELECT *, coalesce(hi > max(hi) OVER (
        PARTITION BY panel ORDER BY lo ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS longer
    FROM reaching
)
WHERE longer AND n_methods > 1 ORDER BY panel, lo
"""
)
_ABOVE_MM, _BAR_MM, _ROW_MM = 8.0, 1.8, 3.4
_AXIS_MM, _NAMES_MM = 78, 45
_GAP_MM = 1.5


def group_levels(groups: pd.DataFrame) -> list[int]:
    """Say how far down each bar is drawn, so that no two bars of one level touch.

    Parameters
    ----------
    groups : DataFrame
        Columns lo and hi, ordered by lo.

    Returns
    -------
    list of int
        From 0: the first level that is free from lo on.
    """
    levels: list[int] = []
    ends: list[float] = []
    for lo, hi in zip(groups["lo"], groups["hi"], strict=True):
        level = next((number for number, end in enumerate(ends) if end < lo), len(ends))
        ends[level : level + 1] = [hi]
        levels.append(level)
    return levels


def _draw(tables: Tables, background: Background) -> Sheet:
    ranks, groups = tables["ranks"], tables["groups"]
    parts = [part for _, part in ranks.groupby("panel")]
    bars = [groups[groups["panel"] == part["panel"].iloc[0]] for part in parts]
    levels = [group_levels(part) for part in bars]
    tops = [_BAR_MM * (max(level, default=-1) + 1) + 2 * _GAP_MM for level in levels]
    heights = [top + _ROW_MM * -(-len(part) // 2) for top, part in zip(tops, parts, strict=True)]
    sheet = new_sheet("double", sum(heights) + (_ABOVE_MM + 6) * len(parts))
    panels = sheet.subplots(len(parts), 1, squeeze=False, height_ratios=[_ABOVE_MM + h for h in heights])
    for axes, part, bar, level, top, height in zip(
        panels[:, 0], parts, bars, levels, tops, heights, strict=True
    ):
        _frame(axes, part, height, background)
        look: dict[str, Any] = {"colors": INK, "linewidth": 2.6, "capstyle": "projecting", "zorder": 3}
        axes.hlines(
            [_GAP_MM + _BAR_MM * number for number in level], bar["lo"], bar["hi"], gid="group", **look
        )
        _methods(axes, part, top, background)
    legend_below(sheet, [*_legend(), *refusal_notes(tables["refused"], background)], columns=1)
    return sheet


def _frame(axes: Axes, ranks: pd.DataFrame, height: float, background: Background) -> None:
    """Draw the axis of ranks and the critical difference above it; y counts mm from the axis down."""
    first, mm = ranks.iloc[0], _rank_per_mm(ranks)
    last, difference = int(first["n_methods"]), first["critical_difference"]
    axes.set_xlim(1 - _NAMES_MM * mm, last + _NAMES_MM * mm)
    axes.set_ylim(height, -_ABOVE_MM)
    axes.xaxis.tick_top()
    axes.yaxis.set_visible(False)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "top")
    axes.spines["top"].set_position(("data", 0))
    axes.spines["top"].set_bounds(1, last)
    axes.set_xticks(range(1, last + 1, 1 + last // 20))
    axes.text(1 - 2 * mm, 0, "Mean rank (1 is best)", ha="right", va="center", fontsize=6)
    end = 1 + difference
    axes.plot([1, end], [-6, -6], color=CASES, linewidth=1.4, marker="|", markersize=5, gid="difference")
    axes.text(end + mm, -6, f"CD {difference:.2f}", va="center", fontsize=6, color=CASES)
    title = of_feature_set(TITLES[first["factor"]], first["featurization"], background)
    facts = f"{last} methods in {first['n_blocks']} cells, Friedman {p_words(first['friedman_p'])}"
    axes.set_title(f"{title}: {facts}; {first['title']}", loc="left", fontsize=6.5, pad=2)


def _methods(axes: Axes, ranks: pd.DataFrame, top: float, background: Background) -> None:
    """Lead from each mean rank to the method's name: the better half to the left, the worse to the right."""
    mm, last = _rank_per_mm(ranks), len(ranks)
    for row in records(ranks):
        left = row["place"] <= -(-last // 2)
        y = top + _ROW_MM * (row["place"] - 0.5 if left else last - row["place"] + 0.5)
        edge, sign = (1, -1) if left else (last, 1)
        stage = STAGES[row["factor"]]
        colour = background.colour(stage, row["method"])
        x = [row["mean_rank"], row["mean_rank"], edge + sign * 2 * mm]
        axes.plot(x, [0, y, y], color=colour, linewidth=0.9, gid="method")
        name, value = background.label(stage, row["method"]), f"{row['mean_rank']:.2f}"
        words = f"{name}  {value}" if left else f"{value}  {name}"
        axes.text(x[-1] + sign * mm, y, words, ha="right" if left else "left", va="center", fontsize=6)


def _rank_per_mm(ranks: pd.DataFrame) -> float:
    return (len(ranks) - 1) / _AXIS_MM


def _legend() -> list[Line2D]:
    together = "joined: mean ranks that differ by no more than the critical difference"
    return [
        Line2D([], [], color=INK, linewidth=2.6, label=together),
        Line2D([], [], color=CASES, linewidth=1.4, label="critical difference (CD): Nemenyi's test at 5 %"),
    ]


def _critical_difference(metric: str, words: str) -> Figure:
    return Figure(
        name=f"critical_difference_{metric}",
        title=f"Mean ranks of methods by {words}: which cannot be told apart",
        caption=(
            f"Critical-difference diagrams (Demsar 2006), one per factor. In every cell of the other factors "
            f"the methods are ranked by their out-of-bag {words} (oob), 1 being the best; a line leads from "
            "the mean rank to the method. Bars join methods whose mean ranks differ by no more than "
            "Nemenyi's critical difference (CD) at 5 %. Descriptive: the cells share their subjects, so "
            "they are no independent observations, and neither Friedman's nor Nemenyi's test is more than a "
            f"description. {TWO_SHOWN}"
        ),
        queries={
            "ranks": _RANKS.format(metric=metric),
            "groups": _GROUPS.format(metric=metric),
            "refused": REFUSED.format(comparison="ranks", metrics=f"'{metric}'"),
        },
        draw=_draw,
        needs=("v_critical_differences",),
        part="What matters",
        comparison="ranks",
        when_empty="there are no ranks",
    )


AUROC = _critical_difference("auroc", "AUROC")
BRIER = _critical_difference("brier", "Brier score")

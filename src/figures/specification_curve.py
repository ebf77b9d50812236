"""Specification curves: every combination in the order of its estimate, and what it is made of."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.factors import AGE_ALONE, STAGES, TITLES
from src.figures.figure import Figure, Tables
from src.figures.style import (
    CASES,
    GREY,
    INK,
    PALE,
    TRUTH,
    Background,
    legend_below,
    new_sheet,
    records,
    strip_axes,
    with_interval,
    wrap,
)

_PLACED = """
WITH placed AS (
    SELECT row_number() OVER (
               ORDER BY CASE m.direction WHEN 'higher' THEN -l.{metric} ELSE l.{metric} END, l.rank, l.run_id
           ) AS place,
           l.run_id, l.featurization, l.outlier_method, l.imputation_method, l.classifier,
           l.{metric} AS estimate, l.{metric}_lo AS lo, l.{metric}_hi AS hi, l.rank = 1 AS champion,
           coalesce(o.category = 'ground truth', false) OR coalesce(i.category = 'ground truth', false)
               AS uses_truth,
           m.display_name AS metric_display, m.direction,
           (SELECT count(*) FROM v_leaderboard) AS n_combinations
    FROM v_leaderboard l
    JOIN metrics m ON m.name = '{metric}'
    LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = l.outlier_method
    LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = l.imputation_method
    WHERE l.{metric} IS NOT NULL
)"""
_COMBINATIONS = _PLACED + " SELECT * FROM placed ORDER BY place"
_MEMBERS = (
    _PLACED
    + """
, members AS (
    UNPIVOT (SELECT place, featurization, outlier_method, imputation_method, classifier FROM placed)
    ON featurization, outlier_method, imputation_method, classifier INTO NAME factor VALUE method
)
SELECT b.place, b.factor, b.method,
       dense_rank() OVER (PARTITION BY b.factor ORDER BY m.sort_order, b.method) - 1 AS "row"
FROM members b
LEFT JOIN methods m ON m.name = b.method AND m.stage = CASE b.factor
    WHEN 'featurization' THEN 'features' WHEN 'outlier_method' THEN 'outlier'
    WHEN 'imputation_method' THEN 'imputation' ELSE b.factor END
WHERE b.factor <> 'featurization' OR (SELECT count(DISTINCT featurization) FROM placed) > 1
ORDER BY b.place, b.factor
"""
)
_DENSE_PT = 1.5
"""Where there is less room per combination, intervals close up to a band: gaps would flicker."""
_DASHED = (0, (4, 2))
_RING: dict[str, Any] = {"facecolors": "none", "edgecolors": CASES, "linewidths": 1.1, "zorder": 4}
_CURVE_MM, _ROW_MM, _TITLE_MM = 46, 2.75, 4.5
_PANEL_PT = 360
"""About the width of the panels, in points."""


def _draw(tables: Tables, background: Background, *, metric: str) -> Sheet:
    combinations, members = tables["combinations"], tables["members"]
    parts = {factor: part for factor in STAGES if not (part := members[members["factor"] == factor]).empty}
    heights = [_ROW_MM * part["method"].nunique() for part in parts.values()]
    sheet = new_sheet("double", _CURVE_MM + 10 + sum(heights) + _TITLE_MM * len(heights))
    curve, *panels = sheet.subplots(1 + len(parts), 1, sharex="col", height_ratios=[_CURVE_MM, *heights])
    step_pt = _PANEL_PT / len(combinations)
    _curve(curve, combinations, step_pt)
    age = tables["age"][metric].dropna()
    for value in age:
        curve.axhline(value, color=GREY, linestyle=_DASHED, linewidth=0.8, zorder=0, gid="age")
    for axes, (factor, part) in zip(panels, parts.items(), strict=True):
        _matrix(axes, part, STAGES[factor], background, step_pt)
        axes.set_title(TITLES[factor], loc="left", fontsize=6.5, pad=2)
    _champion(curve, panels, combinations, background)
    panels[-1].set_xlabel(_shown(combinations))
    legend_below(sheet, _legend(age), columns=3)
    return sheet


def _shown(combinations: pd.DataFrame) -> str:
    """Say how many combinations are drawn in which order, and how many have no value to draw."""
    first, shown = combinations.iloc[0], len(combinations)
    name, absent = first["metric_display"], first["n_combinations"] - shown
    some = f"{shown} of {first['n_combinations']} combinations; {absent} without a defined {name}"
    count = some if absent else f"All {shown} combinations"
    return f"{count}, ordered by {name}: the best is number 1"


def _curve(axes: Axes, combinations: pd.DataFrame, step_pt: float) -> None:
    span = combinations["place"], combinations["lo"], combinations["hi"]
    width = min(1.6, 0.55 * step_pt) if step_pt > _DENSE_PT else 1.1 * step_pt
    axes.vlines(*span, colors=PALE, linewidth=width, snap=False, gid="sampling")
    size = min(12, 6 * step_pt)
    for uses_truth, colour, marker in ((False, INK, "o"), (True, TRUTH, "D")):
        part = combinations[combinations["uses_truth"] == uses_truth]
        look: dict[str, Any] = {"color": colour, "marker": marker, "linewidths": 0, "zorder": 3}
        axes.scatter(part["place"], part["estimate"], s=size, gid="estimate", **look)
    first = combinations.iloc[0]
    axes.set_ylabel(f"{first['metric_display']}\n({first['direction']} is better)")
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, min_n_ticks=1))
    axes.set_xlim(0.3, len(combinations) + 0.7)


def _champion(curve: Axes, panels: list[Axes], combinations: pd.DataFrame, background: Background) -> None:
    """Ring the champion, follow it down through the methods, and name it above."""
    words = []
    for row in records(combinations[combinations["champion"]]):
        curve.scatter(row["place"], row["estimate"], s=34, gid="champion", **_RING)
        for axes in (curve, *panels):
            axes.axvline(row["place"], color=CASES, linewidth=0.5, zorder=0.5)
        interval = with_interval(row["estimate"], row["lo"], row["hi"])
        words.append(f"Champion, number {row['place']}: {background.combination(row)}, {interval}")
    curve.set_title(wrap("; ".join(words), 110), loc="left", fontsize=6, fontweight="normal", color=CASES)


def _matrix(axes: Axes, members: pd.DataFrame, stage: str, background: Background, step_pt: float) -> None:
    names = members.drop_duplicates("row").sort_values("row")
    axes.hlines(names["row"], *axes.get_xlim(), colors="#EEEEEE", linewidth=0.6, zorder=0, gid="line")
    axes.vlines(
        members["place"],
        members["row"] - 0.36,
        members["row"] + 0.36,
        colors=[background.colour(stage, method) for method in members["method"]],
        linewidth=min(5, 0.8 * step_pt),
        gid="member",
    )
    strip_axes(axes)
    axes.set_yticks(names["row"], [background.label(stage, method) for method in names["method"]], fontsize=6)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _legend(age: pd.Series) -> list[Line2D]:
    dot: dict[str, Any] = {"linewidth": 0, "markeredgewidth": 0, "markersize": 3.5}
    handles = [
        Line2D([], [], color=INK, marker="o", label="out-of-bag estimate (oob)", **dot),
        Line2D([], [], color=TRUTH, marker="D", label="the same, with true mask or true signal", **dot),
        Line2D([], [], color=PALE, linewidth=1.6, label="95 % sampling interval"),
        Line2D([], [], color=CASES, linewidth=0.5, marker="o", markerfacecolor="none", markersize=5,
               label="champion: lowest Brier score"),
    ]  # fmt: skip
    for value in age:
        label = f"age only ({value:.3f})"
        handles.append(Line2D([], [], color=GREY, linestyle=_DASHED, linewidth=0.8, label=label))
    return handles


def _specification_curve(metric: str, words: str, order: str) -> Figure:
    return Figure(
        name=f"specification_curve_{metric}",
        title=f"{words} of all combinations, and what they are made of",
        caption=(
            f"Above: the out-of-bag {words} (oob) of every combination with its 95 % sampling interval, "
            f"ordered by the {words} drawn, {order} (ties: by rank, then run). Below: one row per "
            "method, with a bar in its colour wherever the combination above uses it. Diamonds: "
            "combinations that use the ground truth for mask or signal. Ring: the champion, lowest "
            "out-of-bag Brier score of all (ties: higher AUROC). Dashed: the best model that knows only "
            "age. Neighbours' intervals overlap because all combinations share their subjects and most "
            "of the interval with them: differences are tested in pairs, not by overlap."
        ),
        queries={
            "combinations": _COMBINATIONS.format(metric=metric),
            "members": _MEMBERS.format(metric=metric),
            "age": AGE_ALONE,
        },
        draw=partial(_draw, metric=metric),
        needs=("v_leaderboard",),
        part="Which combination is best",
        when_empty=f"no combination has an out-of-bag {words}",
    )


AUROC = _specification_curve("auroc", "AUROC", "highest first")
BRIER = _specification_curve("brier", "Brier score", "lowest first")

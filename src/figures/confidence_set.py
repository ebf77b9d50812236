"""Model confidence set: which combinations cannot be told from the best, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.factors import REFUSED, STAGES, TITLES, refusal_notes
from src.figures.figure import Figure, Tables
from src.figures.style import (
    CASES,
    CONTROLS,
    GREY,
    INK,
    Background,
    legend_below,
    new_sheet,
    records,
    strip_axes,
    wrap,
)

_PLACED = """
WITH grid AS (
    SELECT count(*) = count(DISTINCT featurization) * count(DISTINCT outlier_method)
               * count(DISTINCT imputation_method) * count(DISTINCT classifier) AS crossed
    FROM essential_metrics
),
compared AS (
    SELECT metric, count(*) FILTER (included) AS n_included, count(*) AS n_compared
    FROM confidence_set WHERE p_value IS NOT NULL GROUP BY metric
),
placed AS (
    SELECT s.metric, m.display_name AS metric_display,
           row_number() OVER (
               PARTITION BY s.metric
               ORDER BY CASE m.direction WHEN 'higher' THEN -s.estimate ELSE s.estimate END, s.run_id
           ) AS place,
           s.run_id, s.featurization, s.outlier_method, s.imputation_method, s.classifier,
           s.estimate, s.p_value, s.included, c.n_included, c.n_compared,
           c.n_compared - count(*) OVER (PARTITION BY s.metric) AS n_absent, grid.crossed
    FROM v_confidence_set s JOIN compared c USING (metric) JOIN metrics m ON m.name = s.metric CROSS JOIN grid
    WHERE s.metric IN ('auroc', 'brier') AND s.p_value IS NOT NULL
)"""
_COMBINATIONS = _PLACED + " SELECT * FROM placed ORDER BY metric DESC, place"
_METHODS = (
    _PLACED
    + """
, members AS (
    UNPIVOT (
        SELECT metric, included, n_included, n_compared,
               featurization, outlier_method, imputation_method, classifier FROM placed
    ) ON featurization, outlier_method, imputation_method, classifier INTO NAME factor VALUE method
)
SELECT b.metric, b.factor, b.method, count(*) FILTER (b.included) AS n_included, count(*) AS n_compared,
       count(*) FILTER (b.included) / count(*) AS share,
       any_value(b.n_included / b.n_compared) AS share_of_all,
       dense_rank() OVER (PARTITION BY b.factor ORDER BY any_value(m.sort_order), b.method) - 1 AS "row"
FROM members b
LEFT JOIN methods m ON m.name = b.method AND m.stage = CASE b.factor
    WHEN 'featurization' THEN 'features' WHEN 'outlier_method' THEN 'outlier'
    WHEN 'imputation_method' THEN 'imputation' ELSE b.factor END
WHERE b.factor <> 'featurization' OR (SELECT count(DISTINCT featurization) FROM placed) > 1
GROUP BY b.metric, b.factor, b.method
ORDER BY b.metric DESC, b.factor, "row"
"""
)
_STRIP_MM, _ROW_MM, _TITLE_MM = 34, 2.9, 4.5
_PANEL_PT = 170
"""About the width of a panel, in points."""
_SIDES = {True: ("inside", CONTROLS, "o"), False: ("outside", GREY, "x")}
_LEVEL = 0.05
"""The set holds the combinations with a larger p value (`confidence_set.included`)."""
_NOT_CROSSED = "Shares of methods cannot be compared: not all methods ran with the same others."


def _draw(tables: Tables, background: Background) -> Sheet:
    combinations, methods = tables["combinations"], tables["methods"]
    metrics = list(combinations["metric"].unique())
    factors = [factor for factor in STAGES if factor in set(methods["factor"])]
    heights = [_ROW_MM * methods.loc[methods["factor"] == factor, "method"].nunique() for factor in factors]
    sheet = new_sheet("double", _STRIP_MM + 18 + sum(heights) + _TITLE_MM * len(heights))
    panels = sheet.subplots(
        1 + len(factors), len(metrics), squeeze=False, sharey="row", height_ratios=[_STRIP_MM, *heights]
    )
    for column, metric in enumerate(metrics):
        _strip(panels[0, column], combinations[combinations["metric"] == metric])
        for axes, factor in zip(panels[1:, column], factors, strict=True):
            part = methods[(methods["metric"] == metric) & (methods["factor"] == factor)]
            _shares(axes, part, STAGES[factor], background)
            axes.tick_params(labelbottom=axes is panels[-1, column])
            axes.set_title(TITLES[factor] if column == 0 else "", loc="left", fontsize=6.5, pad=2)
        panels[-1, column].set_xlabel("Share of the method's combinations inside the set")
    panels[0, 0].set_ylabel("p value (root scale)")
    handles = _legend(bool(combinations["crossed"].all()))
    legend_below(sheet, [*handles, *refusal_notes(tables["refused"], background)], columns=1)
    return sheet


def _strip(axes: Axes, combinations: pd.DataFrame) -> None:
    """Draw the p value with which each combination leaves the set, in the order of the estimate."""
    first = combinations.iloc[0]
    step_pt = _PANEL_PT / len(combinations)
    width = min(1.2, 0.6 * step_pt) if step_pt > 1 else 1.1 * step_pt  # lines as dense as these would flicker
    axes.set_ylim(0, 1.08)
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    for included, (gid, colour, marker) in _SIDES.items():
        part = combinations[combinations["included"] == included]
        axes.vlines(part["place"], 0, part["p_value"], colors=colour, linewidth=width, snap=False)
        look: dict[str, Any] = {"color": colour, "marker": marker, "linewidths": 0.7, "zorder": 3}
        axes.scatter(part["place"], part["p_value"], s=min(11, 9 * step_pt), gid=gid, clip_on=False, **look)
    axes.axhline(_LEVEL, color=CASES, linestyle=(0, (4, 2)), linewidth=0.8, zorder=4, gid="level")
    axes.set_yticks([0, _LEVEL, 0.25, 0.5, 1])
    axes.set_xlim(0.3, len(combinations) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel(f"Ordered by {first['metric_display']}, the best is number 1")
    share = f"{first['n_included']} of {first['n_compared']} combinations cannot be told from the best"
    absent = f"; {first['n_absent']} of those compared are no longer here" if first["n_absent"] else ""
    axes.set_title(wrap(f"{first['metric_display']}: {share}{absent}", 40), loc="left")


def _shares(axes: Axes, methods: pd.DataFrame, stage: str, background: Background) -> None:
    y = methods["row"]
    axes.barh(y, 1, height=0.7, color="#F2F2F2", gid="all")
    colours = [background.colour(stage, method) for method in methods["method"]]
    axes.barh(y, methods["share"], height=0.7, color=colours, gid="share")
    axes.axvline(methods["share_of_all"].iloc[0], color=INK, linewidth=0.7, linestyle=":", gid="share of all")
    for row in records(methods):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 5.5}
        axes.annotate(f"{row['n_included']} of {row['n_compared']}", (1.02, row["row"]), gid="count", **place)
    strip_axes(axes)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_yticks(y, [background.label(stage, method) for method in methods["method"]], fontsize=6)
    axes.set_ylim(len(methods) - 0.5, -0.5)


def _legend(crossed: bool) -> list[Line2D]:
    words = {
        True: "inside the 95 % model confidence set: not shown to be worse than the best",
        False: "outside: shown to be worse",
    }
    handles = [
        Line2D([], [], color=colour, linewidth=0, marker=marker, markersize=3.5, label=words[included])
        for included, (_, colour, marker) in _SIDES.items()
    ]
    limit: dict[str, Any] = {"color": CASES, "linestyle": (0, (4, 2)), "linewidth": 0.8}
    handles.append(Line2D([], [], label=f"p = {_LEVEL}: the set's limit", **limit))
    handles.append(
        Line2D([], [], color=INK, linestyle=":", linewidth=0.7, label="share of all combinations inside")
    )
    if not crossed:
        handles.append(Line2D([], [], linewidth=0, label=_NOT_CROSSED))
    return handles


CONFIDENCE_SET = Figure(
    name="confidence_set",
    title="Which combinations cannot be told from the best",
    caption=(
        "Model confidence set (Hansen, Lunde and Nason 2011) at 95 %, subjects resampled. Above: the p "
        "value with which each combination leaves the set, combinations ordered by their out-of-bag "
        "estimate (oob); the losses are each subject's, from the mean out-of-bag predictions (oob_pooled), "
        "so the order of p values may differ. Inside (dots) means not shown to be worse than the best, not "
        "shown to be as good. Below: how many of each method's combinations are inside; dotted, the share "
        "of all combinations. Where not every method ran with the same others, a share also tells with "
        "which it ran, and shares cannot be compared; the picture says so."
    ),
    queries={
        "combinations": _COMBINATIONS,
        "methods": _METHODS,
        "refused": REFUSED.format(comparison="confidence set", metrics="'auroc', 'brier'"),
    },
    draw=_draw,
    needs=("v_confidence_set",),
    part="Which combination is best",
    comparison="confidence set",
    when_empty="there is no model confidence set",
)

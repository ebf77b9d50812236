"""Risk-coverage curves of the selected combinations: how often the most confident predictions are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import (
    GREY,
    INK,
    PALE,
    Background,
    legend_below,
    line_colour,
    records,
    with_interval,
)

_CURVES = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, c.retained, c.error, c.error_lo, c.error_hi
FROM selected s JOIN v_retention c USING (run_id)
WHERE c.error IS NOT NULL ORDER BY s.selection_order, c.point
"""
_AREAS = f"""
WITH {SELECTED}
SELECT s.selection_order, m.metric, d.display_name, m.estimate, m.sampling_lo, m.sampling_hi
FROM selected s JOIN metric_estimates m USING (run_id) LEFT JOIN metrics d ON d.name = m.metric
WHERE m.estimator = 'oob_pooled' AND m.metric IN ('aurc', 'eaurc') AND m.estimate IS NOT NULL
ORDER BY s.selection_order, m.metric
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    chosen, curves, areas = tables["chosen"], tables["curves"], tables["areas"]
    sheet, panels = grid(len(chosen), square=True)
    first, top = curves[curves["selection_order"] == 1], curves[["error", "error_hi"]].max().max()
    for axes, row in zip(panels, records(chosen), strict=True):
        order = row["selection_order"]
        if order > 1:
            look = {"color": GREY, "linewidth": 0.7, "gid": "reference"}
            axes.plot(first["retained"], first["error"], linestyle=(0, (4, 2)), **look)
        _curve(axes, curves[curves["selection_order"] == order], line_colour(order))
        words = [_words(area) for area in records(areas[areas["selection_order"] == order])]
        axes.text(0.97, 0.97, "\n".join(words), transform=axes.transAxes, ha="right", va="top", fontsize=5.5)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02 * top, 1.02 * top))
    label_edges(panels, "Share of recordings kept", "Share of errors among them")
    heads(panels, chosen, background)
    legend_below(sheet, _legend(len(chosen)), columns=2)
    return sheet


def _curve(axes: Axes, curve: pd.DataFrame, colour: str) -> None:
    axes.fill_between(
        curve["retained"],
        curve["error_lo"],
        curve["error_hi"],
        color=colour,
        alpha=0.18,
        linewidth=0,
        gid="band",
    )
    axes.plot(curve["retained"], curve["error"], color=colour, gid="curve")


def _words(area: Mapping[str, Any]) -> str:
    name = area["display_name"] if isinstance(area["display_name"], str) else area["metric"]
    return f"{name} {with_interval(area['estimate'], area['sampling_lo'], area['sampling_hi'])}"


def _legend(count: int) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, label="share of errors among the most confident"),
        Patch(color=PALE, label="95 % sampling band, point by point"),
    ]
    if count > 1:
        handles.append(
            Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), label="the first panel's curve")
        )
    return handles


RISK_COVERAGE = Figure(
    name="risk_coverage",
    title="Risk and coverage: errors among the most confident (oob_pooled)",
    caption=(
        "Recordings are put in order of confidence, max(p, 1 - p), where p is a recording's mean "
        "prediction over the resamples that left it out (oob_pooled: it speaks of a bagged model). Line: "
        "share of those kept for which the rule p >= 0.5 is wrong; at 1 all are kept. Band: pointwise 95 "
        "% sampling band (Wilson; the recordings of a subject count as one), given which predictions are "
        "kept; that other patients also give other models is not in it. AURC: area under the curve; "
        "E-AURC: what of it a perfect order of the same errors would save; in brackets their 95 % "
        f"sampling intervals (subject bootstrap). Grey dashes: the first panel's curve. {RULE}"
    ),
    queries={"curves": _CURVES, "chosen": CHOSEN, "areas": _AREAS},
    draw=_draw,
    needs=("v_leaderboard", "retention_curves"),
    part="Discrimination",
    when_empty="no combination has a retention curve",
)

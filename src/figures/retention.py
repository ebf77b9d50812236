"""Retention curves of the selected combinations: several metrics of the most confident predictions."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from src.figures.figure import Figure, Tables
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import Background, legend_below, line_colour, new_sheet, records, wrap

_CURVES = f"""
WITH {SELECTED},
curves AS (
    UNPIVOT (SELECT run_id, point, retained, auroc, brier, error FROM v_retention)
    ON auroc, brier, error INTO NAME metric VALUE value
)
SELECT c.metric, coalesce(d.display_name, 'Share of errors') AS display_name,
       coalesce(d.direction, 'lower') AS direction, s.selection_order, s.run_id, c.retained, c.value
FROM selected s JOIN curves c USING (run_id) LEFT JOIN metrics d ON d.name = c.metric
ORDER BY c.metric, s.selection_order, c.point
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    chosen, curves = tables["chosen"], tables["curves"]
    metrics = list(curves.groupby("metric"))
    sheet = new_sheet("double", 62)
    panels = sheet.subplots(1, len(metrics), squeeze=False)[0]
    for axes, (_, rows) in zip(panels, metrics, strict=True):
        _panel(axes, rows)
    handles = []
    for row in records(chosen):
        words = wrap(f"{row['role']}: {background.combination(row)}", 130)
        handles.append(Line2D([], [], label=words, **_look(row["selection_order"])))
    legend_below(sheet, handles, columns=1)
    return sheet


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw one metric; thinner lines lie on thicker ones, so that equal curves stay visible."""
    for order in rows["selection_order"].unique():
        curve = rows[rows["selection_order"] == order]
        axes.plot(curve["retained"], curve["value"], gid="curve", **_look(order))
    name, direction = rows["display_name"].iloc[0], rows["direction"].iloc[0]
    axes.set_title(f"{name} ({direction} is better)", loc="left")
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.set_xlabel("Share of recordings kept")


def _look(order: int) -> dict[str, Any]:
    return {
        "color": line_colour(order),
        "linewidth": max(2.2 * 0.7 ** (order - 1), 0.7),
        "zorder": 2 + 0.01 * order,
    }


RETENTION = Figure(
    name="retention",
    title="Retention: what the most confident achieve (oob_pooled)",
    caption=(
        "The metrics of the recordings that remain when only the most confident predictions are kept: "
        "confidence is max(p, 1 - p), p a recording's mean prediction over the resamples that left it out "
        "(oob_pooled: it speaks of a bagged model). At 1 all are kept. Share of errors: of the rule p >= "
        "0.5. To the left few recordings remain, often hardly any of one class: the AUROC there is of a "
        "handful, and missing where a class is absent. Widths only keep coinciding lines apart. Which "
        "recordings remain differs between combinations. Sampling bands of the share of errors are in the "
        f"figure risk_coverage. {RULE}"
    ),
    queries={"curves": _CURVES, "chosen": CHOSEN},
    draw=_draw,
    needs=("v_leaderboard", "retention_curves"),
    part="Discrimination",
    when_empty="no combination has a retention curve",
)

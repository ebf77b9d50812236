"""Calibration of the selected combinations: smooth curves, groups, and where the predictions lie."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import CASES, CONTROLS, GREY, INK, PALE, Background, legend_below, records, signed

_POOLED, _APPARENT = INK, "#CC79A7"

_CURVES = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, c.estimator, c.p, c.observed, c.observed_lo, c.observed_hi
FROM selected s JOIN calibration_curves c USING (run_id)
WHERE c.estimator IN ('oob_pooled', 'apparent') AND c.observed IS NOT NULL
ORDER BY s.selection_order, c.estimator, c.point
"""
_GROUPS = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, c.bin, c.p_mean, c.observed, c.n
FROM selected s JOIN calibration_bins c USING (run_id)
WHERE c.estimator = 'oob_pooled' ORDER BY s.selection_order, c.bin
"""
_HISTOGRAM = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, d.y, d.p_lo, d.p_hi, d.n
FROM selected s JOIN probability_distributions d USING (run_id) ORDER BY s.selection_order, d.y, d.bin
"""
_SLOPES = f"""
WITH {SELECTED}
SELECT s.selection_order, m.metric, m.estimate
FROM selected s JOIN metric_estimates m USING (run_id)
WHERE m.estimator = 'oob_pooled' AND m.metric IN ('cal_slope', 'cal_intercept')
ORDER BY s.selection_order, m.metric
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    sheet, stacks = grid(len(tables["chosen"]), height_mm=66, parts=(3, 1))
    for (upper, lower), row in zip(stacks, records(tables["chosen"]), strict=True):
        part = {
            name: table[table["selection_order"] == row["selection_order"]] for name, table in tables.items()
        }
        _calibration(upper, part["curves"], part["groups"])
        _histogram(lower, part["histogram"])
        slopes = dict(zip(part["slopes"]["metric"], part["slopes"]["estimate"], strict=True))
        words = [
            f"{name} {signed(slopes[metric])}"
            for name, metric in (("slope", "cal_slope"), ("in the large", "cal_intercept"))
            if pd.notna(slopes.get(metric))
        ]
        upper.text(
            0.03, 0.97, "\n".join(words), transform=upper.transAxes, va="top", fontsize=6, color=_POOLED
        )
    label_edges([stack[0] for stack in stacks], "", "Observed share of glaucoma")
    label_edges([stack[1] for stack in stacks], "Predicted probability", "Recordings")
    heads([stack[0] for stack in stacks], tables["chosen"], background)
    legend_below(sheet, _legend(set(tables["curves"]["estimator"])), columns=2)
    return sheet


def _calibration(axes: Axes, curves: pd.DataFrame, groups: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.7, linestyle=":")
    pooled = curves[curves["estimator"] == "oob_pooled"]
    axes.fill_between(
        pooled["p"],
        pooled["observed_lo"],
        pooled["observed_hi"],
        color=PALE,
        alpha=0.45,
        linewidth=0,
        gid="band",
    )
    for estimator, colour, dash in (("apparent", _APPARENT, (0, (4, 2))), ("oob_pooled", _POOLED, "-")):
        curve = curves[curves["estimator"] == estimator]
        axes.plot(curve["p"], curve["observed"], color=colour, linestyle=dash, gid=estimator)
    look: dict[str, Any] = {
        "facecolor": "white",
        "edgecolor": _POOLED,
        "linewidth": 0.8,
        "zorder": 3,
        "gid": "groups",
    }
    axes.scatter(groups["p_mean"], groups["observed"], s=9, **look)
    axes.set_xlim(-0.03, 1.03)


def _histogram(axes: Axes, bars: pd.DataFrame) -> None:
    """Cases upwards, controls downwards, in counts."""
    for y, colour, sign in ((1, CASES, 1), (0, CONTROLS, -1)):
        of_class = bars[bars["y"] == y]
        width = of_class["p_hi"] - of_class["p_lo"]
        look: dict[str, Any] = {"color": colour, "edgecolor": "white", "linewidth": 0.3, "gid": f"class {y}"}
        axes.bar(of_class["p_lo"], sign * of_class["n"], width=width, align="edge", **look)
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")


def _legend(estimators: set[str]) -> list[Line2D | Patch]:
    pooled = "out-of-bag mean prediction, smoothed (oob_pooled)"
    ring: dict[str, Any] = {"linewidth": 0, "marker": "o", "markersize": 3, "markerfacecolor": "white"}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_POOLED, label=pooled),
        Patch(color=PALE, alpha=0.45, linewidth=0, label="its 95 % sampling band, point by point"),
        Line2D([], [], color=_POOLED, label="the same in ten groups of equal size", **ring),
    ]
    if "apparent" in estimators:
        handles.append(Line2D([], [], color=_APPARENT, linestyle=(0, (4, 2)), label="apparent, smoothed"))
    handles.append(Patch(color=CASES, label="glaucoma (upwards)"))
    handles.append(Patch(color=CONTROLS, label="controls (downwards)"))
    return handles


CALIBRATION = Figure(
    name="calibration",
    title="Calibration: out-of-bag mean predictions (oob_pooled) and apparent",
    caption=(
        "Smooth curves (loess, span 0.75, local quadratic, one pass) of the outcome on the predicted "
        "probability. Solid, circles, slope, calibration in the large and histogram: each subject's mean "
        "prediction over the resamples that left it out (oob_pooled), which speaks of a bagged model. "
        "Band: pointwise 95 % sampling band of the solid curve, for the predictions as they are; that other "
        "patients also give other models, and the bias of smoothing, are not in it; it ends at 0 and 1, "
        "which the curve can leave. Dashed: the model trained and judged on everybody (apparent). "
        f"Dotted: perfect calibration. {RULE}"
    ),
    queries={
        "curves": _CURVES,
        "groups": _GROUPS,
        "histogram": _HISTOGRAM,
        "slopes": _SLOPES,
        "chosen": CHOSEN,
    },
    draw=_draw,
    needs=("v_leaderboard", "calibration_curves"),
    part="Calibration",
)

"""ROC curves of the selected combinations, with the band of the refits."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import GREY, PALE, Background, legend_below, line_colour, records, with_interval

_CURVES = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, c.fpr, c.tpr, c.tpr_lo, c.tpr_hi
FROM selected s JOIN roc_curves c USING (run_id)
WHERE c.estimator = 'oob' AND c.tpr IS NOT NULL
ORDER BY s.selection_order, c.point
"""
_ESTIMATES = f"""
WITH {SELECTED}
SELECT s.selection_order, e.auroc, e.auroc_lo, e.auroc_hi
FROM selected s JOIN essential_metrics e USING (run_id) ORDER BY s.selection_order
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    chosen, curves = tables["chosen"], tables["curves"]
    estimates = tables["estimates"].set_index("selection_order")
    sheet, panels = grid(len(chosen), square=True)
    first = curves[curves["selection_order"] == 1]
    for axes, row in zip(panels, records(chosen), strict=True):
        order = row["selection_order"]
        curve, colour = curves[curves["selection_order"] == order], line_colour(order)
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.6, linestyle=":")
        axes.fill_between(
            curve["fpr"], curve["tpr_lo"], curve["tpr_hi"], color=colour, alpha=0.18, linewidth=0, gid="band"
        )
        if order > 1:
            axes.plot(
                first["fpr"], first["tpr"], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), gid="reference"
            )
        axes.plot(curve["fpr"], curve["tpr"], color=colour, gid="curve")
        value = estimates.loc[order]
        words = "AUROC " + with_interval(*value[["auroc", "auroc_lo", "auroc_hi"]]).replace(" (", "\n(")
        axes.text(0.97, 0.05, words, ha="right", va="bottom", fontsize=6)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label_edges(panels, "1 - specificity", "Sensitivity")
    heads(panels, chosen, background)
    legend_below(sheet, _legend(len(chosen)), columns=2)
    return sheet


def _legend(count: int) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=GREY, label="mean over the resamples (in brackets: 95 % sampling interval)"),
        Patch(color=GREY, alpha=0.3, label="95 % of the refits: no confidence interval"),
    ]
    if count > 1:
        dashes: Any = (0, (4, 2))
        handles.append(
            Line2D([], [], color=GREY, linewidth=0.7, linestyle=dashes, label="the first panel's curve")
        )
    return [*handles, Line2D([], [], color=PALE, linewidth=0.6, linestyle=":", label="chance")]


ROC = Figure(
    name="roc",
    title="ROC curves, out-of-bag mean over resamples",
    caption=(
        "Line: mean true-positive rate over the resamples on the subjects left out (oob). Band: 2.5 to "
        "97.5 percentile over the refits, which is instability of the model and no confidence interval. In "
        f"brackets: 95 % sampling interval of the AUROC. Grey dashes: the first panel's curve. {RULE}"
    ),
    queries={"curves": _CURVES, "chosen": CHOSEN, "estimates": _ESTIMATES},
    draw=_draw,
    needs=("v_leaderboard", "roc_curves"),
    part="Discrimination",
)

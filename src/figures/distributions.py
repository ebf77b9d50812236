"""Where the predicted probabilities of cases and controls lie."""

from __future__ import annotations

from matplotlib.figure import Figure as Sheet
from matplotlib.patches import Patch

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import CASES, CONTROLS, Background, legend_below, records

_BARS = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, d.y, d.bin, d.p_lo, d.p_hi, d.n, d.share
FROM selected s JOIN probability_distributions d USING (run_id)
ORDER BY s.selection_order, d.y, d.bin
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    bars = tables["bars"]
    sheet, panels = grid(len(tables["chosen"]), height_mm=44)
    for axes, row in zip(panels, records(tables["chosen"]), strict=True):
        for y, colour in ((0, CONTROLS), (1, CASES)):
            part = bars[(bars["selection_order"] == row["selection_order"]) & (bars["y"] == y)]
            if part.empty:
                continue
            width = part["p_hi"] - part["p_lo"]
            axes.bar(
                part["p_lo"],
                part["share"],
                width=width,
                align="edge",
                color=colour,
                alpha=0.35,
                gid=f"class {y}",
            )
            edges = [*part["p_lo"], part["p_hi"].iloc[-1]]
            axes.stairs(part["share"], edges, color=colour, linewidth=0.9, gid="outline")
        axes.set_xlim(-0.02, 1.02)
    label_edges(panels, "Predicted probability", "Share of the class")
    heads(panels, tables["chosen"], background)
    handles = [
        Patch(color=CONTROLS, alpha=0.6, label="controls"),
        Patch(color=CASES, alpha=0.6, label="glaucoma"),
    ]
    legend_below(sheet, handles, columns=2)
    return sheet


DISTRIBUTIONS = Figure(
    name="probability_distributions",
    title="Predicted probabilities by outcome: out-of-bag means (oob_pooled)",
    caption=(
        "Histogram of each recording's mean prediction over the models that left it out (oob_pooled), as a "
        f"share of its outcome class. {RULE}"
    ),
    queries={"bars": _BARS, "chosen": CHOSEN},
    draw=_draw,
    needs=("v_leaderboard", "probability_distributions"),
    part="Discrimination",
)

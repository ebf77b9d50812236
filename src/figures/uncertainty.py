"""Where the models are uncertain: the scatter of a recording's probability, and the parts of its entropy."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import CASES, CONTROLS, GREY, Background, legend_below, records

_MARKS = f"""
WITH {SELECTED},
quantities AS (
    UNPIVOT (
        SELECT run_id, recording_code, y, p_oob, (p_oob >= 0.5) <> (y = 1) AS wrong,
               p_oob_sd, mutual_information, expected_entropy
        FROM predictions WHERE p_oob IS NOT NULL
    ) ON p_oob_sd, mutual_information, expected_entropy INTO NAME quantity VALUE amount
)
SELECT s.selection_order, s.run_id, q.recording_code, q.y, q.p_oob, q.wrong, q.quantity, q.amount
FROM selected s JOIN quantities q USING (run_id)
ORDER BY s.selection_order, q.quantity, q.wrong, q.y, q.recording_code
"""
_QUANTITIES = {
    "p_oob_sd": "SD of the\nprobability",
    "mutual_information": "Mutual\ninformation (nats)",
    "expected_entropy": "Expected\nentropy (nats)",
}
_CLASSES = ((0, CONTROLS, "controls"), (1, CASES, "glaucoma"))


def _draw(tables: Tables, background: Background) -> Sheet:
    chosen, marks = tables["chosen"], tables["marks"]
    sheet, stacks = grid(len(chosen), height_mm=92, parts=(1,) * len(_QUANTITIES))
    for stack, row in zip(stacks, records(chosen), strict=True):
        part = marks[marks["selection_order"] == row["selection_order"]]
        for axes, quantity in zip(stack, _QUANTITIES, strict=True):
            _panel(axes, part[part["quantity"] == quantity])
    for number, words in enumerate(_QUANTITIES.values()):
        lowest = number == len(_QUANTITIES) - 1
        label_edges([stack[number] for stack in stacks], "Mean probability" if lowest else "", words)
    heads([stack[0] for stack in stacks], chosen, background)
    legend_below(sheet, _legend(), columns=3)
    return sheet


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    axes.axvline(0.5, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), gid="one half")
    for y, colour, _ in _CLASSES:
        of_class = part[part["y"] == y]
        right, wrong = of_class[~of_class["wrong"]], of_class[of_class["wrong"]]
        look: dict[str, Any] = {"color": colour, "alpha": 0.6, "linewidths": 0}
        axes.scatter(right["p_oob"], right["amount"], s=5, gid="right", **look)
        look = {"color": colour, "marker": "x", "linewidths": 0.9, "zorder": 3}
        axes.scatter(wrong["p_oob"], wrong["amount"], s=13, gid="wrong", **look)
    axes.set_xlim(-0.03, 1.03)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _legend() -> list[Line2D]:
    looks: dict[str, dict[str, Any]] = {
        "class at 0.5 right": {"marker": "o", "markersize": 3},
        "class at 0.5 wrong": {"marker": "x", "markersize": 4},
    }
    handles = [
        Line2D([], [], color=colour, linewidth=0, label=f"{name}, {words}", **look)
        for words, look in looks.items()
        for _, colour, name in _CLASSES
    ]
    return [*handles, Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), label="0.5")]


UNCERTAINTY = Figure(
    name="uncertainty",
    title="Uncertainty against probability of the left-out recordings",
    caption=(
        "One mark per recording, at its mean probability over the models that left it out (oob_pooled). "
        "Top: standard deviation of that probability over these models. Middle: mutual information, how much "
        "the models disagree. Bottom: expected entropy, how undecided each of them is; the two sum to the "
        "entropy of the mean probability (in nats, at most ln 2 = 0.69). Crosses: the mean probability lies "
        f"on the wrong side of 0.5. {RULE}"
    ),
    queries={"marks": _MARKS, "chosen": CHOSEN},
    draw=_draw,
    needs=("v_leaderboard", "predictions"),
    part="Stability",
)

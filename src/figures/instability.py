"""Instability of the selected combinations (Riley & Collins 2023): how far the bootstrap models scatter.

Four plots: of the predictions, the calibration curves, the classes and the decision curves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.panels import grid, heads, label_edges
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import CASES, CONTROLS, GREY, INK, PALE, Background, legend_below, line_colour, records

_SUBJECTS = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, p.recording_code, p.y, p.p_apparent, i.p_lo, i.p_hi
FROM selected s JOIN instability_subjects i USING (run_id) JOIN predictions p USING (run_id, recording_code)
WHERE p.p_apparent IS NOT NULL AND i.p_lo IS NOT NULL
ORDER BY s.selection_order, p.y, p.recording_code
"""
_FLIPS = f"""
WITH {SELECTED},
rates AS (
    SELECT run_id, recording_code, unnest([0.10, 0.50]) AS threshold,
           unnest([flip_rate_10, flip_rate_50]) AS flip_rate
    FROM instability_subjects
)
SELECT s.selection_order, s.run_id, p.recording_code, p.y, p.p_apparent, r.threshold, r.flip_rate
FROM selected s JOIN rates r USING (run_id) JOIN predictions p USING (run_id, recording_code)
WHERE p.p_apparent IS NOT NULL AND r.flip_rate IS NOT NULL
ORDER BY s.selection_order, r.threshold, p.y, p.recording_code
"""
_CALIBRATION = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, c.x, c.lo, c.median, c.hi, c.original
FROM selected s JOIN instability_curves c USING (run_id)
WHERE c.curve = 'calibration' ORDER BY s.selection_order, c.point
"""
_DECISION = f"""
WITH {SELECTED}, floor AS (SELECT -prevalence_study / 4 AS lowest FROM provenance)
SELECT s.selection_order, s.run_id, c.x,
       CASE WHEN c.hi >= f.lowest THEN greatest(c.lo, f.lowest) END AS lo,
       CASE WHEN c.hi >= f.lowest THEN c.hi END AS hi,
       CASE WHEN c.original >= f.lowest THEN c.original END AS original,
       CASE WHEN d.treat_all >= f.lowest THEN d.treat_all END AS treat_all
FROM selected s JOIN instability_curves c USING (run_id) CROSS JOIN floor f
LEFT JOIN decision_curves d ON d.run_id = s.run_id AND d.estimator = 'apparent' AND d.population = 'study'
    AND round(100 * d.threshold) = round(100 * c.x)
WHERE c.curve = 'decision' AND c.x <= 0.605 ORDER BY s.selection_order, c.point
"""
_SUMMARY = f"""
WITH {SELECTED}
SELECT s.selection_order, s.run_id, i.*
FROM selected s JOIN instability_summary i USING (run_id) ORDER BY s.selection_order
"""
_CLASSES = ((0, CONTROLS, "controls"), (1, CASES, "glaucoma"))
_FLIPPED_AT = {0.10: "flip_rate_10_mean", 0.50: "flip_rate_50_mean"}
_EVERYBODY = (
    "The original model is the one trained on everybody, a bootstrap model the one of a resample; each "
    "predicts all recordings, those it was trained on included. Spread over the bootstrap models is "
    "instability of the model, and no confidence interval."
)
_ABSENT = "left-out predictions only"
_NONE = "the runs of the combinations shown store left-out predictions only"
_SOURCE = "Riley and Collins 2023"
_ORIGINAL = "Probability from the original model"

Part = Mapping[str, Any]
"""Of one combination: its rows of each query under the query's name, and its colour."""


def _draw(
    tables: Tables,
    background: Background,
    *,
    panel: Callable[[Any, Part], None],
    labels: tuple[str, str],
    legend: Sequence[Artist],
    parts: tuple[float, ...] = (1,),
) -> Sheet:
    """One panel, or stack of panels, per combination; one without rows says so."""
    chosen = tables["chosen"]
    sheet, panels = grid(len(chosen), height_mm=72, parts=parts, square=len(parts) == 1)
    for axes, row in zip(panels, records(chosen), strict=True):
        order = row["selection_order"]
        part: dict[str, Any] = {
            name: table[table["selection_order"] == order] for name, table in tables.items()
        }
        panel(axes, part | {"colour": line_colour(order)})
    stacks = [axes if len(parts) > 1 else [axes] for axes in panels]
    for number in range(len(parts)):
        lowest = number == len(parts) - 1
        label_edges([stack[number] for stack in stacks], labels[0] if lowest else "", labels[1])
    heads([stack[0] for stack in stacks], chosen, background)
    legend_below(sheet, legend, columns=3)
    return sheet


def _say(axes: Axes, words: str, x: float, y: float, where: str) -> None:
    """Write in a corner of a panel: `where` it starts, 'left' or 'right', and stands, 'top' or 'bottom'."""
    across, along = where.split()
    axes.text(x, y, words, transform=axes.transAxes, ha=across, va=along, fontsize=6, gid="words")


def _numbers(part: Part) -> dict[str, Any]:
    """The summary of the combination; empty where it stores left-out predictions only."""
    rows = records(part["summary"])
    return rows[0] if rows else {}


def _filled(words: str, numbers: Mapping[str, Any]) -> str:
    """Fill in the summary's numbers; a line of which one is undefined says that alone."""
    if not numbers:
        return _ABSENT
    lines = (line.format(**numbers) for line in words.split("\n"))
    return "\n".join("undefined" if re.search(r"\bnan\b", line) else line for line in lines)


def _predictions(axes: Axes, part: Part) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.7, linestyle=":")
    for y, colour, _ in _CLASSES:
        rows = part["subjects"][part["subjects"]["y"] == y]
        look: dict[str, Any] = {"colors": colour, "linewidth": 0.8, "alpha": 0.55, "gid": f"class {y}"}
        axes.vlines(rows["p_apparent"], rows["p_lo"], rows["p_hi"], **look)
    numbers = _numbers(part)
    words = "mean absolute difference\n{mape_mean:.3f} (largest {mape_max:.3f})"
    _say(axes, _filled(words, numbers), 0.03, 0.97, "left top")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def _calibration(axes: Axes, part: Part) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.7, linestyle=":")
    _band(axes, part["curves"], part["colour"])
    numbers = _numbers(part)
    words = "slope {cal_slope_lo:.2f} to {cal_slope_hi:.2f}\nO:E {oe_ratio_lo:.2f} to {oe_ratio_hi:.2f}"
    _say(axes, _filled(words, numbers), 0.03, 0.97, "left top")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def _band(axes: Axes, curve: pd.DataFrame, colour: str) -> None:
    axes.fill_between(curve["x"], curve["lo"], curve["hi"], color=colour, alpha=0.2, linewidth=0, gid="band")
    axes.plot(curve["x"], curve["original"], color=colour, gid="original")


def _classes(stack: Sequence[Axes], part: Part) -> None:
    flips, numbers = part["flips"], _numbers(part)
    for axes, (threshold, column) in zip(stack, _FLIPPED_AT.items(), strict=True):
        axes.axvline(threshold, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), gid="threshold")
        for y, colour, _ in _CLASSES:
            rows = flips[(flips["threshold"] == threshold) & (flips["y"] == y)]
            look: dict[str, Any] = {"color": colour, "alpha": 0.6, "linewidths": 0, "gid": f"class {y}"}
            axes.scatter(rows["p_apparent"], rows["flip_rate"], s=6, **look)
        words = f"at {threshold:.2f}: mean {{{column}:.3f}}"
        _say(axes, _filled(words, numbers), 0.97, 0.97, "right top")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.05, 1.3), yticks=(0, 0.5, 1))
        axes.spines["left"].set_bounds(-0.05, 1)  # above it there is room for the words only


def _decision(axes: Axes, part: Part) -> None:
    curve = part["curves"]
    axes.axhline(0, color=INK, linewidth=0.7, gid="treat none")
    axes.plot(curve["x"], curve["treat_all"], color=GREY, linewidth=1.2, linestyle=":", gid="treat all")
    _band(axes, curve, part["colour"])
    if curve.empty:
        _say(axes, _ABSENT, 0.97, 0.97, "right top")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


_BY_CLASS = [Line2D([], [], color=colour, linewidth=2, label=words) for _, colour, words in _CLASSES]
_DIAGONAL = Line2D([], [], color=PALE, linewidth=0.7, linestyle=":", label="no difference")
_CURVE = [
    Line2D([], [], color=GREY, label="original model"),
    Patch(color=GREY, alpha=0.3, label="95 % of the bootstrap models: no confidence interval"),
]

PREDICTION = Figure(
    name="instability_prediction",
    title="Prediction instability: 95 % of the models' probabilities",
    caption=(
        "One line per recording, from the 2.5 to the 97.5 percentile of the bootstrap models' probabilities, "
        "at the probability from the original model; dotted: no difference. In words: the absolute "
        "difference from the original model, averaged over models and recordings, and that of the recording "
        f"with the largest. {_EVERYBODY} {_SOURCE}. {RULE}"
    ),
    queries={"subjects": _SUBJECTS, "summary": _SUMMARY, "chosen": CHOSEN},
    draw=partial(
        _draw,
        panel=_predictions,
        labels=(_ORIGINAL, "From the bootstrap models"),
        legend=[*_BY_CLASS, _DIAGONAL],
    ),
    needs=("v_leaderboard", "instability_subjects"),
    part="Stability",
    when_empty=_NONE,
)
CALIBRATION = Figure(
    name="instability_calibration",
    title="Calibration instability: the models' recalibration curves",
    caption=(
        "Logistic recalibration curves, expit(a + b logit p): line, the original model; band, 2.5 to 97.5 "
        "percentile over the bootstrap models at each probability; dotted, perfect calibration. In words: "
        "the same percentiles of the calibration slope and of observed over expected cases. "
        f"{_EVERYBODY} {_SOURCE}. {RULE}"
    ),
    queries={"curves": _CALIBRATION, "summary": _SUMMARY, "chosen": CHOSEN},
    draw=partial(
        _draw,
        panel=_calibration,
        labels=("Predicted probability", "Recalibrated probability"),
        legend=[*_CURVE, Line2D([], [], color=PALE, linewidth=0.7, linestyle=":", label="perfect")],
    ),
    needs=("v_leaderboard", "instability_curves"),
    part="Stability",
    when_empty=_NONE,
)
CLASSIFICATION = Figure(
    name="instability_classification",
    title="Classification instability: how many models decide otherwise",
    caption=(
        "One mark per recording: the share of the bootstrap models that put it on the other side of the "
        "threshold (dashed; 0.10 above, 0.50 below) than the original model, against the probability from "
        f"the original model. In words: the mean over the recordings. {_EVERYBODY} {_SOURCE}. {RULE}"
    ),
    queries={"flips": _FLIPS, "summary": _SUMMARY, "chosen": CHOSEN},
    draw=partial(
        _draw,
        panel=_classes,
        labels=(_ORIGINAL, "Flip rate"),
        legend=[
            *(
                Line2D([], [], color=colour, linewidth=0, marker="o", markersize=3, label=words)
                for _, colour, words in _CLASSES
            ),
            Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), label="threshold"),
        ],
        parts=(1, 1),
    ),
    needs=("v_leaderboard", "instability_subjects"),
    part="Stability",
    when_empty=_NONE,
)
DECISION = Figure(
    name="instability_decision",
    title="Decision instability: the models' net benefit",
    caption=(
        "Net benefit at the study's prevalence: line, the original model; band, 2.5 to 97.5 percentile over "
        "the bootstrap models at each threshold. Curves and band are drawn down to minus a quarter of the "
        "prevalence. As models are judged on recordings they were trained on, this is more favourable than "
        f"the out-of-bag decision curves. {_EVERYBODY} {_SOURCE}. {RULE}"
    ),
    queries={"curves": _DECISION, "chosen": CHOSEN},
    draw=partial(
        _draw,
        panel=_decision,
        labels=("Threshold probability", "Net benefit per patient"),
        legend=[
            *_CURVE,
            Line2D([], [], color=GREY, linewidth=1.2, linestyle=":", label="treat everybody"),
            Line2D([], [], color=INK, linewidth=0.7, label="treat nobody"),
        ],
    ),
    needs=("v_leaderboard", "instability_curves"),
    part="Stability",
    when_empty=_NONE,
)

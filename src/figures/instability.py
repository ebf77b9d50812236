"""Instability of the selected combinations (Riley & Collins 2023): how far the bootstrap models scatter.

Four plots: of the predictions, the calibration curves, the classes and the decision curves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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
_CHOSEN = f"""
WITH {SELECTED}
SELECT * FROM selected WHERE run_id IN (SELECT run_id FROM {{table}}) ORDER BY selection_order
"""
_CLASSES = ((0, CONTROLS, "controls"), (1, CASES, "glaucoma"))
_EVERYBODY = (
    "The original model is the one trained on everybody; each bootstrap model is one of the resamples', and "
    "all predict all recordings, those they were trained on included. The spread is instability of the "
    "model, and no confidence interval."
)


def _panels(
    tables: Tables,
    background: Background,
    about: str,
    panel: Callable[[Axes, pd.DataFrame, dict[str, Any]], None],
    y: str,
) -> Sheet:
    """One square panel per combination; its words come from the summary."""
    chosen = tables["chosen"]
    summary = tables["summary"].set_index("selection_order")
    sheet, panels = grid(len(chosen), square=True)
    for axes, row in zip(panels, records(chosen), strict=True):
        order = row["selection_order"]
        part = tables[about][tables[about]["selection_order"] == order]
        panel(axes, part, {"colour": line_colour(order), **summary.loc[order]})
    label_edges(panels, "Probability from the original model", y)
    heads(panels, chosen, background)
    return sheet

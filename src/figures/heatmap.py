"""Heat maps: outlier method by imputation method, one panel per classifier."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Sheet
from matplotlib.patches import Rectangle

from src.figures.figure import Figure, Tables
from src.figures.style import (
    CASES,
    COLOURMAP,
    GREY,
    WIDTHS_MM,
    Background,
    new_sheet,
    readable_on,
    records,
    strip_axes,
    wrap,
)

_CELLS = """
SELECT v.featurization, v.classifier, v.outlier_method, v.imputation_method, v.status, v.reason,
       v.value, v.run_id,
       v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order,
       dense_rank() OVER (ORDER BY v.outlier_order, v.outlier_method) - 1 AS y,
       dense_rank() OVER (ORDER BY v.imputation_order, v.imputation_method) - 1 AS x,
       dense_rank() OVER (
           ORDER BY v.featurization_order, v.featurization, v.classifier_order, v.classifier
       ) - 1 AS panel,
       l.rank IS NOT DISTINCT FROM 1 AS champion
FROM v_heatmap v LEFT JOIN v_leaderboard l USING (run_id)
WHERE v.metric = '{metric}'
ORDER BY panel, y, x
"""
_WIDE = 10
"""Up to this many columns two panels stand side by side."""
_TEXT_NEEDS_MM = 6.5
_LETTER_MM, _ROW_MM, _BAR_MM = 1.45, 4.5, 18


def _draw(tables: Tables, background: Background, *, better: str, colours: str) -> Sheet:
    cells = tables["cells"]
    n_panels, n_rows, n_columns = (int(cells[column].max()) + 1 for column in ("panel", "y", "x"))
    across = min(n_panels, 3 if n_columns <= 4 else 2 if n_columns <= _WIDE else 1)
    down = -(-n_panels // across)
    names_mm = _LETTER_MM * max(len(background.label("outlier", name)) for name in cells["outlier_method"])
    cell_mm = (WIDTHS_MM["double"] - names_mm - _BAR_MM) / across / n_columns
    letters = int(cell_mm / _LETTER_MM)
    labels = [background.label("imputation", name) for name in cells["imputation_method"].unique()]
    turned = any(len(word) > letters - 1 for label in labels for word in re.split(r"[\s-]", label))
    sheet = new_sheet("double", down * (max(_ROW_MM * n_rows, 28) + 11) + (24 if turned else 8))
    panels = sheet.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    scale = ScalarMappable(
        Normalize(cells["value"].min(), cells["value"].max()), matplotlib.colormaps[colours]
    )
    for axes, (_, part) in zip(panels, cells.groupby("panel"), strict=False):
        _panel(axes, part, scale, cell_mm)
        axes.set_title(_panel_title(part.iloc[0], cells, background))
    _name_axes(panels, cells, background, across, 0 if turned else letters)
    for axes in panels[n_panels:]:
        axes.set_visible(False)
    bar = sheet.colorbar(
        scale,
        ax=list(panels[:n_panels]),
        shrink=min(1, 40 / (down * max(_ROW_MM * n_rows, 28))),
        pad=0.01,
        aspect=18,
    )
    bar.set_label(better)
    bar.outline.set_visible(False)
    return sheet


def _panel(axes: Axes, cells: pd.DataFrame, scale: ScalarMappable, cell_mm: float) -> None:
    for cell in records(cells):
        if pd.isna(cell["value"]):
            _square(
                axes, cell, 0.5, facecolor="white", edgecolor=GREY, hatch="/////", linewidth=0, gid="missing"
            )
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            _write(axes, cell, _absent(cell, cell_mm), bbox=box)
            continue
        colour = tuple(scale.to_rgba(cell["value"]))
        _square(axes, cell, 0.5, facecolor=colour, edgecolor="white", linewidth=0.5, gid="value")
        if cell_mm >= _TEXT_NEEDS_MM:
            _write(axes, cell, f"{cell['value']:.3f}", color=readable_on(colour))
    for cell in records(cells[cells["champion"]]):
        _square(axes, cell, 0.46, fill=False, edgecolor=CASES, linewidth=1.6, gid="champion")


def _square(axes: Axes, cell: dict[str, Any], half: float, **look: Any) -> None:
    axes.add_patch(Rectangle((cell["x"] - half, cell["y"] - half), 2 * half, 2 * half, **look))


def _write(axes: Axes, cell: dict[str, Any], words: str, **look: Any) -> None:
    axes.text(cell["x"], cell["y"], words, ha="center", va="center", fontsize=5.5, **look)


def _absent(cell: dict[str, Any], cell_mm: float) -> str:
    word = cell["status"] if cell["status"] != "finished" else "undefined"
    return word if cell_mm >= _TEXT_NEEDS_MM * 1.2 else word[0]


def _panel_title(cell: pd.Series, cells: pd.DataFrame, background: Background) -> str:
    title = background.label("classifier", cell["classifier"])
    if len(set(cells["featurization"])) > 1:
        title += f"\n{background.label('features', cell['featurization'])}"
    return title


def _name_axes(
    panels: np.ndarray, cells: pd.DataFrame, background: Background, across: int, letters: int
) -> None:
    rows = cells.drop_duplicates("y").sort_values("y")
    columns = cells.drop_duplicates("x").sort_values("x")
    n_panels = int(cells["panel"].max()) + 1
    crowded = len(columns) > 30
    for number, axes in enumerate(panels[:n_panels]):
        strip_axes(axes)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(rows["y"], [background.label("outlier", name) for name in rows["outlier_method"]])
        names = [background.label("imputation", name) for name in columns["imputation_method"]]
        axes.set_xticks(columns["x"], [wrap(name, letters) for name in names] if letters else names)
        axes.tick_params(axis="x", rotation=0 if letters else 90, labelsize=5 if crowded else 6.5)
        axes.tick_params(labelbottom=number + across >= n_panels, labelleft=number % across == 0)
        above_a_gap = number // across < (n_panels - 1) // across
        axes.xaxis.set_in_layout(not above_a_gap)  # its labels hang into the empty place below it


def _heatmap(metric: str, words: str, better: str, colours: str) -> Figure:
    return Figure(
        name=f"heatmap_{metric}",
        title=f"{words} of every outlier method with every imputation method",
        caption=(
            f"{words}, out-of-bag mean (oob), one panel per classifier, one cell per combination, one "
            "colour scale. White: not planned. Hatched: planned and not there, with the reason's kind (f: "
            "failed, m: missing where cells are narrow). Framed: the champion, lowest out-of-bag Brier score "
            "of all (ties: higher AUROC)."
        ),
        queries={"cells": _CELLS.format(metric=metric)},
        draw=partial(_draw, better=better, colours=colours),
        needs=("v_heatmap", "v_leaderboard"),
        part="Which combination is best",
    )


AUROC = _heatmap("auroc", "AUROC", "AUROC (higher is better)", COLOURMAP)
BRIER = _heatmap("brier", "Brier score", "Brier score (lower is better)", f"{COLOURMAP}_r")

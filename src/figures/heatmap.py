"""Heat maps: outlier method by imputation method, one panel per classifier."""

from __future__ import annotations

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
from src.figures.style import COLOURMAP, GREY, INK, Background, new_sheet, readable_on, strip_axes, wrap

_CELLS = """
SELECT v.featurization, v.classifier, v.outlier_method, v.imputation_method, v.status, v.reason, v.value, v.run_id,
       v.featurization_order, v.classifier_order, v.outlier_order, v.imputation_order,
       dense_rank() OVER (ORDER BY v.outlier_order, v.outlier_method) - 1 AS y,
       dense_rank() OVER (ORDER BY v.imputation_order, v.imputation_method) - 1 AS x,
       dense_rank() OVER (ORDER BY v.featurization_order, v.featurization, v.classifier_order, v.classifier) - 1
           AS panel,
       l.rank IS NOT DISTINCT FROM 1 AS champion
FROM v_heatmap v LEFT JOIN v_leaderboard l USING (run_id)
WHERE v.metric = '{metric}'
ORDER BY panel, y, x
"""
_WIDE = 10
"""Up to this many columns two panels stand side by side."""
_TEXT_NEEDS_MM = 6.5
_FLAT = 14
"""Letters in a line of a label that is not turned."""


def _draw(tables: Tables, background: Background, *, better: str, colours: str) -> Sheet:
    cells = tables["cells"]
    n_panels, n_rows, n_columns = (int(cells[column].max()) + 1 for column in ("panel", "y", "x"))
    across = min(n_panels, 3 if n_columns <= 4 else 2 if n_columns <= _WIDE else 1)
    down = -(-n_panels // across)
    cell_mm = (174 - 38 - 16) / across / n_columns
    labels = [background.label("imputation", name) for name in cells["imputation_method"].unique()]
    turned = max(len(line) for label in labels for line in wrap(label, _FLAT).split("\n")) * 1.3 > cell_mm
    sheet = new_sheet("double", down * (n_rows * 5.2 + 8) + (24 if turned else 8))
    panels = sheet.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    scale = ScalarMappable(
        Normalize(cells["value"].min(), cells["value"].max()), matplotlib.colormaps[colours]
    )
    for axes, (_, part) in zip(panels, cells.groupby("panel"), strict=False):
        _panel(axes, part, scale, cell_mm)
        axes.set_title(_panel_title(part.iloc[0], cells, background))
    _name_axes(panels, cells, background, across, turned)
    for axes in panels[n_panels:]:
        axes.set_visible(False)
    bar = sheet.colorbar(
        scale, ax=list(panels[:n_panels]), shrink=min(1, 40 / (down * n_rows * 5)), pad=0.01, aspect=18
    )
    bar.set_label(better)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return sheet


def _panel(axes: Axes, cells: pd.DataFrame, scale: ScalarMappable, cell_mm: float) -> None:
    for cell in cells.to_dict("records"):
        corner = (cell["x"] - 0.5, cell["y"] - 0.5)
        if pd.isna(cell["value"]):
            patch = Rectangle(
                corner, 1, 1, facecolor="white", edgecolor=GREY, hatch="/////", linewidth=0, gid="missing"
            )
            text, ink = _absent(cell, cell_mm), INK
        else:
            colour = scale.to_rgba(cell["value"])
            patch = Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=0.5, gid="value")
            text, ink = f"{cell['value']:.3f}" if cell_mm >= _TEXT_NEEDS_MM else "", readable_on(colour)
        axes.add_patch(patch)
        if text:
            background = (
                {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
                if ink == INK and pd.isna(cell["value"])
                else None
            )
            axes.text(
                cell["x"], cell["y"], text, ha="center", va="center", fontsize=5.5, color=ink, bbox=background
            )
    for cell in cells[cells["champion"]].to_dict("records"):
        axes.add_patch(Rectangle((cell["x"] - 0.47, cell["y"] - 0.44), 0.94, 0.88, fill=False, edgecolor="#D55E00",
                                 linewidth=1.6, gid="champion"))  # fmt: skip


def _absent(cell: dict[str, Any], cell_mm: float) -> str:
    word = cell["status"] if cell["status"] != "finished" else "undefined"
    return word if cell_mm >= _TEXT_NEEDS_MM * 1.2 else word[0]


def _panel_title(cell: pd.Series, cells: pd.DataFrame, background: Background) -> str:
    title = background.label("classifier", cell["classifier"])
    if len(set(cells["featurization"])) > 1:
        title += f", {background.label('features', cell['featurization'])}"
    return title


def _name_axes(
    panels: np.ndarray, cells: pd.DataFrame, background: Background, across: int, turned: bool
) -> None:
    rows = cells.drop_duplicates("y").sort_values("y")
    columns = cells.drop_duplicates("x").sort_values("x")
    n_panels = int(cells["panel"].max()) + 1
    crowded = len(columns) > 30
    for number, axes in enumerate(panels[:n_panels]):
        strip_axes(axes)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(
            rows["y"], [wrap(background.label("outlier", name), 34) for name in rows["outlier_method"]]
        )
        names = [background.label("imputation", name) for name in columns["imputation_method"]]
        axes.set_xticks(
            columns["x"], names if crowded else [wrap(name, 28 if turned else _FLAT) for name in names]
        )
        axes.tick_params(axis="x", rotation=90 if turned else 0, labelsize=5 if crowded else 6.5)
        axes.tick_params(labelbottom=number + across >= n_panels, labelleft=number % across == 0)


def _heatmap(metric: str, words: str, better: str, colours: str) -> Figure:
    return Figure(
        name=f"heatmap_{metric}",
        title=f"{words} of every outlier method with every imputation method",
        caption=(
            f"{words}, out-of-bag mean (oob), one panel per classifier, one cell per combination, one "
            "colour scale. Hatched: planned and not there, with the reason's kind (f: failed, m: missing "
            "where cells are narrow). Framed: the champion, lowest out-of-bag Brier score of all (ties: "
            "higher AUROC)."
        ),
        queries={"cells": _CELLS.format(metric=metric)},
        draw=partial(_draw, better=better, colours=colours),
        needs=("v_heatmap", "v_leaderboard"),
    )


AUROC = _heatmap("auroc", "AUROC", "AUROC (higher is better)", COLOURMAP)
BRIER = _heatmap("brier", "Brier score", "Brier score (lower is better)", f"{COLOURMAP}_r")

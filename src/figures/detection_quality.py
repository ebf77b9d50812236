"""How well the detectors find artefacts: by type, overall, and what they flag without cause."""

from __future__ import annotations

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.panels import squares
from src.figures.style import (
    COLOURMAP,
    GREY,
    INK,
    Background,
    legend_below,
    new_sheet,
    readable_on,
    records,
    strip_axes,
    upright,
)

_DETECTORS = """
SELECT q.outlier_method, q.f1, q.f1_random, q."precision", q.recall, 100 * q.fpr AS fpr_pct,
       100 * c.hippus_flagged AS hippus_pct, q.evaluated_on,
       row_number() OVER (ORDER BY q.f1 DESC NULLS LAST, m.sort_order, q.outlier_method) - 1 AS place
FROM outlier_quality q
LEFT JOIN v_detector_checks c USING (outlier_method)
LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = q.outlier_method
WHERE q.artefact_type = 'all' ORDER BY place
"""
_TYPES = """
SELECT outlier_method, artefact_type, recall, max(n_artefact) OVER kind AS n_artefact,
       dense_rank() OVER (ORDER BY largest DESC, artefact_type) - 1 AS place
FROM (SELECT *, max(n_artefact) OVER (PARTITION BY artefact_type) AS largest FROM outlier_quality)
WHERE artefact_type <> 'all'
WINDOW kind AS (PARTITION BY artefact_type) ORDER BY place, outlier_method
"""
_SHARES = (("f1", "F1", "o"), ("precision", "precision", "<"), ("recall", "recall", ">"))
_ALARMS = (("fpr_pct", "clean samples", "s"), ("hippus_pct", "synthetic hippus alone", "D"))
_ROW_MM = 4.3


def _draw(tables: Tables, background: Background) -> Sheet:
    detectors, types = tables["detectors"], tables["types"]
    sheet = new_sheet("double", 22 + max(_ROW_MM * len(detectors), 24))
    n_types = types["artefact_type"].nunique()
    widths = [0.75 * n_types, 5, 3.4] if n_types else [5, 3.4]
    panels = list(sheet.subplots(1, len(widths), sharey=True, width_ratios=widths))
    colours = [background.colour("outlier", method) for method in detectors["outlier_method"]]
    if n_types:
        _recalls(panels[0], types.merge(detectors[["outlier_method", "place"]], on="outlier_method"))
    _shares(panels[-2], detectors, colours)
    _alarms(panels[-1], detectors, colours)
    labels = [_label(row, background) for row in records(detectors)]
    panels[0].set_yticks(detectors["place"], labels)
    panels[0].set_ylim(len(detectors) - 0.5, -0.5)
    legend_below(sheet, _legend(detectors), columns=4)
    return sheet


def _label(row: dict[str, Any], background: Background) -> str:
    """Name of a detector, with a dagger where it was judged on recordings it was fitted on."""
    name = background.label("outlier", row["outlier_method"])
    return f"{name} †" if row["evaluated_on"] == "fitted" else name


def _recalls(axes: Axes, cells: pd.DataFrame) -> None:
    known = cells[cells["recall"].notna()]
    colours = matplotlib.colormaps[COLOURMAP](known["recall"].to_numpy(float))
    squares(axes, known["place_x"], known["place_y"], colours, "recall of a type")
    for row, colour in zip(records(known), colours, strict=True):
        look: dict[str, Any] = {"color": readable_on(colour), "fontsize": 5.5, "ha": "center", "va": "center"}
        axes.text(row["place_x"], row["place_y"], f"{row['recall']:.2f}", **look)
    columns = cells.drop_duplicates("place_x").sort_values("place_x")
    names = [f"{row['artefact_type']}\n{row['n_artefact']:,}" for row in records(columns)]
    axes.set_xticks(columns["place_x"], names, fontsize=5.5)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xlabel("Type of artefact, and its samples")
    axes.set_title("Recall by type", loc="left")
    strip_axes(axes)


def _shares(axes: Axes, detectors: pd.DataFrame, colours: list[str]) -> None:
    place = detectors["place"]
    axes.vlines(detectors["f1_random"], place - 0.35, place + 0.35, colors=GREY, linewidth=1.4, gid="chance")
    _dots(axes, detectors, _SHARES, colours)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("Share (higher is better)")
    axes.set_title("All artefacts", loc="left")


def _alarms(axes: Axes, detectors: pd.DataFrame, colours: list[str]) -> None:
    _dots(axes, detectors, _ALARMS, colours)
    axes.set_xlabel("Flagged, % (lower is better)")
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title("False alarms", loc="left")


def _dots(
    axes: Axes, detectors: pd.DataFrame, kinds: tuple[tuple[str, str, str], ...], colours: list[str]
) -> None:
    for number, (column, _, marker) in enumerate(kinds):
        offset = 0.22 * (number - (len(kinds) - 1) / 2)
        inside = colours if number == 0 else "white"
        axes.scatter(detectors[column], detectors["place"] + offset, s=14, marker=marker, c=inside,
                     edgecolors=colours, linewidths=0.8, zorder=3, gid=column)  # fmt: skip
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend(detectors: pd.DataFrame) -> list[Line2D]:
    look: dict[str, Any] = {"linewidth": 0, "color": INK, "markersize": 4}
    handles = [
        Line2D([], [], marker=marker, markerfacecolor=INK if filled else "white", label=label, **look)
        for kinds in (_SHARES, _ALARMS)
        for filled, (_, label, marker) in zip((True, False, False), kinds, strict=False)
    ]
    handles.append(upright("F1 of chance"))
    if (detectors["evaluated_on"] == "fitted").any():
        handles.append(Line2D([], [], linewidth=0, label="† judged on recordings it was fitted on"))
    return handles


DETECTION_QUALITY = Figure(
    name="detection_quality",
    title="How well the detectors find artefacts",
    caption=(
        "Against the true mask, in samples, on recordings the detector was not fitted on unless its name "
        "carries a dagger; detectors by falling F1. Left: share of the samples of each type that was found "
        "(recall), types by falling number of samples. Middle: F1, precision and recall for all artefacts; "
        "bar: expected F1 of a random mask that flags as many samples of every recording. Right: clean "
        "samples flagged (false positive rate), and samples flagged in synthetic recordings of hippus and "
        "noise alone, where every flag is a false alarm: hippus is signal. The ground truth is right by "
        "definition."
    ),
    queries={"detectors": _DETECTORS, "types": _TYPES},
    draw=_draw,
    needs=("outlier_quality",),
    part="Quality of the cleaning",
    when_empty="no detector was held against a true mask",
)

"""Does better cleaning make for better screening: quality of detector and imputer against AUROC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.figure import Figure, Tables
from src.figures.style import GREY, INK, PALE, Background, legend_below, new_sheet, records, signed

_ENOUGH = 5
"""Methods below which no rank correlation is given."""

_CELLS = """
cells AS (
    SELECT 'outlier' AS stage, e.outlier_method AS method, e.imputation_method AS other_stage,
           q.f1 AS quality, e.*
    FROM v_leaderboard e
    LEFT JOIN outlier_quality q ON q.outlier_method = e.outlier_method AND q.artefact_type = 'all'
    UNION ALL
    SELECT 'imputation', e.imputation_method, e.outlier_method, q.mae, e.*
    FROM v_leaderboard e
    LEFT JOIN imputation_quality q ON q.outlier_method = e.outlier_method
        AND q.imputation_method = e.imputation_method AND q.gap = 'all'
),
drawn AS (SELECT * FROM cells WHERE quality IS NOT NULL AND auroc IS NOT NULL),
grids AS (
    SELECT stage, featurization, count(DISTINCT (other_stage, classifier)) AS n_others
    FROM drawn GROUP BY stage, featurization
),
averaged AS (
    SELECT d.stage, d.featurization, d.method, coalesce(m.category = 'ground truth', false) AS is_truth,
           round(avg(d.quality), 12) AS quality, round(avg(d.auroc), 12) AS auroc, count(*) AS n_cells,
           count(*) = any_value(g.n_others) AS complete
    FROM drawn d JOIN grids g USING (stage, featurization)
    LEFT JOIN methods m ON m.stage = d.stage AND m.name = d.method
    GROUP BY d.stage, d.featurization, d.method, m.category
)"""
_POINTS = f"""
WITH {_CELLS}
SELECT stage, featurization, method, run_id, quality, auroc, auroc_lo, auroc_hi,
       row_number() OVER (PARTITION BY stage, featurization ORDER BY rank, run_id) = 1 AS best
FROM drawn ORDER BY featurization, stage DESC, rank, run_id
"""
_MEANS = f"WITH {_CELLS} SELECT * FROM averaged ORDER BY featurization, stage DESC, auroc, method"
_ORDERS = f"""
WITH {_CELLS},
ranked AS (
    SELECT stage, featurization,
           rank() OVER by_quality + (count(*) OVER (PARTITION BY stage, featurization, quality) - 1) / 2 AS x,
           rank() OVER by_auroc + (count(*) OVER (PARTITION BY stage, featurization, auroc) - 1) / 2 AS y
    FROM averaged WHERE complete AND NOT is_truth
    WINDOW by_quality AS (PARTITION BY stage, featurization ORDER BY quality),
           by_auroc AS (PARTITION BY stage, featurization ORDER BY auroc)
)
SELECT stage, featurization, count(*) AS n_methods,
       CASE WHEN count(*) >= {_ENOUGH} THEN corr(x, y) END AS spearman
FROM ranked GROUP BY stage, featurization ORDER BY stage, featurization
"""
_LEFT_OUT = f"""
WITH {_CELLS}
SELECT stage, featurization, count(*) AS n_cells,
       count(*) FILTER (quality IS NULL OR auroc IS NULL) AS n_left_out
FROM cells GROUP BY stage, featurization ORDER BY stage, featurization
"""

_STAGES = (("outlier", "detector"), ("imputation", "imputer"))
_LABEL_MM, _AROUND_MM = 2.7, 18
_NAMED = 12
"""Of more than twice as many methods so many at either end are named."""


def _draw(tables: Tables, background: Background) -> Sheet:
    means = tables["means"]
    sets = list(means["featurization"].unique())
    most = min(2 * _NAMED, int(means.groupby(["featurization", "stage"]).size().max()))
    panel_mm = max(46, _LABEL_MM * most)
    sheet = new_sheet("double", len(sets) * (panel_mm + _AROUND_MM))
    panels = sheet.subplots(len(sets), 2, squeeze=False, sharey="row")
    for row, featurization in zip(panels, sets, strict=True):
        parts = [_part(tables, featurization, stage) for stage, _ in _STAGES]
        for axes, part, (stage, word) in zip(row, parts, _STAGES, strict=True):
            _panel(axes, part, background, stage)
            of = f", {background.label('features', featurization)}" if len(sets) > 1 else ""
            _head(axes, part, f"By {word}{of}")
        for axes, part in zip(row, parts, strict=True):  # when both have set the limits they share
            _label(axes, part["means"], background, _LABEL_MM / panel_mm)
        row[0].set_xlabel("F1 of the detector (higher is better)")
        row[1].set_xlabel(f"MAE of the imputer ({background.provenance['unit']}, lower is better)")
        row[0].set_ylabel("AUROC (higher is better)")
    legend_below(sheet, _legend(means), columns=3)
    return sheet


def _part(tables: Tables, featurization: str, stage: str) -> dict[str, pd.DataFrame]:
    return {
        name: table[(table["featurization"] == featurization) & (table["stage"] == stage)]
        for name, table in tables.items()
    }


def _panel(axes: Axes, part: Tables, background: Background, stage: str) -> None:
    points, means = part["points"], part["means"]
    colours = [background.colour(stage, method) for method in points["method"]]
    axes.scatter(
        points["quality"], points["auroc"], s=5, c=colours, alpha=0.6, linewidths=0, gid="combination"
    )
    best = points[points["best"]]
    axes.vlines(
        best["quality"], best["auroc_lo"], best["auroc_hi"], colors=INK, linewidth=0.8, gid="sampling"
    )
    for truth, marker in ((False, "o"), (True, "s")):
        rows = means[means["is_truth"] == truth]
        edges = [background.colour(stage, method) for method in rows["method"]]
        inside = [colour if full else "white" for colour, full in zip(edges, rows["complete"], strict=True)]
        look: dict[str, Any] = {"marker": marker, "linewidths": 1.1, "zorder": 3, "gid": "mean"}
        axes.scatter(rows["quality"], rows["auroc"], s=26, c=inside, edgecolors=edges, **look)


def _label(axes: Axes, means: pd.DataFrame, background: Background, gap: float) -> None:
    """Names beside the panel, in the order of the means, each joined to its mark."""
    if len(means) > 2 * _NAMED:
        means = pd.concat([means.head(_NAMED), means.tail(_NAMED)])
    low, high = axes.get_ylim()
    places = _spread((means["auroc"].to_numpy() - low) / (high - low), gap)
    line = {
        "arrowstyle": "-",
        "color": PALE,
        "linewidth": 0.4,
        "shrinkA": 0,
        "shrinkB": 2.5,
        "relpos": (0, 0.5),
    }
    for row, place in zip(records(means), places, strict=True):
        axes.annotate(
            background.label(row["stage"], row["method"]),
            (row["quality"], row["auroc"]),
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=5.5,
            arrowprops=line,
        )


def _spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Places in 0 to 1 near the wanted ones, which rise, with at least `gap` between neighbours."""
    steps = gap * np.arange(len(wanted))
    free = wanted - steps
    up, down = np.maximum.accumulate(free), np.minimum.accumulate(free[::-1])[::-1]
    return np.clip((up + down) / 2 + steps, steps, 1 - steps[::-1])


def _head(axes: Axes, part: Tables, title: str) -> None:
    """Title of a panel; below it the rank correlation, and how many combinations it cannot show."""
    notes = [
        f"Spearman {signed(row['spearman'])} over {row['n_methods']} means, descriptive"
        for row in records(part["orders"])
        if pd.notna(row["spearman"])
    ]
    if len(part["means"]) > 2 * _NAMED:
        notes.append(f"named: the {_NAMED} lowest and the {_NAMED} highest of {len(part['means'])} means")
    notes += [
        f"{row['n_left_out']} of {row['n_cells']} combinations without a number: not shown"
        for row in records(part["left_out"])
        if row["n_left_out"]
    ]
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 6}
    axes.annotate("\n".join(notes), (0, 1), xytext=(0, 3), **place)
    axes.set_title(title, loc="left", pad=5 + 8 * len(notes))


def _legend(means: pd.DataFrame) -> list[Line2D]:
    look: dict[str, Any] = {"linewidth": 0, "color": GREY, "markersize": 5}
    handles = [
        Line2D([], [], linewidth=0, color=GREY, marker="o", markersize=2.2, label="one combination"),
        Line2D([], [], marker="o", label="mean of a method's combinations", **look),
    ]
    if means["is_truth"].any():
        handles.append(Line2D([], [], marker="s", label="the same, ground truth", **look))
    if not means["complete"].all():
        words = "hollow: not in all cells of the others"
        handles.append(Line2D([], [], marker="o", markerfacecolor="white", label=words, **look))
    words = "95 % sampling interval of the best combination"
    return [*handles, Line2D([], [], color=INK, linewidth=0.8, label=words)]


QUALITY_AND_ACCURACY = Figure(
    name="quality_and_accuracy",
    title="Quality of the cleaning against screening accuracy",
    caption=(
        "Every combination twice: left at the F1 of its detector against the true mask (all artefacts), "
        "right at the mean absolute error of its imputer after its detector (all gaps), each against its "
        "out-of-bag AUROC (oob). Large: mean of a method's combinations in both directions, joined to its "
        "name; hollow where it lacks cells of the other factors that others have, so that its mean is not "
        "comparable. The ground truth is right by definition. An imputer is judged only where the detector "
        "flagged, so that its error depends on the detector too. All points share the same subjects and "
        "resamples: they are not independent, and nothing here is a test. The rank correlation (Spearman, "
        f"of the comparable means without ground truth, from {_ENOUGH} methods on) describes and infers "
        "nothing. Vertical line: the sampling interval of the combination with the lowest Brier score, the "
        "scale on which to read differences of AUROC. Means have no interval here; for differences see the "
        "method effects."
    ),
    queries={"points": _POINTS, "means": _MEANS, "orders": _ORDERS, "left_out": _LEFT_OUT},
    draw=_draw,
    needs=("v_leaderboard", "outlier_quality", "imputation_quality"),
    part="Quality of the cleaning",
    when_empty="no combination has both an AUROC and a quality of its detector or imputer",
)

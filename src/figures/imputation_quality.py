"""How close imputed samples come to the clean signal, by length of the gap, beside linear interpolation."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.style import GREY, INK, Background, legend_below, new_sheet, records, upright

_PAIRS = """
SELECT c.outlier_method, c.imputation_method, c.gap, c.mae, c.mae_linear, c.n_samples, q.evaluated_on
FROM v_imputer_checks c JOIN imputation_quality q USING (outlier_method, imputation_method, gap)
WHERE c.mae IS NOT NULL
"""
_IMPUTERS = f"""
WITH pairs AS ({_PAIRS}),
means AS (
    SELECT imputation_method, gap, avg(mae) AS mae, avg(mae_linear) AS mae_linear, count(*) AS n_detectors,
           count(*) FILTER (mae < mae_linear) AS n_better, count(mae_linear) AS n_compared,
           bool_or(evaluated_on = 'fitted') AS fitted
    FROM pairs GROUP BY imputation_method, gap
),
ordered AS (
    SELECT imputation_method, row_number() OVER (ORDER BY a.mae NULLS LAST, imputation_method) - 1 AS place
    FROM (SELECT DISTINCT imputation_method FROM means)
    LEFT JOIN (SELECT * FROM means WHERE gap = 'all') a USING (imputation_method)
)
SELECT m.*, o.place,
       n_detectors = max(n_detectors) OVER (PARTITION BY gap) AS complete
FROM means m JOIN ordered o USING (imputation_method) ORDER BY gap, place
"""
_GAPS = f"""
SELECT gap, row_number() OVER (ORDER BY gap <> 'all', list_position(
           ['up to 0.3 s', '0.3 to 1 s', 'longer than 1 s'], gap), gap) - 1 AS panel
FROM (SELECT DISTINCT gap FROM ({_PAIRS})) ORDER BY panel
"""
_ROW_MM = 4.6


def _draw(tables: Tables, background: Background) -> Sheet:
    gaps, means = tables["gaps"], tables["imputers"]
    pairs = tables["pairs"].merge(means[["imputation_method", "gap", "place"]])
    imputers = means.drop_duplicates("place").sort_values("place")
    sheet = new_sheet("double", 24 + max(_ROW_MM * len(imputers), 22))
    panels = sheet.subplots(1, len(gaps), sharey=True, squeeze=False)[0]
    for axes, gap in zip(panels, gaps["gap"], strict=True):
        _panel(axes, pairs[pairs["gap"] == gap], means[means["gap"] == gap], background)
        axes.set_xlabel(f"MAE ({background.provenance['unit']}, lower is better)", fontsize=6)
        axes.set_title("All gaps" if gap == "all" else f"Gaps {gap}", loc="left")
    panels[0].set_yticks(imputers["place"], [_label(row, background) for row in records(imputers)])
    panels[0].set_ylim(int(imputers["place"].max()) + 0.5, -0.5)
    legend_below(sheet, _legend(means), columns=3)
    return sheet


def _label(row: dict[str, Any], background: Background) -> str:
    """Name of an imputer, with a dagger where it was judged on recordings it was fitted on."""
    name = background.label("imputation", row["imputation_method"])
    return f"{name} †" if row["fitted"] else name


def _panel(axes: Axes, pairs: pd.DataFrame, means: pd.DataFrame, background: Background) -> None:
    of_pair, of_mean = (
        [background.colour("imputation", method) for method in table["imputation_method"]]
        for table in (pairs, means)
    )
    place = means["place"]
    axes.scatter(pairs["mae"], pairs["place"], s=5, c=of_pair, alpha=0.6, linewidths=0, gid="pair")
    axes.vlines(means["mae_linear"], place - 0.36, place + 0.36, colors=GREY, linewidth=1.4, gid="linear")
    inside = [colour if full else "white" for colour, full in zip(of_mean, means["complete"], strict=True)]
    axes.scatter(
        means["mae"], place, s=22, c=inside, edgecolors=of_mean, linewidths=1.1, zorder=3, gid="mean"
    )
    for row in records(means):
        if row["n_compared"]:
            words = f"{row['n_better']}/{row['n_compared']}"
            axes.annotate(words, (1.02, row["place"]), xycoords=("axes fraction", "data"), va="center",
                          fontsize=5.5)  # fmt: skip
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend(means: pd.DataFrame) -> list[Line2D]:
    look: dict[str, Any] = {"linewidth": 0, "color": INK}
    handles = [
        Line2D([], [], marker="o", markersize=2.2, label="after one detector", **look),
        Line2D([], [], marker="o", markersize=4.5, label="mean over detectors", **look),
        upright("linear, in the same gaps (mean)"),
        Line2D([], [], linewidth=0, label="n/m: better than linear after n of m detectors"),
    ]
    if not means["complete"].all():
        words = "not after all detectors: another mean"
        handles.append(
            Line2D([], [], marker="o", markersize=4.5, markerfacecolor="white", label=words, **look)
        )
    if means["fitted"].any():
        handles.append(Line2D([], [], linewidth=0, label="† judged on recordings it was fitted on"))
    return handles


IMPUTATION_QUALITY = Figure(
    name="imputation_quality",
    title="How close imputed samples come to the clean signal",
    caption=(
        "Mean absolute error of the imputed samples against the clean signal, on recordings the imputer was"
        " not fitted on unless its name carries a dagger; imputers by rising error over all gaps. Small: "
        "after one detector. Large: plain mean over the detectors, hollow where the imputer was not run "
        "after as many as others. Bar: linear interpolation in the same gaps, the same mean. At the right, "
        "after how many detectors the imputer is better than linear. Which gaps there are depends on the "
        "detector, and only what it flagged is judged. The ground truth is right by definition."
    ),
    queries={"pairs": f"{_PAIRS} ORDER BY ALL", "imputers": _IMPUTERS, "gaps": _GAPS},
    draw=_draw,
    needs=("imputation_quality",),
    part="Quality of the cleaning",
    when_empty="no imputer was held against a clean signal",
)

"""Method effects: what each cleaning method changes against ground truth."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.factors import (
    FACTOR_ORDER,
    FEATURE_SETS,
    REFUSED,
    STAGES,
    TITLES,
    TWO_SHOWN,
    of_feature_set,
    p_words,
    refusal_notes,
)
from src.figures.figure import Figure, Tables
from src.figures.style import GREY, INK, Background, legend_below, new_sheet, records, signed

_EFFECTS = f"""
WITH {FEATURE_SETS.format(table="method_effects")},
levels AS (
    UNPIVOT (SELECT DISTINCT featurization, outlier_method, imputation_method FROM coverage)
    ON outlier_method, imputation_method INTO NAME factor VALUE method
),
planned AS (
    SELECT DISTINCT l.featurization, l.factor, l.method, d.sort_order, f.place
    FROM levels l
    JOIN feature_sets f USING (featurization)
    LEFT JOIN methods d ON d.name = l.method
        AND d.stage = CASE l.factor WHEN 'outlier_method' THEN 'outlier' ELSE 'imputation' END
    WHERE d.category IS DISTINCT FROM 'ground truth'
),
effects AS (
    SELECT * FROM v_method_effects WHERE metric IN ('auroc', 'brier')
),
shown AS (
    SELECT featurization, factor, max(n_cells) AS cells FROM effects GROUP BY ALL
),
placed AS (
    SELECT p.*, s.cells,
           dense_rank() OVER (ORDER BY p.place, {FACTOR_ORDER}) AS panel,
           row_number() OVER (
               PARTITION BY p.featurization, factor ORDER BY b.loss NULLS LAST, p.sort_order, p.method
           ) AS "row"
    FROM planned p JOIN shown s USING (featurization, factor)
    LEFT JOIN effects b ON b.featurization = p.featurization AND b.factor = p.factor
        AND b.method = p.method AND b.metric = 'brier'
)
SELECT p.panel, k.name AS metric, k.display_name AS metric_display, k.direction,
       p.featurization, p.factor, p.cells, p."row", p.method, e.effect, e.lo, e.hi, e.p_holm, e.reason
FROM placed p JOIN metrics k ON k.name IN ('auroc', 'brier')
LEFT JOIN effects e ON e.featurization = p.featurization AND e.factor = p.factor
    AND e.method = p.method AND e.metric = k.name
ORDER BY p.panel, k.name, p."row"
"""
_ROW_MM, _HEAD_MM = 3.7, 8
_BETTER = {"higher": "right is better", "lower": "left is better"}


def _draw(tables: Tables, background: Background) -> Sheet:
    effects = tables["effects"]
    rows = effects.groupby("panel")["row"].max()
    sheet = new_sheet("double", _ROW_MM * rows.sum() + _HEAD_MM * len(rows) + 10)
    metrics = list(effects["metric"].unique())
    panels = sheet.subplots(
        len(rows), len(metrics), squeeze=False, sharex="col", sharey="row", height_ratios=list(rows + 1)
    )
    for (_, part), across in zip(effects.groupby("panel"), panels, strict=True):
        for axes, metric in zip(across, metrics, strict=True):
            _panel(axes, part[part["metric"] == metric], background)
        across[0].set_title(_title(part.iloc[0], background), loc="left")
    for axes, metric in zip(panels[-1], metrics, strict=True):
        first = effects[effects["metric"] == metric].iloc[0]
        axes.set_xlabel(f"Difference in {first['metric_display']}\n({_BETTER[first['direction']]})")
    legend_below(sheet, [*_legend(), *refusal_notes(tables["refused"], background)], columns=1)
    return sheet


def _title(row: pd.Series, background: Background) -> str:
    title = of_feature_set(TITLES[row["factor"]], row["featurization"], background)
    return f"{title}: means over {row['cells']:.0f} cells of the other factors"


def _panel(axes: Axes, effects: pd.DataFrame, background: Background) -> None:
    made = effects[effects["effect"].notna()]
    stage = STAGES[effects["factor"].iloc[0]]
    colours = [background.colour(stage, method) for method in made["method"]]
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1, gid="zero")
    axes.hlines(made["row"], made["lo"], made["hi"], colors=colours, linewidth=3.2, gid="sampling")
    axes.scatter(
        made["effect"], made["row"], s=16, c=colours, edgecolors=INK, linewidths=0.7, zorder=3, gid="effect"
    )
    for row in records(effects):
        _write(axes, row)
    axes.set_yticks(effects["row"], [background.label(stage, method) for method in effects["method"]])
    axes.set_ylim(len(effects) + 0.6, 0.4)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def _write(axes: Axes, row: dict[str, Any]) -> None:
    """Write difference and p value beside a row, or that there is none."""
    look: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "va": "center",
        "fontsize": 6,
    }
    if pd.isna(row["effect"]):
        word = "undefined" if isinstance(row["reason"], str) else "refused"
        axes.annotate(word, (1, row["row"]), xytext=(4, 0), gid="none", **look)
        return
    difference = signed(row["effect"], 4, "+")
    axes.annotate(difference, (1, row["row"]), xytext=(29, 0), ha="right", gid="difference", **look)
    axes.annotate(p_words(row["p_holm"]), (1, row["row"]), xytext=(34, 0), gid="p", **look)


def _legend() -> list[Line2D]:
    mark: dict[str, Any] = {"linewidth": 3.2, "marker": "o", "markeredgecolor": INK, "markersize": 4}
    words = "mean difference from ground truth, 95 % sampling interval by subject; p after Holm"
    return [
        Line2D([], [], color=GREY, label=words, **mark),
        Line2D([], [], color=INK, linewidth=0.7, label="no difference from ground truth"),
    ]


EFFECTS = Figure(
    name="method_effects",
    title="What cleaning changes: each method against ground truth",
    caption=(
        "Mean over the cells of the other factors of the out-of-bag estimate (oob) with the method minus "
        "that with ground truth for the same stage, ordered by the Brier score, best first. Interval: 95 % "
        "sampling interval by subject, which knows that all cells share their subjects and that differences "
        "are paired. Beside it the difference and the p value after Holm over the methods of the factor. "
        f"A method whose cells are not all there is refused, and the reason named. {TWO_SHOWN}"
    ),
    queries={
        "effects": _EFFECTS,
        "refused": REFUSED.format(comparison="method effects", metrics="'auroc', 'brier'"),
    },
    draw=_draw,
    needs=("v_method_effects",),
    part="What matters",
    comparison="method effects",
    when_empty="there are no method effects",
)

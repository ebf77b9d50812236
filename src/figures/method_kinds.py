"""Foundation models, deep learning and classical methods, at each of the three tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.style import GREY, INK, PALE, Background, legend_below, new_sheet, records, wrap

_PLACED = """
named AS (
    SELECT j.*, coalesce(m.category, 'not in the registry') AS category, m.sort_order
    FROM judged j LEFT JOIN methods m ON m.stage = '{stage}' AND m.name = j.method
),
ordered AS (SELECT *, min(sort_order) OVER (PARTITION BY category) AS category_order FROM named),
placed AS (
    SELECT *, row_number() OVER (ORDER BY category_order, category, {order}, method)
              + dense_rank() OVER (ORDER BY category_order, category) AS y
    FROM ordered
)"""
_DETECTION = f"""
WITH judged AS (
    SELECT outlier_method AS method, f1 AS value, f1_random AS reference,
           coalesce(evaluated_on, 'unstated') AS evaluated_on
    FROM outlier_quality WHERE artefact_type = 'all' AND f1 IS NOT NULL
), {_PLACED.format(stage="outlier", order="value DESC")}
SELECT * FROM placed ORDER BY y
"""
_IMPUTATION = f"""
WITH detectors AS (
    SELECT q.outlier_method, count(*) AS n_imputers, m.category = 'ground truth' AS is_truth, m.sort_order
    FROM imputation_quality q LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = q.outlier_method
    WHERE q.gap = 'all' AND q.mae IS NOT NULL
    GROUP BY ALL ORDER BY n_imputers DESC, is_truth DESC NULLS LAST, m.sort_order, q.outlier_method LIMIT 1
),
judged AS (
    SELECT imputation_method AS method, mae AS value, mae_linear AS reference, outlier_method, unit,
           coalesce(evaluated_on, 'unstated') AS evaluated_on
    FROM imputation_quality JOIN detectors USING (outlier_method)
    WHERE gap = 'all' AND mae IS NOT NULL
), {_PLACED.format(stage="imputation", order="value")}
SELECT * FROM placed ORDER BY y
"""
_CLASSIFICATION = f"""
WITH marked AS (
    SELECT l.*, coalesce(o.category = 'ground truth', false)
                OR coalesce(i.category = 'ground truth', false) AS uses_truth
    FROM v_leaderboard l
    LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = l.outlier_method
    LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = l.imputation_method
    WHERE l.brier IS NOT NULL
),
judged AS (SELECT classifier AS method, min(rank) AS best FROM marked GROUP BY classifier),
{_PLACED.format(stage="classifier", order="best")}
SELECT p.method, p.category, p.y, m.uses_truth,
       row_number() OVER (PARTITION BY p.category ORDER BY m.uses_truth, m.rank, m.run_id) = 1 AS chosen,
       m.run_id, m.featurization, m.outlier_method, m.imputation_method, m.classifier,
       m.auroc, m.auroc_lo, m.auroc_hi, m.auroc_refit_lo, m.auroc_refit_hi,
       m.brier, m.brier_lo, m.brier_hi, m.brier_refit_lo, m.brier_refit_hi
FROM marked m JOIN placed p ON p.method = m.classifier
ORDER BY p.y, chosen DESC, m.rank, m.run_id
"""
_METRICS = {"auroc": "AUROC (higher is better)", "brier": "Brier score (lower is better)"}
_ROW_MM, _HIGHEST_MM = 4.4, 135


def _draw(tables: Tables, background: Background) -> Sheet:
    detection, imputation, runs = (tables[name] for name in ("detection", "imputation", "classification"))
    upper = max(_slots(detection), _slots(imputation))
    heights = [min(_ROW_MM * slots, _HIGHEST_MM) + 12 for slots in (upper, _slots(runs))]
    sheet = new_sheet("double", sum(heights) + 8)
    panels = sheet.subplots(2, 2, height_ratios=heights)
    _quality(panels[0, 0], detection, background, "outlier")
    panels[0, 0].set_title(f"Detection{_judged_on(detection)}", loc="left")
    panels[0, 0].set_xlabel("F1 over samples (higher is better)")
    _quality(panels[0, 1], imputation, background, "imputation")
    panels[0, 1].set_title(f"Imputation{_judged_on(imputation)}", loc="left")
    panels[0, 1].set_xlabel(_error(imputation, background))
    for axes, (metric, words) in zip(panels[1], _METRICS.items(), strict=True):
        _combinations(axes, runs, background, metric)
        axes.set_xlabel(words)
    panels[1, 0].set_title("Classification, out-of-bag mean (oob)", loc="left")
    for row, slots in zip(panels, (upper, _slots(runs)), strict=True):
        for axes in row:  # not shared: then the rows of one would bear the names of the other
            axes.set_ylim(slots + 0.8, 0.2)
    legend_below(sheet, _legend(runs, background), columns=1)
    return sheet


def _slots(rows: pd.DataFrame) -> int:
    return int(rows["y"].max()) if len(rows) else 3


def _judged_on(rows: pd.DataFrame) -> str:
    return f", recordings: {' and '.join(sorted(set(rows['evaluated_on'])))}" if len(rows) else ""


def _error(rows: pd.DataFrame, background: Background) -> str:
    if rows.empty:
        return "Mean absolute error"
    detector = background.label("outlier", rows["outlier_method"].iloc[0])
    return f"Mean absolute error ({rows['unit'].iloc[0]}, lower is better)\nafter {detector}"


def _quality(axes: Axes, rows: pd.DataFrame, background: Background, stage: str) -> None:
    """Each method's quality, from what costs nothing: a random mask, or linear interpolation."""
    if rows.empty:
        axes.text(0.5, 0.5, "not in this database", transform=axes.transAxes, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    colours = [background.colour(stage, method) for method in rows["method"]]
    axes.hlines(rows["y"], rows["reference"], rows["value"], color=PALE, linewidth=1.2, gid="gain")
    axes.scatter(rows["reference"], rows["y"], s=28, marker="|", color=GREY, linewidths=1, gid="reference")
    look: dict[str, Any] = {"s": 20, "c": colours, "edgecolors": INK, "linewidths": 0.6, "zorder": 3}
    axes.scatter(rows["value"], rows["y"], gid="method", **look)
    axes.set_xlim(left=0 - 0.03 * axes.get_xlim()[1])
    _name_rows(axes, rows, background, stage)


def _combinations(axes: Axes, rows: pd.DataFrame, background: Background, metric: str) -> None:
    """All combinations of each classifier, and the best of each category with both intervals."""
    chosen = rows[rows["chosen"]]
    colours = [background.colour("classifier", method) for method in chosen["method"]]
    axes.scatter(rows[metric], rows["y"] + 0.36, s=5, color=PALE, linewidths=0, gid="combination")
    refit = chosen[f"{metric}_refit_lo"], chosen[f"{metric}_refit_hi"]
    axes.hlines(chosen["y"], *refit, colors=INK, linewidth=0.6, zorder=2.5, gid="refit")
    sampling = chosen[f"{metric}_lo"], chosen[f"{metric}_hi"]
    axes.hlines(chosen["y"], *sampling, colors=colours, linewidth=3.2, gid="sampling")
    look: dict[str, Any] = {"s": 20, "c": colours, "edgecolors": INK, "linewidths": 0.6, "zorder": 3}
    axes.scatter(chosen[metric], chosen["y"], gid="chosen", **look)
    _name_rows(axes, rows.drop_duplicates("method"), background, "classifier")


def _name_rows(axes: Axes, rows: pd.DataFrame, background: Background, stage: str) -> None:
    """Names of the methods at the left, and of each category in the free row above its methods."""
    labels = [background.label(stage, method) for method in rows["method"]]
    axes.set_yticks(rows["y"], labels, fontsize=6)
    for category, part in rows.groupby("category"):
        words = str(category)
        look: dict[str, Any] = {"fontsize": 6, "fontweight": "bold", "color": GREY, "va": "center"}
        place = (0.01, part["y"].min() - 0.9)
        axes.annotate(words[:1].upper() + words[1:], place, xycoords=("axes fraction", "data"), **look)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _legend(runs: pd.DataFrame, background: Background) -> list[Artist]:
    best = [
        Line2D([], [], color=background.colour("classifier", row["method"]), linewidth=3.2, marker="o",
               markeredgecolor=INK, markersize=4, label=_best(row, background))
        for row in records(runs[runs["chosen"]])
    ]  # fmt: skip
    return [
        *best,
        Line2D([], [], color=GREY, linewidth=3.2, label="thick: 95 % sampling interval"),
        Line2D([], [], color=INK, linewidth=0.6,
               label="thin: refit interval, spread over resamples, no confidence interval"),
        Line2D([], [], color=PALE, linewidth=0, marker="o", markersize=2.5, label="every combination"),
        Line2D([], [], color=GREY, linewidth=0, marker="|", markersize=6,
               label="above, ticks: a random mask of the same size; linear interpolation in the same gaps"),
    ]  # fmt: skip


def _best(row: Mapping[str, Any], background: Background) -> str:
    exception = " (none without ground truth)" if row["uses_truth"] else ""
    return wrap(f"best {row['category']}{exception}: {background.combination(row)}", 120)


METHOD_KINDS = Figure(
    name="method_kinds",
    title="Foundation models, deep learning and classical methods",
    caption=(
        "Methods of each task, grouped by kind, best first. Detection: F1 over all samples and types of "
        "artefact; tick: the expected F1 of a random mask that flags as many samples. Imputation: "
        "mean absolute error over all gaps after one detector, the one with most imputers (ties: ground "
        "truth), named at the axis; tick: linear interpolation in the same gaps. Classification: small marks "
        "are all combinations of a classifier, with and without ground truth; the large mark is the best of "
        "its kind of classifier, lowest out-of-bag Brier score (ties: higher AUROC) among the combinations "
        "without ground truth for mask or imputation, named below; thick its 95 % sampling interval, thin "
        "the 2.5 to 97.5 percentile over refits, which is instability of the model and no confidence "
        "interval. A kind with more methods or combinations has had more chances."
    ),
    queries={"classification": _CLASSIFICATION, "detection": _DETECTION, "imputation": _IMPUTATION},
    draw=_draw,
    needs=("v_leaderboard",),
    part="What matters",
)

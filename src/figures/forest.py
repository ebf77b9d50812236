"""Forest plots: what each method of one stage reaches, with both kinds of interval."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.factors import AGE_ALONE
from src.figures.figure import Figure, Tables
from src.figures.style import (
    GREY,
    INK,
    PALE,
    Background,
    legend_below,
    new_sheet,
    records,
    with_interval,
    wrap,
)

ESTIMATES = """
WITH marked AS (
    SELECT l.*, coalesce(o.category = 'ground truth', false) AS true_mask,
           coalesce(i.category = 'ground truth', false) AS true_values
    FROM {source} l
    LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = l.outlier_method
    LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = l.imputation_method
    WHERE l.brier IS NOT NULL
),
placed AS (
    SELECT *, {by_rule} AS by_rule,
           row_number() OVER (PARTITION BY {column} ORDER BY ({by_rule}) DESC, rank, run_id) AS place,
           row_number() OVER (
               PARTITION BY {column}, true_mask AND true_values ORDER BY rank, run_id
           ) AS place_on_truth
    FROM marked
)
SELECT p.{column} AS method, p.run_id, p.featurization, nullif(p.outlier_method, 'none') AS outlier_method,
       nullif(p.imputation_method, 'none') AS imputation_method, p.classifier,
       p.true_mask AND p.true_values AND p.place_on_truth = 1 AS best_on_truth,
       p.true_mask OR p.true_values AS uses_truth, p.by_rule, p.place = 1 AS chosen,
       dense_rank() OVER (ORDER BY best.rank, best.run_id) AS row_number,
       p.auroc, p.auroc_lo, p.auroc_hi, p.auroc_refit_lo, p.auroc_refit_hi,
       p.brier, p.brier_lo, p.brier_hi, p.brier_refit_lo, p.brier_refit_hi
FROM placed p JOIN placed best ON best.{column} = p.{column} AND best.place = 1
ORDER BY row_number, p.place
"""
"""One row per combination: which is shown of each method, in which row; `source` has the columns of
`v_leaderboard`, `column` is the factor, and `by_rule` says which combinations may be shown."""
_SAME_IN_BOTH = "true_mask = true_values"
NO_TRUTH = "NOT (true_mask OR true_values)"
_RULE_BROKEN = "* best of all: no combination keeps to the rule"
_HIGHEST_MM = 195
"""Room for the rows of a page."""
_PANELS = (("auroc", "AUROC (higher is better)"), ("brier", "Brier score (lower is better)"))


def draw(tables: Tables, background: Background, *, stage: str) -> Sheet:
    """Draw `ESTIMATES`, one row per method of a stage, and the line of age alone."""
    rows, baseline = tables["estimates"], tables["baseline"]
    chosen = rows[rows["chosen"]]
    labels = [_label(row, background, stage) for row in records(chosen)]
    words = [_words(row, background, stage) for row in records(chosen)]
    lines = sum(1 + max(text.count("\n") for text in pair) for pair in zip(labels, words, strict=True))
    sheet = new_sheet("double", 20 + min(3.4 * lines, _HIGHEST_MM))
    panels = sheet.subplots(1, 2, sharey=True)
    for axes, (metric, title) in zip(panels, _PANELS, strict=True):
        _panel(axes, rows, metric, [background.colour(stage, method) for method in chosen["method"]])
        axes.set_xlabel(title)
        for value in baseline[metric]:
            axes.axvline(value, color=GREY, linestyle=(0, (4, 2)), linewidth=0.8, zorder=0, gid="baseline")
    panels[0].set_yticks(chosen["row_number"], labels)
    panels[0].set_ylim(len(chosen) + 0.6, 0.4)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 5.5}
    for row, text in zip(chosen["row_number"], words, strict=True):
        panels[1].annotate(text, (1.02, row), **place)
    legend_below(sheet, _legend(rows, not baseline.empty), columns=2)
    return sheet


def _label(row: Mapping[str, Any], background: Background, stage: str) -> str:
    """Name of a row's method, with a star where the rule finds no combination of it."""
    return wrap(background.label(stage, row["method"]) + ("" if row["by_rule"] else " *"), 34)


def _panel(axes: Axes, rows: pd.DataFrame, metric: str, colours: list[str]) -> None:
    chosen, others = rows[rows["chosen"]], rows[~rows["chosen"]]
    y = chosen["row_number"]
    axes.scatter(others[metric], others["row_number"] + 0.24, s=5, color=PALE, linewidths=0, gid="others")
    on_truth = others[others["best_on_truth"]]
    look: dict[str, Any] = {"marker": "D", "facecolors": "none", "edgecolors": INK, "linewidths": 0.7}
    axes.scatter(on_truth[metric], on_truth["row_number"] + 0.24, s=14, gid="on truth", **look)
    known = chosen[metric].notna()
    refit = [chosen[f"{metric}_refit_{end}"].where(known) for end in ("lo", "hi")]
    axes.hlines(y, refit[0], refit[1], colors=INK, linewidth=0.6, zorder=2.5, gid="refit")
    sampling = [chosen[f"{metric}_{end}"].where(known) for end in ("lo", "hi")]
    axes.hlines(y, sampling[0], sampling[1], colors=colours, linewidth=3.2, gid="sampling")
    axes.scatter(chosen[metric], y, s=16, c=colours, edgecolors=INK, linewidths=0.7, zorder=3, gid="chosen")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_axisbelow(True)


def _words(row: Mapping[str, Any], background: Background, stage: str) -> str:
    """What stands beside a row: the estimate with its sampling interval, and the rest of the combination."""
    estimate = with_interval(row["auroc"], row["auroc_lo"], row["auroc_hi"])
    return f"AUROC {estimate}\n{wrap(f'with {background.combination(row, without=stage)}', 56)}"


def _legend(rows: pd.DataFrame, with_baseline: bool) -> list[Line2D]:
    chosen, others = rows[rows["chosen"]], rows[~rows["chosen"]]
    handles = [
        Line2D([], [], color=GREY, linewidth=3.2, marker="o", markeredgecolor=INK, markersize=4,
               label="best combination, 95 % sampling interval (thick)"),
        Line2D([], [], color=INK, linewidth=0.6,
               label="refit interval (thin): spread over resamples, no confidence interval"),
        Line2D([], [], color=PALE, linewidth=0, marker="o", markersize=2.5,
               label="its other combinations, also with ground truth"),
    ]  # fmt: skip
    if with_baseline:
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=0.8, label="age only"))
    if others["best_on_truth"].any():
        look: dict[str, Any] = {"marker": "D", "markersize": 4, "markerfacecolor": "none"}
        words = "the best of these with ground truth for mask and imputation"
        handles.append(Line2D([], [], linewidth=0, markeredgecolor=INK, label=words, **look))
    if not chosen["by_rule"].all():
        handles.append(Line2D([], [], linewidth=0, label=_RULE_BROKEN))
    return handles


def _forest(stage: str, column: str, words: str, by_rule: str, rule: str) -> Figure:
    return Figure(
        name=f"forest_{stage}",
        title=f"Screening accuracy by {words}",
        caption=(
            f"One row per {words}, ordered by Brier score. The large mark is the method's combination with "
            f"the lowest out-of-bag Brier score (ties: higher AUROC), named at the right, {rule}; where "
            "there is none (star at the name), of all. Small marks are its other combinations, with and "
            "without ground truth; the best of them with ground truth for mask and imputation is framed. "
            "Thick: 95 % sampling interval, what another sample of patients would give. Thin: 2.5 to 97.5 "
            "percentile over refits on the resamples, which is instability of the model and no confidence "
            "interval. Dashed: the best model that knows only age. Estimates are out-of-bag means (oob)."
        ),
        queries={
            "estimates": ESTIMATES.format(source="v_leaderboard", column=column, by_rule=by_rule),
            "baseline": AGE_ALONE,
        },
        draw=partial(draw, stage=stage),
        needs=("v_leaderboard",),
        part="Which combination is best",
    )


OUTLIER = _forest(
    "outlier",
    "outlier_method",
    "outlier method",
    _SAME_IN_BOTH,
    "chosen among those without the true signal for imputation (for the ground truth: with it)",
)
IMPUTATION = _forest(
    "imputation",
    "imputation_method",
    "imputation method",
    _SAME_IN_BOTH,
    "chosen among those without the true mask (for the ground truth: with it)",
)
CLASSIFIER = _forest(
    "classifier",
    "classifier",
    "classifier",
    NO_TRUTH,
    "chosen among those without ground truth for mask or imputation",
)

"""Which features the selected combinations rest on."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.feature_names import readable_feature
from src.figures.figure import Figure, Tables
from src.figures.panels import heads
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import GREY, INK, WIDTHS_MM, Background, legend_below, line_colour, new_sheet, wrap

_MOST = 15
"""Features shown of each kind, shared out among the feature sets."""

_SHOWN = f"""
{SELECTED},
found AS (
    SELECT s.selection_order, s.run_id, s.featurization, i.kind, i.feature, i.mean, i.lo, i.hi, i.n
    FROM selected s JOIN feature_importances i USING (run_id) WHERE i.mean IS NOT NULL
),
ordered AS (
    SELECT featurization, kind, feature,
           row_number() OVER (PARTITION BY featurization, kind ORDER BY avg(mean) DESC, feature) - 1 AS place,
           count(*) OVER (PARTITION BY featurization, kind) AS n_features,
           (SELECT count(DISTINCT featurization) FROM found) AS n_sets
    FROM found GROUP BY featurization, kind, feature
)"""
_IMPORTANCES = f"""
WITH {_SHOWN}
SELECT f.*, o.place, o.n_features FROM found f JOIN ordered o USING (featurization, kind, feature)
WHERE o.place < ceil({_MOST} / o.n_sets) ORDER BY f.featurization, f.kind, f.selection_order, o.place
"""
_ABSENT = f"""
WITH {_SHOWN}
SELECT s.selection_order, k.featurization, k.kind,
       coalesce(min(u.reason), 'not stored') AS reason
FROM selected s JOIN (SELECT DISTINCT featurization, kind FROM found) k USING (featurization)
LEFT JOIN unavailable u ON u.run_id = s.run_id
    AND u.quantity IN ('feature_importances.mean', 'feature_importances, ' || k.kind)
WHERE (s.selection_order, k.kind) NOT IN (SELECT (selection_order, kind) FROM found)
GROUP BY ALL ORDER BY ALL
"""
_KINDS = {"model": "own importance", "permutation": "drop of AUROC"}
_ROW_MM, _AROUND_MM, _HEAD_MM, _NAMES_MM, _LETTER_MM = 3.6, 12, 16, 45, 1.12


def _draw(tables: Tables, background: Background) -> Sheet:
    rows, chosen = tables["importances"], tables["chosen"]
    keys = list(rows[["featurization", "kind"]].drop_duplicates().itertuples(index=False, name=None))
    sets = {one: chosen[chosen["featurization"] == one] for one, _ in keys}
    across = max(len(columns) for columns in sets.values())
    blocks = [rows[(rows["featurization"] == one) & (rows["kind"] == kind)] for one, kind in keys]
    heights = [max(14, _ROW_MM * (int(block["place"].max()) + 1)) for block in blocks]
    sheet = new_sheet("double", sum(heights) + _AROUND_MM * len(blocks) + _HEAD_MM * len(sets))
    grid = sheet.subplots(
        len(blocks), across, squeeze=False, sharex="row", sharey="row", height_ratios=heights
    )
    letters = int((WIDTHS_MM["double"] - _NAMES_MM) / across / _LETTER_MM)
    for number, ((one, kind), block) in enumerate(zip(keys, blocks, strict=True)):
        panels = list(grid[number, : len(sets[one])])
        _row(panels, block, sets[one], tables["absent"], kind)
        if number == 0 or keys[number - 1][0] != one:
            heads(panels, sets[one], background, letters)
        for unused in grid[number, len(panels) :]:
            unused.set_visible(False)
    legend_below(sheet, _legend(), columns=2)
    return sheet


def _row(
    panels: list[Axes], block: pd.DataFrame, columns: pd.DataFrame, absent: pd.DataFrame, kind: str
) -> None:
    """One kind of importance in one set of features: a panel per combination."""
    names = block.drop_duplicates("place").sort_values("place")
    for axes, order in zip(panels, columns["selection_order"], strict=True):
        _importances(axes, block[block["selection_order"] == order], line_colour(order))
        why = absent[(absent["selection_order"] == order) & (absent["kind"] == kind)]["reason"]
        for reason in why:
            axes.text(
                0.5, 0.5, wrap(f"none: {reason}", 18), transform=axes.transAxes, ha="center", fontsize=5.5
            )
        axes.set_xlabel(_KINDS.get(kind, kind), fontsize=6)
    shown, n_features = len(names), int(names["n_features"].iloc[0])
    first = panels[0]
    first.set_yticks(names["place"], [readable_feature(name) for name in names["feature"]])
    first.set_ylim(shown - 0.4, -0.6)
    first.set_ylabel(f"{shown} of {n_features} features" if shown < n_features else f"{shown} features")


def _importances(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    axes.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.hlines(rows["place"], rows["lo"], rows["hi"], colors=INK, linewidth=0.6, gid="refit")
    axes.scatter(rows["mean"], rows["place"], s=13, color=colour, linewidths=0, zorder=3, gid="mean")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=GREY, linewidth=0, marker="o", markersize=3.6, label="mean over iterations"),
        Line2D(
            [], [], color=INK, linewidth=0.6, label="refit interval: 2.5 to 97.5 percentile over iterations"
        ),
    ]


IMPORTANCE = Figure(
    name="importance",
    title="Which features the selected combinations rest on",
    caption=(
        "Own importance: the classifier's, made to add up to 1; what it means differs between classifiers, "
        "so that only the order compares. Drop of AUROC: of the left-out subjects, when the feature is "
        "permuted among them; below 0 where permuting helped. Features are highly correlated, and what one "
        "shares with another either may get. Mark: mean over the iterations in which it is defined "
        "(permuted in fewer). Line: 2.5 to 97.5 percentile over iterations, which is instability of the "
        f"model and no confidence interval. At most {_MOST} features of a kind are shown (with several "
        "feature sets: so many in all), those with the largest mean over the combinations shown, in this "
        "order; how many there are stands at the left. " + RULE
    ),
    queries={"importances": _IMPORTANCES, "absent": _ABSENT, "chosen": CHOSEN},
    draw=_draw,
    needs=("feature_importances", "v_leaderboard"),
    part="Features",
    when_empty="no selected combination has stored importances",
)

"""Variance decomposition: how much of the scatter between combinations each factor explains."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from src.figures.factors import FACTOR_ORDER, REFUSED, TITLES, of_feature_set, refusal_notes
from src.figures.figure import Figure, Tables
from src.figures.style import INK, PALE, PALETTE, Background, legend_below, new_sheet, records

_SHARES = f"""
SELECT dense_rank() OVER (ORDER BY m.sort_order, v.featurization) AS line, v.metric, v.metric_display,
       v.featurization, v.factor, v.df, v.eta_squared, v.partial_eta_squared, v.percent,
       row_number() OVER (
           PARTITION BY v.metric, v.featurization ORDER BY v.factor = 'residual', {FACTOR_ORDER}) AS "row"
FROM v_variance v LEFT JOIN methods m ON m.stage = 'features' AND m.name = v.featurization
WHERE v.metric IN ('auroc', 'brier') AND v.eta_squared IS NOT NULL
ORDER BY line, v.metric, "row"
"""
_BAR = PALETTE[1]


def _draw(tables: Tables, background: Background) -> Sheet:
    shares = tables["shares"]
    lines, metrics = int(shares["line"].max()), sorted(shares["metric"].unique())
    sheet = new_sheet("double", lines * (9 + 5.2 * int(shares["row"].max())) + 5)
    panels = sheet.subplots(lines, len(metrics), squeeze=False, sharex=True, sharey="row")
    for number, axes_of_line in enumerate(panels, start=1):
        for axes, metric in zip(axes_of_line, metrics, strict=True):
            part = shares[(shares["line"] == number) & (shares["metric"] == metric)]
            axes.set_visible(not part.empty)
            if not part.empty:
                _panel(axes, part, background)
    for axes in panels[-1]:
        axes.set_xlabel("Share of the sum of squares")
    legend_below(sheet, [*_legend(), *refusal_notes(tables["refused"], background)], columns=1)
    return sheet


def _panel(axes: Axes, shares: pd.DataFrame, background: Background) -> None:
    first, y = shares.iloc[0], shares["row"]
    residual = shares["factor"] == "residual"
    colours = [PALE if rest else _BAR for rest in residual]
    axes.barh(y, shares["eta_squared"], height=0.62, color=colours, gid="eta squared")
    partial = shares[~residual]
    look: dict[str, Any] = {"facecolors": "white", "edgecolors": INK, "linewidths": 0.9, "zorder": 3}
    axes.scatter(partial["partial_eta_squared"], partial["row"], s=14, gid="partial", clip_on=False, **look)
    for row in records(shares):
        words = _percent(row["percent"])
        if pd.notna(row["partial_eta_squared"]):
            words += f"  (partial {_percent(100 * row['partial_eta_squared'])})"
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 6}
        axes.annotate(words, (1.06, row["row"]), gid="value", **place)
    axes.set_title(of_feature_set(first["metric_display"], first["featurization"], background), loc="left")
    axes.set_yticks(y, [_label(row) for row in records(shares)])
    axes.set_ylim(len(shares) + 0.6, 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _percent(value: float) -> str:
    return "< 0.1 %" if 0 < value < 0.05 else f"{value:.1f} %"


def _label(row: dict[str, Any]) -> str:
    return f"{TITLES.get(row['factor'], row['factor'].capitalize())}, df {row['df']}"


def _legend() -> list[Line2D | Patch]:
    ring: dict[str, Any] = {"linewidth": 0, "marker": "o", "markersize": 3.7, "markerfacecolor": "white"}
    return [
        Patch(color=_BAR, label="eta squared: of the total; with the residual they add up to 100 %"),
        Patch(color=PALE, label="residual: interactions of the factors are in it"),
        Line2D([], [], markeredgecolor=INK, label="partial eta squared: of the factor and residual", **ring),
    ]


VARIANCE = Figure(
    name="variance_decomposition",
    title="What the differences between combinations come from",
    caption=(
        "Analysis of variance of the out-of-bag estimates (oob), one value per combination, main effects "
        "of the factors. Bars: eta squared, the factor's sum of squares over the total; they add up to "
        "100 % with the residual, which holds the interactions. Rings: partial eta squared, over the "
        "factor and the residual together. df: degrees of freedom; a factor with more methods has more "
        "chances to differ. Descriptive: it is of these combinations on these subjects, whose sampling "
        "error all combinations share."
    ),
    queries={
        "shares": _SHARES,
        "refused": REFUSED.format(comparison="variance decomposition", metrics="'auroc', 'brier'"),
    },
    draw=_draw,
    needs=("v_variance",),
    part="What matters",
    comparison="variance decomposition",
    when_empty="there is no variance decomposition",
)

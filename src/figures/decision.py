"""Decision curves of the selected combinations, at the study's prevalence and at the population's."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import GREY, INK, Background, legend_below, line_colour, new_sheet, records, wrap

_LIMITS = """
limits AS (
    SELECT 'study' AS population, prevalence_study AS prevalence, 0.60 AS highest FROM provenance
    UNION ALL SELECT 'population', prevalence_population, 0.20 FROM provenance
)"""
_CURVES = f"""
WITH {SELECTED}, {_LIMITS}
SELECT s.selection_order, s.run_id, d.population, d.threshold, l.prevalence,
       CASE WHEN d.net_benefit >= -l.prevalence / 4 THEN d.net_benefit END AS net_benefit,
       CASE WHEN d.net_benefit_pop_unshifted >= -l.prevalence / 4 THEN d.net_benefit_pop_unshifted END
           AS net_benefit_pop_unshifted
FROM selected s JOIN decision_curves d USING (run_id) JOIN limits l USING (population)
WHERE d.estimator = 'oob' AND d.threshold <= l.highest
ORDER BY d.population DESC, s.selection_order, d.threshold
"""
_TREAT_ALL = f"""
WITH {SELECTED}, {_LIMITS}
SELECT DISTINCT d.population, d.threshold, d.treat_all
FROM selected s JOIN decision_curves d USING (run_id) JOIN limits l USING (population)
WHERE d.estimator = 'oob' AND d.threshold <= l.highest AND d.treat_all >= -l.prevalence / 4
ORDER BY d.population DESC, d.threshold
"""
_DASHED = (0, (3, 1.5))


def _draw(tables: Tables, background: Background) -> Sheet:
    curves, chosen = tables["curves"], tables["chosen"]
    sheet = new_sheet("double", 66 + 3.2 * len(chosen))
    panels = sheet.subplots(1, 2)
    for axes, population in zip(panels, ("study", "population"), strict=True):
        part = curves[curves["population"] == population]
        everybody = tables["treat_all"][tables["treat_all"]["population"] == population]
        _panel(axes, part, everybody)
        if not part.empty:
            axes.set_title(
                f"Prevalence of the {population}, {100 * part['prevalence'].iloc[0]:.1f} %", loc="left"
            )
    panels[0].set_ylabel("Net benefit per patient")
    legend_below(sheet, _legend(chosen, background), columns=1)
    return sheet


def _panel(axes: Axes, curves: pd.DataFrame, everybody: pd.DataFrame) -> None:
    axes.axhline(0, color=INK, linewidth=0.7, gid="treat none")
    axes.plot(
        everybody["threshold"],
        everybody["treat_all"],
        color=GREY,
        linewidth=1.4,
        linestyle=":",
        zorder=3,
        gid="treat all",
    )
    for _, curve in curves.groupby("selection_order"):
        colour = line_colour(int(curve["selection_order"].iloc[0]))
        axes.plot(curve["threshold"], curve["net_benefit"], color=colour, gid="curve")
        if curve["net_benefit_pop_unshifted"].notna().any():
            look: dict[str, Any] = {
                "color": colour,
                "linewidth": 0.7,
                "linestyle": _DASHED,
                "gid": "unshifted",
            }
            axes.plot(curve["threshold"], curve["net_benefit_pop_unshifted"], **look)
    axes.set_xlabel("Threshold probability")
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def _legend(chosen: pd.DataFrame, background: Background) -> list[Line2D]:
    handles = [
        Line2D([], [], color=line_colour(row["selection_order"]),
               label=f"{row['role']}: {wrap(background.combination(row), 110)}")
        for row in records(chosen)
    ]  # fmt: skip
    return [
        *handles,
        Line2D([], [], color=GREY, linewidth=0.7, linestyle=_DASHED,
               label="thin dashes: the study's probabilities, not moved to the population's prevalence"),
        Line2D([], [], color=GREY, linewidth=1.4, linestyle=":", label="treat everybody"),
        Line2D([], [], color=INK, linewidth=0.7, label="treat nobody"),
    ]  # fmt: skip


DECISION = Figure(
    name="decision_curves",
    title="Decision curves, out-of-bag mean over resamples",
    caption=(
        "Net benefit of treating where the predicted probability reaches the threshold, mean over the "
        "resamples on the subjects left out (oob). Left: at the prevalence of the study. Right: at that of "
        "the population, with the probabilities moved to it first; thin dashes show what the study's "
        "probabilities would do unchanged. Curves are drawn down to minus a quarter of the prevalence. "
        f"{RULE}"
    ),
    queries={"curves": _CURVES, "treat_all": _TREAT_ALL, "chosen": CHOSEN},
    draw=_draw,
    needs=("v_leaderboard", "decision_curves"),
    part="Clinical utility",
)

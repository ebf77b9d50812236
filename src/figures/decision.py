"""Decision curves of the selected combinations, and how the conclusion depends on the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.figures.figure import Figure, Tables
from src.figures.selection import CHOSEN, RULE, SELECTED
from src.figures.style import GREY, INK, PALE, Background, legend_below, line_colour, new_sheet, records, wrap

_LIMITS = """
limits AS (
    SELECT 'study' AS population, prevalence_study AS prevalence, 0.60 AS highest, 0.30 AS plausible
    FROM provenance
    UNION ALL SELECT 'population', prevalence_population, 0.20, 0.20 FROM provenance
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
_GAIN = f"""
WITH {SELECTED}, {_LIMITS},
gains AS (
    SELECT s.selection_order, s.run_id, d.population, d.threshold,
           d.net_benefit - greatest(d.treat_all, 0) AS gain
    FROM selected s JOIN decision_curves d USING (run_id) JOIN limits l USING (population)
    WHERE d.estimator = 'oob' AND d.threshold <= l.plausible AND d.net_benefit IS NOT NULL
)"""
_GAINS = f"{_GAIN} SELECT * FROM gains ORDER BY population DESC, selection_order, threshold"
_RANGES = f"""{_GAIN},
numbered AS (
    SELECT *, gain > 1e-9 AS better,
           round(100 * threshold) - row_number() OVER (
               PARTITION BY population, selection_order, gain > 1e-9 ORDER BY threshold
           ) AS stretch
    FROM gains
)
SELECT population, selection_order, run_id, min(threshold) AS lo, max(threshold) AS hi
FROM numbered WHERE better GROUP BY population, selection_order, run_id, stretch
ORDER BY population DESC, selection_order, lo
"""
_REPORTED = f"""
WITH {SELECTED},
estimates AS (
    SELECT run_id, sampling_lo, sampling_hi, estimate,
           try_cast(regexp_extract(metric, '^net_benefit_(\\d\\d)$', 1) AS INTEGER) AS percent
    FROM metric_estimates WHERE estimator = 'oob'
)
SELECT s.selection_order, s.run_id, d.threshold, e.estimate - greatest(d.treat_all, 0) AS gain,
       e.sampling_lo - greatest(d.treat_all, 0) AS lo, e.sampling_hi - greatest(d.treat_all, 0) AS hi
FROM selected s JOIN estimates e USING (run_id) JOIN decision_curves d USING (run_id)
WHERE d.estimator = 'oob' AND d.population = 'study' AND e.percent = round(100 * d.threshold)
ORDER BY s.selection_order, d.threshold
"""
_DASHED = (0, (3, 1.5))
_SHIFT = 0.0035
"""Between neighbouring combinations at one threshold, so that their intervals do not cover each other."""


def _draw(tables: Tables, background: Background) -> Sheet:
    chosen = tables["chosen"]
    heights = (52.0, 44.0, 10 + 6.0 * len(chosen))
    sheet = new_sheet("double", sum(heights) + 14)
    panels = sheet.subplots(3, 2, height_ratios=heights)
    for column, population in zip(panels.T, ("study", "population"), strict=True):
        part = {
            name: table[table["population"] == population]
            for name, table in tables.items()
            if "population" in table
        }
        column[2].sharex(column[1])
        _mark_reported(column, tables["reported"]["threshold"])
        _net_benefit(column[0], part["curves"], part["treat_all"], len(chosen))
        _gain(column[1], part["gains"], len(chosen))
        _ranges(column[2], part["ranges"], chosen)
        if not part["curves"].empty:
            percent = 100 * part["curves"]["prevalence"].iloc[0]
            column[0].set_title(f"Prevalence of the {population}, {percent:.1f} %", loc="left")
    _intervals(panels[1, 0], tables["reported"])
    panels[0, 0].set_ylabel("Net benefit per patient")
    panels[1, 0].set_ylabel("Net benefit beyond the better of\ntreating everybody or nobody")
    panels[2, 0].set_ylabel("Thresholds where\nthat is above zero")
    legend_below(sheet, _legend(chosen, background), columns=1)
    return sheet


def _net_benefit(axes: Axes, curves: pd.DataFrame, everybody: pd.DataFrame, count: int) -> None:
    axes.axhline(0, color=INK, linewidth=0.7, gid="treat none")
    look: dict[str, Any] = {"color": GREY, "linewidth": 1.4, "linestyle": ":", "zorder": 3}
    axes.plot(everybody["threshold"], everybody["treat_all"], gid="treat all", **look)
    for order, curve in _by_order(curves):
        look = {"color": line_colour(order), "linewidth": _width(order, count)}
        axes.plot(curve["threshold"], curve["net_benefit"], gid="curve", **look)
        if curve["net_benefit_pop_unshifted"].notna().any():
            look |= {"linewidth": 0.7, "linestyle": _DASHED}
            axes.plot(curve["threshold"], curve["net_benefit_pop_unshifted"], gid="unshifted", **look)
    _label_thresholds(axes)


def _by_order(curves: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """The curve of each combination, in the order of showing."""
    for order in sorted(set(curves["selection_order"])):
        yield order, curves[curves["selection_order"] == order]


def _width(order: int, count: int) -> float:
    """The first line drawn is the widest: where lines lie on each other all can be seen."""
    return 1.0 + 0.3 * (count - order)


def _label_thresholds(axes: Axes) -> None:
    axes.set_xlabel("Threshold probability")
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def _gain(axes: Axes, gains: pd.DataFrame, count: int) -> None:
    axes.axhline(0, color=INK, linewidth=0.7)
    for order, curve in _by_order(gains):
        look: dict[str, Any] = {"color": line_colour(order), "linewidth": _width(order, count)}
        axes.plot(curve["threshold"], curve["gain"], gid="gain", **look)
    _label_thresholds(axes)


def _mark_reported(column: Sequence[Axes], thresholds: pd.Series) -> None:
    for axes in column:
        for threshold in thresholds.unique():
            axes.axvline(threshold, color=PALE, linewidth=0.6, zorder=0, gid="reported threshold")


def _intervals(axes: Axes, reported: pd.DataFrame) -> None:
    """The sampling intervals at the reported thresholds, side by side."""
    orders = reported["selection_order"]
    x = reported["threshold"] + _SHIFT * (orders - (orders.max() + 1) / 2)
    colours = [line_colour(order) for order in orders]
    axes.vlines(x, reported["lo"], reported["hi"], colors=colours, linewidth=1.4, gid="sampling")
    look: dict[str, Any] = {"s": 7, "c": colours, "edgecolors": INK, "linewidths": 0.4, "zorder": 3}
    axes.scatter(x, reported["gain"], gid="reported", **look)


def _ranges(axes: Axes, ranges: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """One bar per stretch of thresholds, half a step beyond the thresholds it holds; above it the numbers."""
    for row in records(chosen):
        order = row["selection_order"]
        stretches = records(ranges[ranges["selection_order"] == order])
        for stretch in stretches:
            left, width = stretch["lo"] - 0.005, stretch["hi"] - stretch["lo"] + 0.01
            axes.barh(order + 0.25, width, 0.32, left, color=line_colour(order), gid="range")
        words = f"{row['role']}: {_in_numbers(stretches)}"
        look: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 6, "va": "center"}
        look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.annotate(words, (0.01, order - 0.2), gid="numbers", **look)
    axes.set_ylim(chosen["selection_order"].max() + 0.6, 0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _label_thresholds(axes)


def _in_numbers(stretches: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{one['lo']:.2f}" if one["lo"] == one["hi"] else f"{one['lo']:.2f} to {one['hi']:.2f}"
        for one in stretches
    ) or "at none"  # fmt: skip


def _legend(chosen: pd.DataFrame, background: Background) -> list[Artist]:
    handles = [
        Line2D([], [], color=line_colour(row["selection_order"]), linewidth=2.4,
               label=f"{row['role']}: {wrap(background.combination(row), 110)}")
        for row in records(chosen)
    ]  # fmt: skip
    return [
        *handles,
        Line2D([], [], color=GREY, linewidth=0.7, linestyle=_DASHED,
               label="thin dashes: the study's probabilities, not moved to the population's prevalence"),
        Line2D([], [], color=GREY, linewidth=1.4, linestyle=":", label="treat everybody"),
        Line2D([], [], color=INK, linewidth=0.7, label="treat nobody"),
        Line2D([], [], color=GREY, linewidth=0, marker="|", markersize=8, markeredgewidth=1.4,
               label="95 % sampling interval at the reported thresholds (pale lines), study's prevalence"),
    ]  # fmt: skip


DECISION = Figure(
    name="decision_curves",
    title="Decision curves, out-of-bag mean over resamples",
    caption=(
        "Top: net benefit of treating where the predicted probability reaches the threshold, mean over the "
        "resamples on the subjects left out (oob). Left: at the prevalence of the study. Right: at that of "
        "the population, with the probabilities moved to it first; thin dashes show what the study's "
        "probabilities would do unchanged. Curves are drawn down to minus a quarter of the prevalence. "
        "Middle: what is left when the better of treating everybody and treating nobody is taken away, over "
        "the thresholds that are plausible for referral (0.01 to 0.30, at the population's prevalence to "
        "0.20); at the four reported thresholds with the 95 % sampling interval, in which the prevalence is "
        "held as it is. Bottom: the thresholds, in steps of 0.01, at which that is above zero; a bar "
        "says nothing of its uncertainty. Where lines lie on each other, the later one is the thinner. "
        f"{RULE}"
    ),
    queries={
        "curves": _CURVES,
        "treat_all": _TREAT_ALL,
        "gains": _GAINS,
        "ranges": _RANGES,
        "reported": _REPORTED,
        "chosen": CHOSEN,
    },
    draw=_draw,
    needs=("v_leaderboard", "decision_curves", "metric_estimates"),
    part="Clinical utility",
)

"""One recording: as the device wrote it, what each detector flags, what each imputer puts there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.figure import Figure, Tables
from src.figures.signals import clean_handle, light_handles, plot_clean, plot_imputed, shade_light
from src.figures.style import (
    GREY,
    INK,
    PALE,
    Background,
    legend_below,
    new_sheet,
    strip_axes,
    wrap,
)

_CHOSEN = """
shares AS (
    SELECT recording_code, avg((coalesce(truth_mask, false) OR raw IS NULL)::INTEGER) AS share
    FROM example_recordings WHERE recording_code IN (SELECT recording_code FROM example_imputations)
    GROUP BY recording_code
),
shown AS (
    SELECT recording_code FROM shares WHERE share = (SELECT quantile_disc(share, 0.5) FROM shares)
    ORDER BY recording_code LIMIT 1
)"""
_SIGNAL = f"""
WITH {_CHOSEN}
SELECT e.* FROM example_recordings e JOIN shown USING (recording_code) ORDER BY e.sample
"""
_LIGHT = (
    f"WITH {_CHOSEN} SELECT l.* FROM example_light l JOIN shown USING (recording_code) ORDER BY l.onset_s"
)
_MASKS = f"""
WITH {_CHOSEN}, flagged AS (
    SELECT DISTINCT i.outlier_method, e.sample, e.time_s
    FROM example_imputations i JOIN shown USING (recording_code)
    JOIN example_recordings e USING (recording_code, sample)
    WHERE i.missing
)
SELECT d.outlier_method, f.sample, f.time_s, m.sort_order
FROM (SELECT DISTINCT outlier_method FROM example_imputations) d
LEFT JOIN flagged f USING (outlier_method)
LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = d.outlier_method
ORDER BY m.sort_order, d.outlier_method, f.sample
"""
_DETECTOR = """
detector AS (
    SELECT i.outlier_method FROM (SELECT DISTINCT outlier_method FROM example_imputations) i
    LEFT JOIN v_leaderboard l USING (outlier_method)
    LEFT JOIN methods m ON m.stage = 'outlier' AND m.name = i.outlier_method
    ORDER BY m.category = 'ground truth', l.rank, i.outlier_method LIMIT 1
)"""
_IMPUTED = f"""
WITH {_CHOSEN}, {_DETECTOR}
SELECT i.outlier_method, i.imputation_method, i.sample, e.time_s, e.raw, e.truth, i.missing, i.imputed, i.sd
FROM example_imputations i JOIN shown USING (recording_code) JOIN detector USING (outlier_method)
JOIN example_recordings e USING (recording_code, sample)
LEFT JOIN methods m ON m.stage = 'imputation' AND m.name = i.imputation_method
ORDER BY m.sort_order, i.imputation_method, i.sample
"""
_AROUND_S = 1.5


def _draw(tables: Tables, background: Background) -> Sheet:
    signal, masks, imputed = tables["signal"], tables["masks"], tables["imputed"]
    methods = list(imputed["imputation_method"].unique())
    strips_mm = 6 + 3.8 * (1 + masks["outlier_method"].nunique())
    heights = [28, strips_mm, *[14] * len(methods)]
    sheet = new_sheet("double", sum(heights) + 30)
    windows = [(signal["time_s"].iloc[0], signal["time_s"].iloc[-1]), *_longest_gap(imputed)]
    widths = [3, 1.3][: len(windows)]
    panels = sheet.subplots(
        len(heights), len(windows), sharex="col", squeeze=False, width_ratios=widths, height_ratios=heights
    )
    for column, window in enumerate(windows):
        _raw(panels[0, column], _within(signal, window))
        _strips(panels[1, column], _within(signal, window), _within(masks, window), masks, background)
        for axes, method in zip(panels[2:, column], methods, strict=True):
            part = imputed[imputed["imputation_method"] == method]
            _imputed(axes, _within(part, window), background.colour("imputation", method))
        shade_light(panels[:, column], _within_light(tables["light"], window))
        panels[0, column].set_xlim(*window)
        panels[-1, column].set_xlabel("Time (s)")
        _same_limits(list(panels[2:, column]))
    _name(panels, signal, imputed, background)
    legend_below(sheet, _legend(tables), columns=6)
    return sheet


def _within(rows: pd.DataFrame, window: tuple[float, float]) -> pd.DataFrame:
    return rows[rows["time_s"].between(*window)]


def _within_light(light: pd.DataFrame, window: tuple[float, float]) -> pd.DataFrame:
    """Light pulses cut to a window; those outside it, or of unknown time, left out."""
    start, end = light["onset_s"].clip(lower=window[0]), light["offset_s"].clip(upper=window[1])
    return light.assign(onset_s=start, offset_s=end)[end > start]


def _raw(axes: Axes, signal: pd.DataFrame) -> None:
    plot_clean(axes, signal)
    axes.plot(signal["time_s"], signal["raw"], color=INK, linewidth=0.6, gid="raw")


def _strips(
    axes: Axes, signal: pd.DataFrame, shown: pd.DataFrame, masks: pd.DataFrame, background: Background
) -> None:
    """One strip per detector: a tick wherever a sample counts as missing; the truth, where known, on top."""
    methods = list(masks["outlier_method"].unique())
    flags = [shown.loc[shown["outlier_method"] == method, "time_s"] for method in methods]
    names = [background.label("outlier", method) for method in methods]
    colours = [background.colour("outlier", method) for method in methods]
    if signal["truth_mask"].notna().any():
        flags.insert(0, signal.loc[signal["truth_mask"].eq(True), "time_s"])
        names.insert(0, "True artefacts")
        colours.insert(0, INK)
    step = signal["time_s"].diff().median()
    for number, (times, colour) in enumerate(zip(flags, colours, strict=True)):
        spans = [(time - step / 2, step) for time in times]
        axes.broken_barh(spans, (number - 0.4, 0.8), color=colour, linewidth=0.5, gid="flagged")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    strip_axes(axes)


def _imputed(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    missing = rows["missing"].to_numpy(bool)
    time, signal = rows["time_s"], rows["imputed"]
    plot_clean(axes, rows)
    axes.plot(time, signal, color=PALE, linewidth=0.6, gid="observed")
    spread = 1.96 * rows["sd"].astype(float).where(missing)
    if spread.notna().any():
        axes.fill_between(
            time, signal - spread, signal + spread, color=colour, alpha=0.25, linewidth=0, gid="sd"
        )
    plot_imputed(axes, time.to_numpy(float), signal.where(missing).to_numpy(float), colour, 1.3)


def _same_limits(panels: Sequence[Axes]) -> None:
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _longest_gap(imputed: pd.DataFrame) -> list[tuple[float, float]]:
    """Window around the longest stretch of missing samples; none where nothing is missing."""
    rows = imputed[imputed["imputation_method"] == imputed["imputation_method"].iloc[0]]
    time, missing = rows["time_s"].to_numpy(), rows["missing"].to_numpy(bool)
    edges = np.flatnonzero(np.diff(np.r_[False, missing, False].astype(int)))
    starts, ends = edges[::2], edges[1::2] - 1
    if not starts.size:
        return []
    longest = int(np.argmax(ends - starts))
    start, end = time[starts[longest]] - _AROUND_S, time[ends[longest]] + _AROUND_S
    return [(max(float(start), float(time[0])), min(float(end), float(time[-1])))]


def _name(panels: np.ndarray, signal: pd.DataFrame, imputed: pd.DataFrame, background: Background) -> None:
    detector = background.label("outlier", imputed["outlier_method"].iloc[0])
    panels[0, 0].set_ylabel(f"Pupil ({background.provenance['unit']})")
    panels[0, 0].set_title(f"Recording {signal['recording_code'].iloc[0]}, as recorded", loc="left")
    panels[1, 0].set_title("Flagged or lost", loc="left")
    panels[2, 0].set_title(f"Imputed after {detector}", loc="left")
    for title, flags in zip(panels[0, 1:], panels[1, 1:], strict=True):
        title.set_title("The longest gap below", loc="left")
        flags.tick_params(labelleft=False)
    for axes, method in zip(panels[2:, 0], imputed["imputation_method"].unique(), strict=True):
        label = wrap(background.label("imputation", method), 16)
        axes.set_ylabel(label, rotation=0, ha="right", va="center")


def _legend(tables: Tables) -> list[Line2D]:
    handles = [Line2D([], [], color=INK, linewidth=0.8, label="as recorded")]
    if tables["signal"]["truth"].notna().any():
        handles.append(clean_handle())
    handles.append(Line2D([], [], color=PALE, linewidth=0.8, label="kept"))
    handles.append(Line2D([], [], color=GREY, linewidth=2.4, label="imputed (method's colour)"))
    return handles + light_handles(tables["light"])


RECORDING = Figure(
    name="recording",
    title="One recording through the first two stages",
    caption=(
        "Of the stored example recordings the one with the median share of artefact or lost samples (ties: "
        "first code). Top: as the device wrote it, and the clean signal where it is known. Strips: samples "
        "counted as missing after each detector. Below: imputation by every method under the mask of the "
        "detector, ground truth apart, whose best combination has the lowest out-of-bag Brier score; at "
        "the right its longest gap, where there is one. Band: plus and minus 1.96 standard "
        "deviations where the imputer gives any. Shaded: light on."
    ),
    queries={"signal": _SIGNAL, "light": _LIGHT, "masks": _MASKS, "imputed": _IMPUTED},
    draw=_draw,
    needs=("example_recordings", "example_imputations"),
    part="Recordings",
)

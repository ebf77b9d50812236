"""Traces: every example recording under the cleaning of every selected combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.figure import Figure, Tables
from src.figures.selection import RULE, SELECTED
from src.figures.signals import clean_handle, light_handles, plot_clean, plot_imputed, shade_light
from src.figures.style import INK, PALE, Background, legend_below, new_sheet, records

_MOST_PAIRS = 6

_PAIRS = f"""
{SELECTED},
pairs AS (
    SELECT outlier_method, imputation_method, row_number() OVER (ORDER BY min(selection_order)) AS pair
    FROM selected
    WHERE (outlier_method, imputation_method) IN (
        SELECT (outlier_method, imputation_method) FROM example_imputations
    )
    GROUP BY outlier_method, imputation_method QUALIFY pair <= {_MOST_PAIRS}
),
cleaned AS (
    SELECT p.pair, i.recording_code, i.sample, e.time_s, i.missing, i.imputed
    FROM example_imputations i JOIN pairs p USING (outlier_method, imputation_method)
    JOIN example_recordings e USING (recording_code, sample)
)"""
_PANELS = f"""
WITH {_PAIRS},
artefacts AS (
    SELECT recording_code, avg(coalesce(truth_mask, raw IS NULL)::INTEGER) AS artefact_share,
           bool_or(truth_mask IS NOT NULL) AS truth_known
    FROM example_recordings GROUP BY recording_code
)
SELECT a.*, dense_rank() OVER (ORDER BY a.artefact_share, a.recording_code) - 1 AS place, p.*,
       (SELECT avg(missing::INTEGER) FROM cleaned c
        WHERE c.pair = p.pair AND c.recording_code = a.recording_code) AS missing_share
FROM artefacts a CROSS JOIN pairs p ORDER BY place, pair
"""
_RECORDINGS = "SELECT recording_code, sample, time_s, raw, truth FROM example_recordings ORDER BY ALL"
_IMPUTED = f"""
WITH {_PAIRS}
SELECT pair, recording_code, sample, time_s, missing, imputed FROM cleaned
WINDOW along AS (PARTITION BY pair, recording_code ORDER BY sample)
QUALIFY missing OR lag(missing) OVER along OR lead(missing) OVER along
ORDER BY pair, recording_code, sample
"""
_STRIPS = f"""
WITH {_PAIRS},
flags AS (
    SELECT pair, recording_code, sample, time_s FROM cleaned WHERE missing
    UNION ALL
    SELECT 0, recording_code, sample, time_s FROM example_recordings WHERE truth_mask
),
numbered AS (
    SELECT *, sample - row_number() OVER (PARTITION BY pair, recording_code ORDER BY sample) AS stretch
    FROM flags
),
steps AS (
    SELECT recording_code, (max(time_s) - min(time_s)) / nullif(max(sample) - min(sample), 0) AS step_s
    FROM example_recordings GROUP BY recording_code
)
SELECT pair, recording_code, min(time_s) AS start_s, max(time_s) + any_value(step_s) AS end_s,
       count(*) AS n_samples
FROM numbered JOIN steps USING (recording_code)
GROUP BY pair, recording_code, stretch ORDER BY ALL
"""
_LIGHT = "SELECT * FROM example_light WHERE offset_s > onset_s ORDER BY recording_code, onset_s"

_RAW = "#999999"
_ACROSS = 2
_TALLEST_MM, _LOWEST_MM, _ALL_MM = 24, 10, 195
_HEAD_MM, _FOOT_MM = 3, 7
_STRIP = 0.075
"""Height of a strip, as a share of its panel."""


def _draw(tables: Tables, background: Background) -> Sheet:
    panels = tables["panels"]
    n_recordings, n_pairs = int(panels["place"].max()) + 1, int(panels["pair"].max())
    across = min(_ACROSS, n_recordings)
    blocks = -(-n_recordings // across)
    row_mm = (_ALL_MM / blocks - _FOOT_MM) / n_pairs - _HEAD_MM
    row_mm = min(_TALLEST_MM, max(_LOWEST_MM, row_mm))
    sheet = new_sheet("double", blocks * (n_pairs * (row_mm + _HEAD_MM) + _FOOT_MM))
    axes = sheet.subplots(blocks * n_pairs, across, squeeze=False)
    for place in range(n_recordings):
        block, column = divmod(place, across)
        stack = axes[block * n_pairs : (block + 1) * n_pairs, column]
        _recording(list(stack), panels[panels["place"] == place], tables, background)
        if column == 0:
            stack[(n_pairs - 1) // 2].set_ylabel(f"Pupil ({background.provenance['unit']})")
    for unused in axes[-n_pairs:, n_recordings - (blocks - 1) * across :].ravel():
        unused.set_visible(False)
    legend_below(sheet, _legend(tables), columns=4)
    return sheet


def _recording(stack: Sequence[Axes], panels: pd.DataFrame, tables: Tables, background: Background) -> None:
    """One recording: a panel per pair of detector and imputer, all with the same limits."""
    code = panels["recording_code"].iloc[0]
    signal, imputed, strips, light = (
        table[table["recording_code"] == code]
        for table in (tables[name] for name in ("recordings", "imputed", "strips", "light"))
    )
    values = pd.concat([signal["raw"], signal["truth"], imputed["imputed"]]).astype(float)
    margin = 0.05 * (values.max() - values.min())
    limits = values.min() - (margin + 2.6 * _STRIP * (values.max() - values.min())), values.max() + margin
    for axes, row in zip(stack, records(panels), strict=True):
        axes.plot(signal["time_s"], signal["raw"], color=_RAW, linewidth=0.5, gid="raw")
        plot_clean(axes, signal)
        of_pair = imputed[imputed["pair"] == row["pair"]]
        colour = background.colour("imputation", row["imputation_method"])
        axes.plot(*_broken(of_pair), color=_RAW, linewidth=0.5, gid="edges")
        only = of_pair.assign(imputed=of_pair["imputed"].where(of_pair["missing"]))
        plot_imputed(axes, *_broken(only), colour, 1.1)
        _strip(axes, strips[strips["pair"] == 0], 1, INK, "artefact")
        flagged = background.colour("outlier", row["outlier_method"])
        _strip(axes, strips[strips["pair"] == row["pair"]], 0, flagged, "missing")
        axes.set_xlim(signal["time_s"].iloc[0], signal["time_s"].iloc[-1])
        axes.set_ylim(*limits)
        axes.tick_params(labelbottom=axes is stack[-1])
        _name(axes, row, background)
    shade_light(stack, light)
    stack[0].set_title(_heading(panels.iloc[0]), loc="left", pad=10)
    stack[-1].set_xlabel("Time (s)")


def _broken(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Time and imputed signal, interrupted wherever two neighbours in the table were both observed."""
    missing, sample = rows["missing"].to_numpy(bool), rows["sample"].to_numpy()
    apart = (np.diff(sample) > 1) | ~(missing[1:] | missing[:-1])
    breaks = np.flatnonzero(apart) + 1
    return np.insert(rows["time_s"].to_numpy(float), breaks, np.nan), np.insert(
        rows["imputed"].to_numpy(float), breaks, np.nan
    )


def _strip(axes: Axes, stretches: pd.DataFrame, level: int, colour: str, gid: str) -> None:
    spans = [(row["start_s"], row["end_s"] - row["start_s"]) for row in records(stretches)]
    place = (0.01 + 1.2 * _STRIP * level, _STRIP)
    axes.broken_barh(spans, place, transform=axes.get_xaxis_transform(), color=colour, linewidth=0.2, gid=gid)


def _name(axes: Axes, row: dict[str, Any], background: Background) -> None:
    """Above a panel: the pair, and how much of the recording it replaces."""
    detector = background.label("outlier", row["outlier_method"])
    imputer = background.label("imputation", row["imputation_method"])
    share = "no samples" if pd.isna(row["missing_share"]) else f"{100 * row['missing_share']:.1f} %"
    words = f"{detector} + {imputer}: {share}"
    axes.annotate(
        words, (0, 1), xytext=(0, 1.5), xycoords="axes fraction", textcoords="offset points", fontsize=5.5
    )


def _heading(row: pd.Series) -> str:
    kind = "artefacts" if row["truth_known"] else "lost"
    return f"Recording {row['recording_code']}: {100 * row['artefact_share']:.1f} % {kind}"


def _legend(tables: Tables) -> list[Line2D]:
    handles = [Line2D([], [], color=_RAW, linewidth=0.8, label="as recorded")]
    if tables["recordings"]["truth"].notna().any():
        handles.append(clean_handle())
    handles.append(Line2D([], [], color=PALE, linewidth=2.2, label="imputed (imputer's colour)"))
    if (tables["strips"]["pair"] == 0).any():
        handles.append(Line2D([], [], color=INK, linewidth=4, label="true artefacts"))
    handles.append(Line2D([], [], color=PALE, linewidth=4, label="flagged or lost (detector's colour)"))
    handles.append(Line2D([], [], linewidth=0, label="%: samples replaced"))
    return handles + light_handles(tables["light"])


TRACES = Figure(
    name="traces",
    title="Example recordings and what the selected combinations make of them",
    caption=(
        "The stored example recordings, by rising share of artefacts; below each other the pairs of "
        f"detector and imputer of the selected combinations, {_MOST_PAIRS} at most, in the order chosen. "
        "Strips at the foot: the true artefacts, where known, and the samples counted as missing after the "
        "detector, which the imputer replaced; how many per cent of all stands above. All panels of a "
        "recording have the same limits. Shaded: light on. " + RULE
    ),
    queries={
        "panels": _PANELS,
        "recordings": _RECORDINGS,
        "imputed": _IMPUTED,
        "strips": _STRIPS,
        "light": _LIGHT,
    },
    draw=_draw,
    needs=("example_recordings", "example_imputations", "v_leaderboard"),
    part="Recordings",
    when_empty="no selected combination has a cleaned example recording",
)

"""The stimulus: when which light is on, over a typical response."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.figures.figure import Figure, Tables
from src.figures.signals import light_colour, shade_light
from src.figures.style import INK, PALE, Background, legend_below, new_sheet, records, strip_axes

_SHOWN = """
protocols AS (
    SELECT recording_code, count(*) OVER (PARTITION BY pulses) AS n_alike, pulses
    FROM (
        SELECT recording_code,
               string_agg(concat_ws(' ', colour, onset_s, offset_s), ', ' ORDER BY onset_s, colour) AS pulses
        FROM example_light WHERE offset_s > onset_s GROUP BY recording_code
    )
),
shown AS (
    SELECT recording_code FROM protocols
    WHERE pulses = (SELECT pulses FROM protocols ORDER BY n_alike DESC, pulses LIMIT 1)
)"""
_LIGHT = f"""
WITH {_SHOWN}
SELECT DISTINCT l.colour, l.onset_s, l.offset_s, l.offset_s - l.onset_s AS duration_s
FROM example_light l JOIN shown USING (recording_code) WHERE l.offset_s > l.onset_s ORDER BY l.onset_s
"""
_SIGNALS = f"""
WITH {_SHOWN}
SELECT recording_code, time_s,
       CASE WHEN (SELECT count(truth) FROM example_recordings) > 0 THEN truth ELSE raw END AS pupil
FROM example_recordings JOIN shown USING (recording_code) ORDER BY recording_code, sample
"""
_TYPICAL = f"""
SELECT time_s, median(pupil) AS pupil, count(pupil) AS n_recordings
FROM ({_SIGNALS}) GROUP BY time_s ORDER BY time_s
"""
_COUNTS = f"""
WITH {_SHOWN}
SELECT (SELECT count(*) FROM shown) AS n_shown,
       count(DISTINCT recording_code) AS n_examples, count(truth) > 0 AS clean
FROM example_recordings
"""


def _draw(tables: Tables, background: Background) -> Sheet:
    light, signals, typical = tables["light"], tables["signals"], tables["typical"]
    sheet = new_sheet("double", 68)
    protocol, response = sheet.subplots(2, 1, sharex=True, height_ratios=[1, 5])
    _bars(protocol, light)
    shade_light([response], light)
    for _, signal in signals.groupby("recording_code"):
        response.plot(signal["time_s"], signal["pupil"].astype(float), color=PALE, linewidth=0.6, gid="one")
    response.plot(typical["time_s"], typical["pupil"].astype(float), color=INK, gid="median")
    response.set_xlim(typical["time_s"].min(), typical["time_s"].max())
    response.set_xlabel("Time since the start of the recording (s)")
    response.set_ylabel(f"Pupil ({background.provenance['unit']})")
    legend_below(sheet, _legend(tables["counts"].iloc[0]), columns=2)
    return sheet


def _bars(axes: Axes, light: pd.DataFrame) -> None:
    """The protocol on a line of its own: a bar per pulse, with its times."""
    for pulse in records(light):
        span = (pulse["onset_s"], pulse["duration_s"])
        axes.broken_barh([span], (0, 1), color=light_colour(pulse["colour"]), linewidth=0, gid="pulse")
        words = f"{pulse['colour']} {pulse['onset_s']:g} to {pulse['offset_s']:g} s"
        middle = pulse["onset_s"] + pulse["duration_s"] / 2
        axes.annotate(words, (middle, 0.5), ha="center", va="center", fontsize=6, annotation_clip=False)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["Light on"])
    axes.tick_params(labelbottom=False)
    strip_axes(axes)


def _legend(counts: pd.Series) -> list[Line2D]:
    kind = "clean signals" if counts["clean"] else "signals as recorded"
    some = "" if counts["n_shown"] == counts["n_examples"] else f" of {counts['n_examples']}"
    words = f"{counts['n_shown']}{some} example recordings, {kind}"
    return [
        Line2D([], [], color=PALE, linewidth=0.8, label=words),
        Line2D([], [], color=INK, label="their median at each time"),
    ]


STIMULUS = Figure(
    name="stimulus",
    title="The stimulus and a typical response",
    caption=(
        "Top: when which light is on, as stored with the example recordings; of several protocols the most "
        "frequent one. Below: the pupil in the example recordings with this protocol, the clean signal "
        "where it is known, and the median over them at each time. A few examples, and no average of the "
        "cohort."
    ),
    queries={"light": _LIGHT, "signals": _SIGNALS, "typical": _TYPICAL, "counts": _COUNTS},
    draw=_draw,
    needs=("example_light", "example_recordings"),
    part="Recordings",
    when_empty="no example recording has a light pulse of known time",
)

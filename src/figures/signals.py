"""What pictures of recordings share: the light, and signals as recorded, as known and as imputed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from src.figures.style import BLUE_LIGHT, PALE, RED_LIGHT, TRUTH, records

_LIGHT_COLOURS = {"blue": BLUE_LIGHT, "red": RED_LIGHT}
_CLEAN: Any = {"color": TRUTH, "linewidth": 1.8, "alpha": 0.45}


def shade_light(panels: Iterable[Axes], light: pd.DataFrame) -> None:
    """Shade while the light is on; `light` has the columns of `example_light`."""
    for axes in panels:
        for pulse in records(light):
            axes.axvspan(
                pulse["onset_s"],
                pulse["offset_s"],
                color=light_colour(pulse["colour"]),
                zorder=-3,
                linewidth=0,
                gid="light",
            )


def light_colour(name: str) -> str:
    """Shade for a colour of light; grey for one that is neither blue nor red."""
    return _LIGHT_COLOURS.get(name, PALE)


def plot_clean(axes: Axes, signal: pd.DataFrame) -> None:
    """Draw the clean signal, from the columns `time_s` and `truth`."""
    axes.plot(signal["time_s"], signal["truth"].astype(float), gid="truth", **_CLEAN)


def plot_imputed(axes: Axes, time: np.ndarray, values: np.ndarray, colour: str, width: float) -> None:
    """Draw imputed values, NaN where none; one without a neighbour, which makes no line, is a dot."""
    axes.plot(time, values, color=colour, linewidth=width, gid="imputed")
    known = np.isfinite(values)
    alone = known & ~np.r_[False, known[:-1]] & ~np.r_[known[1:], False]
    look: dict[str, Any] = {"marker": "o", "markersize": 1.5 * width, "markeredgewidth": 0}
    axes.plot(time[alone], values[alone], linestyle="none", color=colour, gid="imputed alone", **look)


def clean_handle() -> Line2D:
    """Return the legend's entry for the clean signal."""
    return Line2D([], [], label="clean signal", **_CLEAN)


def light_handles(light: pd.DataFrame) -> list[Line2D]:
    """Return the legend's entries for the colours of the light."""
    return [
        Line2D([], [], color=light_colour(colour), linewidth=5, label=f"{colour} light")
        for colour in light["colour"].unique()
    ]

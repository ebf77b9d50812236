"""How every picture looks, what must stand on its face, and how files are written.

The stamp for data that were not measured, and the line that names missing cells, are put on here, so that no
figure can leave them out.
"""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from src.registry import FACTORS

WIDTHS_MM = {"single": 85, "middle": 114, "double": 174}
"""Journal column widths in millimetres."""

INK, GREY, PALE = "#222222", "#777777", "#BBBBBB"
WARNING = "#AA3300"
BLUE_LIGHT, RED_LIGHT = "#CFE3F5", "#F7D4CF"
PALETTE = ("#555555", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
"""Colour-blind safe (Okabe and Ito 2008, with a grey and a wine), for lines that are not one method's."""
CASES, CONTROLS, TRUTH = "#D55E00", "#0072B2", "#009E73"
COLOURMAP = "YlGnBu"
"""Sequential and colour-blind safe; its dark end is the good one."""

RC: Any = {
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titleweight": "bold",
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,  # a method may be called a_$b$
    "pdf.fonttype": 42,  # fonts are embedded as they are, so that text stays text
    "svg.fonttype": "none",
}

_MARGIN_MM, _LINE_MM = 2.5, 3.1
_STAMP_MM = 39
_TITLE_LETTER_MM, _NOTE_LETTER_MM = 2.02, 1.12
_CELLS_NAMED = 4
_LABEL_LETTERS = 30
_FEWEST_LETTERS = 12


class FigureError(ValueError):
    """A figure that cannot be drawn as asked; the message says what to do."""


@dataclass(frozen=True)
class Background:
    """What every picture must know about the database it shows.

    Attributes
    ----------
    provenance : mapping
        The row of `provenance`.
    methods : DataFrame
        The table `methods`: stage, name, display_name, category, colour, sort_order.
    coverage : DataFrame
        The table `coverage`: the four factors and status of every planned combination.
    """

    provenance: Mapping[str, Any]
    methods: pd.DataFrame
    coverage: pd.DataFrame

    @classmethod
    def of_recordings(cls, source: str) -> Background:
        """Background of a picture of recordings alone: where they come from, no methods, nothing planned."""
        methods = pd.DataFrame(columns=["stage", "name", "display_name", "colour"])
        return cls({"source": source}, methods, pd.DataFrame(columns=[*FACTORS.values(), "status"]))

    @property
    def stamp(self) -> str:
        """Words that must stand on the picture; empty when the data were measured."""
        source = self.provenance["source"]
        if source == "measured":
            return ""
        return "SYNTHETIC DATA" if source == "synthetic" else "SOURCE UNSTATED"

    @property
    def missing(self) -> pd.DataFrame:
        """Planned combinations without a result."""
        return self.coverage[self.coverage["status"] != "finished"]

    def label(self, stage: str, name: str) -> str:
        """Display name of a method, or its name where there is none; a long one loses its middle."""
        return self._labels.get((stage, name), _elide(name))

    def colour(self, stage: str, name: str) -> str:
        """Colour of a method; grey where the database has none."""
        return self._colours.get((stage, name), GREY)

    def combination(self, row: Mapping[str, Any], without: str = "") -> str:
        """Display names of a row's methods, joined; the feature set only where there is more than one.

        Parameters
        ----------
        row : mapping
            Holds the columns featurization, outlier_method, imputation_method and classifier; a method that
            is NULL is not used.
        without : str
            A stage to leave out: 'outlier', 'imputation' or 'classifier'.
        """
        several = len(set(self.coverage["featurization"])) > 1
        return " + ".join(
            self.label(stage, row[column])
            for stage, column in FACTORS.items()
            if stage != without and (stage != "features" or several) and pd.notna(row[column])
        )

    def incomplete(self) -> str:
        """Say which planned cells have no result; empty when the grid is complete."""
        if self.missing.empty:
            return ""
        named = [
            f"{self.combination(row)} ({row['status']})" for row in records(self.missing.head(_CELLS_NAMED))
        ]
        if more := len(self.missing) - len(named):
            named.append(f"and {more} more")
        return f"Incomplete: {len(self.missing)} of {len(self.coverage)} cells missing: " + "; ".join(named)

    @cached_property
    def _labels(self) -> dict[tuple[str, str], str]:
        short = self.methods["display_name"].map(_elide)
        unclear = self.methods.assign(short=short).duplicated(["stage", "short"], keep=False)
        return self._by_method(short.mask(unclear, self.methods["display_name"]))

    @cached_property
    def _colours(self) -> dict[tuple[str, str], str]:
        return self._by_method(self.methods["colour"].fillna(GREY))

    def _by_method(self, values: pd.Series) -> dict[tuple[str, str], str]:
        return dict(zip(zip(self.methods["stage"], self.methods["name"], strict=True), values, strict=True))


def _elide(name: str) -> str:
    if len(name) <= _LABEL_LETTERS:
        return name
    return f"{name[: _LABEL_LETTERS - 14]}…{name[-13:]}"


def read_background(query: Callable[[str], pd.DataFrame]) -> Background:
    """Read the background of all pictures.

    Parameters
    ----------
    query : callable
        Runs SQL on the open results database and returns a DataFrame.
    """
    provenance = records(query("SELECT * FROM provenance"))[0]
    methods = query("SELECT * FROM methods ORDER BY stage, sort_order")
    coverage = query(
        "SELECT * FROM coverage ORDER BY status, featurization, outlier_method, imputation_method, classifier"
    )
    return Background(provenance, methods, coverage)


@contextmanager
def journal_style() -> Iterator[None]:
    """Hold the project's settings of matplotlib while drawing and saving."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def new_sheet(width: str, height_mm: float) -> Sheet:
    """Return an empty picture of a journal width; `height_mm` is the room for the drawing itself."""
    sheet = Sheet(figsize=(WIDTHS_MM[width] / 25.4, height_mm / 25.4), layout="constrained")
    FigureCanvasAgg(sheet)
    return sheet


def wrap(text: str, width: int = 26) -> str:
    """Break a label at blanks, hyphens and plus signs, so that no line is longer than `width` characters."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=True)) or text


def signed(value: float, digits: int = 2, plus: str = "") -> str:
    """A number with a true minus sign, and none before a zero; `plus` is '+' to write that sign too."""
    return f"{round(value, digits) + 0:{plus}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(value: float, low: float, high: float) -> str:
    """A number with its interval in brackets, in three digits; by itself where the interval is undefined.

    Without a number there is no interval either, only the word 'undefined'.
    """
    if pd.isna(value):
        return "undefined"
    return f"{value:.3f}" if pd.isna(low) or pd.isna(high) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def readable_on(colour: Sequence[float]) -> str:
    """Ink or white, whichever has more contrast on a colour (red, green, blue in 0 to 1; WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.066 else INK


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def line_colour(order: int) -> str:
    """Colour of the line with this number, from 1; they repeat after the palette's length."""
    return PALETTE[(order - 1) % len(PALETTE)]


def legend_below(sheet: Sheet, handles: Sequence[Artist], columns: int) -> None:
    """Add a legend that `finish` puts below the drawing, in room made for it.

    One wider than the picture gets fewer columns; where a single one is too wide, its words are wrapped.
    """
    words = [str(handle.get_label()) for handle in handles]
    letters = max(map(len, words), default=0)
    look: dict[str, Any] = {"loc": "lower center", "alignment": "left", "handles": list(handles)}
    while True:
        labels = words if columns > 1 else [wrap(text, letters) for text in words]
        legend = sheet.legend(labels=labels, ncols=columns, **look)
        legend.set_in_layout(False)
        if legend.get_window_extent().width <= sheet.bbox.width or letters <= _FEWEST_LETTERS:
            return
        legend.remove()
        columns, letters = (columns - 1, letters) if columns > 1 else (1, letters - 2)


def upright(label: str) -> Line2D:
    """Return the legend's entry for a short grey line drawn upright."""
    look: dict[str, Any] = {"marker": "|", "markersize": 7, "markeredgewidth": 1.4}
    return Line2D([], [], color=GREY, linewidth=0, label=label, **look)


def strip_axes(axes: Axes) -> None:
    """Take away frame and ticks where a panel holds only text or strips."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def finish(sheet: Sheet, title: str, background: Background) -> None:
    """Put the title, the stamp and the line on missing cells on a picture, in room made for them.

    The picture grows by the height of these lines, so that the drawing keeps its own.
    """
    width_mm, height_mm = (25.4 * inches for inches in sheet.get_size_inches())
    above = textwrap.wrap(title, int((width_mm - (_STAMP_MM if background.stamp else 5)) / _TITLE_LETTER_MM))
    note = background.incomplete()
    below = textwrap.wrap(note, int((width_mm - 5) / _NOTE_LETTER_MM)) if note else []
    top = _MARGIN_MM + 1.3 * _LINE_MM * len(above) + 2.5
    note_mm = _MARGIN_MM + _LINE_MM * len(below)
    legend_mm = sum(legend.get_window_extent().height / sheet.dpi * 25.4 for legend in sheet.legends)
    total = height_mm + top + note_mm + legend_mm
    sheet.set_size_inches(width_mm / 25.4, total / 25.4)
    inside = (0.01, (note_mm + legend_mm) / total, 0.98, height_mm / total)
    sheet.get_layout_engine().set(rect=inside)  # type: ignore[union-attr, call-arg]
    for legend in sheet.legends:
        legend.set_bbox_to_anchor((0, note_mm / total, 1, legend_mm / total), transform=sheet.transFigure)
    left, high = _MARGIN_MM / width_mm, 1 - _MARGIN_MM / total
    sheet.text(left, high, "\n".join(above), fontsize=9, fontweight="bold", va="top", gid="title")
    if background.stamp:
        _stamp(sheet, background.stamp, 1 - 1.4 * left, high)
    if below:
        low = 0.5 * _MARGIN_MM / total
        sheet.text(left, low, "\n".join(below), fontsize=6, color=WARNING, va="bottom", gid="incomplete")


def _stamp(sheet: Sheet, words: str, right: float, top: float) -> None:
    box = {"boxstyle": "round,pad=0.3", "facecolor": WARNING, "edgecolor": "none"}
    look: dict[str, Any] = {"fontsize": 7.5, "fontweight": "bold", "color": "white", "bbox": box}
    sheet.text(right, top, words, ha="right", va="top", gid="stamp", zorder=1000, **look)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it into place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_picture(sheet: Sheet, path: Path) -> None:
    """Write a picture whole or not at all; the format is the file's ending (png, pdf or svg)."""
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with replacing(path) as temporary:
        sheet.savefig(temporary, dpi=200, metadata=dates.get(path.suffix.lstrip(".")), facecolor="white")

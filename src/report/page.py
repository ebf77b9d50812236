"""A report as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from PIL import Image

from src.report.benchmark import Benchmark
from src.report.document import Picture
from src.report.ranking import direction

_DPI = 130
_COLOURS = 128
"""Of a picture's palette: enough for lines, marks and letters, at a third of the size."""


def as_page(benchmark: Benchmark) -> str:
    """Return a benchmark as a page; to be called within `journal_style`, for it draws the pictures."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("benchmark.html").render(
        benchmark=benchmark,
        stamp=benchmark.reading.background.stamp,
        pictures={one.name: _embedded(one) for part in benchmark.parts for one in part.pictures},
        metrics=[(metric, direction(metric)) for metric in benchmark.reading.ranking.metrics],
    )


def _embedded(picture: Picture) -> str:
    """Draw a picture and return it as the base64 text of a PNG with a palette."""
    drawn, small = io.BytesIO(), io.BytesIO()
    picture.draw().savefig(drawn, format="png", dpi=_DPI, facecolor="white")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "png")
    return base64.b64encode(small.getvalue()).decode("ascii")

"""A page that shows all figures of a folder with their captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment

from src.figures.figure import PARTS
from src.figures.style import FigureError, write_text

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Figures</title>
<style>
body { font: 15px/1.5 sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 0 0 3rem; break-inside: avoid; }
img { max-width: 100%; border: 1px solid #ddd; }
figcaption { font-size: 0.9rem; max-width: 50rem; }
nav li { margin: 0.2rem 0; }
nav a, .files a { margin-right: 0.8rem; }
h2 { border-bottom: 1px solid #ccc; margin-top: 3rem; }
h2, h3 { break-after: avoid; }
@page { size: A4; margin: 15mm; }
.stamp { background: #aa3300; color: white; padding: 0.1rem 0.5rem; }
</style></head><body>
<h1>Figures</h1>
<p>Source of the recordings: <span class="{{ 'stamp' if source != 'measured' }}">{{ source }}</span>.
Database {{ database }}, cohort {{ cohort_hash }}, {{ n_iterations }} resamples.
{{ cells_missing|length }} of {{ cells_planned }} planned combinations have no result.</p>
<nav><ul>{% for part, figures in parts %}<li>{{ part }}:
{% for f in figures %}<a href="#{{ f.name }}">{{ f.name }}</a> {% endfor %}</li>
{% endfor %}</ul></nav>
{% for part, figures in parts %}
<h2>{{ part }}</h2>
{% for f in figures %}
<figure id="{{ f.name }}"><h3>{{ f.title }}</h3>
{% if f.not_drawn %}<p>Not drawn: {{ f.not_drawn }}.</p>
{% elif f.picture %}<img src="{{ f.picture }}" alt="{{ f.title }}" loading="lazy">
{% endif %}<figcaption>{{ f.caption }}<br>
<span class="files">{% for file in f.links %}<a href="{{ file }}">{{ file }}</a> {% endfor %}</span>
</figcaption>
</figure>
{% endfor %}{% endfor %}
</body></html>
"""


def write_gallery(folder: Path) -> Path:
    """Write `index.html` over the figures in a folder, those of the newest database only.

    Parameters
    ----------
    folder : Path
        Where `src.figures.catalogue.draw_all` wrote to.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FigureError
        If there is none.
    """
    found = {path: _description(path) for path in folder.glob("*.json")}
    if not found:
        raise FigureError(f"there is no figure in {folder}")
    newest = found[max(found, key=lambda path: path.stat().st_mtime)]
    figures = [figure for figure in found.values() if figure["database_sha256"] == newest["database_sha256"]]
    for figure in figures:
        figure["links"] = [*figure["files"], f"{figure['name']}.json"]
        figure["picture"] = next((name for name in figure["files"] if name.endswith((".png", ".svg"))), None)
    parts = [(part, sorted((f for f in figures if f["part"] == part), key=_name)) for part in PARTS]
    page = Environment(autoescape=True).from_string(_PAGE)
    path = folder / "index.html"
    write_text(path, page.render(newest | {"parts": [(part, some) for part, some in parts if some]}))
    return path


def _description(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _name(figure: dict[str, Any]) -> str:
    return figure["name"]

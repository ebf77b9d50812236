"""A page that shows all figures of a folder with their captions."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment

from src.figures.style import write_text

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Figures</title>
<style>
body { font: 15px/1.5 sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 0 0 3rem; }
img { max-width: 100%; border: 1px solid #ddd; }
figcaption { font-size: 0.9rem; }
nav a { margin-right: 1rem; }
.stamp { background: #aa3300; color: white; padding: 0.1rem 0.5rem; }
</style></head><body>
<h1>Figures</h1>
<p>Source of the recordings: <span class="{{ 'stamp' if source != 'measured' }}">{{ source }}</span>.
{{ missing }} of {{ planned }} planned combinations have no result.</p>
<nav>{% for f in figures %}<a href="#{{ f.name }}">{{ f.name }}</a> {% endfor %}</nav>
{% for f in figures %}
<figure id="{{ f.name }}"><h2>{{ f.title }}</h2>
{% if f.picture %}<img src="{{ f.picture }}" alt="{{ f.title }}" loading="lazy">{% endif %}
<figcaption>{{ f.caption }}<br>
{% for file in f.files %}<a href="{{ file }}">{{ file }}</a> {% endfor %}</figcaption>
</figure>
{% endfor %}
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
    """
    found = [path for path in sorted(folder.glob("*.json")) if path.with_suffix(".csv").is_file()]
    newest = json.loads(max(found, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
    figures = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    figures = [figure for figure in figures if figure["database_sha256"] == newest["database_sha256"]]
    for figure in figures:
        files = sorted(path.name for path in folder.glob(f"{figure['name']}[._]*"))
        figure["files"] = files
        figure["picture"] = next((name for name in files if name.endswith((".png", ".svg"))), None)
    page = Environment(autoescape=True).from_string(_PAGE)
    path = folder / "index.html"
    words = {
        "source": newest["source"],
        "missing": len(newest["cells_missing"]),
        "planned": newest["cells_planned"],
    }
    write_text(path, page.render(figures=figures, **words))
    return path

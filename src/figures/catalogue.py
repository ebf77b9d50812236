"""Finding the figures, drawing them, and writing what belongs beside them."""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

import src.figures
from src.figures.figure import Figure, Tables
from src.figures.style import (
    Background,
    FigureError,
    finish,
    journal_style,
    read_background,
    save_picture,
    write_text,
)
from src.results.database import ResultsDatabase, open_results

FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn, and the files it was written to."""

    figure: Figure
    files: tuple[Path, ...]


def find_figures() -> list[Figure]:
    """Every `Figure` held by a module of this folder, by name."""
    found = {}
    for entry in pkgutil.iter_modules(src.figures.__path__, "src.figures."):
        for value in vars(importlib.import_module(entry.name)).values():
            if isinstance(value, Figure):
                found[value.name] = value
    return [found[name] for name in sorted(found)]


def choose(figures: Iterable[Figure], names: Sequence[str]) -> list[Figure]:
    """Pick figures by name; all of them when no name is given.

    Raises
    ------
    FigureError
        If a name is not that of a figure; the message lists the names.
    """
    known = {figure.name: figure for figure in figures}
    if unknown := [name for name in names if name not in known]:
        raise FigureError(f"unknown figure {unknown[0]!r}. Valid: {', '.join(known)}")
    return [known[name] for name in names or known]


def draw_all(
    database: Path, out: Path, names: Sequence[str] = (), formats: Sequence[str] = ("png", "pdf")
) -> list[Drawn]:
    """Draw figures from a results database into a folder, each with its data and description beside it.

    Parameters
    ----------
    database : Path
        The results database; opened read-only.
    out : Path
        Folder for `NAME.png`, `NAME.pdf`, `NAME.csv` (and `NAME_PART.csv`), `NAME.json`.
    names : sequence of str
        Figures to draw; all when empty.
    formats : sequence of str
        Of 'png', 'pdf' and 'svg'.

    Returns
    -------
    list of Drawn
        What could be drawn; the reason for every other one is printed.
    """
    if unknown := [kind for kind in formats if kind not in FORMATS]:
        raise FigureError(f"unknown format {unknown[0]!r}. Valid: {', '.join(FORMATS)}")
    figures = choose(find_figures(), names)
    drawn = []
    with open_results(database) as results:
        background = read_background(results.query)
        described = describe(database, background)
        for figure in figures:
            if lacking := what_lacks(figure, results):
                print(f"{figure.name}: not drawn, {lacking}")
                continue
            tables = read(figure, results)
            if next(iter(tables.values())).empty:
                print(f"{figure.name}: not drawn, its query gives no rows")
                continue
            drawn.append(_draw_one(figure, tables, background, described, out, formats))
            print(f"{figure.name}: {', '.join(path.name for path in drawn[-1].files)}")
    return drawn


def what_lacks(figure: Figure, results: ResultsDatabase) -> str:
    """Say which table a figure needs is absent or empty; empty when nothing lacks."""
    present = set(results.query("SELECT table_name FROM information_schema.tables")["table_name"])
    for table in figure.needs:
        if table not in present:
            return f"the database has no table {table}"
        if results.query(f"SELECT 1 FROM {table} LIMIT 1").empty:
            return f"table {table} is empty"
    return ""


def read(figure: Figure, results: ResultsDatabase) -> Tables:
    """Answer the queries of a figure."""
    return {name: results.query(sql) for name, sql in figure.queries.items()}


def describe(database: Path, background: Background) -> dict[str, Any]:
    """Where the numbers of every figure come from: database, cohort, code, and what is missing."""
    origin = background.provenance
    with database.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    versions = {
        "python": sys.version.split()[0],
        "matplotlib": matplotlib.__version__,
        "pandas": pd.__version__,
    }
    return {
        "database": database.name,
        "database_sha256": digest,
        "source": origin["source"],
        "cohort_hash": origin["cohort_hash"],
        "resample_id": origin["resample_id"],
        "n_iterations": int(origin["n_iterations"]),
        "code_commit": origin["code_commit"],
        "versions": versions,
        "cells_planned": len(background.coverage),
        "cells_missing": json.loads(background.missing.to_json(orient="records")),
    }


def _draw_one(
    figure: Figure,
    tables: Tables,
    background: Background,
    described: dict[str, Any],
    out: Path,
    formats: Sequence[str],
) -> Drawn:
    files = [out / f"{figure.name}.{kind}" for kind in formats]
    with journal_style():
        sheet = figure.draw(tables, background)
        finish(sheet, figure.title, background)
        for path in files:
            save_picture(sheet, path)
    for number, (part, table) in enumerate(tables.items()):
        path = out / (f"{figure.name}_{part}.csv" if number else f"{figure.name}.csv")
        write_text(path, table.to_csv(index=False))
        files.append(path)
    words = {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "queries": dict(figure.queries),
    }
    files.append(out / f"{figure.name}.json")
    write_text(files[-1], json.dumps(words | described, indent=2, ensure_ascii=False) + "\n")
    return Drawn(figure, tuple(files))

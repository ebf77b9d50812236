"""Finding the figures, drawing them, and writing what belongs beside them."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import pandas as pd

import src.figures
from src.figures.figure import PARTS, Figure, Tables
from src.figures.style import (
    Background,
    FigureError,
    finish,
    journal_style,
    read_background,
    save_picture,
    write_text,
)
from src.results.database import MissingTable, ResultsError, open_results

FORMATS = ("png", "pdf", "svg")
_WORTH_A_PROCESS = 4
"""Figures for which starting another process pays."""
_REASON_LETTERS = 300


class Queried(Protocol):
    """An open results database, or what reads one."""

    @property
    def query(self) -> Callable[..., pd.DataFrame]:
        """Runs SQL and returns the rows."""


@dataclass(frozen=True)
class Outcome:
    """What became of a figure: the files it was written to, or why it was not drawn.

    `failed` where drawing it ended with an error; what was there before is still there then.
    """

    name: str
    files: tuple[str, ...]
    reason: str = ""
    failed: bool = False

    def __str__(self) -> str:
        pictures = [name for name in self.files if name.endswith(FORMATS)]
        return f"{self.name}: " + (f"not drawn, {self.reason}" if self.reason else ", ".join(pictures))


@cache
def find_figures() -> tuple[Figure, ...]:
    """Every `Figure` held by a module of this folder: by the question it answers, then by name."""
    found = {}
    for entry in pkgutil.iter_modules(src.figures.__path__, "src.figures."):
        for value in vars(importlib.import_module(entry.name)).values():
            if isinstance(value, Figure):
                found[value.name] = value
    return tuple(sorted(found.values(), key=lambda figure: (PARTS.index(figure.part), figure.name)))


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
    database: Path,
    out: Path,
    names: Sequence[str] = (),
    formats: Sequence[str] = ("png", "pdf"),
    *,
    workers: int = 1,
    commit: str = "",
) -> list[Outcome]:
    """Draw figures from a results database into a folder, each with its data and description beside it.

    What an earlier call wrote for the same figure, and this one does not, is removed.

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
    workers : int
        Processes to draw in; 1 draws in this one.
    commit : str
        Of the code that draws, for the description.

    Returns
    -------
    list of Outcome
        In the order of the figures; each is printed as soon as it is there.
    """
    if unknown := [kind for kind in formats if kind not in FORMATS]:
        raise FigureError(f"unknown format {unknown[0]!r}. Valid: {', '.join(FORMATS)}")
    figures = choose(find_figures(), names)
    out.mkdir(parents=True, exist_ok=True)
    with open_results(database) as results:
        described = describe(database, results) | {"drawing_commit": commit}
    draw = partial(_draw_named, database, out, tuple(formats), described)
    workers = min(workers, len(figures) // _WORTH_A_PROCESS)
    with ExitStack() as stack:
        run: Any = map
        if workers > 1:  # spawned, not forked: DuckDB has threads
            context = multiprocessing.get_context("spawn")
            run = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context)).map
        outcomes = []
        for outcome in run(draw, [figure.name for figure in figures]):
            outcomes.append(outcome)
            print(f"[{len(outcomes)}/{len(figures)}] {outcome}", flush=True)
    return outcomes


def _draw_named(
    database: Path, out: Path, formats: Sequence[str], described: dict[str, Any], name: str
) -> Outcome:
    """Draw one figure, or say why not; may be called in another process, hence the name."""
    try:
        return _drawn(database, out, formats, described, name)
    except (OSError, ResultsError):
        raise
    except Exception as error:  # noqa: BLE001 - it costs one figure, is shown whole, and the command exits with 1
        traceback.print_exc()
        return Outcome(name, (), f"{type(error).__name__}: {error}", failed=True)


def _drawn(
    database: Path, out: Path, formats: Sequence[str], described: dict[str, Any], name: str
) -> Outcome:
    (figure,) = choose(find_figures(), [name])
    with open_results(database) as results:
        background = read_background(results.query)
        reason, tables = answers(figure, results)
    before = _listed_files(out / f"{name}.json")
    files = () if reason else _draw_one(figure, tables, background, out, formats)
    words = {
        "name": figure.name,
        "part": figure.part,
        "title": figure.title,
        "caption": figure.caption,
        "files": files,
        "not_drawn": reason,
        "queries": dict(figure.queries),
    }
    write_text(out / f"{name}.json", json.dumps(words | described, indent=2, ensure_ascii=False) + "\n")
    for old in set(before) - set(files):
        (out / old).unlink(missing_ok=True)
    return Outcome(name, () if reason else (*files, f"{name}.json"), reason)


def answers(figure: Figure, results: Queried) -> tuple[str, Tables]:
    """Return why there is nothing to draw, empty where there is, and the answers of the figure's queries."""
    try:
        if reason := what_lacks(figure, results):
            return reason, {}
        tables = read(figure, results)
    except MissingTable as error:  # of a view that is there
        return str(error), {}
    empty = next(iter(tables.values())).empty
    return (_refusal(figure, results) or figure.when_empty if empty else ""), tables


def _listed_files(description: Path) -> list[str]:
    """The files an earlier description lists; none where there is no such description."""
    try:
        listed = json.loads(description.read_text(encoding="utf-8"))["files"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    own = re.compile(rf"{re.escape(description.stem)}(_\w+)?\.(csv|{'|'.join(FORMATS)})")
    return [name for name in map(str, listed) if own.fullmatch(name)]


def what_lacks(figure: Figure, results: Queried) -> str:
    """Say which table a figure needs is absent or empty, and why; empty when nothing lacks."""
    present = set(results.query("SELECT table_name FROM information_schema.tables")["table_name"])
    for table in figure.needs:
        if table not in present:
            return f"the database has no table {table}"
        if results.query(f"SELECT 1 FROM {table} LIMIT 1").empty:
            return _refusal(figure, results) or f"table {table} is empty"
    return ""


def _refusal(figure: Figure, results: Queried) -> str:
    """Why the comparison a figure shows was not made, as the database has it."""
    sql = "SELECT DISTINCT reason FROM refusals WHERE comparison = $name ORDER BY reason"
    reasons = results.query(sql, {"name": figure.comparison})["reason"] if figure.comparison else ()
    words = "; ".join(reasons)
    short = f"{words[:_REASON_LETTERS]}… (in full: table refusals)"
    return words if len(words) <= _REASON_LETTERS else short


def read(figure: Figure, results: Queried) -> Tables:
    """Answer the queries of a figure."""
    return {name: results.query(sql) for name, sql in figure.queries.items()}


def describe(database: Path, results: Queried) -> dict[str, Any]:
    """Where the numbers of every figure come from: database, cohort, code, and what is missing."""
    background = read_background(results.query)
    origin = background.provenance
    with database.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    versions = {
        "python": sys.version.split()[0],
        "duckdb": str(results.query("SELECT version() AS v")["v"].iloc[0]),
        "matplotlib": matplotlib.__version__,
        "numpy": np.__version__,
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
    figure: Figure, tables: Tables, background: Background, out: Path, formats: Sequence[str]
) -> tuple[str, ...]:
    """Write the pictures and the data of a figure; their names."""
    files = [f"{figure.name}.{kind}" for kind in formats]
    with journal_style():
        sheet = figure.draw(tables, background)
        finish(sheet, figure.title, background)
        for name in files:
            save_picture(sheet, out / name)
    for number, (part, table) in enumerate(tables.items()):
        files.append(f"{figure.name}_{part}.csv" if number else f"{figure.name}.csv")
        write_text(out / files[-1], table.to_csv(index=False))
    return tuple(files)

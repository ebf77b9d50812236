"""The files of a benchmark report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from src.figures.style import journal_style, records, save_picture, write_text
from src.report.benchmark import Benchmark
from src.report.charts import draw_chart
from src.report.document import Part
from src.report.page import as_page
from src.report.text import as_text

RESULTS = "benchmark_results.json"


def write_report(benchmark: Benchmark, out: Path) -> list[Path]:
    """Write a benchmark as JSON, CSV, text, one PNG per metric and a self-contained HTML page.

    Charts that an earlier report in the same folder lists, and this one does not have, are removed; nothing
    else is.

    Parameters
    ----------
    benchmark : Benchmark
    out : Path
        Folder; made where it does not exist.

    Returns
    -------
    list of Path
        The files, each written whole or not at all.
    """
    ranking = benchmark.reading.ranking
    charts = {metric.name: out / f"benchmark_{metric.name}.png" for metric in ranking.metrics}
    with journal_style():
        for metric in ranking.metrics:
            save_picture(draw_chart(benchmark.reading, metric), charts[metric.name])
        page = as_page(benchmark)
    for name in _listed_charts(out / RESULTS) - {chart.name for chart in charts.values()}:
        (out / name).unlink(missing_ok=True)
    data = as_data(benchmark) | {"charts": [chart.name for chart in charts.values()]}
    texts = {
        RESULTS: json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False),
        "benchmark_results.csv": ranking.table.to_csv(index=False),
        "benchmark_report.txt": as_text(benchmark),
        "benchmark_report.html": page,
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [*(out / name for name in texts), *charts.values()]


def _listed_charts(results: Path) -> set[str]:
    """Return the charts an earlier report lists; none where there is no such report."""
    try:
        report = json.loads(results.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return set()
    names = report.get("charts") if isinstance(report, dict) else None
    listed = names if isinstance(names, list) else []
    return {name for name in map(str, listed) if re.fullmatch(r"benchmark_\w+\.png", name)}


def as_data(benchmark: Benchmark) -> dict[str, Any]:
    """Return a benchmark as plain values; undefined numbers are None."""
    reading = benchmark.reading
    metric, background = reading.question.metric, reading.background
    return {
        "title": benchmark.title,
        "stamp": background.stamp,
        "stage": reading.question.stage,
        "metric": metric.name,
        "direction": metric.direction,
        "target": metric.target,
        "models": list(reading.question.models),
        "notes": benchmark.notes,
        "provenance": _plain(background.provenance),
        "cells_planned": len(background.coverage),
        "missing_cells": _plain_rows(background.missing),
        "champion": _plain(benchmark.champion) if benchmark.champion else None,
        "champion_without_truth": _plain(benchmark.practical) if benchmark.practical else None,
        "baseline": _plain_rows(reading.ranking.baseline),
        "ranking": _plain_rows(reading.ranking.table),
        "parts": [_part(part) for part in benchmark.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    tables = [
        {
            "name": table.name,
            "title": table.title,
            "estimator": table.estimator,
            "columns": {column.name: column.head for column in table.columns},
            "rows": _plain_rows(table.values),
        }
        for table in part.tables
    ]
    return {
        "name": part.name,
        "title": part.title,
        "lines": list(part.lines),
        "below": list(part.below),
        "tables": tables,
        "pictures": [{"name": one.name, "title": one.title, "caption": one.caption} for one in part.pictures],
    }


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in records(table)]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value

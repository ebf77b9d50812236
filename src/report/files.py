"""The files of a benchmark report."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from src.figures.style import journal_style, records, save_picture, write_text
from src.report.benchmark import Benchmark
from src.report.charts import draw_chart
from src.report.words import (
    about_checks,
    as_text,
    cautions,
    checks,
    direction,
    notes,
    ranking,
    results,
    title,
)

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
    charts = {metric.name: out / f"benchmark_{metric.name}.png" for metric in benchmark.metrics}
    with journal_style():
        for metric in benchmark.metrics:
            save_picture(draw_chart(benchmark, metric), charts[metric.name])
    for name in _listed_charts(out / RESULTS) - {chart.name for chart in charts.values()}:
        (out / name).unlink(missing_ok=True)
    data = as_data(benchmark) | {"charts": [chart.name for chart in charts.values()]}
    texts = {
        RESULTS: json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False),
        "benchmark_results.csv": benchmark.table.to_csv(index=False),
        "benchmark_report.txt": as_text(benchmark),
        "benchmark_report.html": as_page(benchmark, charts),
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
    metric, background = benchmark.question.metric, benchmark.background
    return {
        "stage": benchmark.question.stage,
        "metric": metric.name,
        "direction": metric.direction,
        "target": metric.target,
        "models": list(benchmark.question.models),
        "notes": notes(benchmark),
        "cautions": cautions(benchmark),
        "ranking": _plain_rows(benchmark.table),
        "champion": _plain(benchmark.champion) if benchmark.champion else None,
        "champion_without_truth": _plain(benchmark.practical) if benchmark.practical else None,
        "baseline": _plain_rows(benchmark.baseline),
        "checks": _plain_rows(benchmark.checks),
        "missing_cells": _plain_rows(background.missing),
        "cells_planned": len(background.coverage),
        "identical_predictions": _plain_rows(benchmark.identical),
        "provenance": _plain(background.provenance),
    }


def as_page(benchmark: Benchmark, charts: dict[str, Path]) -> str:
    """Return a benchmark as one HTML page that needs no other file."""
    folder = Path(__file__).parent
    template = Environment(loader=FileSystemLoader(folder), autoescape=True).get_template("benchmark.html")
    pictures = [
        (metric.display_name, base64.b64encode(charts[metric.name].read_bytes()).decode("ascii"))
        for metric in benchmark.metrics
    ]
    return template.render(
        title=title(benchmark),
        stamp=benchmark.background.stamp,
        notes=notes(benchmark),
        metric=benchmark.question.metric,
        metrics=[(metric, direction(metric)) for metric in benchmark.metrics],
        ranking=ranking(benchmark),
        cautions=cautions(benchmark),
        checks=checks(benchmark) if len(benchmark.checks) else None,
        about_checks=about_checks(benchmark),
        results=results(benchmark),
        pictures=pictures,
        missing=[
            (benchmark.background.combination(row), row) for row in records(benchmark.background.missing)
        ],
        provenance=benchmark.background.provenance,
    )


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in records(table)]


def _plain(row: Any) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value

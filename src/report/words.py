"""The sentences and tables of a benchmark report, shared by the text and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from src.figures.style import FACTORS, records
from src.registry import Metric
from src.report.benchmark import Benchmark

_STAGE_WORDS = {
    "classification": "Screening: combinations of outlier method, imputation and classifier",
    "imputation": "Imputation against the clean signal",
    "outlier_detection": "Outlier detection against the true mask",
}
_FACTOR_WORDS = {
    "featurization": "Features",
    "outlier_method": "Outlier method",
    "imputation_method": "Imputation",
    "classifier": "Classifier",
}
_BETTER = {"higher": "higher is better", "lower": "lower is better"}


def title(benchmark: Benchmark) -> str:
    """One line that says what the report is about."""
    return f"{_STAGE_WORDS[benchmark.question.stage]}, ranked by {benchmark.question.metric.display_name}"


def direction(metric: Metric) -> str:
    """Which way a metric is good, in words."""
    return _BETTER.get(metric.direction) or f"closest to {metric.target:g} is best"


def value(row: Mapping[str, Any], metric: str, interval: bool = True) -> str:
    """Write an estimate and, where there is one, its 95 % sampling interval in brackets."""
    if pd.isna(row.get(metric)):
        return "-"
    text = f"{row[metric]:.3f}"
    ends = [row.get(f"{metric}_{end}") for end in ("lo", "hi")]
    if interval and not any(pd.isna(end) for end in ends):
        text += f" [{ends[0]:.3f}, {ends[1]:.3f}]"
    return text


def notes(benchmark: Benchmark) -> list[str]:
    """Everything a reader must know before believing the ranking, most important first."""
    about_stage = {
        "classification": _about_classification,
        "imputation": _about_imputation,
        "outlier_detection": _about_quality,
    }
    return [*about_stage[benchmark.question.stage](benchmark), _coverage(benchmark)]


def ranking(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the ranking: rank, methods, the metric ranked by, and those that stand beside it."""
    shown = list(dict.fromkeys([benchmark.question.metric.name, *benchmark.stage.beside]))
    names = {metric.name: metric.display_name for metric in benchmark.metrics}
    shown = [name for name in shown if name in names]
    head = ["Rank", *(_FACTOR_WORDS[name] for name in benchmark.factors), *(names[name] for name in shown)]
    rows = [
        [_rank(row), *_factors(benchmark, row), *(value(row, name) for name in shown)]
        for row in records(benchmark.table)
    ]
    rows += [
        ["age only", *_baseline_name(benchmark, row), *(value(row, name) for name in shown)]
        for row in records(benchmark.baseline)
    ]
    return head, rows


def results(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the results table: every metric of every combination, in the order of the methods."""
    head = [
        *(_FACTOR_WORDS[name] for name in benchmark.factors),
        *(m.display_name for m in benchmark.metrics),
    ]
    table = benchmark.table.sort_values(benchmark.factors)
    rows = [
        [
            *_factors(benchmark, row),
            *(value(row, metric.name, interval=False) for metric in benchmark.metrics),
        ]
        for row in records(table)
    ]
    return head, rows


def as_text(benchmark: Benchmark) -> str:
    """Return the whole report as plain text."""
    origin = benchmark.background.provenance
    heading = title(benchmark)
    metric = benchmark.question.metric
    lines = [
        benchmark.background.stamp,
        heading,
        "=" * len(heading),
        *(f"- {note}" for note in notes(benchmark)),
    ]
    lines += ["", f"Ranking by {metric.display_name} ({direction(metric)})", *_align(*ranking(benchmark))]
    lines += ["", "Results, all metrics", *_align(*results(benchmark))]
    lines += ["", "Where the numbers come from", *(f"{name}: {origin[name]}" for name in origin)]
    return "\n".join(line.rstrip() for line in lines).lstrip("\n") + "\n"


def _about_classification(benchmark: Benchmark) -> list[str]:
    lines = []
    if champion := benchmark.champion:
        lines.append(
            "AUROC alone never picks a winner; the champion by rule (lowest out-of-bag Brier score, ties: "
            f"higher AUROC) is {benchmark.name(champion)}: Brier {value(champion, 'brier')}, AUROC "
            f"{value(champion, 'auroc')}."
        )
    lines.append(
        "Estimates are out-of-bag means (oob). In brackets: 95 % sampling interval, what another sample of "
        "patients would give. The spread over refits (refit_lo, refit_hi in the files) is instability of "
        "the model and no confidence interval."
    )
    if "cal_slope_lo" in benchmark.table and benchmark.table["cal_slope_lo"].notna().any():
        lines.append("The sampling interval of the calibration slope is known to cover only 0.84 to 0.90.")
    lines += [_age_only(benchmark, row) for row in records(benchmark.baseline)]
    if benchmark.baseline.empty:
        lines.append("Age only: no baseline run in this database.")
    if unusable := int(benchmark.table["n_unusable"].fillna(0).max()):
        lines.append(
            f"Up to {unusable} recordings had no observed sample and got the mean curve (column n_unusable)."
        )
    lines += [_identical(benchmark, row) for row in records(benchmark.identical)]
    return lines


def _age_only(benchmark: Benchmark, row: Mapping[str, Any]) -> str:
    model = benchmark.background.label("classifier", row["classifier"])
    if pd.isna(row.get("auroc")):
        return f"Age only: no value ({row['reason']})."
    return f"Age only ({model}): AUROC {value(row, 'auroc')}, Brier {value(row, 'brier')}."


def _identical(benchmark: Benchmark, row: Mapping[str, Any]) -> str:
    pair = [
        benchmark.background.combination({column: row[f"{side}_{column}"] for column in FACTORS.values()})
        for side in ("a", "b")
    ]
    return f"WARNING: identical predictions, to the last bit: {pair[0]} and {pair[1]}."


def _about_imputation(benchmark: Benchmark) -> list[str]:
    return [
        *_about_quality(benchmark),
        "Each detector leaves other samples to impute, so compare imputation methods after one detector; "
        "across detectors the ranking mixes both.",
    ]


def _about_quality(benchmark: Benchmark) -> list[str]:
    table = benchmark.table
    judged = " and ".join(sorted({str(name) for name in table["evaluated_on"] if name}))
    lines = [f"Judged on {judged} recordings, samples pooled over recordings; no intervals."]
    if table["reference"].any():
        lines.append("A method that was given the truth is shown as a reference and has no rank.")
    return lines


def _coverage(benchmark: Benchmark) -> str:
    background = benchmark.background
    planned, missing = len(background.coverage), background.missing
    line = f"Coverage: {planned - len(missing)} of {planned} planned combinations have results"
    if bool(background.coverage["inferred"].all()):
        line += " (plan inferred from the methods seen)"
    if missing.empty:
        return f"{line}."
    cells = [f"{background.combination(row)} ({row['status']})" for row in records(missing)]
    return f"{line}; missing: {'; '.join(cells)}."


def _rank(row: Mapping[str, Any]) -> str:
    return "reference" if row["reference"] else "-" if pd.isna(row["rank"]) else str(row["rank"])


def _factors(benchmark: Benchmark, row: Mapping[str, Any]) -> list[str]:
    stages = {column: stage for stage, column in FACTORS.items()}
    return [benchmark.background.label(stages[column], row[column]) for column in benchmark.factors]


def _baseline_name(benchmark: Benchmark, row: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys(benchmark.factors, "-")
    return list(
        (names | {"classifier": benchmark.background.label("classifier", row["classifier"])}).values()
    )


def _align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in [head, *rows]
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]

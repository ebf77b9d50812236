"""The sentences and tables of a benchmark report, shared by the text and the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from src.figures.style import FACTORS, records
from src.registry import Metric
from src.report.benchmark import Benchmark

TRUTH_MARK = "*"
"""Stands behind the rank of a combination that was given the true mask or the true signal."""
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
_ABOUT_RANKS = (
    "Each interval is that of one combination, not of a difference between two.",
    "All combinations are judged on the same resamples, so their estimates are paired: overlapping intervals "
    "do not mean that two combinations are equal, nor do ranks mean that they differ.",
    "Differences with their intervals and p values, which come from subjects and never from iterations, are "
    "in the database: v_pairs, v_method_effects, v_confidence_set.",
)
_ABOUT_MEDIANS = (
    "Calibration slopes, intercepts and the O:E ratio are means over the resamples, with the medians beside "
    "them: with few cases left out some resamples give extreme values, which pull the mean, not the median."
)
_ABOUT_TUNED = (
    "Tuned classifiers are optimistic: their hyper-parameters were chosen once, on all labelled subjects, "
    "those that the resamples leave out too. No estimate here corrects that."
)
_RUNS_NAMED = 4
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
    about = about_stage[benchmark.question.stage](benchmark)
    return [*about, *_about_ensembles(benchmark), _coverage(benchmark)]


def cautions(benchmark: Benchmark) -> list[str]:
    """What the ranking does not say, to stand below it."""
    lines = []
    if benchmark.table["uses_truth"].any():
        lines.append(f"Rank with {TRUTH_MARK}: uses the ground truth; cannot be had in practice.")
    if benchmark.question.stage == "classification":
        if benchmark.table["tuned"].notna().any():
            lines.append(_ABOUT_TUNED)
        if (own := benchmark.table["unpublished_weights"].dropna()).any():
            lines.append(f"Not the published weights: {'; '.join(sorted(set(own)))}.")
        lines += [*_about_choice(benchmark), *_ABOUT_RANKS]
    if any(name.endswith("(median)") for name in _columns(benchmark, benchmark.metrics).values()):
        lines.append(_ABOUT_MEDIANS)
    return lines


def _about_choice(benchmark: Benchmark) -> list[str]:
    """What it means to have been chosen among many, and what so few subjects can tell apart."""
    lines = [
        "The best of many is optimistic (winner's curse): it was chosen for its estimate, luck included."
    ]
    if curse := benchmark.curse:
        lines = [
            f"Winner's curse: {curse['display_name']} of the best combination is optimistic by "
            f"{round(curse['optimism'], 3) + 0.0:.3f}, chosen on drawn subjects and scored on the others "
            f"({curse['value']:.3f} becomes {curse['corrected']:.3f}; mean out-of-bag predictions, all "
            "combinations, with and without ground truth)."
        ]
    if detectable := benchmark.detectable:
        lines.append(
            f"With {detectable['n_cases']} cases and {detectable['n_controls']} controls, two combinations "
            f"must differ by {detectable['detectable']:.3f} in {detectable['display_name']} for a test to "
            f"find it with a probability of {detectable['power']:.0%} (two-sided, {detectable['alpha']:.0%})."
        )
    if undecided := benchmark.undecided:
        lines.append(
            f"{undecided['included']} of {undecided['total']} combinations cannot be told from the best by "
            "Brier score (model confidence set, 95 %)."
        )
    return lines


def ranking(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the ranking: rank, methods, the metric ranked by, and those that stand beside it."""
    shown = dict.fromkeys([benchmark.question.metric.name, *benchmark.stage.beside])
    metrics = {metric.name: metric for metric in benchmark.metrics}
    columns = _columns(benchmark, [metrics[name] for name in shown if name in metrics])
    head = ["Rank", *(_FACTOR_WORDS[name] for name in benchmark.factors), *columns.values()]
    rows = [
        [_rank(row), *_factors(benchmark, row), *(value(row, name) for name in columns)]
        for row in records(benchmark.table)
    ]
    rows += [
        [
            _features(benchmark, row).lower(),
            *_baseline_name(benchmark, row),
            *(value(row, name) for name in columns),
        ]
        for row in records(benchmark.baseline)
    ]
    return head, rows


def results(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the results table: every metric of every combination, in the order of the methods."""
    columns = _columns(benchmark, benchmark.metrics)
    head = [*(_FACTOR_WORDS[name] for name in benchmark.factors), *columns.values()]
    table = benchmark.table.sort_values(benchmark.factors)
    rows = [
        [*_factors(benchmark, row), *(value(row, name, interval=False) for name in columns)]
        for row in records(table)
    ]
    return head, rows


def checks(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and rows of what the methods are held to; no rows where there is nothing of the kind."""
    rows = records(benchmark.checks)
    head = [_FACTOR_WORDS[name] for name in benchmark.factors]
    if benchmark.question.stage == "imputation":
        head += ["Gaps", "Samples", "MAE", "MAE of linear", "Better than linear"]
        return head, [[*_factors(benchmark, row), *_beside_linear(row)] for row in rows]
    head += ["F1", "F1 of chance", "Better than chance", "Flagged of hippus", "Below 2 %"]
    return head, [[*_factors(benchmark, row), *_against_chance(row)] for row in rows]


def _beside_linear(row: Mapping[str, Any]) -> list[str]:
    errors = value(row, "mae"), value(row, "mae_linear")
    return [row["gap"], str(row["n_samples"]), *errors, _verdict(row["better_than_linear"], "yes", "no")]


def _against_chance(row: Mapping[str, Any]) -> list[str]:
    flagged = "-" if pd.isna(row["hippus_flagged"]) else f"{row['hippus_flagged']:.2%}"
    return [
        value(row, "f1"),
        value(row, "f1_random"),
        _verdict(row["better_than_random"], "pass", "fail"),
        flagged,
        _verdict(row["leaves_hippus"], "pass", "fail"),
    ]


def about_checks(benchmark: Benchmark) -> str:
    """One line on what the checks are."""
    if benchmark.question.stage == "imputation":
        return "Error by length of the gap, beside that of linear interpolation in the same gaps."
    return (
        "Chance: the expected F1 of a random mask that flags as many samples of every recording. Hippus: "
        "synthetic recordings without light or artefacts, whatever the cohort is; all that is flagged there "
        "is a false alarm."
    )


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
    lines += ["", *(f"- {line}" for line in cautions(benchmark))]
    if not benchmark.checks.empty:
        lines += ["", "Checks", *_align(*checks(benchmark)), "", f"- {about_checks(benchmark)}"]
    lines += ["", "Results, all metrics", *_align(*results(benchmark))]
    lines += ["", "Where the numbers come from", *(f"{name}: {origin[name]}" for name in origin)]
    return "\n".join(line.rstrip() for line in lines).lstrip("\n") + "\n"


def _about_classification(benchmark: Benchmark) -> list[str]:
    lines = []
    if champion := benchmark.champion:
        lines.append(
            "AUROC alone never picks a winner; the champion by rule (lowest out-of-bag Brier score, ties: "
            f"higher AUROC) is {benchmark.name(champion)}: Brier {value(champion, 'brier')}, AUROC "
            f"{value(champion, 'auroc')}. {_practical(benchmark)}"
        )
    lines.append(
        "Estimates are out-of-bag means (oob). In brackets: 95 % sampling interval, what another sample of "
        "patients would give. The spread over refits (refit_lo, refit_hi in the files) is instability of "
        "the model and no confidence interval."
    )
    if "cal_slope_lo" in benchmark.table and benchmark.table["cal_slope_lo"].notna().any():
        lines.append(
            "The sampling interval of the calibration slope is too narrow: simulated, it covers less."
        )
    lines += _age_only(benchmark)
    if unusable := int(benchmark.table["n_unusable"].fillna(0).max()):
        lines.append(
            f"Up to {unusable} recordings had no observed sample and got the mean curve (column n_unusable)."
        )
    lines += [_identical(benchmark, row) for row in records(benchmark.identical)]
    return lines


def _practical(benchmark: Benchmark) -> str:
    """The best that can be had in practice, said after the champion."""
    row = benchmark.practical
    if row is None:
        return "It uses the ground truth, and so does every other combination."
    if benchmark.champion and not benchmark.champion["uses_truth"]:
        return "It needs no ground truth."
    return (
        "It uses the ground truth, which cannot be had in practice; the best by the same rule of those that "
        f"need no truth: {benchmark.name(row)}: Brier {value(row, 'brier')}, AUROC {value(row, 'auroc')}."
    )


def _age_only(benchmark: Benchmark) -> list[str]:
    if not benchmark.baseline.empty:
        return [_baseline_line(benchmark, row) for row in records(benchmark.baseline)]
    line = "Age only: no age-only baseline in this database."
    runs = [f"{row['run_name']} ({row['reason']}: {row['detail']})" for row in records(benchmark.left_out)]
    if runs:
        more = [f"and {len(runs) - _RUNS_NAMED} more"] if len(runs) > _RUNS_NAMED else []
        line += f" Runs that failed or were left out: {'; '.join(runs[:_RUNS_NAMED] + more)}."
    return [line]


def _baseline_line(benchmark: Benchmark, row: Mapping[str, Any]) -> str:
    if pd.isna(row.get("auroc")):
        return f"{_features(benchmark, row)}: no value ({row['reason']})."
    methods = [name for name in _baseline_name(benchmark, row) if name != "-"]
    numbers = f"AUROC {value(row, 'auroc')}, Brier {value(row, 'brier')}"
    return f"{_features(benchmark, row)} ({' + '.join(methods)}): {numbers}."


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


def _about_ensembles(benchmark: Benchmark) -> list[str]:
    """Who is in each ensemble of the table, and who is not and why."""
    stages = {stage: column for stage, column in FACTORS.items() if column in benchmark.factors}
    rows = benchmark.ensembles
    shown = [
        stage in stages and method in set(benchmark.table[stages[stage]])
        for stage, method in zip(rows["stage"], rows["method"], strict=True)
    ]
    rows = rows.loc[np.array(shown, dtype=bool)]
    label = benchmark.background.label
    made: dict[str, dict[str, list[str]]] = {}  # ensemble -> what it is made of -> detectors before it
    for _, group in rows.groupby(["stage", "method", "outlier_method"], sort=False):
        members = records(group)
        texts = made.setdefault(label(members[0]["stage"], members[0]["method"]), {})
        detectors = texts.setdefault(_members(benchmark, members), [])
        detectors.append(label("outlier", members[0]["outlier_method"]))
    return [
        f"{ensemble}{' after ' + ', '.join(detectors) if len(texts) > 1 else ''} is made of {text}."
        for ensemble, texts in made.items()
        for text, detectors in texts.items()
    ]


def _members(benchmark: Benchmark, rows: Sequence[Mapping[str, Any]]) -> str:
    """Those used; behind them those not kept and left out, with their reasons."""
    listed: dict[str, list[str]] = {}
    for row in rows:
        known = f"F1 {row['quality']:.3f}" if pd.notna(row["quality"]) else ""
        about = known if row["status"] == "used" else row["reason"]
        name = benchmark.background.label(row["stage"], row["member"])
        listed.setdefault(row["status"], []).append(f"{name} ({about})" if about else name)
    parts = [", ".join(listed["used"])]
    parts += [f"{status}: {', '.join(names)}" for status, names in listed.items() if status != "used"]
    return "; ".join(parts)


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


def _verdict(holds: Any, yes: str, no: str) -> str:
    return "-" if pd.isna(holds) else yes if holds else no


def _rank(row: Mapping[str, Any]) -> str:
    rank = "reference" if row["reference"] else "-" if pd.isna(row["rank"]) else str(row["rank"])
    return rank + (TRUTH_MARK if row["uses_truth"] else "")


def _columns(benchmark: Benchmark, metrics: Iterable[Metric]) -> dict[str, str]:
    """Columns to show and their heads: each metric, and the median beside the mean of one with a target."""
    columns = {}
    for metric in metrics:
        columns[metric.name] = metric.display_name
        median = f"{metric.name}_median"
        if metric.target is not None and median in benchmark.table and benchmark.table[median].notna().any():
            columns[median] = f"{metric.display_name} (median)"
    return columns


def _factors(benchmark: Benchmark, row: Mapping[str, Any]) -> list[str]:
    stages = {column: stage for stage, column in FACTORS.items()}
    return [benchmark.background.label(stages[column], row[column]) for column in benchmark.factors]


def _baseline_name(benchmark: Benchmark, row: Mapping[str, Any]) -> list[str]:
    """Names of a baseline's methods; a dash for its features, which stand in the place of a rank."""
    unnamed = {name: "-" for name in benchmark.factors if name == "featurization" or row[name] == "none"}
    stages = {column: stage for stage, column in FACTORS.items()}
    return [unnamed.get(n) or benchmark.background.label(stages[n], row[n]) for n in benchmark.factors]


def _features(benchmark: Benchmark, row: Mapping[str, Any]) -> str:
    return benchmark.background.label("features", row["featurization"])


def _align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in [head, *rows]
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]

"""Which detector or imputer is best by itself, against the truth."""

from __future__ import annotations

import pandas as pd

from src.report.charts import chart
from src.report.document import Column, Part, Row, Table, number
from src.report.ensembles import about_ensembles
from src.report.ranking import direction
from src.report.reading import TRUTH_MARK, Reading

TITLE = "Which method is best?"
SAMPLES = "Counted in samples, pooled over recordings, against the truth; no intervals."
_ACROSS = (
    "Each detector leaves other samples to impute, so compare imputation methods after one detector; "
    "across detectors the ranking mixes both."
)


def answer(reading: Reading) -> Part:
    """Rank the methods of one stage by their quality."""
    table, metric = reading.ranking.table, reading.question.metric
    judged = " and ".join(sorted({str(name) for name in table["evaluated_on"] if name}))
    lines = [f"Judged on {judged} recordings, samples pooled over recordings; no intervals."]
    if table["reference"].any():
        lines.append("A method that was given the truth is shown as a reference and has no rank.")
    lines += [_ACROSS] if "imputation_method" in table else []
    columns = [
        Column("rank", "Rank", _rank, ("uses_truth",)),
        *(reading.method(name) for name in reading.factors),
        *(number(shown.name, shown.display_name) for shown in reading.ranking.metrics),
    ]
    title = f"Ranking by {metric.display_name} ({direction(metric)})"
    below = []
    if table["uses_truth"].any():
        below.append(f"Rank with {TRUTH_MARK}: uses the ground truth; cannot be had in practice.")
    return Part(
        name="quality",
        title=TITLE,
        lines=[*lines, *about_ensembles(reading)],
        tables=[Table("ranking", title, SAMPLES, columns, table, in_csv=len(table))],
        pictures=[chart(reading, shown, SAMPLES) for shown in reading.ranking.metrics],
        below=below,
    )


def _rank(row: Row) -> str:
    rank = "reference" if row["reference"] else "-" if pd.isna(row["rank"]) else f"{row['rank']:.0f}"
    return rank + (TRUTH_MARK if row["uses_truth"] else "")

"""What ran, and what is missing."""

from __future__ import annotations

import pandas as pd

from src.figures.style import records
from src.report.document import NO_ESTIMATE, Part, Table, count, words
from src.report.reading import Reading

TITLE = "What ran, and what is missing?"
_BY_METHOD = """
SELECT m.stage, c.method, count(*) AS planned, count(*) FILTER (c.status = 'finished') AS finished,
       count(*) FILTER (c.status = 'failed') AS failed, count(*) FILTER (c.status = 'missing') AS missing
FROM (SELECT * FROM coverage
      UNPIVOT (method FOR factor IN (featurization, outlier_method, imputation_method, classifier))) c
JOIN (VALUES ('featurization', 'features', 1), ('outlier_method', 'outlier', 2),
             ('imputation_method', 'imputation', 3), ('classifier', 'classifier', 4)) m(factor, stage, place)
     ON m.factor = c.factor
LEFT JOIN methods d ON d.stage = m.stage AND d.name = c.method
GROUP BY m.stage, m.place, c.method, d.sort_order ORDER BY m.place, d.sort_order, c.method
"""
_CELLS = """
SELECT featurization, outlier_method, imputation_method, classifier, status, failed_stage, reason
FROM v_coverage WHERE status <> 'finished'
ORDER BY status, featurization_order, outlier_order, imputation_order, classifier_order
"""
_LEFT_OUT = """
SELECT kind, run_name, reason, detail FROM excluded_runs
WHERE reason IN ('failed', 'unfinished', 'rejected')
  AND run_id NOT IN (SELECT run_id FROM coverage WHERE run_id IS NOT NULL)
ORDER BY ALL
"""
_UNDEFINED = """
SELECT string_agg(quantity, ', ' ORDER BY quantity) AS quantities, reason, runs FROM (
    SELECT quantity, reason, count(*) AS runs FROM (
        SELECT quantity, reason FROM unavailable
        UNION ALL
        SELECT metric || ' (oob)', coalesce(reason, 'no reason stored') FROM metric_estimates
        WHERE estimator = 'oob' AND estimate IS NULL
    ) GROUP BY ALL
) GROUP BY reason, runs ORDER BY reason, runs
"""
_NOT_MADE = "SELECT comparison, reason FROM refusals WHERE metric = 'all' ORDER BY ALL"
_TABLES = "SELECT table_name FROM duckdb_tables() ORDER BY table_name"
_NAMED = 6


def answer(reading: Reading) -> Part:
    """Say what was planned, what has a result, and what has none and why."""
    tables = [_by_method(reading)]
    if len(cells := reading.query(_CELLS)):
        columns = [
            *reading.methods,
            words("status", "Status"),
            words("failed_stage", "Stage"),
            words("reason", "Reason"),
        ]
        title = "Planned combinations without a result"
        tables.append(Table("missing_cells", title, NO_ESTIMATE, columns, cells))
    tables += [table for table in (_left_out(reading), _undefined(reading)) if len(table.rows)]
    pictures, undrawn = reading.pictures(*_FIGURES)
    covered = reading.told("Coverage", coverage)
    lines = [_study(reading), *covered, *_not_stored(reading), *undrawn]
    return Part("ran", TITLE, lines, tables, pictures)


_FIGURES = ("coverage",)


def coverage(reading: Reading) -> list[str]:
    """How much of the plan has results."""
    background = reading.background
    planned, missing = len(background.coverage), background.missing
    if not planned:
        return ["Coverage: unknown, the database holds no plan (table coverage is empty)."]
    line = f"Coverage: {planned - len(missing) - reading.lost} of {planned} planned combinations have results"
    if bool(background.coverage["inferred"].all()):
        line += " (plan inferred from the methods seen)"
    lost = [
        f"{reading.lost} combinations that coverage calls finished have no results in this database "
        "(table essential_metrics)."
    ] * bool(reading.lost)
    if missing.empty:
        return [f"{line}.", *lost]
    cells = [f"{background.combination(row)} ({row['status']})" for row in records(missing.head(_NAMED))]
    more = [f"and {len(missing) - _NAMED} more"] if len(missing) > _NAMED else []
    return [f"{line}; missing: {'; '.join(cells + more)}.", *lost]


def _study(reading: Reading) -> str:
    origin = reading.background.provenance
    others = origin["n_unlabelled"]
    without = "an unknown number of" if pd.isna(others) else f"{others:.0f}"
    return (
        f"{origin['n_subjects']} subjects with a diagnosis ({origin['n_cases']} recordings of cases, "
        f"{origin['n_controls']} of controls), {without} recordings without one; every combination is "
        f"judged on the same {origin['n_iterations']} bootstrap resamples of these subjects."
    )


def _by_method(reading: Reading) -> Table:
    columns = [
        words("stage", "Stage"),
        reading.method_of("stage", "method", "Method"),
        *(count(name, name.capitalize()) for name in ("planned", "finished", "failed", "missing")),
    ]
    title = "Combinations by method"
    return Table("coverage", title, NO_ESTIMATE, columns, reading.query(_BY_METHOD))


def _left_out(reading: Reading) -> Table:
    columns = [
        words(name, name.replace("_", " ").capitalize()) for name in ("kind", "run_name", "reason", "detail")
    ]
    title = "Other runs that failed, did not end or were rejected"
    return Table("left_out", title, NO_ESTIMATE, columns, reading.query(_LEFT_OUT))


def _undefined(reading: Reading) -> Table:
    columns = [words("reason", "Why"), count("runs", "Runs"), words("quantities", "Quantities")]
    title = "What single runs lack"
    return Table("undefined", title, NO_ESTIMATE, columns, reading.query(_UNDEFINED))


def _not_stored(reading: Reading) -> list[str]:
    """Tables without a row, with the reason where one is stored."""
    names = reading.query(_TABLES)["table_name"]
    counts = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in names)
    empty = reading.query(f"SELECT name FROM ({counts}) WHERE n = 0 ORDER BY name")["name"]
    reasons = dict(reading.query(_NOT_MADE).itertuples(index=False, name=None))
    said = [f"{name} ({reasons[name]})" if name in reasons else name for name in empty]
    return [f"The database has nothing in: {', '.join(said)}."] if said else []

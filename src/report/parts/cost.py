"""What the combinations cost in time, and what they give for it."""

from __future__ import annotations

from functools import partial

from src.report.charts import draw_cost
from src.report.document import Column, Part, Picture, Table, count, number, words
from src.report.reading import Reading

TITLE = "What does it cost in time?"
_COST = """
SELECT r.run_id, r.featurization, r.outlier_method, r.imputation_method, r.classifier,
       o.duration_s AS outlier_s, i.duration_s AS imputation_s, r.fit_seconds, r.duration_s, e.brier, e.auroc
FROM runs r
LEFT JOIN essential_metrics e ON e.run_id = r.run_id
LEFT JOIN outlier_quality o ON o.outlier_method = r.outlier_method AND o.artefact_type = 'all'
LEFT JOIN imputation_quality i ON i.outlier_method = r.outlier_method AND i.gap = 'all'
     AND i.imputation_method = r.imputation_method
WHERE r.kind = 'combination' AND (r.fit_seconds IS NOT NULL OR r.duration_s IS NOT NULL) ORDER BY r.run_id
"""
_STAGES = """
WITH times AS (
    SELECT 'outlier' AS stage, 1 AS place, outlier_method AS method, duration_s FROM outlier_quality
    WHERE artefact_type = 'all'
    UNION ALL
    SELECT 'imputation', 2, imputation_method, duration_s FROM imputation_quality WHERE gap = 'all'
    UNION ALL
    SELECT 'classifier', 3, classifier, fit_seconds FROM runs WHERE kind = 'combination'
)
SELECT t.stage, t.method, count(t.duration_s) AS n, min(t.duration_s) AS shortest,
       median(t.duration_s) AS median, max(t.duration_s) AS longest, sum(t.duration_s) AS total
FROM times t LEFT JOIN methods m ON m.stage = t.stage AND m.name = t.method
WHERE t.duration_s IS NOT NULL GROUP BY t.stage, t.place, t.method, m.sort_order
ORDER BY t.place, m.sort_order, t.method
"""
_TIMES = "Wall-clock times as the runs logged them, s, on the machine that made them; no estimate."
_ABOUT = (
    "A stage is computed once and shared by all combinations that need it, so the times of a combination's "
    "stages are not its own. Features take no stored time.",
    "Times are those of one machine and whatever else it did; compare orders of magnitude.",
)


def answer(reading: Reading) -> Part:
    """Say what a better number costs."""
    combinations, stages = _combinations(reading), _stages(reading)
    tables = [table for table in (stages, combinations) if len(table.rows)]
    lines = list(_ABOUT)
    if combinations.rows.empty:
        lines.append(reading.lacking("Times of the combinations", "runs (fit_seconds, duration_s)"))
    return Part("cost", TITLE, lines, tables, _picture(reading, combinations))


def _picture(reading: Reading, table: Table) -> list[Picture]:
    rows = table.rows.dropna(subset=["fit_seconds", "brier"])
    rows = rows[rows["fit_seconds"] > 0]
    if rows.empty:
        return []
    caption = (
        "One mark per combination: Brier score (oob, lower is better) over the time to fit and predict all "
        "resamples, by classifier."
    )
    return [Picture("cost", "Time against quality", caption, partial(draw_cost, reading, rows))]


def _combinations(reading: Reading) -> Table:
    columns: list[Column] = [
        *reading.methods,
        number("outlier_s", "Detection, s", 1),
        number("imputation_s", "Imputation, s", 1),
        number("fit_seconds", "Classifier, all resamples, s", 1),
        number("duration_s", "Whole run, s", 1),
        number("brier", "Brier score"),
        number("auroc", "AUROC"),
    ]
    about = f"{_TIMES} Brier score and AUROC: oob."
    return Table("cost", "Time of each combination", about, columns, reading.of_combinations(_COST))


def _stages(reading: Reading) -> Table:
    columns = [
        words("stage", "Stage"),
        reading.method_of("stage", "method", "Method"),
        count("n", "Times computed"),
        *(number(name, f"{name.capitalize()}, s", 1) for name in ("shortest", "median", "longest", "total")),
    ]
    return Table("cost_of_stages", "Time of each method", _TIMES, columns, reading.query(_STAGES))

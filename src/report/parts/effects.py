"""What matters: effects of the methods, shares of the scatter, ranks."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from src.report.document import Column, Part, Row, Table, count, estimate, number, p_value, percent, words
from src.report.reading import FACTOR_WORDS, Reading

TITLE = "What matters?"
_EFFECTS = """
SELECT metric, featurization, factor, replace(factor, '_method', '') AS stage, method, effect, lo, hi, p,
       p_holm, p_bh, n_cells, reason
FROM v_method_effects WHERE list_contains($metrics, metric)
ORDER BY list_position($metrics, metric), featurization, factor DESC, loss NULLS LAST, method
"""
_VARIANCE = """
SELECT * FROM v_variance WHERE list_contains($metrics, metric)
ORDER BY list_position($metrics, metric), featurization, factor = 'residual', eta_squared DESC
"""
_RANKS = """
SELECT metric, featurization, factor, method, mean_rank, n_blocks, critical_difference, friedman_p,
       CASE factor WHEN 'featurization' THEN 'features' ELSE replace(factor, '_method', '') END AS stage
FROM critical_differences WHERE list_contains($metrics, metric)
ORDER BY list_position($metrics, metric), featurization, factor, mean_rank, method
"""
_REFUSALS = """
SELECT comparison, featurization, factor, string_agg(DISTINCT metric, ', ' ORDER BY metric) AS metrics, reason
FROM refusals WHERE metric <> 'all' GROUP BY ALL ORDER BY comparison, featurization, factor, reason
"""
_FIGURES = ("method_effects", "variance_decomposition", "critical_difference_brier")
_ABOUT = (
    "An effect is the mean, over all cells of the other factors, of the value with the method minus that "
    "with ground-truth cleaning (pupil-gt). Its interval and p value come from subjects: resamples are not "
    "observations, and no test counts them.",
    "Shares of scatter and ranks describe these cells on these subjects; they carry no interval, and prove "
    "nothing about other subjects: the cells share them.",
)


def answer(reading: Reading) -> Part:
    """Say which stage and which method changes the result."""
    metrics = list(dict.fromkeys([reading.question.metric.name, "brier"]))
    made = [
        (_effects(reading, metrics), "Effects of the methods", "method_effects", "method effects"),
        (
            _variance(reading, metrics),
            "Shares of the scatter",
            "variance_decomposition",
            "variance decomposition",
        ),
        (_ranks(reading, metrics), "Ranks of the methods", "critical_differences", "ranks"),
    ]
    tables = [table for table, *_ in made if len(table.rows)]
    lines = [*_ABOUT, *reading.told("Comparisons", Reading.about_compared)]
    lines += [
        reading.lacking(what, name, comparison) for table, what, name, comparison in made if table.rows.empty
    ]
    refused = _refused(reading)
    tables += [refused] if len(refused.rows) else []
    pictures, undrawn = reading.pictures(*_FIGURES)
    return Part("effects", TITLE, [*lines, *undrawn], tables, pictures)


def _effects(reading: Reading, metrics: Sequence[str]) -> Table:
    columns = [
        *_place(reading),
        reading.method_of("stage", "method", "Method"),
        estimate("effect", "Effect [95 %]", 4, "+", ("lo", "hi")),
        p_value("p", "p"),
        p_value("p_holm", "p (Holm)"),
        p_value("p_bh", "p (BH)"),
        count("n_cells", "Cells"),
    ]
    rows = reading.query(_EFFECTS, {"metrics": metrics})
    columns += [words("reason", "Why not")] if rows["reason"].notna().any() else []
    about = (
        "Differences of oob estimates, 95 % sampling intervals by subject; Holm over the methods of a factor."
    )
    title = "Effect of each cleaning method against the ground truth"
    return Table("method_effects", title, about, columns, rows)


def _variance(reading: Reading, metrics: Sequence[str]) -> Table:
    columns = [
        *_place(reading),
        number("eta_squared", "Eta squared"),
        percent("eta_squared", "Share of the scatter"),
        number("partial_eta_squared", "Partial eta squared"),
        count("df", "Degrees of freedom"),
    ]
    about = "Analysis of variance of the cells' oob estimates, interactions in the residual; descriptive."
    rows = reading.query(_VARIANCE, {"metrics": metrics})
    return Table(
        "variance", "Share of the scatter between cells that each factor explains", about, columns, rows
    )


def _ranks(reading: Reading, metrics: Sequence[str]) -> Table:
    columns = [
        *_place(reading),
        reading.method_of("stage", "method", "Method"),
        number("mean_rank", "Mean rank", 2),
        number("critical_difference", "Critical difference", 2),
        count("n_blocks", "Blocks"),
        p_value("friedman_p", "p (Friedman)"),
    ]
    about = "Ranks of oob estimates, 1 is best; Friedman and Nemenyi, descriptive: blocks share subjects."
    rows = reading.query(_RANKS, {"metrics": metrics})
    return Table(
        "ranks", "Mean rank of each method over the cells of the other factors", about, columns, rows
    )


def _refused(reading: Reading) -> Table:
    columns = [
        words("comparison", "Comparison"),
        words("metrics", "Metrics"),
        words("featurization", "Features"),
        _factor(),
        words("reason", "Why"),
    ]
    about = "No estimates: these comparisons were refused rather than made from a part of the grid."
    return Table("refusals", "What could not be compared", about, columns, reading.query(_REFUSALS))


def _place(reading: Reading) -> list[Column]:
    """The columns that say which metric, feature set and factor a row is about."""
    metric = Column("metric", "Metric", lambda row: reading.metric_name(row["metric"]), numeric=False)
    features = [reading.method("featurization")] if "featurization" in reading.factors else []
    return [metric, *features, _factor()]


def _factor() -> Column:
    def show(row: Row) -> str:
        factor = row["factor"]
        return "-" if pd.isna(factor) else FACTOR_WORDS.get(factor, factor)

    return Column("factor", "Factor", show, numeric=False)

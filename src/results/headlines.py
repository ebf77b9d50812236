"""The tables with one row of headline numbers per run, from the out-of-bag estimates in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from src.results.bootstrap_table import FACTORS
from src.results.builder import ResultsWriter
from src.results.columns import table_of_rows

_TABLES = {"combination": "essential_metrics", "baseline": "baseline_metrics"}
_FIELDS = {
    "_refit_lo": "refit_lo",
    "_refit_hi": "refit_hi",
    "_lo": "sampling_lo",
    "_hi": "sampling_hi",
    "_median": "estimate_median",
    "": "estimate",
}
"""End of a column's name -> column of metric_estimates; the first that fits counts."""


def write_headlines(writer: ResultsWriter, without_results: Iterable[dict[str, Any]]) -> None:
    """Fill essential_metrics and baseline_metrics.

    Parameters
    ----------
    writer : ResultsWriter
        Its tables runs, run_files and metric_estimates are complete.
    without_results : iterable of dict
        Rows of baseline_metrics for runs that have no results, with the reason.
    """
    for kind, table in _TABLES.items():
        writer.clear([table])
        known = ["run_id", *FACTORS, "n_iterations", "n_subjects", "n_cases", "reason"]
        metrics = [name for name in writer.tables[table] if name not in known]
        names = ["run_id", *FACTORS, *metrics, "n_iterations", "n_subjects", "n_cases"]
        values = [*(f"any_value(r.{name})" for name in FACTORS), *map(_aggregate, metrics)]
        values += [f"any_value(f.{name})" for name in ("n_iterations", "n_subjects", "n_cases")]
        writer.connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT r.run_id, {', '.join(values)} "
            "FROM runs AS r JOIN run_files AS f ON f.run_id = r.run_id "
            "LEFT JOIN metric_estimates AS e ON e.run_id = r.run_id AND e.estimator = 'oob' "
            "WHERE r.kind = ? GROUP BY r.run_id",
            [kind],
        )
    writer.insert("baseline_metrics", table_of_rows(without_results))


def _aggregate(column: str) -> str:
    """The value a column takes from a run's estimates."""
    suffix = next(end for end in _FIELDS if column.endswith(end))
    return f"any_value(e.{_FIELDS[suffix]}) FILTER (e.metric = '{column.removesuffix(suffix)}')"

"""What rests on all combinations together: reads them from the database, and writes the comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np

from src.evaluation.comparisons import Combinations, compare_all
from src.registry import FACTORS, Registry
from src.results.builder import ResultsWriter
from src.results.columns import arrow_table

GROUND_TRUTH = "ground truth"
"""Category, in the registry, of what a person marked and filled."""

_CLEANING = {stage: FACTORS[stage] for stage in ("outlier", "imputation")}


def write_comparisons(writer: ResultsWriter, registry: Registry) -> None:
    """Compare the combinations in the database, and replace its tables of comparisons.

    Parameters
    ----------
    writer : ResultsWriter
        The tables of single runs, runs, coverage and metrics are complete.
    registry : Registry
        Says which methods are ground truth.
    """
    run_ids, combinations = read_combinations(writer.connection, registry)
    for name, columns in compare_all(combinations).items():
        named = {
            column.replace("run", "run_id", 1): run_ids[values]
            for column, values in columns.items()
            if _is_run(column)
        }
        writer.clear([name])
        writer.insert(name, arrow_table({c: v for c, v in columns.items() if not _is_run(c)} | named))


def read_combinations(
    connection: duckdb.DuckDBPyConnection, registry: Registry
) -> tuple[np.ndarray, Combinations]:
    """Read what the comparisons need.

    Returns
    -------
    run_ids : ndarray of str, shape (k,)
        In the order of their methods, so that the outcome, to the last bit, does not depend on their ids or
        on the order in which they were written.
    combinations : Combinations
        With the essential metrics that every iteration has.
    """
    factors = list(FACTORS.values())
    run_ids, *methods = _columns(
        connection,
        f"SELECT run_id, {', '.join(factors)} FROM runs WHERE kind = 'combination' "
        f"ORDER BY {', '.join(factors)}, run_id",
    )
    codes, groups, y = _columns(
        connection,
        "SELECT recording_code, any_value(subject_code), any_value(y) FROM predictions "
        "GROUP BY recording_code ORDER BY recording_code",
    )
    (metrics,) = _columns(
        connection,
        "SELECT name FROM metrics WHERE kind = 'essential' "
        "AND name IN (SELECT metric FROM subject_influence) ORDER BY name",
    )
    first = np.sort(np.unique(groups, return_index=True)[1])
    runs = {"run_id": run_ids}
    per_metric = {"metric": metrics} | runs
    of_subjects = per_metric | {"subject_code": groups[first]}
    (estimates,) = _arrays(connection, "metric_estimates", per_metric, ["estimate"], "estimator = 'oob'")
    (influence,) = _arrays(connection, "subject_influence", of_subjects, ["influence"])
    (p_oob,) = _arrays(connection, "predictions", runs | {"recording_code": codes}, ["p_oob"])
    (last,) = _columns(connection, "SELECT max(iteration) FROM iteration_metrics")
    per_iteration = runs | {"iteration": np.arange(int(last[0]) + 1)}
    iterations = _arrays(connection, "iteration_metrics", per_iteration, metrics)
    return run_ids, Combinations(
        factors=dict(zip(factors, methods, strict=True)),
        reference=_reference(registry),
        y=y,
        groups=groups,
        subjects=groups[first],
        subject_y=y[first],
        estimates=dict(zip(metrics, estimates, strict=True)),
        influence=dict(zip(metrics, influence, strict=True)),
        p_oob=p_oob,
        missing=connection.execute(
            f"SELECT {', '.join(factors)} FROM coverage WHERE status <> 'finished' ORDER BY ALL"
        ).fetchall(),
        iterations=dict(zip(metrics, iterations, strict=True)),
    )


def _reference(registry: Registry) -> dict[str, str]:
    """The ground-truth method of each cleaning factor that has one."""
    return {
        _CLEANING[method.stage]: method.name
        for method in registry.methods.values()
        if method.stage in _CLEANING and method.category == GROUND_TRUTH
    }


def _is_run(column: str) -> bool:
    return column == "run" or column.startswith("run_")


def _arrays(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    axes: Mapping[str, np.ndarray],
    columns: Iterable[str],
    condition: str = "TRUE",
) -> list[np.ndarray]:
    """Columns of a long table as arrays with an axis per key, at its levels; NaN where there is none."""
    for key, levels in axes.items():
        connection.register(f"axis_{key}", arrow_table({key: levels, f"at_{key}": np.arange(len(levels))}))
    at = ", ".join(f"at_{key}" for key in axes)
    joins = " ".join(f"JOIN axis_{key} USING ({key})" for key in axes)
    wanted = ", ".join(f"coalesce(\"{column}\", 'nan'::DOUBLE)" for column in columns)
    sql = f"SELECT {at}, {wanted} FROM {table} {joins} WHERE {condition}"
    found = _columns(connection, sql)
    for key in axes:
        connection.unregister(f"axis_{key}")
    index, arrays = tuple(found[: len(axes)]), []
    for values in found[len(axes) :]:
        arrays.append(np.full([len(levels) for levels in axes.values()], np.nan))
        arrays[-1][index] = values
    return arrays


def _columns(connection: duckdb.DuckDBPyConnection, sql: str) -> list[np.ndarray]:
    """The columns of an answer without NULL."""
    return [np.asarray(column) for column in connection.execute(sql).fetchnumpy().values()]

"""The comparison that all faults are judged by notices everything but what it says it leaves out."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from faults import N_CELLS, assert_same_results, assert_sound, differences, rows_lost

from src.registry import load_registry
from src.results.comparing import read_combinations


def changed(database: Path, folder: Path, *statements: str) -> Path:
    copy = Path(shutil.copy(database, folder / "changed.db"))
    with duckdb.connect(str(copy)) as connection:
        for statement in statements:
            connection.execute(statement)
    return copy


def test_the_undisturbed_study_is_sound(undisturbed):
    assert_sound(undisturbed.study, undisturbed.db)
    with duckdb.connect(str(undisturbed.db), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(N_CELLS + 2,)]
        assert connection.execute("SELECT count(*) FROM excluded_runs").fetchall() == [(0,)]


def test_other_ids_times_and_another_order_are_no_difference(undisturbed, tmp_path):
    with duckdb.connect(str(undisturbed.db), read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
            "WHERE regexp_matches(column_name, 'run_id')"
        ).fetchall()
    renamed = [f"UPDATE {table} SET {column} = md5({column})" for table, column in columns]
    later = ["UPDATE provenance SET created_at = now()", "UPDATE runs SET duration_s = 99"]
    turned = [
        "CREATE TABLE turned AS FROM predictions ORDER BY p_oob",
        "DELETE FROM predictions",
        "INSERT INTO predictions FROM turned",
        "DROP TABLE turned",
    ]
    assert_same_results(undisturbed.db, changed(undisturbed.db, tmp_path, *renamed, *later, *turned))


CHANGES = {
    "metric_estimates": "UPDATE metric_estimates SET estimate = estimate * (1 + 1e-15) WHERE metric = 'ici'",
    "predictions": "UPDATE predictions SET p_oob = NULL WHERE p_oob = (SELECT max(p_oob) FROM predictions)",
    "coverage": "UPDATE coverage SET status = 'missing' WHERE outlier_method = 'Hampel'",
    "roc_curves": "DELETE FROM roc_curves WHERE rowid = 7",
    "example_light": "INSERT INTO example_light FROM example_light LIMIT 1",
    "refusals": "DROP TABLE refusals",
    "metrics": "ALTER TABLE metrics DROP COLUMN target",
    "excluded_runs": "INSERT INTO excluded_runs VALUES ('x', '', 'combination', 'superseded', '')",
}


def test_what_rests_on_all_runs_does_not_depend_on_their_ids(undisturbed, tmp_path):
    renamed = "UPDATE runs SET run_id = md5(run_id)"
    orders = []
    for database in (undisturbed.db, changed(undisturbed.db, tmp_path, renamed)):
        with duckdb.connect(str(database), read_only=True) as connection:
            orders.append(read_combinations(connection, load_registry())[1].factors)
    assert {name: list(methods) for name, methods in orders[0].items()} == {
        name: list(methods) for name, methods in orders[1].items()
    }


def test_changed_numbers_and_missing_rows_are_noticed(undisturbed, tmp_path):
    other = changed(undisturbed.db, tmp_path, *CHANGES.values())
    found = differences(undisturbed.db, other)
    assert set(found) == set(CHANGES)
    counts = {table: (len(missing), len(extra)) for table, (missing, extra) in found.items()}
    assert counts["predictions"] == (1, 1)
    assert counts["roc_curves"] == (1, 0)
    assert counts["example_light"] == counts["excluded_runs"] == (0, 1)
    assert rows_lost(undisturbed.db, other) == sum(missing for missing, _ in counts.values())
    with pytest.raises(AssertionError) as told:
        assert_same_results(undisturbed.db, other)
    for table, (missing, extra) in counts.items():
        assert f"{table}: {missing} rows missing, {extra} too many" in str(told.value)


def test_a_lost_run_is_noticed_in_every_table(undisturbed, tmp_path):
    other = changed(undisturbed.db, tmp_path, "DELETE FROM runs WHERE outlier_method = 'Hampel'")
    found = differences(undisturbed.db, other)
    assert {"runs", "predictions", "metric_estimates", "essential_metrics"} <= set(found)

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import simulated_results as simulated

FAILED = (3, 10, 30)


@pytest.fixture(scope="session")
def gaps_db(tmp_path_factory):
    """Simulated results with three failed cells; synthetic."""
    return simulated.build(tmp_path_factory.mktemp("db") / "gaps.db", missing=FAILED)


@pytest.fixture(scope="session")
def two_feature_sets_db(gaps_db, tmp_path_factory):
    """The same grid, one of its classifiers being another one on other features."""
    path = tmp_path_factory.mktemp("db") / "two.db"
    shutil.copy(gaps_db, path)
    with duckdb.connect(str(path)) as connection:
        for table in ("essential_metrics", "runs", "coverage"):
            other = "featurization = 'baseline', classifier = 'CatBoost'"
            connection.execute(f"UPDATE {table} SET {other} WHERE classifier = 'XGBoost'")
        connection.execute("UPDATE methods SET name = 'baseline' WHERE name = 'age'")
        connection.execute(
            "UPDATE methods SET display_name = 'Hand-crafted (baseline)' WHERE name = 'baseline'"
        )
    return path


@pytest.fixture(scope="session")
def long_names_db(tmp_path_factory):
    """Forty outlier methods with names as long as they come."""
    factors = {
        "outlier": ["pupil-gt", *simulated.many_names("outlier", 39)],
        "imputation": ["pupil-gt", *simulated.many_names("imputation", 2)],
        "classifier": ["CatBoost"],
    }
    return simulated.build(tmp_path_factory.mktemp("db") / "long.db", factors=factors, missing=(5,))


@pytest.fixture(scope="session")
def many_imputers_db(tmp_path_factory):
    """Forty imputation methods."""
    factors = {
        "outlier": ["pupil-gt", "LOF"],
        "imputation": ["pupil-gt", *simulated.many_names("imputation", 39)],
        "classifier": ["CatBoost"],
    }
    return simulated.build(tmp_path_factory.mktemp("db") / "wide.db", factors=factors, missing=(5,))

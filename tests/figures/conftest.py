from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import simulated_results as simulated

FAILED = (3, 10, 30)


@pytest.fixture(scope="session")
def whole_db(tmp_path_factory):
    """Simulated results of a complete grid, with several example recordings; synthetic."""
    return simulated.build(tmp_path_factory.mktemp("db") / "whole.db", n_examples=3)


@pytest.fixture(scope="session")
def gaps_db(tmp_path_factory):
    """Simulated results with three failed cells; synthetic."""
    return simulated.build(tmp_path_factory.mktemp("db") / "gaps.db", missing=FAILED)


@pytest.fixture(scope="session")
def two_feature_sets_db(tmp_path_factory):
    """Two feature sets, one of which goes with one classifier only; a failed cell."""
    demo = simulated.DEMO
    grids = (("simple", demo["classifier"][:2]), ("baseline", demo["classifier"][2:]))
    cells = [
        cell
        for features, classifiers in grids
        for cell in itertools.product([features], demo["outlier"], demo["imputation"], classifiers)
    ]
    return simulated.build(tmp_path_factory.mktemp("db") / "two.db", cells=cells, missing=(4,))


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
    """Forty imputation methods, a complete grid."""
    factors = {
        "outlier": ["pupil-gt", "LOF"],
        "imputation": ["pupil-gt", *simulated.many_names("imputation", 39)],
        "classifier": ["CatBoost"],
    }
    return simulated.build(tmp_path_factory.mktemp("db") / "wide.db", factors=factors)

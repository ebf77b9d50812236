"""What every featuriser promises; the methods are found by listing their configs."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from src.cohort.cohort import Cohort
from src.registry import load_registry

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "features").glob("*.yaml"))
TIME = np.arange(1981) / 30


def build(path):
    """Instantiate a config as the pipeline does, with the smoke profile."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config |= config.pop("profiles", {}).get("smoke", {})
    module, name = config.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**config)


@pytest.fixture(scope="module")
def cohort():
    n = 12
    rng = np.random.default_rng(5)
    pupil = 4 + np.cumsum(rng.normal(0, 0.01, (n, len(TIME))), axis=1)
    table = pd.DataFrame({"recording": [f"R{i}" for i in range(n)], "code": [f"S{i}" for i in range(n)]})
    table["label"] = pd.array([0, 1] * (n // 2), dtype="Int8")
    table["age"] = np.where(np.arange(n) == 3, np.nan, 40.0 + np.arange(n))
    table["split"], table["eye"], table["severity"] = None, None, np.nan
    light = {"red": np.tile([46.5, 55.5], (n, 1)), "blue": np.tile([15.5, 24.5], (n, 1))}
    return Cohort(TIME.copy(), pupil, light, table, "mm", "synthetic")


def run(path, cohort):
    method = build(path)
    given = cohort if getattr(method, "needs_ages", False) else cohort.blind()
    pupil = cohort.pupil.copy() if method.needs_signal else None
    return method.fit(pupil, given).transform(pupil, given)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_one_row_per_recording_with_named_columns(path, cohort):
    table = run(path, cohort)
    assert isinstance(table, pd.DataFrame)
    assert table.index.equals(pd.RangeIndex(len(cohort)))
    assert table.shape[1] >= 1
    assert table.columns.is_unique
    assert set(table.dtypes) == {np.dtype(float)}
    assert not np.isinf(table.to_numpy()).any()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_recording_s_features_do_not_depend_on_its_place(path, cohort):
    order = np.random.default_rng(1).permutation(len(cohort))
    pd.testing.assert_frame_equal(
        run(path, cohort.take(order)), run(path, cohort).iloc[order].reset_index(drop=True), check_exact=True
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_inputs_stay_as_they_were_and_results_repeat(path, cohort):
    before = cohort.content_hash
    first, second = run(path, cohort), run(path, cohort)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert Cohort(**{f: getattr(cohort, f) for f in cohort.__dataclass_fields__}).content_hash == before


def test_age_is_the_age(cohort):
    path = next(p for p in CONFIGS if p.stem == "age")
    table = run(path, cohort)
    assert list(table) == ["age_years"]
    np.testing.assert_array_equal(table["age_years"], cohort.subjects["age"])


def test_age_stands_beside_the_same_features_of_the_signal(cohort):
    simple, age, both = (
        run(next(p for p in CONFIGS if p.stem == n), cohort) for n in ("simple", "age", "simple-age")
    )
    assert list(both) == [*simple, "age_years"]
    pd.testing.assert_frame_equal(both[list(simple)], simple, check_exact=True)
    pd.testing.assert_frame_equal(both[["age_years"]], age, check_exact=True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_only_baselines_know_ages(path, cohort):
    other = replace(cohort, subjects=cohort.subjects.assign(age=99.0))
    differs = not run(path, cohort).equals(run(path, other))
    assert differs == getattr(build(path), "needs_ages", False)
    assert differs == (load_registry().method("features", path.stem).category == "baseline")

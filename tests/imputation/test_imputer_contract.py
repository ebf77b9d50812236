"""What every imputer promises; the methods are found by listing their configs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from methods import build

from src.cohort.synthetic import generate

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "imputation").glob("*.yaml"))
every_imputer = pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
ALL_MISSING, NONE_MISSING = 3, 5


@pytest.fixture(scope="module")
def signals():
    """Signal, missing mask and truth of 24 recordings: one all missing, one complete, two cut off."""
    cohort = generate(n_recordings=24, n_controls=4, n_glaucoma=4, seed=41)
    missing = cohort.truth_mask | ~np.isfinite(cohort.pupil)
    pupil = cohort.pupil.copy()
    missing[ALL_MISSING] = True
    pupil[NONE_MISSING], missing[NONE_MISSING] = cohort.truth_pupil[NONE_MISSING], False
    missing[6, :300] = True
    missing[7, -300:] = True
    return pupil, missing, cohort.truth_pupil


@pytest.fixture(scope="module", params=[300, 1981, 2500])
def shares(request):
    """Recordings of another length too, with none, 5 %, 38 % and all of their samples missing.

    Two of each, in this order, and four more with 5 %. Gaps are 3 to 12 samples long, wherever they fall.
    """
    length, rng = request.param, np.random.default_rng(34)
    made = generate(n_recordings=12, n_controls=5, n_glaucoma=3, artefact_load=0.0, seed=33)
    pupil, truth = (
        np.concatenate([signal, signal[:, ::-1]], axis=1)[:, :length]
        for signal in (made.pupil, made.truth_pupil)
    )
    missing = np.zeros(pupil.shape, dtype=bool)
    for row, share in enumerate([0, 0, 0.05, 0.05, 0.38, 0.38, 1, 1, *[0.05] * 4]):
        while missing[row].mean() < share:
            start = rng.integers(length)
            missing[row, start : start + rng.integers(3, 13)] = True
    return np.where(missing, np.nan, pupil), missing, truth


@pytest.fixture(scope="module")
def results(signals):
    """Every imputer's method and result, by config path; fitted once, when first asked for."""

    class Results(dict):
        def __missing__(self, path):
            method = build(path)
            self[path] = method, run(method, signals)
            return self[path]

    return Results()


def run(method, signals):
    pupil, missing, truth = (array.copy() for array in signals)
    given = {"truth": truth} if method.needs_truth else {}
    assert method.fit(pupil, missing, **given) is method
    imputed = method.impute(pupil, missing, **given)
    for array, original in zip((pupil, missing, truth), signals, strict=True):
        np.testing.assert_array_equal(array, original)  # inputs stay as they were
    return imputed


@every_imputer
def test_observed_samples_are_bit_identical_and_everything_is_finite(path, signals, results):
    pupil, missing, _ = signals
    imputed = results[path][1]
    assert imputed.pupil.shape == pupil.shape
    assert imputed.pupil.dtype == np.float64
    assert np.isfinite(imputed.pupil).all()
    assert imputed.pupil[~missing].tobytes() == pupil[~missing].tobytes()
    if imputed.sd is not None:
        assert imputed.sd.shape == pupil.shape
        assert np.isfinite(imputed.sd).all()
        assert (imputed.sd[missing] > 0).all()
        assert (imputed.sd[~missing] == 0).all()


@every_imputer
def test_a_recording_without_missing_samples_is_untouched(path, signals, results):
    assert results[path][1].pupil[NONE_MISSING].tobytes() == signals[0][NONE_MISSING].tobytes()


@every_imputer
def test_a_recording_with_nothing_observed_gets_the_mean_curve(path, signals, results):
    pupil, missing, _ = signals
    observed = np.ma.masked_array(pupil, mask=missing)
    well = (~missing).sum(axis=0) >= 3  # of the 23 that are observed at all, a tenth or more
    filled = results[path][1].pupil[ALL_MISSING]
    assert well.mean() > 0.99
    np.testing.assert_allclose(filled[well], observed.mean(axis=0)[well], rtol=1e-12)
    np.testing.assert_array_equal(filled[-1], filled[np.flatnonzero(well)[-1]])


@every_imputer
def test_values_are_plausible_pupils(path, signals, results):
    _, missing, truth = signals
    error = np.abs(results[path][1].pupil - truth)[missing]
    assert np.median(error) < 0.25  # mm; a pupil spans 2 to 8
    assert results[path][1].pupil[missing].min() > 0.2


@every_imputer
def test_any_share_of_missing_samples_in_recordings_of_any_length(path, shares):
    pupil, missing, truth = shares
    filled = run(build(path), shares).pupil
    assert filled[~missing].tobytes() == pupil[~missing].tobytes()
    assert np.isfinite(filled).all()
    for rows in ([2, 3], [4, 5]):
        error = np.abs(filled - truth)[rows][missing[rows]]
        assert np.median(error) < 0.1  # mm
    usual = np.nanmean(np.delete(pupil, [6, 7], axis=0), axis=0)
    np.testing.assert_allclose(filled[[6, 7]], np.tile(usual, (2, 1)), rtol=1e-12)


@every_imputer
def test_recordings_with_hardly_a_sample_observed(path, signals, results):
    """One, two neighbours, two far apart: filled between the bounds of what pupils can be."""
    pupil, truth = signals[2][:3], signals[2][:3]
    missing = np.ones(pupil.shape, dtype=bool)
    missing[0, 700] = missing[1, 1200:1202] = missing[2, [0, -1]] = False
    method = results[path][0]
    given = {"truth": truth} if method.needs_truth else {}
    imputed = method.impute(pupil, missing, **given)
    assert imputed.pupil[~missing].tobytes() == pupil[~missing].tobytes()
    assert (imputed.pupil > 0.5).all()
    assert (imputed.pupil < 10).all()
    assert imputed.sd is None or (imputed.sd[missing] > 0).all()


@every_imputer
def test_what_stands_at_a_missing_sample_does_not_matter(path, signals, results):
    method, imputed = results[path]
    pupil, missing, truth = signals
    given = {"truth": truth} if method.needs_truth else {}
    for value in (np.nan, 0.0, 1e6):
        again = method.impute(np.where(missing, value, pupil), missing, **given)
        np.testing.assert_array_equal(again.pupil, imputed.pupil)


@every_imputer
def test_the_unit_does_not_matter(path, signals, results):
    pupil, missing, truth = signals
    imputed = run(build(path), (1024 * pupil, missing, 1024 * truth))  # a power of two: exact in every step
    np.testing.assert_array_equal(imputed.pupil, 1024 * results[path][1].pupil)
    if imputed.sd is not None:
        np.testing.assert_array_equal(imputed.sd, 1024 * results[path][1].sd)


@every_imputer
def test_results_repeat(path, signals, results):
    np.testing.assert_array_equal(run(build(path), signals).pupil, results[path][1].pupil)


@every_imputer
def test_a_recording_s_values_do_not_depend_on_its_company(path, signals, results):
    method, imputed = results[path]
    rows = np.array([9, 2])
    pupil, missing, truth = (array[rows] for array in signals)
    given = {"truth": truth} if method.needs_truth else {}
    # Networks work in batches: another batch, another order of summation.
    np.testing.assert_allclose(method.impute(pupil, missing, **given).pupil, imputed.pupil[rows], rtol=1e-5)


@every_imputer
def test_nothing_missing_at_all(path, signals, results):
    method = results[path][0]
    truth = signals[2]
    given = {"truth": truth} if method.needs_truth else {}
    complete = method.impute(truth, np.zeros(truth.shape, dtype=bool), **given).pupil
    assert complete.tobytes() == truth.tobytes()


@every_imputer
def test_a_bad_sample_that_is_not_marked_is_an_error(path, signals, results):
    pupil, missing, truth = (array.copy() for array in signals)
    pupil[1, 40], missing[1, 40] = np.nan, False
    method = results[path][0]
    given = {"truth": truth} if method.needs_truth else {}
    with pytest.raises(ValueError, match="sample 40 of the recording at row 1 is not finite but not marked"):
        method.impute(pupil, missing, **given)


@every_imputer
def test_importing_the_method_imports_no_torch(path):
    module = yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"].rsplit(".", 1)[0]
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'pypots'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False)
    assert done.returncode == 0

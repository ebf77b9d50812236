"""PCHIP against numbers by hand and against scipy gap by gap."""

import numpy as np
import pytest
from scipy.interpolate import pchip_interpolate

from src.imputation.pchip import Pchip

NAN = np.nan


def masked(rows):
    pupil = np.array(rows, dtype=float)
    return pupil, ~np.isfinite(pupil)


def fill(rows):
    pupil, missing = masked(rows)
    return Pchip().fit(pupil, missing).impute(pupil, missing).pupil


def test_a_step_is_filled_by_hand():
    # The slope is 0 on both sides of the gap: the cubic 4 (3 t^2 - 2 t^3) at t = 1/4, 1/2, 3/4.
    np.testing.assert_allclose(fill([[0, 0, NAN, NAN, NAN, 4, 4]]), [[0, 0, 0.625, 2, 3.375, 4, 4]])


def test_slopes_are_harmonic_means_by_hand():
    # Known at 0, 1, 4, 5: slopes 1, 2, 1 over intervals of 1, 3, 1. The slope at 1 and at 4 is the harmonic
    # mean of 1, with weight 2 * 3 + 1 = 7, and 2, with weight 3 + 2 * 1 = 5: 12 / (7 / 1 + 5 / 2).
    slope, t = 12 / 9.5, np.array([1 / 3, 2 / 3])
    value = (2 * t**3 - 3 * t**2 + 1) * 1 + (3 * t**2 - 2 * t**3) * 7
    cubic = value + 3 * slope * ((t**3 - 2 * t**2 + t) + (t**3 - t**2))
    np.testing.assert_allclose(fill([[0, 1, NAN, NAN, 7, 8]]), [[0, 1, *cubic, 7, 8]])


def test_ends_are_held_and_few_samples_suffice():
    rows = [[NAN, NAN, 2, NAN, 4, NAN], [NAN, 7, NAN, NAN, NAN, NAN], [1, 2, NAN, 4, 5, 6], [NAN] * 6]
    curve = np.array([1, 4.5, 2, 4, 4.5, 6])
    np.testing.assert_allclose(fill(rows), [[2, 2, 2, 3, 4, 4], [7] * 6, [1, 2, 3, 4, 5, 6], curve])


@pytest.mark.parametrize("seed", range(4))
def test_scipy_agrees_gap_by_gap(seed):
    """The slope at a sample depends on its two neighbours: four observed samples decide about a gap."""
    rng = np.random.default_rng(seed)
    pupil = np.cumsum(rng.normal(size=(5, 200)), axis=1)
    missing = rng.random(pupil.shape) < rng.choice([0.1, 0.5, 0.9], (5, 1))
    filled = Pchip().fit(pupil, missing).impute(pupil, missing).pupil
    for row, gaps, result in zip(pupil, missing, filled, strict=True):
        known = np.flatnonzero(~gaps)
        for sample in np.flatnonzero(gaps):
            at = np.clip(sample, known[0], known[-1])
            split = np.searchsorted(known, at)
            near = known[max(split - 2, 0) : split + 2]
            assert result[sample] == pytest.approx(float(pchip_interpolate(near, row[near], at)), rel=1e-9)


def test_never_leaves_the_range_of_the_samples_beside_a_gap():
    rng = np.random.default_rng(9)
    pupil = rng.normal(4, 1, (20, 300))
    missing = rng.random(pupil.shape) < 0.4
    filled = Pchip().fit(pupil, missing).impute(pupil, missing).pupil
    for row, gaps, result in zip(pupil, missing, filled, strict=True):
        known = np.flatnonzero(~gaps)
        after = np.searchsorted(known, np.arange(300))
        beside = np.stack([row[known[np.clip(after + k, 0, len(known) - 1)]] for k in (-1, 0)])
        assert (result[gaps] >= beside.min(axis=0)[gaps] - 1e-12).all()
        assert (result[gaps] <= beside.max(axis=0)[gaps] + 1e-12).all()

"""The features against hand-computable traces and a slow, obvious twin."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src.cohort.cohort import Cohort
from src.features.light_response import LightResponse

ALL = ["MAX_CONSTRICTION", "PHASIC", "SUSTAINED", "PIPR_AUC", "BASELINE", "PIPR"]
FULL_GRID = np.arange(1981) / 30
PULSES = {"blue": (15.5, 24.5), "red": (46.5, 55.5)}


def subjects(n, age=np.nan):
    table = pd.DataFrame({"recording": [f"U{i:03d}" for i in range(n)]})
    table["code"] = table["recording"]
    table["label"] = pd.array([None] * n, dtype="Int8")
    table["age"] = age
    table["split"] = None
    table["eye"] = None
    table["severity"] = np.nan
    return table


def cohort_of(pupil, time=FULL_GRID, light=PULSES, unit="mm"):
    n = len(pupil)
    edges = {c: np.tile(np.asarray(e, float), (n, 1)) if np.ndim(e) == 1 else e for c, e in light.items()}
    return Cohort(time.copy(), pupil.copy(), edges, subjects(n), unit, "synthetic")


def table_of(pupil, features=ALL, **kwargs):
    cohort = cohort_of(pupil, **kwargs)
    return LightResponse(features).fit(pupil, cohort).transform(pupil, cohort)


def triangle(time, onset, offset, base=4.0, depth=2.0, back_s=12.0):
    """Base until the onset, straight down to base - depth at the offset, straight back within `back_s`."""
    knots = [onset, offset, offset + back_s]
    return np.interp(time, knots, [base, base - depth, base])


def test_triangular_response_by_hand():
    # 4 mm; down to 2 mm (-50 %) at the offset after 9 s; back within 12 s, so the AUC is the triangle's
    # area: -50 % x 12 s / 2 = -300 % s. PHASIC ends 5 s into 9 s: -50 % x 5/9. The mean over 361 samples of
    # a straight line is exactly the mean of its ends.
    row = table_of(triangle(FULL_GRID, *PULSES["blue"])[None], light={"blue": PULSES["blue"]}).iloc[0]
    assert row["blue_BASELINE_mm"] == 4.0
    assert row["blue_MAX_CONSTRICTION_pct"] == pytest.approx(-50, abs=1e-9)
    assert row["blue_PHASIC_pct"] == pytest.approx(-50 * 5 / 9, abs=1e-9)
    assert row["blue_SUSTAINED_pct"] == pytest.approx(-50, abs=1e-9)
    assert row["blue_PIPR_pct"] == pytest.approx(-50, abs=1e-9)
    assert row["blue_PIPR_AUC_pct_s"] == pytest.approx(-300, abs=1e-9)


def test_shorter_tail_does_not_shrink_the_area():
    # A pupil that stays at -25 % after the offset: -25 % x 12 s = -300 % s, whether 12 s are left or 8 s.
    time = FULL_GRID[FULL_GRID <= 32.5 + 1e-9]
    pupil = np.where(time < 20.0, 4.0, 3.0)[None]
    full = table_of(np.where(FULL_GRID < 20.0, 4.0, 3.0)[None], light={"blue": (15.5, 24.5)})
    cut = table_of(pupil, time=time, light={"blue": (15.5, 24.5)})
    assert full["blue_PIPR_AUC_pct_s"][0] == pytest.approx(-300)
    assert cut["blue_PIPR_AUC_pct_s"][0] == pytest.approx(-300)


def slow_twin(pupil, time, onset, offset):
    """One recording and colour, sample by sample, in plain Python and integer microseconds."""
    us = [round(t * 1e6) for t in time]

    def samples(start_s, stop_s, share):
        start, stop = round(start_s * 1e6), round(stop_s * 1e6)
        left = min(stop, us[-1]) - max(start, us[0])
        if left < share * (stop - start) - 1:
            return None
        return [float(p) for p, t in zip(pupil, us, strict=True) if start - 2 <= t <= stop + 2]

    base_samples = samples(onset - 5, onset, 0.8)
    base = sorted(base_samples) if base_samples else []
    middle = len(base) // 2
    base = np.nan if not base else base[middle] if len(base) % 2 else (base[middle - 1] + base[middle]) / 2
    base = base if base > 0 else np.nan
    row = {"BASELINE": base}
    for name, (start, stop, share) in {
        "MAX_CONSTRICTION": (onset, onset + 15, 0.8),
        "PHASIC": (onset, onset + 5, 0.8),
        "SUSTAINED": (offset - 5, offset, 0.8),
        "PIPR": (offset, offset + 15, 0.6),
        "PIPR_AUC": (offset, offset + 12, 0.6),
    }.items():
        window = samples(start, stop, share)
        if not window:
            row[name] = np.nan
        elif name == "PIPR_AUC":
            row[name] = 12 * sum(100 * (p - base) / base for p in window) / len(window)
        else:
            row[name] = min(100 * (p - base) / base for p in window)
    return row


def test_equals_the_slow_twin_with_light_that_differs_between_recordings():
    rng = np.random.default_rng(3)
    pupil = 4 + np.cumsum(rng.normal(0, 0.02, (40, 1981)), axis=1)
    onset = np.round(rng.uniform(2, 60, 40), 1)
    blue = np.column_stack([onset, onset + np.round(rng.uniform(1, 15, 40), 1)])
    table = table_of(pupil, light={"blue": blue})
    for i in range(40):
        expected = slow_twin(pupil[i], FULL_GRID, *blue[i])
        got = {
            c.removeprefix("blue_").rsplit("_pct")[0].removesuffix("_mm"): v for c, v in table.loc[i].items()
        }
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-10, equal_nan=True, err_msg=f"{i} {name}")
    assert table.isna().to_numpy().any()
    assert table.notna().to_numpy().any()


@pytest.mark.parametrize(
    ("end_s", "defined"),
    [
        (66.0, {"PIPR", "PIPR_AUC"}),  # 10.5 s after the offset: 70 % of 15 s, 87 % of 12 s
        (64.5, {"PIPR", "PIPR_AUC"}),  # exactly 9 s = 60 % of 15 s
        (64.4, {"PIPR_AUC"}),
        (62.7, {"PIPR_AUC"}),  # 7.2 s = 60 % of 12 s
        (62.6, set()),
    ],
)
def test_windows_that_the_end_cuts(end_s, defined):
    time = FULL_GRID[: np.searchsorted(FULL_GRID, end_s + 1e-9)]
    pupil = np.full((1, len(time)), 4.0)
    row = table_of(pupil, time=time).filter(like="red_").iloc[0]
    found = {n for n in ("PIPR", "PIPR_AUC") if np.isfinite(row[f"red_{n}_pct" + "_s" * (n == "PIPR_AUC")])}
    assert found == defined


def test_eighty_percent_of_the_other_windows():
    # Onset at 54.0: 12 s of 15 s are left (80 %), one sample later they are not.
    # Onset at 4.0: 4 s of the 5 s of base are there.
    pupil = np.full((4, 1981), 4.0)
    onsets = np.array([54.0, 54.0 + 1 / 30, 4.0, 4.0 - 1 / 30])
    table = table_of(pupil, light={"blue": np.column_stack([onsets, onsets + 9])})
    assert table["blue_MAX_CONSTRICTION_pct"].notna().tolist() == [True, False, True, False]
    assert table["blue_BASELINE_mm"].notna().tolist() == [True, True, True, False]


def test_closed_windows_survive_float_time():
    # One low sample exactly on a window's edge counts, one sample outside it does not, and accumulated
    # rounding in the time grid or a window's edge in the last digits changes nothing.
    steps = np.cumsum(np.full(1981, 1 / 30)) - 1 / 30
    for time in (FULL_GRID, steps, np.round(FULL_GRID, 4)):
        for sample, inside in ((465, True), (464, False), (615, True), (616, False)):  # 15.5 s and 20.5 s
            pupil = np.full((1, 1981), 4.0)
            pupil[0, sample] = 3.0
            value = table_of(pupil, time=time)["blue_PHASIC_pct"][0]
            assert value == pytest.approx(-25.0 if inside else 0.0), (sample, time[sample])


def test_a_baseline_that_is_not_positive_is_undefined():
    pupil = np.full((3, 1981), 4.0)
    pupil[1] = 0.0
    pupil[2] = -1.0
    table = table_of(pupil)
    assert table.loc[0].notna().all()
    assert table.loc[[1, 2]].isna().to_numpy().all()


def test_missing_light_is_undefined_for_that_recording_and_colour_only():
    pupil = np.full((2, 1981), 4.0)
    blue = np.array([[15.5, 24.5], [np.nan, np.nan]])
    table = table_of(pupil, light={"blue": blue, "red": PULSES["red"]})
    assert table.loc[1].filter(like="blue").isna().all()
    assert table.loc[1].filter(like="red").notna().all()
    assert table.loc[0].notna().all()


def test_relative_features_ignore_the_unit_and_the_gain():
    rng = np.random.default_rng(0)
    pupil = 4 + np.cumsum(rng.normal(0, 0.01, (5, 1981)), axis=1)
    amplitudes = [f for f in ALL if f != "BASELINE"]
    mm = table_of(pupil, features=amplitudes)
    px = table_of(8 * pupil, features=amplitudes, unit="px")
    pd.testing.assert_frame_equal(mm, px, rtol=1e-12)


def test_column_names_carry_units_and_follow_colour_order():
    pupil = np.full((1, 1981), 40.0)
    light = {"red": PULSES["red"], "green": (30.0, 35.0), "blue": PULSES["blue"]}
    simple = ["MAX_CONSTRICTION", "PHASIC", "SUSTAINED", "PIPR_AUC"]
    columns = list(table_of(pupil, features=simple, light=light))
    assert columns[:4] == [
        "blue_MAX_CONSTRICTION_pct",
        "blue_PHASIC_pct",
        "blue_SUSTAINED_pct",
        "blue_PIPR_AUC_pct_s",
    ]
    assert [c.split("_")[0] for c in columns] == ["blue"] * 4 + ["red"] * 4 + ["green"] * 4
    for unit, column in {
        "px": "blue_BASELINE_px",
        "%": "blue_BASELINE_pct",
        "unstated": "blue_BASELINE",
    }.items():
        assert list(table_of(pupil, ["BASELINE"], light={"blue": (20.0, 29.0)}, unit=unit)) == [column]


def test_unknown_feature_and_incomplete_signal_are_refused():
    with pytest.raises(ValueError, match=r"PHASIK.*MAX_CONSTRICTION"):
        LightResponse(["PHASIK"])
    pupil = np.full((3, 1981), 4.0)
    pupil[1, 7] = np.nan
    cohort = replace(cohort_of(pupil), pupil=pupil)
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        LightResponse(ALL).transform(pupil, cohort)

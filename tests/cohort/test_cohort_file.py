"""The cohort file: nothing changes on the way through it, and files of other hands are understood."""

import inspect
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from src.cohort.cohort import CohortError
from src.cohort.file import read_cohort, save_lookup, write_cohort
from src.cohort.sources import cohort_file, synthetic_cohort
from src.cohort.synthetic import generate

CONFIGS = Path(__file__).parents[2] / "configs"
STUDY_COLUMNS = [
    ("time", "DOUBLE"),
    ("pupil_orig", "DOUBLE"),
    ("pupil_raw", "DOUBLE"),
    ("pupil_gt", "DOUBLE"),
    ("Red", "DOUBLE"),
    ("Blue", "DOUBLE"),
    ("time_orig", "DOUBLE"),
    ("subject_code", "VARCHAR"),
    ("no_outliers", "BIGINT"),
    ("Age", "BIGINT"),
    ("class_label", "VARCHAR"),
    ("light_stimuli", "DOUBLE"),
    ("pupil_orig_imputed", "DOUBLE"),
    ("outlier_mask", "INTEGER"),
    ("pupil_raw_imputed", "DOUBLE"),
    ("imputation_mask", "BOOLEAN"),
    ("split", "VARCHAR"),
]
TIME = np.arange(660) / 30 * 3  # 66 s at 10 Hz


def rows(code, label, pupil=None, blue=(15.0, 25.0), red=(46.0, 56.0), time=TIME, **more):
    """One subject of a minimal file of other hands."""
    pupil = 5 - 2.0 * ((time > blue[0]) & (time < blue[1])) if pupil is None else pupil
    frame = pd.DataFrame({"time": time, "pupil_orig": pupil})
    frame["Red"] = ((time >= red[0]) & (time <= red[1])).astype(float)
    frame["Blue"] = ((time >= blue[0]) & (time <= blue[1])).astype(float)
    frame["subject_code"], frame["class_label"] = code, label
    return frame.assign(**more)


def make_file(path, train=None, test=None):
    with duckdb.connect(str(path)) as connection:
        for table, frames in (("train", train), ("test", test)):
            if frames is not None:
                frame = pd.concat(frames)  # noqa: F841 (DuckDB reads it)
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM frame")
                for column in ("class_label", "subject_code"):
                    connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE VARCHAR")
    return path


def by_name(cohort):
    """The cohort with its rows sorted by recording name."""
    return cohort.take(np.argsort(cohort.subjects["recording"].to_numpy()))


@pytest.fixture(scope="module")
def small():
    return generate(24, 8, 6, seed=7)


def test_round_trip(small, tmp_path):
    path = tmp_path / "deep" / "cohort.duckdb"
    write_cohort(small, path, {"seed": 7})
    again, lookup = read_cohort(path)
    assert again.content_hash == small.content_hash
    pd.testing.assert_frame_equal(again.subjects, small.subjects)
    assert list(lookup["original_code"]) == list(small.subjects["code"])
    assert [file.name for file in path.parent.iterdir()] == ["cohort.duckdb"]
    write_cohort(again, path)
    assert read_cohort(path)[0].content_hash == small.content_hash


def test_round_trip_without_truth_and_with_fractions_of_years(small, tmp_path):
    subjects = small.subjects.assign(age=small.subjects["age"] + 0.25, severity=np.nan)
    plain = small.without_truth()
    plain = type(plain)(plain.time, plain.pupil, plain.light, subjects, "px", "measured")
    write_cohort(plain, tmp_path / "c.duckdb")
    again, _ = read_cohort(tmp_path / "c.duckdb")
    assert again.content_hash == plain.content_hash
    assert not again.has_truth


def test_written_layout_is_the_studys(small, tmp_path):
    write_cohort(small, tmp_path / "c.duckdb")
    with duckdb.connect(str(tmp_path / "c.duckdb"), read_only=True) as connection:
        for table in ("train", "test"):
            columns = connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? "
                "ORDER BY ordinal_position",
                [table],
            ).fetchall()
            assert columns[: len(STUDY_COLUMNS)] == STUDY_COLUMNS
        count = connection.execute("SELECT (SELECT count(*) FROM train) + (SELECT count(*) FROM test)")
        assert count.fetchone() == (small.pupil.size,)
        labels = connection.execute("SELECT DISTINCT class_label FROM train ORDER BY 1").fetchall()
        assert labels == [("control",), ("glaucoma",), (None,)]
        version = connection.execute(
            "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
        )
        assert version.fetchone()[0].startswith("v1.2")


def test_file_of_other_hands(tmp_path):
    """Red first, other onsets, one table, unknown columns, no truth, no age, interleaved rows."""
    red_first = {"red": (10.0, 15.0), "blue": (40.0, 45.5)}
    frames = [rows("b", "glaucoma", **red_first, mood="x"), rows("c", "control", **red_first, mood="y")]
    frames.append(rows("a", "glaucoma", **red_first, mood="z"))
    mixed = pd.concat(frames).sort_values("time", kind="stable")
    cohort, lookup = read_cohort(make_file(tmp_path / "c.duckdb", test=[mixed]))
    assert list(lookup["recording"]) == list(cohort.subjects["recording"])
    assert dict(zip(lookup["original_code"], lookup["code"], strict=True)) == {
        "c": "H001",
        "a": "G001",
        "b": "G002",
    }
    cohort = by_name(cohort)
    np.testing.assert_allclose(cohort.light["red"], [[10.0, 15.0]] * 3)
    np.testing.assert_allclose(cohort.light["blue"], [[40.0, 45.5]] * 3)
    assert (cohort.unit, cohort.source, cohort.has_truth) == ("unstated", "unstated", False)
    assert cohort.subjects["age"].isna().all()
    assert set(cohort.subjects["split"]) == {"test"}
    assert cohort.pupil[:, 0].tolist() == [5, 5, 5]
    assert list(cohort.subjects["code"]) == ["G001", "G002", "H001"]
    assert cohort.labels.tolist() == [1, 1, 0]


def test_each_recording_keeps_its_own_onset(tmp_path):
    frames = [rows("a", "control"), rows("b", "control", blue=(16.0, 25.0))]
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=frames))
    cohort = by_name(cohort)
    assert list(cohort.subjects["recording"]) == ["H001", "H002"]
    np.testing.assert_allclose(cohort.light["blue"], [[15.0, 25.0], [16.0, 25.0]])


def test_percent_change_becomes_percent_of_baseline(tmp_path):
    change = np.where((TIME > 15) & (TIME < 25), -40.0, 1.0)
    change[(TIME > 46) & (TIME < 56)] = -30.0
    frames = [rows("a", "control", change, pupil_gt=change, outlier_mask=0)]
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=frames))
    assert cohort.unit == "%"
    np.testing.assert_array_equal(np.unique(cohort.pupil), [60, 70, 101])
    np.testing.assert_array_equal(cohort.pupil, cohort.truth_pupil)


def test_lost_samples_are_nan_even_where_most_are_lost(tmp_path):
    pupil = np.full(len(TIME), 30.0)
    pupil[::3], pupil[1::3] = -1, 0
    pupil[2] = np.nan
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=[rows("a", "control", pupil)]))
    assert cohort.unit == "unstated"
    assert np.isnan(cohort.pupil[0, ::3]).all()
    assert np.isnan(cohort.pupil[0, :3]).all()
    assert (cohort.pupil[0, 5::3] == 30).all()


def test_empty_truth_columns_are_no_truth(tmp_path):
    frame = rows("a", "control", pupil_gt=np.nan, outlier_mask=np.nan)
    assert not read_cohort(make_file(tmp_path / "c.duckdb", train=[frame]))[0].has_truth


def test_two_eyes_of_one_subject(tmp_path):
    frames = [rows("s", "glaucoma", eye="R"), rows("s", "glaucoma", eye="L"), rows("t", None, eye="L")]
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=frames))
    subjects = by_name(cohort).subjects
    assert list(subjects["recording"]) == ["G001-L", "G001-R", "U001"]
    assert list(subjects["code"]) == ["G001", "G001", "U001"]
    assert list(subjects["eye"]) == ["L", "R", "L"]
    write_cohort(cohort, tmp_path / "again.duckdb")
    assert read_cohort(tmp_path / "again.duckdb")[0].content_hash == cohort.content_hash


def test_a_telling_eye_is_not_part_of_a_name(tmp_path):
    eyes = [rows("s", "glaucoma", eye=eye) for eye in ("OD 1987-03-21", "OS 1987-03-21")]
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=eyes))
    assert sorted(cohort.subjects["recording"]) == ["G001-1", "G001-2"]


def test_original_codes_go_into_the_file_and_the_lookup_alone(small, tmp_path):
    originals = [f"PLR{rank:04.0f}" for rank in small.subjects["code"].rank()]
    write_cohort(small, tmp_path / "c.duckdb", original_codes=originals)
    cohort, lookup = read_cohort(tmp_path / "c.duckdb")
    assert cohort.content_hash == small.content_hash
    assert list(lookup["original_code"]) == originals
    path = save_lookup(lookup, tmp_path / "private")
    pd.testing.assert_frame_equal(pd.read_csv(path, dtype="str"), lookup, check_dtype=False)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def spoilt(change):
    """A file of two subjects after `change`, which gets the frame of the second."""
    return lambda path: make_file(path, train=[rows("good", "control"), change(rows("bad", "glaucoma"))])


def with_text(frame):
    frame["pupil_orig"] = frame["pupil_orig"].astype(str)
    frame.loc[3, "pupil_orig"] = "five"
    return frame


def text_file(path):
    frame = pd.concat([rows("good", "control").astype({"pupil_orig": str}), with_text(rows("bad", None))])
    return make_file(path, train=[frame])


def unsorted(frame):
    return frame.iloc[[0, 2, 1, *range(3, len(frame))]]


def partly_true(frame):
    return frame.assign(pupil_gt=np.where(frame["time"] < 3, np.nan, 4.0), outlier_mask=0)


def twice_lit(frame):
    return frame.assign(Blue=np.where(frame["time"] < 5, 1.0, frame["Blue"]))


def relabelled(frame):
    return frame.assign(class_label=np.where(frame["time"] < 5, "control", "glaucoma"))


def sqlite_file(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE train (time REAL)")


BAD_FILES = {
    "missing column": (
        lambda path: make_file(path, train=[rows("a", "control").drop(columns="Blue")]),
        "table train has no column Blue; expected",
    ),
    "text in a number": (text_file, r"row 664 \(subject 'bad'\): pupil_orig is 'five'; expected a number"),
    "unsorted time": (spoilt(unsorted), "subject 'bad': time 0.1 s follows 0.2 s"),
    "duplicate time": (
        spoilt(lambda f: pd.concat([f[:9], f[8:]])),
        "subject 'bad': time 0.8 s follows 0.8 s; expected increasing times",
    ),
    "twice": (
        spoilt(lambda f: pd.concat([f, f])),
        "subject 'bad' occurs 2 times in table train; expected each recording once",
    ),
    "three times, by time": (
        spoilt(lambda f: pd.concat([f, f, f]).sort_values("time")),
        "subject 'bad' occurs 3 times in table train",
    ),
    "two ages": (
        lambda path: make_file(
            path, train=[rows("s", None, eye="L", Age=70), rows("s", None, eye="R", Age=40)]
        ),
        "subject 's' has recordings with different ages, 40 and 70 years",
    ),
    "artefact numbers for a mask": (
        lambda path: make_file(path, train=[rows("bad", None, outlier_mask=np.arange(660) % 3)]),
        "subject 'bad': outlier_mask is 2; expected 0",
    ),
    "SQLite file": (sqlite_file, "not readable as a cohort file .DuckDB.: it is another kind of file"),
    "missing time": (
        spoilt(lambda f: f.assign(time=f["time"].where(f["time"] > 1))),
        "'bad': time is missing",
    ),
    "other grid": (spoilt(lambda f: f.assign(time=f["time"] + 0.04)), "has other sample times"),
    "fewer samples": (
        lambda path: make_file(
            path, train=[rows("a", "control"), rows("b", "control"), rows("bad", "glaucoma").iloc[:500]]
        ),
        "subject 'bad' has 500 samples; expected 660",
    ),
    "too short": (
        lambda path: make_file(path, train=[rows("a", "control", blue=(5, 9)).iloc[:100]]),
        "subject 'a': the recording lasts 9.9 s; expected at least 20 s",
    ),
    "no light": (
        lambda path: make_file(path, train=[rows("a", "control").assign(Red=0.0, Blue=0.0)]),
        "Red and Blue are never above 0",
    ),
    "no light in one": (spoilt(lambda f: f.assign(Blue=0.0)), "subject 'bad': Blue is never above 0"),
    "two lights": (spoilt(twice_lit), "subject 'bad': Blue is off for 10.1 s between two lights"),
    "lit from the start": (
        spoilt(lambda f: f.assign(Blue=(f["time"] <= 25).astype(float))),
        "subject 'bad': Blue is on from 0 to 25 s of a recording from 0 to 65.9 s; expected a baseline",
    ),
    "lit to the end": (
        spoilt(lambda f: f.assign(Red=(f["time"] >= 46).astype(float))),
        "subject 'bad': Red is on from 46 to 65.9 s of a recording from 0 to 65.9 s; expected a baseline",
    ),
    "always lit": (spoilt(lambda f: f.assign(Blue=1.0)), "subject 'bad': Blue is on from 0 to 65.9 s of"),
    "milliseconds": (
        lambda path: make_file(path, train=[rows("a", "control").assign(time=TIME * 1000)]),
        r"subject 'a': time looks like milliseconds\? its usual step is 100; expected seconds, about 1/30 s",
    ),
    "minutes": (
        lambda path: make_file(path, train=[rows("a", "control").assign(time=TIME / 60)]),
        "subject 'a': time looks like minutes",
    ),
    "wrong label": (spoilt(lambda f: f.assign(class_label="sick")), "'bad': class_label is 'sick'; expected"),
    "two labels": (spoilt(relabelled), "subject 'bad': class_label differs"),
    "eyes disagree": (
        lambda path: make_file(path, train=[rows("s", "glaucoma", eye="L"), rows("s", "control", eye="R")]),
        "subject 's' has recordings with different class_label",
    ),
    "both tables": (
        lambda path: make_file(path, train=[rows("bad", "control")], test=[rows("bad", "control")]),
        "subject 'bad' occurs in both tables, train and test; expected each recording once",
    ),
    "NaN everywhere": (
        spoilt(lambda f: f.assign(pupil_orig=np.nan)),
        "subject 'bad': pupil_orig has no usable sample",
    ),
    "lost everywhere": (
        spoilt(lambda f: f.assign(pupil_orig=-1.0)),
        "subject 'bad': pupil_orig has no usable",
    ),
    "partial truth": (
        lambda path: make_file(path, train=[partly_true(rows("bad", "control"))]),
        "subject 'bad': pupil_gt is NULL in some samples",
    ),
    "strange age": (spoilt(lambda f: f.assign(Age=640)), "subject 'bad': Age is 640; expected 0 to 120"),
    "no code": (spoilt(lambda f: f.assign(subject_code=None)), "subject_code is NULL"),
    "no rows": (
        lambda path: make_file(path, train=[rows("a", "control").iloc[:0]]),
        "the tables have no rows",
    ),
    "no tables": (lambda path: duckdb.connect(str(path)).close(), "no table train or test"),
    "empty file": (lambda path: path.write_bytes(b""), "the file is empty"),
    "another file": (
        lambda path: path.write_text("time,pupil\n1,2\n" * 1000),
        "not readable as a cohort file",
    ),
    "no file": (lambda path: None, "no such file"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_cohort_file(case, tmp_path):
    make, message = BAD_FILES[case]
    path = tmp_path / "bad.duckdb"
    make(path)
    with pytest.raises(CohortError, match=message) as raised:
        read_cohort(path)
    assert "bad.duckdb" in str(raised.value)


def test_a_file_never_makes_duckdb_fetch_an_extension(tmp_path, monkeypatch):
    """A view on a remote or foreign file would load an extension, and install it from the network."""
    options = []
    connect = duckdb.connect

    def watched(*args, **kwargs):
        connection = connect(*args, **kwargs)
        options.extend(
            connection.execute(f"SELECT current_setting('auto{what}_known_extensions')").fetchone()[0]
            for what in ("install", "load")
        )
        return connection

    monkeypatch.setattr(duckdb, "connect", watched)
    write_cohort(generate(3, 1, 1, seed=1), tmp_path / "c.duckdb")
    read_cohort(tmp_path / "c.duckdb")
    assert options == [False] * 4


def test_mask_of_booleans_and_ages_around_a_birthday(tmp_path):
    eyes = [rows("s", None, eye=eye, Age=age, outlier_mask=False) for eye, age in (("L", 69), ("R", 70))]
    cohort, _ = read_cohort(make_file(tmp_path / "c.duckdb", train=eyes))
    assert not cohort.truth_mask.any()
    assert sorted(cohort.subjects["age"]) == [69, 70]


def test_write_that_fails_leaves_nothing(small, tmp_path, monkeypatch):
    monkeypatch.setattr("src.cohort.file._CREATE", "CREATE NONSENSE {table} {samples} {age}")
    with pytest.raises(duckdb.Error):
        write_cohort(small, tmp_path / "c.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_synthetic_source_makes_a_file_once_per_parameters(tmp_path):
    settings = {"n_recordings": 6, "n_controls": 2, "n_glaucoma": 2}
    first = synthetic_cohort(str(tmp_path), seed=1, **settings)
    stamp = first.stat().st_mtime_ns
    assert synthetic_cohort(str(tmp_path), seed=1, **settings) == first
    assert first.stat().st_mtime_ns == stamp
    assert synthetic_cohort(str(tmp_path), seed=2, **settings) != first
    assert read_cohort(first)[0].content_hash == generate(**settings, seed=1).content_hash


@pytest.mark.parametrize(("name", "effect"), [("synthetic", 1), ("no_effect", 0), ("smoke", 1)])
def test_configs_name_every_parameter_of_the_generator(name, effect):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(f"data/{name}").data
    assert config["_target_"] == "src.cohort.sources.synthetic_cohort"
    assert set(config) == {"_target_", "folder", *inspect.signature(generate).parameters}
    assert config.effect == effect
    assert config.n_recordings - config.n_controls - config.n_glaucoma >= 50  # methods are fitted on these


def test_cohort_file_source(tmp_path):
    with pytest.raises(CohortError, match="no such file"):
        cohort_file(str(tmp_path / "absent.duckdb"))
    present = tmp_path / "c.duckdb"
    present.touch()
    assert cohort_file(str(present)) == present  # what is wrong with it is said when it is read


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGXCPU])
def test_a_file_whose_reading_crashes_or_does_not_end_is_refused(tmp_path, monkeypatch, number):
    (tmp_path / "c.duckdb").touch()

    def end(command, **options):
        kill = ["-c", f"import os; os.kill(os.getpid(), {int(number)})"]
        return run_process([command[0], *kill], **options)

    run_process = subprocess.run
    monkeypatch.setattr(subprocess, "run", end)
    with pytest.raises(
        CohortError, match=f"c.duckdb: a process that tried to read it was ended by signal {number}"
    ):
        cohort_file(str(tmp_path / "c.duckdb"))

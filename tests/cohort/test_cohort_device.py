"""Raw device files: what is read, what is refused, and that a failed import leaves nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.cohort.cohort import CohortError
from src.cohort.device import import_recordings, on_grid, read_device_file
from src.cohort.file import read_cohort, write_cohort

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "recordings"
LABELS = (
    "file,subject_code,class_label,age,eye\na.csv,S2,glaucoma,70,L\nb.csv,S1,,,\nc.csv,S2,glaucoma,70,R\n"
)
GRID = np.arange(1981) / 30

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings are not beside the checkout")


def lines(pupil=40.0, blue=(16.0, 25.0), end=66.5):
    """A device file with samples every 0.032 s, blue and red ramps of one drive value."""
    time = np.arange(0.05, end, 0.032)
    rows = []
    for k, t in enumerate(time):
        red = 100 * (47.0 <= t <= 56.0)
        is_blue = 90 * (blue[0] <= t <= blue[1])
        rows.append(f"{k}, {t:.3f}, {pupil:.2f}, 514, 503, 30, 3, 0, 0, {red}, 0, {is_blue}, {red}, 0, 0, ")
    return rows


def folder_of(path, labels=LABELS, **changed):
    """A folder of three good recordings; `changed` replaces the lines of some."""
    path.mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        (path / f"{name}.csv").write_text("\n".join(changed.get(name, lines())))
    (path.parent / "labels.csv").write_text(labels)
    return path, path.parent / "labels.csv"


def by_name(cohort):
    """The cohort with its rows sorted by recording name."""
    return cohort.take(np.argsort(cohort.subjects["recording"].to_numpy()))


def replaced(line, place, text):
    rows = lines()
    fields = rows[line - 1].split(",")
    fields[place] = text
    rows[line - 1] = ",".join(fields)
    return rows


def test_import(tmp_path):
    rows = lines()
    for k in range(300, 310):  # 9.65 to 9.94 s
        rows[k] = rows[k].replace(" 40.00,", [" -1,", " 0,", " 3.2,"][k % 3])
    cohort, lookup = import_recordings(*folder_of(tmp_path / "raw", b=rows, c=lines(blue=(18.0, 27.0))))
    assert (cohort.source, cohort.unit, cohort.has_truth, cohort.pupil.shape) == (
        "measured",
        "px",
        False,
        (3, 1981),
    )
    assert list(lookup["recording"]) == list(cohort.subjects["recording"])
    lookup, cohort = lookup.sort_values("recording"), by_name(cohort)
    assert list(lookup["original_code"]) == ["S2", "S2", "S1"]
    assert list(lookup["file"]) == ["a.csv", "c.csv", "b.csv"]
    assert list(cohort.subjects["recording"]) == ["G001-L", "G001-R", "U001"]
    np.testing.assert_allclose(cohort.light["blue"], [[16, 25], [18, 27], [16, 25]], atol=0.04)
    np.testing.assert_allclose(cohort.light["red"], [[47, 56]] * 3, atol=0.04)
    lost = GRID[np.isnan(cohort.pupil[2])]
    inside = lost[lost > 1]
    assert inside.min() == pytest.approx(9.65, abs=0.04)
    assert inside.max() == pytest.approx(9.94, abs=0.04)
    np.testing.assert_array_equal(np.isnan(cohort.pupil[0]), GRID < 0.05)
    assert (cohort.pupil[0, 2:] == 40).all()


def test_grid_never_reaches_across_a_gap(tmp_path):
    rows = lines()
    del rows[500:510]  # the device wrote nothing for 0.35 s
    (tmp_path / "a.csv").write_text("\n".join(rows))
    pupil, _ = on_grid(read_device_file(tmp_path / "a.csv"), GRID)
    inside = (GRID > 0.05 + 499 * 0.032) & (GRID < 0.05 + 510 * 0.032)
    assert np.isnan(pupil[inside]).all()
    assert np.isfinite(pupil[~inside & (GRID > 0.06)]).all()


BAD_RECORDINGS = {
    "empty": ([], "a.csv: the file is empty"),
    "missing column": (
        [*lines()[:4], "4, 0.2, 40.0", *lines()[5:]],
        "a.csv, line 5: 3 fields; expected at least 12",
    ),
    "text": (replaced(7, 2, " blink"), r"a.csv, line 7: field 2 \(pupil\) is 'blink'; expected a number"),
    "nothing for a number": (
        replaced(7, 1, " "),
        r"a.csv, line 7: field 1 \(time\) is ''; expected a number",
    ),
    "text in the light": (replaced(7, 11, " on"), r"a.csv, line 7: field 11 \(blue\) is 'on'"),
    "unsorted time": (replaced(7, 1, " 0.01"), "a.csv, line 7: time 0.01 s follows 0.21 s"),
    "duplicate time": (replaced(7, 1, " 0.210"), "a.csv, line 7: time 0.21 s follows 0.21 s"),
    "milliseconds": (
        [
            ",".join([k, f" {1000 * float(t):.0f}", rest])
            for k, t, rest in (row.split(",", 2) for row in lines())
        ],
        r"a.csv: time looks like milliseconds\? its usual step is 32",
    ),
    "late clock": (
        [
            ",".join([k, f" {float(t) + 100:.3f}", rest])
            for k, t, rest in (row.split(",", 2) for row in lines())
        ],
        "a.csv: the recording starts at 100.05 s; expected about 0",
    ),
    "light on in a gap": (
        [*lines()[:490], *lines()[510:]],
        "a.csv: there are no samples from 15.698 to 16.37 s, and the blue light changes in between",
    ),
    "lit to the end": (
        lines(blue=(60.0, 70.0)),
        "a.csv: a light is on from 60.* to 66 s of a recording from 0 to 66 s; expected a baseline",
    ),
    "too short": (lines(end=60), "a.csv: the recording ends at 59.9.* s; expected at least 66 s"),
    "no light": ([row.replace(" 100,", " 0,").replace(" 90,", " 0,") for row in lines()], "a.csv: no light"),
    "one light less": ([row.replace(" 90,", " 0,") for row in lines()], "a.csv: a light is never above 0"),
    "lost everywhere": (lines(pupil=-1), "a.csv: the pupil is lost in every sample"),
}
BAD_LABELS = {
    "empty": ("", "labels.csv: the file is empty"),
    "no rows": ("file,subject_code,class_label,age\n", "labels.csv: no rows below the header"),
    "missing column": ("file,subject_code,age\na.csv,S,1\n", "labels.csv: no column class_label; expected"),
    "wrong label": (LABELS.replace(",glaucoma,70,L", ",sick,70,L"), "row 2: class_label is 'sick'"),
    "wrong age": (LABELS.replace("glaucoma,70,R", "glaucoma,old,R"), "row 4: age is 'old'"),
    "no code": (LABELS.replace("S1", ""), "row 3: subject_code is empty"),
    "twice": (LABELS + "a.csv,S2,glaucoma,70,\n", "row 5: file 'a.csv' is listed twice"),
    "one eye twice": (
        LABELS.replace("70,R", "70,L"),
        "labels.csv: 'a.csv' and 'c.csv' are both eye 'L' of subject 'S2'; expected each eye once: correct ",
    ),
    "one eye and one visit twice": (
        "file,subject_code,class_label,age,eye,recording_name\na.csv,S2,,,L,1\nb.csv,S2,,,L,2\nc.csv,S2,,,L,1\n",
        "'a.csv' and 'c.csv' are both eye 'L'",
    ),
    "columns without end": (
        ",".join("a" * 100_000) + "\na\n",
        "labels.csv: 100000 columns; expected file,subject_code,class_label,age and few others, at most 50",
    ),
    "column twice": (
        LABELS.replace("age,eye", "age,age", 1),
        "the column 'age' is there twice; expected each",
    ),
    "a comma too many": (
        LABELS.replace("a.csv,S2,", "a.csv,S2,2,"),
        "labels.csv, row 2: 6 fields; expected the 5 of the header: put a text with a comma in double quotes",
    ),
    "a comma too many everywhere": (
        LABELS.replace("S1,", "S1,1,").replace("S2,", "S2,1,"),
        "labels.csv, row 2: 6 fields",
    ),
    "a field without end": (LABELS + '"' + "x" * 200_000, "not readable as CSV: field larger than"),
    "too large": (LABELS + "\n" * 2**22, "labels.csv: 4194.* bytes; expected the table of labels, at most"),
    "long name": (LABELS.replace("a.csv", "a" * 300), "row 2: file has 300 bytes; expected at most 255"),
    "long code": (LABELS.replace("S1", "ä" * 251), "row 3: subject_code has 502 bytes; expected at most 500"),
    "long eye": (LABELS.replace("70,R", "70," + "R" * 101), "row 4: eye has 101 bytes; expected at most 100"),
    "path": (
        LABELS.replace("a.csv", "/etc/passwd"),
        "row 2: file is '/etc/passwd'; expected a file's name",
    ),
    "path upwards": (
        LABELS.replace("b.csv", "../b.csv"),
        r"row 3: file is '\.\./b.csv'; expected a file's",
    ),
    "path within": (
        LABELS.replace("b.csv", "raw/b.csv"),
        "row 3: file is 'raw/b.csv'; expected a file's",
    ),
    "parent folder": (LABELS.replace("b.csv", ".."), r"'\.\.' is not in raw/"),
    "absent file": (LABELS + "d.csv,S9,,,\n", "'d.csv' is not in raw/"),
    "unlisted file": (LABELS.replace("b.csv,S1,,,\n", ""), "no row for 'b.csv'"),
    "two ages": (
        LABELS.replace("glaucoma,70,R", "glaucoma,50,R"),
        "subject 'S2' has recordings with different ages, 50 and 70 years",
    ),
    "two diagnoses": (
        LABELS.replace("glaucoma,70,R", "control,70,R"),
        "subject 'S2' has recordings with different",
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDINGS)
def test_bad_recording(case, tmp_path):
    rows, message = BAD_RECORDINGS[case]
    with pytest.raises(CohortError, match=message):
        import_recordings(*folder_of(tmp_path / "raw", a=rows))


@pytest.mark.parametrize("content", ["\n".join(lines()).encode("utf-16"), b"\xff\x00\x81" * 99])
def test_file_that_is_no_text(content, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=r"a.csv: not a text file \(UTF-8\)"):
        read_device_file(path)


def test_several_recordings_of_an_eye(tmp_path):
    header, rows = "file,subject_code,class_label,age,eye,recording_name\n", ("2026-03-01", "", "2025-11-30")
    named = header + "".join(
        f"{f}.csv,S2,,70,L,{day}\n" for f, day in zip(("a", "b", "c"), rows, strict=True)
    )
    nobody_knows = "file,subject_code,class_label,age,eye\n" + "".join(f"{f}.csv,S2,,70,\n" for f in "abc")
    for labels, expected in ((named, "bca"), (nobody_knows, "abc")):
        _, lookup = import_recordings(*folder_of(tmp_path / "raw", labels=labels))
        names = dict(zip(lookup["recording"], lookup["file"], strict=True))
        assert names == {f"U001-{k}": f"{file}.csv" for k, file in enumerate(expected, start=1)}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case, tmp_path):
    text, message = BAD_LABELS[case]
    with pytest.raises(CohortError, match=message):
        import_recordings(*folder_of(tmp_path / "raw", labels=text))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_labels_in_another_encoding_say_which_is_expected(tmp_path, encoding):
    folder, labels = folder_of(tmp_path / "raw")
    labels.write_bytes(LABELS.replace("S1", "Süd 1").encode(encoding))
    with pytest.raises(CohortError, match=r"labels.csv: not a text file \(UTF-8\): save it as CSV in the"):
        import_recordings(folder, labels)


def test_the_longest_texts_can_be_read_back(tmp_path):
    header = (
        "file,subject_code,class_label,age,eye,recording_name,,\n"  # empty columns, as spreadsheets leave
    )
    rows = [f"{f}.csv,{'ä' * 250},glaucoma,70,{'R' * 100},{f}, ,\n" for f in "abc"]
    folder, labels = folder_of(tmp_path / "raw", labels="\ufeff\n" + header + "".join(rows))
    cohort, lookup = import_recordings(folder, labels)
    write_cohort(cohort, tmp_path / "c.duckdb", original_codes=lookup["original_code"])
    again, codes = read_cohort(tmp_path / "c.duckdb")
    assert again.content_hash == cohort.content_hash
    assert set(codes["original_code"]) == {"ä" * 250}


def test_folder_or_labels_that_do_not_exist(tmp_path):
    folder, labels = folder_of(tmp_path / "raw")
    with pytest.raises(CohortError, match="no such folder"):
        import_recordings(tmp_path / "elsewhere", labels)
    with pytest.raises(CohortError, match="no such file"):
        import_recordings(folder, tmp_path / "elsewhere.csv")
    with pytest.raises(CohortError, match="no such file"):
        import_recordings(folder, tmp_path / ("x" * 300))


def run_import(folder, labels, out):
    command = [sys.executable, "scripts/import_recordings.py", folder, "--labels", labels, "--out", out]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_command_that_fails_says_why_and_writes_nothing(tmp_path):
    folder, labels = folder_of(tmp_path / "raw", a=replaced(7, 2, " blink"))
    (tmp_path / "out").mkdir()
    done = run_import(folder, labels, tmp_path / "out" / "c.duckdb")
    assert done.returncode == 1
    assert done.stderr.startswith("error: a.csv, line 7: field 2 (pupil) is 'blink'")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_command_says_where_it_cannot_write(tmp_path):
    done = run_import(*folder_of(tmp_path / "raw"), tmp_path / "raw")
    assert done.returncode == 2
    assert done.stderr == f"cannot write {tmp_path / 'raw'}: Is a directory; choose another --out\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["labels.csv", "raw"]


def test_command_round_trip(tmp_path):
    folder, labels = folder_of(tmp_path / "raw")
    done = run_import(folder, labels, tmp_path / "c.duckdb")
    assert done.returncode == 0, done.stderr
    assert "3 recordings of 2 subjects" in done.stdout
    assert "0 control, 2 glaucoma, 1 none" in done.stdout
    assert f"data.path={tmp_path / 'c.duckdb'} outlier=LOF imputation=linear" in done.stdout
    cohort, lookup = read_cohort(tmp_path / "c.duckdb")
    imported, _ = import_recordings(folder, labels)
    assert cohort.content_hash == imported.content_hash
    assert dict(zip(lookup["recording"], lookup["original_code"], strict=True)) == {
        "G001-L": "S2",
        "G001-R": "S2",
        "U001": "S1",
    }


@needs_real
def test_real_recordings(tmp_path):
    """Numbers from the description of the recordings, and the light of the LED columns."""
    (tmp_path / "labels.csv").write_text(
        "file,subject_code,class_label,age\n" + "".join(f"recording_0{k}.csv,S{k},,\n" for k in (1, 2, 3))
    )
    cohort = by_name(import_recordings(REAL, tmp_path / "labels.csv")[0])
    assert list(cohort.subjects["recording"]) == ["U001", "U002", "U003"]
    np.testing.assert_allclose(cohort.light["blue"], [[16.1, 25.1]] * 3, atol=0.15)
    np.testing.assert_allclose(cohort.light["red"], [[47.1, 56.2]] * 3, atol=0.25)
    lost = np.isnan(cohort.pupil)
    assert lost[0, 10:].sum() == 0
    assert lost[2, 376:432].all()  # the loss of 59 samples around 12.5 s
    baseline = np.nanmedian(cohort.pupil[:, :450], axis=1)
    assert ((baseline > 28) & (baseline < 65)).all()
    assert np.nanmax(cohort.pupil) < 50  # the constant read-out samples lie beyond the grid


def run_check(*arguments):
    command = [sys.executable, "scripts/check_synthetic.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_realism_check_without_recordings(tmp_path):
    done = run_check("--recordings", tmp_path / "nowhere", "--out", tmp_path / "figures")
    assert done.returncode == 1
    assert "no raw recordings" in done.stderr
    assert not (tmp_path / "figures").exists()


@needs_real
def test_realism_check(tmp_path):
    done = run_check("--recordings", REAL, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sample noise, SD in % of baseline" in done.stdout
    assert {file.suffix for file in tmp_path.iterdir()} == {".png", ".pdf", ".csv"}

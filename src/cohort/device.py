"""Raw files of the hand-held pupillometer: comma-separated, no header, one recording each."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.cohort.cohort import Cohort, CohortError
from src.cohort.file import light_edges, step_problem
from src.cohort.subjects import anonymise, labels_from_names
from src.cohort.synthetic import N_SAMPLES, RATE_HZ

LOST_AT_PX = 5.0
"""The device writes -1, 0 or a few pixels where it lost the pupil; the smallest real ones are above 10."""

LARGEST_GAP_S = 0.1
"""Samples further apart have lost samples between them (usual steps are 0.02 to 0.07 s)."""

LABEL_COLUMNS = ("file", "subject_code", "class_label", "age")

MAX_BYTES = 4 * 2**20
"""Of a raw file, of which 66 s take 0.13 MB, or of the table of labels."""

_LARGEST = 1e9  # of any number in a file; beyond it no sum is safe
_MOST_COLUMNS = 50  # of the table of labels
_LONGEST = {"file": 255, "subject_code": 500, "eye": 100}  # bytes: of a file's name, and in a cohort file
_FIELDS = {"time": 1, "pupil": 2, "red": 9, "blue": 11}  # 0-based places in a row
_FEWEST_FIELDS = 12
_END_TOLERANCE_S = 0.1
_LATEST_START_S = 5.0  # a baseline is this long


@dataclass(frozen=True)
class DeviceRecording:
    """One raw file.

    Parameters
    ----------
    time : ndarray, shape (k,)
        Seconds from the start, increasing, unevenly spaced.
    pupil : ndarray, shape (k,)
        Diameter in camera pixels; NaN where lost.
    red, blue : ndarray, shape (k,)
        Drive of the LED rings, 0 to 255.
    """

    time: np.ndarray
    pupil: np.ndarray
    red: np.ndarray
    blue: np.ndarray


def read_device_file(path: str | Path) -> DeviceRecording:
    """Read one raw file and check it.

    Parameters
    ----------
    path : str or Path
        File of at least 66 s; fields 1, 2, 9 and 11 (0-based) are time, pupil, red and blue drive.

    Raises
    ------
    CohortError
        If the file is no text, empty, short, lacks fields, holds text for numbers, time that does not
        increase or does not start near 0, no light, a gap in which a light changes, or no pupil; the message
        names the file and, where there is one, the line.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise CohortError(
            f"{path.name}: {path.stat().st_size} bytes; at most {MAX_BYTES} are read: leave it out"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortError(
            f"{path.name}: not a text file (UTF-8); expected comma-separated numbers, one row per sample: "
            "restore the device's own file"
        ) from error
    lines = text.splitlines()
    if not lines:
        raise CohortError(f"{path.name}: the file is empty; expected one row per sample: copy it again")
    for number, line in enumerate(lines, start=1):
        if line.count(",") + 1 < _FEWEST_FIELDS:
            raise CohortError(
                f"{path.name}, line {number}: {line.count(',') + 1} fields; expected at least "
                f"{_FEWEST_FIELDS} (frame, time, pupil, ..., red, green and blue drive)"
            )
    fields = [line.split(",", _FEWEST_FIELDS)[:_FEWEST_FIELDS] for line in lines]
    columns = {name: _numbers(path.name, fields, name, place) for name, place in _FIELDS.items()}
    columns["pupil"] = np.where(columns["pupil"] > LOST_AT_PX, columns["pupil"], np.nan)
    recording = DeviceRecording(**columns)
    _check(path.name, recording)
    return recording


def _numbers(file: str, fields: list[list[str]], name: str, place: int) -> np.ndarray:
    """Convert one field of every row."""
    texts = pd.Series([row[place] for row in fields])
    values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=float)
    wrong = ~(np.abs(values) < _LARGEST)
    if wrong.any():
        at = int(wrong.argmax())
        raise CohortError(
            f"{file}, line {at + 1}: field {place} ({name}) is {texts[at].strip()[:50]!r}; expected a number"
        )
    return values


def _check(file: str, recording: DeviceRecording) -> None:
    """Refuse what cannot be put on the common grid."""
    time, end_s = recording.time, (N_SAMPLES - 1) / RATE_HZ
    back = np.diff(time) <= 0
    if back.any():
        at = int(back.argmax())
        raise CohortError(
            f"{file}, line {at + 2}: time {time[at + 1]:g} s follows {time[at]:g} s; "
            "expected increasing times without duplicates: restore the device's own file"
        )
    problem = step_problem(time)
    if problem:
        raise CohortError(f"{file}: {problem}")
    if abs(time[0]) > _LATEST_START_S:
        raise CohortError(
            f"{file}: the recording starts at {time[0]:g} s; expected about 0: "
            "subtract the time of its first sample, or leave it out"
        )
    if time[-1] < end_s - _END_TOLERANCE_S:
        raise CohortError(
            f"{file}: the recording ends at {time[-1]:g} s; expected at least {end_s:g} s: leave it out"
        )
    if not (recording.red > 0).any() and not (recording.blue > 0).any():
        raise CohortError(
            f"{file}: no light: fields {_FIELDS['red']} (red) and {_FIELDS['blue']} (blue) are "
            "never above 0; expected the LED drive while a light is on"
        )
    _check_gaps(file, recording)
    if np.isnan(recording.pupil).all():
        raise CohortError(
            f"{file}: the pupil is lost in every sample; "
            f"expected diameters above {LOST_AT_PX:g} px: leave it out"
        )


def _check_gaps(file: str, recording: DeviceRecording) -> None:
    """Refuse a gap in which a light goes on or off: nobody knows when."""
    gap = np.diff(recording.time) > LARGEST_GAP_S
    for colour, drive in {"red": recording.red, "blue": recording.blue}.items():
        unknown = gap & np.diff(drive > 0)
        if unknown.any():
            at = int(unknown.argmax())
            before, after = recording.time[at : at + 2]
            raise CohortError(
                f"{file}: there are no samples from {before:g} to {after:g} s, and the {colour} light "
                f"changes in between; expected samples at most {LARGEST_GAP_S:g} s apart "
                "where a light goes on or off: leave it out"
            )


def on_grid(recording: DeviceRecording, time: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Put a recording on the common time grid.

    The pupil is interpolated linearly between two neighbours that are both there and at most 0.1 s apart, and
    is NaN elsewhere; the drive keeps its value until the next sample. Read-out samples at the very end stay
    as recorded where they lie within the grid: finding artefacts is the detectors' work.

    Parameters
    ----------
    recording : DeviceRecording
        As read from its file.
    time : ndarray, shape (T,)
        Seconds.

    Returns
    -------
    pupil : ndarray, shape (T,)
        Pixels; NaN where lost.
    drive : dict of str to ndarray, shape (T,)
        'blue' and 'red'.
    """
    pupil = np.interp(time, recording.time, recording.pupil, left=np.nan, right=np.nan)
    before = np.searchsorted(recording.time, time, side="right") - 1
    after = np.minimum(before + 1, len(recording.time) - 1)
    gap = recording.time[after] - recording.time[np.maximum(before, 0)]
    pupil[gap > LARGEST_GAP_S] = np.nan
    held = np.maximum(before, 0)
    return pupil, {"blue": recording.blue[held], "red": recording.red[held]}


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read the table that says whose recording a file is.

    Parameters
    ----------
    path : str or Path
        CSV with the columns file, subject_code, class_label ('control', 'glaucoma' or empty), age (years or
        empty) and, if wanted, eye and recording_name (a date or a number that tells recordings of one eye
        apart).

    Returns
    -------
    DataFrame
        `file`, `original`, `label` (0, 1, NaN), `age`, `eye`, `order` (recording_name, then file, as text);
        sorted by file.

    Raises
    ------
    CohortError
        If a column or code is missing, a text too long, a file listed twice or elsewhere, an age no number, a
        label unknown, or one eye of a subject given twice with nothing to tell the recordings apart.
    """
    path = Path(path)
    table = _read_text_table(path)
    missing = [name for name in LABEL_COLUMNS if name not in table]
    if missing:
        raise CohortError(
            f"{path.name}: no column {', '.join(missing)}; "
            f"expected {','.join(LABEL_COLUMNS)} and, if wanted, eye"
        )
    table.index = pd.Index([f"{path.name}, row {row}" for row in range(2, len(table) + 2)])
    for name in ("file", "subject_code"):
        if table[name].isna().any():
            raise CohortError(
                f"{table[name].isna().idxmax()}: {name} is empty; expected a value in every row"
            )
    _check_texts(table)
    if table["file"].duplicated().any():
        first = table[table["file"].duplicated()].iloc[0]
        raise CohortError(f"{first.name}: file {first['file']!r} is listed twice; expected one row per file")
    age = pd.to_numeric(table["age"], errors="coerce")
    wrong = table["age"].notna() & ~age.between(0, 120)
    if wrong.any():
        first = table[wrong].iloc[0]
        raise CohortError(f"{first.name}: age is {first['age']!r}; expected 0 to 120 years or nothing")
    out = pd.DataFrame({"file": table["file"], "original": table["subject_code"], "age": age})
    out["label"] = labels_from_names(table["class_label"])
    out["eye"] = table.get("eye")
    out["name"] = table["recording_name"].fillna("") if "recording_name" in table else ""
    _check_one_recording(path.name, out)
    out["order"] = out.pop("name") + " " + out["file"]
    return out.sort_values("file").reset_index(drop=True)


def _check_texts(table: pd.DataFrame) -> None:
    """Refuse what a cohort file cannot hold, and files that are not in the folder itself."""
    for name, longest in _LONGEST.items():
        size = table.get(name, pd.Series()).dropna().map(lambda text: len(text.encode()))
        if (size > longest).any():
            raise CohortError(
                f"{size.idxmax()}: {name} has {size.max()} bytes; expected at most {longest}: shorten it"
            )
    elsewhere = table[table["file"].map(lambda file: Path(file).name != file)]
    if not elsewhere.empty:
        first = elsewhere.iloc[0]
        raise CohortError(f"{first.name}: file is {first['file']!r}; expected a file's name without a path")


def _check_one_recording(labels: str, table: pd.DataFrame) -> None:
    """Refuse an eye given twice: a slip, unless a name tells the recordings apart."""
    known = table[table["eye"].notna()]
    twins = known[known.duplicated(["original", "eye", "name"], keep=False)]
    if twins.empty:
        return
    first = twins.iloc[0]
    same = (twins[["original", "eye", "name"]] == first[["original", "eye", "name"]]).all(axis=1)
    files = twins["file"][same]
    raise CohortError(
        f"{labels}: {files.iloc[0]!r} and {files.iloc[1]!r} are both eye {first['eye']!r} of subject "
        f"{first['original']!r}; expected each eye once: correct the eye, or tell the recordings apart in a "
        "column recording_name (a date or a number)"
    )


def _read_text_table(path: Path) -> pd.DataFrame:
    """Read a CSV as text, spaces trimmed, empty as missing."""
    if not _is_file(path):
        raise CohortError(f"{path}: no such file; expected the table of labels (--labels)")
    if path.stat().st_size > MAX_BYTES:
        raise CohortError(
            f"{path.name}: {path.stat().st_size} bytes; expected the table of labels, at most {MAX_BYTES}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        _check_fields(path.name, text)
        table = pd.read_csv(io.StringIO(text), dtype="str", skipinitialspace=True, index_col=False)
    except pd.errors.EmptyDataError as error:
        raise CohortError(f"{path.name}: the file is empty; expected {','.join(LABEL_COLUMNS)}") from error
    except UnicodeDecodeError as error:
        raise CohortError(
            f"{path.name}: not a text file (UTF-8): save it as CSV in the encoding UTF-8"
        ) from error
    except (csv.Error, pd.errors.ParserError) as error:
        raise CohortError(f"{path.name}: not readable as CSV: {error}") from error
    if table.empty:
        raise CohortError(f"{path.name}: no rows below the header; expected one row per recording")
    return table.apply(lambda column: column.str.strip().replace("", None))


def _check_fields(file: str, text: str) -> None:
    """Refuse a header that is none, and rows with more fields than it has."""
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip() for name in next(filter(None, rows), [])]
    if len(header) > _MOST_COLUMNS:
        raise CohortError(
            f"{file}: {len(header)} columns; expected {','.join(LABEL_COLUMNS)} and few others, at most "
            f"{_MOST_COLUMNS}"
        )
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise CohortError(
            f"{file}: the column {twice[0][:50]!r} is there twice; expected each once: remove one"
        )
    for number, fields in enumerate(filter(None, rows), start=2):
        if len(fields) > len(header):
            raise CohortError(
                f"{file}, row {number}: {len(fields)} fields; expected the {len(header)} of the header: put "
                'a text with a comma in double quotes ("), and remove commas at the end'
            )


def _is_file(path: Path) -> bool:
    """Whether there is such a file; one whose name no file can have is not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def import_recordings(folder: str | Path, labels: str | Path) -> tuple[Cohort, pd.DataFrame]:
    """Make a cohort of a folder of raw files.

    Parameters
    ----------
    folder : str or Path
        Holds the CSV files that `labels` lists, and no others.
    labels : str or Path
        Table for `read_labels`.

    Returns
    -------
    cohort : Cohort
        Source 'measured', unit 'px', 1981 samples at 30 Hz, no truth; each recording keeps its own
        light times.
    lookup : DataFrame
        `original_code`, `code`, `recording`, `file`; not to be shared.

    Raises
    ------
    CohortError
        If files and table disagree, or a file cannot be used.
    """
    folder, labels = Path(folder), Path(labels)
    table = read_labels(labels)
    _check_files(folder, labels, table["file"])
    time = np.arange(N_SAMPLES) / RATE_HZ
    pupil = np.empty((len(table), N_SAMPLES))
    drive = {colour: np.empty_like(pupil) for colour in ("blue", "red")}
    for row, file in enumerate(table["file"]):
        pupil[row], on = on_grid(read_device_file(folder / file), time)
        for colour, values in on.items():
            drive[colour][row] = values
    table["split"], table["severity"] = "train", np.nan
    subjects, rows = anonymise(table)
    light = {colour: _edges(time, values, table["file"]) for colour, values in drive.items()}
    cohort = Cohort(
        time=time,
        pupil=pupil[rows],
        light={colour: edges[rows] for colour, edges in light.items() if edges is not None},
        subjects=subjects,
        unit="px",
        source="measured",
    )
    lookup = subjects[["code", "recording"]].copy()
    lookup.insert(0, "original_code", table["original"].to_numpy()[rows])
    lookup["file"] = table["file"].to_numpy()[rows]
    return cohort, lookup


def _check_files(folder: Path, labels: Path, listed: pd.Series) -> None:
    """Refuse a folder that does not hold exactly the listed files."""
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder; expected the folder of raw recordings")
    present = {file.name for file in folder.glob("*.csv") if file.resolve() != labels.resolve()}
    absent = sorted(file for file in listed if not _is_file(folder / file))
    if absent:
        raise CohortError(
            f"{labels.name}: {absent[0]!r} is not in {folder.name}/; expected every listed file there"
        )
    unlisted = sorted(present - set(listed))
    if unlisted:
        raise CohortError(
            f"{labels.name}: no row for {unlisted[0]!r}; expected one per recording: "
            "add it (an empty class_label means no diagnosis)"
        )


def _edges(time: np.ndarray, drive: np.ndarray, files: pd.Series) -> np.ndarray | None:
    """Return onset and offset per recording, naming the file where they cannot be found."""
    try:
        return light_edges(time, drive)
    except CohortError as error:
        raise CohortError(f"{files[error.args[1]]}: a light {error.args[0]}") from error

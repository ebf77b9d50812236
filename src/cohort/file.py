"""The cohort file: a DuckDB file with one row per sample in the tables `train` and `test`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from src.cohort.cohort import ARTEFACT_TYPES, Cohort, CohortError
from src.cohort.subjects import CLASS_NAMES, anonymise, labels_from_names

TABLES = ("train", "test")
UNITS = ("mm", "px", "%", "unstated")
COLOURS = {"blue": "Blue", "red": "Red"}
REQUIRED = ("time", "pupil_orig", "Red", "Blue", "subject_code", "class_label")
SHORTEST_S = 20.0
"""A recording has to last this long: nine seconds of one light, a baseline before and a tail after."""

SHORTEST_STEP_S, LONGEST_STEP_S = 0.005, 0.2
"""Usual time steps (median) outside this range mean that time is not in seconds."""

MAX_SAMPLES = 20_000_000
"""Rows of a table; the study has a million."""

_FEW_SAMPLES = 200_000  # a file may have these however short it is
_LONGEST_TEXT = 500  # bytes
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_MEMORY = "1GB"  # for DuckDB's own needs; the study takes a tenth
_MAGIC = b"DUCK"  # bytes 8 to 11 of a DuckDB file
_STORAGE = "v1.2.0"  # the oldest DuckDB that opens the file
_LARGEST_PAUSE_S = 1.0  # a light that is off for longer between two periods is two lights
_TIME_TOLERANCE_S = 1e-3
_LATEST_S = 1e12  # milliseconds since 1970 are told apart by their step; what is larger is no time
_NUMBERS = ("time", "pupil_orig", "Red", "Blue", "Age", "pupil_gt", "outlier_mask", "severity")
_TEXTS = ("subject_code", "class_label", "eye", "recording_name", "split", "artefact_type")

_CREATE = """
CREATE TABLE cohort.{table} AS
SELECT time::DOUBLE AS time, pupil_orig::DOUBLE AS pupil_orig, pupil_raw::DOUBLE AS pupil_raw,
    pupil_gt::DOUBLE AS pupil_gt, Red::DOUBLE AS Red, Blue::DOUBLE AS Blue, time::DOUBLE AS time_orig,
    subject_code::VARCHAR AS subject_code, no_outliers::BIGINT AS no_outliers, Age::{age} AS Age,
    class_label::VARCHAR AS class_label, (Red + Blue)::DOUBLE AS light_stimuli,
    NULL::DOUBLE AS pupil_orig_imputed, outlier_mask::INTEGER AS outlier_mask,
    NULL::DOUBLE AS pupil_raw_imputed, NULL::BOOLEAN AS imputation_mask, split::VARCHAR AS split,
    artefact_type::VARCHAR AS artefact_type, severity::DOUBLE AS severity, eye::VARCHAR AS eye,
    recording_name::VARCHAR AS recording_name
FROM {samples}
"""


def write_cohort(
    cohort: Cohort,
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    original_codes: Sequence[str] | pd.Series | None = None,
) -> None:
    """Write a cohort as the study's file, with a few columns more; the file appears when it is complete.

    Added to the study's columns: `artefact_type`, `severity`, `eye`, `recording_name`, and a table `metadata`
    (key, value) with unit, source and `parameters`. Lights are written as on (1) or off (0): only their
    onsets and offsets are known. `pupil_orig` and `pupil_raw` are NULL where the device lost the pupil,
    `pupil_raw` also at artefacts; the study's imputed columns are NULL. Readable by DuckDB 1.2 and later.

    Parameters
    ----------
    cohort : Cohort
        Recordings; `subjects.split` decides the table ('test', or 'train' for everything else).
    path : str or Path
        Target; an existing file is replaced.
    parameters : mapping, optional
        Settings that made the cohort; kept as text.
    original_codes : sequence of str, n values, optional
        Codes of the subjects for the column subject_code; by default the anonymous ones. They must sort like
        the anonymous ones within a class, as `anonymise` gives them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        part = Path(folder) / path.name
        with _room_for(path), duckdb.connect(config=_OFFLINE) as connection:
            connection.execute(f"ATTACH '{_quoted(part)}' AS cohort (STORAGE_VERSION '{_STORAGE}')")
            is_test = (cohort.subjects["split"] == "test").to_numpy()
            whole = _whole_years(cohort.subjects["age"])
            codes = cohort.subjects["code"] if original_codes is None else pd.Series(original_codes)
            for table, rows in zip(TABLES, (~is_test, is_test), strict=True):
                connection.register("samples", _samples(cohort.take(rows), codes[rows]))
                connection.execute(_CREATE.format(table=table, samples="samples", age=whole))
                connection.unregister("samples")
            facts = {"unit": cohort.unit, "source": cohort.source} | dict(parameters or {})
            metadata = pd.DataFrame({"key": list(facts), "value": [str(v) for v in facts.values()]})
            connection.register("facts", pa.Table.from_pandas(metadata))
            connection.execute("CREATE TABLE cohort.metadata AS SELECT * FROM facts")
            connection.execute("DETACH cohort")
        part.replace(path)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Say in one sentence that a cohort cannot be written."""
    try:
        yield
    except (duckdb.IOException, duckdb.TransactionException) as error:
        reason = str(error).partition("\n")[0]
        raise CohortError(
            f"{path} cannot be written ({reason}); make room there or choose another place"
        ) from error


def _whole_years(age: pd.Series) -> str:
    """Choose the column type of ages: the study's BIGINT unless that would round."""
    return "BIGINT" if (age.dropna() % 1 == 0).all() else "DOUBLE"


def _samples(cohort: Cohort, codes: pd.Series) -> pa.Table:
    """Spread a cohort out to one row per sample."""
    n, length = cohort.pupil.shape
    subjects = cohort.subjects
    mask = cohort.truth_mask
    hidden = cohort.pupil if mask is None else np.where(mask, np.nan, cohort.pupil)
    names = {number: name for name, number in CLASS_NAMES.items()}
    columns = {
        "time": pa.array(np.tile(cohort.time, n)),
        "pupil_orig": _flat(cohort.pupil),
        "pupil_raw": _flat(hidden),
        "pupil_gt": _flat(cohort.truth_pupil),
        "outlier_mask": _flat(None if mask is None else mask.astype(np.int8)),
        "subject_code": _spread(codes, length),
        "no_outliers": _spread(None if mask is None else mask.sum(axis=1), length),
        "Age": _spread(subjects["age"], length),
        "class_label": _spread(pd.Series(cohort.labels).map(names), length),
        "split": _spread(subjects["split"], length),
        "severity": _spread(subjects["severity"], length),
        "eye": _spread(subjects["eye"], length),
        "recording_name": _spread(subjects["recording"], length),
        "artefact_type": _artefact_names(cohort.artefact_type),
    }
    for colour, column in COLOURS.items():
        edges = cohort.light.get(colour, np.full((n, 2), np.nan))
        on = (cohort.time >= edges[:, :1]) & (cohort.time <= edges[:, 1:])
        columns[column] = _flat(on.astype(float))
    rows = n * length
    return pa.table({name: pa.nulls(rows) if values is None else values for name, values in columns.items()})


def _flat(signal: np.ndarray | None) -> pa.Array | None:
    """Turn a signal into one column; NaN becomes NULL."""
    return None if signal is None else pa.array(signal.ravel(), from_pandas=True)


def _spread(values: Any, length: int) -> pa.Array | None:
    """Repeat one value per recording for each of its samples."""
    if values is None:
        return None
    column = pa.array(values, from_pandas=True)
    return column.take(pa.array(np.repeat(np.arange(len(column)), length)))


def _artefact_names(codes: np.ndarray | None) -> pa.Array | None:
    """Spell artefact types out."""
    return None if codes is None else pa.DictionaryArray.from_arrays(codes.ravel(), list(ARTEFACT_TYPES))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def read_cohort(path: str | Path) -> tuple[Cohort, pd.DataFrame]:
    """Read a cohort file of any origin and give its subjects anonymous codes.

    Number of subjects, order and times of the colours, unit, and presence of the truth are taken from the
    file; unknown columns are ignored, and so are the study's imputed ones. Onset and offset are the times of
    a colour's first and last sample above 0. In mm or px a pupil of 0 or less is the device's word for lost
    and becomes NaN. A signal that is negative under light is percent change: it gets 100 added and unit '%'.

    Parameters
    ----------
    path : str or Path
        DuckDB file with the tables `train`, `test` or both.

    Returns
    -------
    cohort : Cohort
        Rows in an order that tells nothing about the class. `source` and `unit` are 'unstated' unless the
        file's table `metadata` states them.
    lookup : DataFrame
        `original_code`, `code`, `recording`; keep it with `save_lookup`, show it to nobody.

    Raises
    ------
    CohortError
        If the file is missing, damaged or not a cohort; the message names table, column or subject.
    """
    path = Path(path)
    samples, facts = _load(path)
    try:
        return _assemble(samples, facts)
    except CohortError as error:
        raise CohortError(f"{path.name}: {error}") from error
    except UnicodeDecodeError as error:
        raise CohortError(f"{path.name}: damaged: it has text that is no UTF-8; copy it again") from error


def save_lookup(lookup: pd.DataFrame, folder: str | Path) -> Path:
    """Save the look-up of original codes as `subject_lookup.csv`; returns its path.

    Parameters
    ----------
    lookup : DataFrame
        As returned by `read_cohort`.
    folder : str or Path
        A private folder; made if absent.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "subject_lookup.csv"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
        part = Path(temporary) / target.name
        lookup.to_csv(part, index=False)
        part.replace(target)
    return target


def _load(path: Path) -> tuple[pa.Table, dict[str, str]]:
    """Fetch all samples and the metadata."""
    if not path.is_file():
        raise CohortError(f"{path}: no such file; expected a cohort file (DuckDB): check data.path")
    if path.stat().st_size == 0:
        raise CohortError(f"{path.name}: the file is empty; expected a cohort file (DuckDB): copy it again")
    with path.open("rb") as file:
        if file.read(12)[8:] != _MAGIC:
            raise CohortError(
                f"{path.name}: not readable as a cohort file (DuckDB): it is another kind of file"
            )
    try:
        with _opened(path) as connection:
            tables = _tables(connection)
            found = [table for table in TABLES if table in tables]
            if not found:
                raise CohortError(f"{path.name}: no table train or test; expected one row per sample in them")
            for table in found:
                _refuse_bomb(connection, table, tables[table], path)
            selects = [_select(connection, table, tables[table], path.name) for table in found]
            samples = connection.sql(" UNION ALL BY NAME ".join(selects)).to_arrow_table()
            return samples, _metadata(connection, tables.get("metadata", {}))
    except duckdb.OutOfMemoryException as error:
        raise CohortError(
            f"{path.name}: reading it takes more memory than a cohort file may ({_MEMORY}); it is damaged, "
            "or no cohort"
        ) from error
    except (duckdb.Error, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or ["no reason is told"])[0]
        raise CohortError(f"{path.name}: not readable as a cohort file (DuckDB): {reason}") from error


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file's tables under the name `cohort`; nothing else on this machine can be read.

    The file is attached and not opened, so that its own functions cannot stand in for DuckDB's.
    """
    with duckdb.connect(config=_OFFLINE | {"memory_limit": _MEMORY}) as connection:
        connection.execute(f"ATTACH '{_quoted(path)}' AS cohort (READ_ONLY)")
        connection.execute("SET enable_external_access = false")
        yield connection


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Names and types of the columns of every table; what computes, views and such tables, is left aside."""
    query = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() JOIN duckdb_tables() "
        "USING (database_name, schema_name, table_name) WHERE database_name = 'cohort' "
        "AND schema_name = 'main' AND NOT contains(sql, 'GENERATED ALWAYS')"
    )
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(query).fetchall():
        tables.setdefault(table, {})[column] = kind
    return tables


def _refuse_bomb(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], path: Path
) -> None:
    """Refuse what unfolds: a sample takes a byte of the file at least, and a code is a short text."""
    most = min(max(path.stat().st_size, _FEW_SAMPLES), MAX_SAMPLES)
    rows = connection.execute(f"SELECT count(*) FROM cohort.main.{table}").fetchall()[0][0]
    if rows > most:
        raise CohortError(f"{path.name}: table {table} has {rows} rows; at most {most} are read")
    texts = [f'max(strlen("{name}"::VARCHAR))' for name in _TEXTS if name in columns]
    longest = connection.execute(f"SELECT greatest({', '.join(texts)}) FROM cohort.main.{table}").fetchall()
    if longest[0][0] is not None and longest[0][0] > _LONGEST_TEXT:
        raise CohortError(
            f"{path.name}: table {table} has a text of {longest[0][0]} bytes in {', '.join(_TEXTS)}; "
            f"expected at most {_LONGEST_TEXT}"
        )


def _select(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], file: str) -> str:
    """Write the query for what a table has; missing optional columns become NULL."""
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CohortError(
            f"{file}: table {table} has no column {', '.join(missing)}; expected {', '.join(REQUIRED)} "
            "and, where known, Age, pupil_gt, outlier_mask, split"
        )
    parts = [f"'{table}' AS source_table"]
    for name in _NUMBERS:
        if columns.get(name) == "VARCHAR":
            _refuse_text(connection, table, name, file)
    kinds = dict.fromkeys(_NUMBERS, "DOUBLE") | dict.fromkeys(_TEXTS, "VARCHAR")
    for name, kind in kinds.items():
        value = f'"{name}"' if name in columns else "NULL"
        parts.append(f'CAST({value} AS {kind}) AS "{name}"')
    return f"SELECT {', '.join(parts)} FROM cohort.main.{table}"


def _refuse_text(connection: duckdb.DuckDBPyConnection, table: str, column: str, file: str) -> None:
    """Let a text column of numbers pass, and name the first value that is none."""
    query = (
        f'SELECT subject_code, "{column}", rowid + 1 FROM cohort.main.{table} '
        f'WHERE "{column}" IS NOT NULL AND TRY_CAST("{column}" AS DOUBLE) IS NULL ORDER BY rowid LIMIT 1'
    )
    first = connection.execute(query).fetchone()
    if first is not None:
        raise CohortError(
            f"{file}: table {table}, row {first[2]} (subject {first[0]!r}): {column} is {first[1][:50]!r}; "
            "expected a number or NULL"
        )


def _metadata(connection: duckdb.DuckDBPyConnection, columns: dict[str, str]) -> dict[str, str]:
    """Read what is needed of the metadata table, where there is one of ours."""
    if not {"key", "value"} <= set(columns):
        return {}
    query = (
        "SELECT key, left(value::VARCHAR, 50) FROM cohort.main.metadata "
        "WHERE key IN ('unit', 'source') LIMIT 100"
    )
    return {key: value for key, value in connection.execute(query).fetchall() if value is not None}


def _assemble(samples: pa.Table, facts: dict[str, str]) -> tuple[Cohort, pd.DataFrame]:
    """Turn rows of samples into a cohort."""
    if samples.num_rows == 0:
        raise CohortError("the tables have no rows; expected one row per sample")
    if samples["subject_code"].null_count:
        raise CohortError("subject_code is NULL in some rows; expected a code in every row")
    samples, counts = _sort_by_recording(samples)
    names = samples["subject_code"].take(pa.array(np.cumsum(counts) - counts)).to_pylist()
    time = _time_grid(samples, counts, names)
    shape = (len(names), len(time))
    pupil = _numbers(samples, "pupil_orig").reshape(shape)
    pupil[~np.isfinite(pupil)] = np.nan
    table = _recording_table(samples, shape, names)
    light = {colour: _light(samples, column, time, names) for colour, column in COLOURS.items()}
    lit = {colour: edges for colour, edges in light.items() if edges is not None}
    if not lit:
        raise CohortError("Red and Blue are never above 0; expected a drive above 0 while a light is on")
    truth_pupil, truth_mask, artefact_type = _truth(samples, shape, names)
    unit, offset = _unit(facts, pupil, time, lit)
    if unit != "%":
        pupil[pupil <= 0] = np.nan
    _check_pupil(pupil, names)
    subjects, rows = anonymise(table)
    cohort = Cohort(
        time=time,
        pupil=pupil[rows] + offset,
        light={colour: edges[rows] for colour, edges in lit.items()},
        subjects=subjects,
        unit=unit,
        source=facts.get("source", "unstated"),
        truth_mask=None if truth_mask is None else truth_mask[rows],
        truth_pupil=None if truth_pupil is None else truth_pupil[rows] + offset,
        artefact_type=None if artefact_type is None else artefact_type[rows],
    )
    lookup = subjects[["code", "recording"]].copy()
    lookup.insert(0, "original_code", table["original"].to_numpy()[rows])
    return cohort, lookup


def _sort_by_recording(samples: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Bring each recording's rows together, otherwise in the file's order; also count them."""
    key = np.zeros(samples.num_rows, dtype=np.int64)
    for column in ("subject_code", "eye", "recording_name"):
        number, values = _encoded(samples, column)
        key = key * (len(values) + 1) + number + 1
    which, _ = pd.factorize(key)
    if (np.diff(which) < 0).any():
        samples = samples.take(pa.array(np.argsort(which, kind="stable")))
    return samples, np.bincount(which)


def _encoded(samples: pa.Table, column: str) -> tuple[np.ndarray, pa.Array]:
    """Return a text column as numbers (-1 for NULL) and the texts they stand for."""
    encoded = samples[column].combine_chunks().dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), encoded.dictionary


def _time_grid(samples: pa.Table, counts: np.ndarray, names: list[str]) -> np.ndarray:
    """Return the one time grid, or say which subject does not follow it."""
    time = _numbers(samples, "time")
    which = np.repeat(np.arange(len(counts)), counts)
    missing = ~np.isfinite(time)
    if missing.any():
        raise CohortError(f"subject {names[which[missing.argmax()]]!r}: time is missing; expected seconds")
    if (far := np.abs(time) > _LATEST_S).any():
        at = far.argmax()
        raise CohortError(f"subject {names[which[at]]!r}: time is {time[at]:g}; expected seconds")
    back = (np.diff(time) <= 0) & (np.diff(which) == 0)
    if back.any():
        at = back.argmax()
        _refuse_twice(samples.filter(pa.array(which == which[at])), names[which[at]])
        raise CohortError(
            f"subject {names[which[at]]!r}: time {time[at + 1]:g} s follows {time[at]:g} s; expected "
            "increasing times, each once: sort the rows and remove duplicates"
        )
    usual = np.bincount(counts).argmax()
    if (counts != usual).any():
        at = (counts != usual).argmax()
        raise CohortError(
            f"subject {names[at]!r} has {counts[at]} samples; expected {usual} as in the other recordings: "
            "cut or resample all recordings to one time grid"
        )
    grid = time.reshape(len(counts), usual)
    problem = step_problem(grid[0])
    if problem:
        raise CohortError(f"subject {names[0]!r}: {problem}")
    if grid[0, -1] - grid[0, 0] < SHORTEST_S:
        raise CohortError(
            f"subject {names[0]!r}: the recording lasts {grid[0, -1] - grid[0, 0]:g} s; "
            f"expected at least {SHORTEST_S:g} s, with a light, a baseline before it and a tail after it"
        )
    usual_time = np.median(grid, axis=0)
    differs = (np.abs(grid - usual_time) > _TIME_TOLERANCE_S).any(axis=1)
    if differs.any():
        raise CohortError(
            f"subject {names[differs.argmax()]!r} has other sample times than the other recordings; "
            "expected one time grid: resample all recordings to it"
        )
    return grid[0].copy()


def _refuse_twice(recording: pa.Table, name: str) -> None:
    """Refuse rows that are a whole recording several times; let other disorder pass."""
    tables = sorted(recording["source_table"].unique().to_pylist())
    if len(tables) > 1:
        raise CohortError(
            f"subject {name!r} occurs in both tables, train and test; expected each recording once: "
            "remove it from one of them, or tell recordings apart in the column eye or recording_name"
        )
    times = np.unique(_numbers(recording, "time"), return_counts=True)[1].min()
    if times > 1:
        raise CohortError(
            f"subject {name!r} occurs {times} times in table {tables[0]}; expected each recording once: "
            "remove the copy, or tell recordings apart in the column eye or recording_name"
        )


def step_problem(time: np.ndarray) -> str:
    """Say what is wrong with the usual step of a recording's time.

    Parameters
    ----------
    time : ndarray, shape (k,)
        Increasing; meant as seconds.

    Returns
    -------
    str
        Empty where the median step lies within 5 to 200 ms.
    """
    if len(time) < 2:
        return ""  # too short, which the callers say
    step = float(np.median(np.diff(time)))
    if SHORTEST_STEP_S <= step <= LONGEST_STEP_S:
        return ""
    guess = "milliseconds" if step > LONGEST_STEP_S else "minutes"
    return f"time looks like {guess}? its usual step is {step:g}; expected seconds, about 1/30 s apart"


def _numbers(samples: pa.Table, column: str) -> np.ndarray:
    """Return a column of numbers as a new array; NULL becomes NaN."""
    return np.array(samples[column].to_numpy(), dtype=float)


def _recording_table(samples: pa.Table, shape: tuple[int, int], names: list[str]) -> pd.DataFrame:
    """Return what is constant within a recording, one row each, indexed by 'subject CODE'."""
    table = pd.DataFrame({"original": names}, index=pd.Index([f"subject {name!r}" for name in names]))
    columns = {"class": "class_label", "eye": "eye", "order": "recording_name", "split": "source_table"}
    for name, column in columns.items():
        numbers, values = _encoded(samples, column)
        first = _constant(numbers.reshape(shape), column, names)
        texts = np.array([*values.to_pylist(), None], dtype=object)
        table[name] = texts[first]
    table["order"] = table["order"].fillna("")
    table["label"] = labels_from_names(table["class"])
    for name, column in {"age": "Age", "severity": "severity"}.items():
        table[name] = _constant(_numbers(samples, column).reshape(shape), column, names)
    strange = ~table["age"].isna() & ~table["age"].between(0, 120)
    if strange.any():
        at = strange.idxmax()
        raise CohortError(f"{at}: Age is {table.loc[[at], 'age'].iloc[0]:g}; expected 0 to 120 years or NULL")
    return table


def _constant(values: np.ndarray, column: str, names: list[str]) -> np.ndarray:
    """Return each recording's one value, shape (n,)."""
    first = values[:, :1]
    changes = ((values != first) & ~((values != values) & (first != first))).any(axis=1)
    if changes.any():
        where = "the tables train and test" if column == "source_table" else "its samples"
        raise CohortError(
            f"subject {names[changes.argmax()]!r}: {column} differs between {where}; "
            "expected one value per recording"
        )
    return first[:, 0]


def _light(samples: pa.Table, column: str, time: np.ndarray, names: list[str]) -> np.ndarray | None:
    """Return onset and offset of a colour per recording, shape (n, 2), or None where it is never on."""
    drive = _numbers(samples, column).reshape(len(names), len(time))
    try:
        return light_edges(time, drive)
    except CohortError as error:
        at = error.args[1]
        raise CohortError(f"subject {names[at]!r}: {column} {error.args[0]}") from error


def light_edges(time: np.ndarray, drive: np.ndarray) -> np.ndarray | None:
    """Find when a light is on.

    Parameters
    ----------
    time : ndarray, shape (T,)
        Seconds.
    drive : ndarray, shape (n, T)
        The light's drive; on where above 0.

    Returns
    -------
    ndarray, shape (n, 2), or None
        Times of the first and the last sample that is on; None where no recording has any.

    Raises
    ------
    CohortError
        If a recording lacks the light that others have, has it twice, or has it on at the first or the last
        sample, so that a baseline or a tail is missing; its second argument is the row.
    """
    on = drive > 0
    lit = on.any(axis=1)
    if not lit.any():
        return None
    if not lit.all():
        raise CohortError(
            "is never above 0; expected this light, as in the other recordings", int(lit.argmin())
        )
    first, last = on.argmax(axis=1), on.shape[1] - 1 - on[:, ::-1].argmax(axis=1)
    for row in np.flatnonzero(last - first + 1 > on.sum(axis=1)):
        pauses = np.diff(time[on[row]])
        if pauses.max() > _LARGEST_PAUSE_S:
            raise CohortError(
                f"is off for {pauses.max():.1f} s between two lights; expected one light", int(row)
            )
    cut = (first == 0) | (last == on.shape[1] - 1)
    if cut.any():
        at = int(cut.argmax())
        raise CohortError(
            f"is on from {time[first[at]]:g} to {time[last[at]]:g} s of a recording from {time[0]:g} to "
            f"{time[-1]:g} s; expected a baseline before the light and a tail after it",
            at,
        )
    return np.stack([time[first], time[last]], axis=1)


def _truth(
    samples: pa.Table, shape: tuple[int, int], names: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return clean signal, artefact mask and artefact types, each None where the file does not know it."""
    truth, mask = (
        _complete(samples, "pupil_gt", shape, names),
        _complete(samples, "outlier_mask", shape, names),
    )
    if mask is not None:
        _check_mask(mask, names)
    numbers, values = _encoded(samples, "artefact_type")
    unknown = sorted(set(values.to_pylist()) - set(ARTEFACT_TYPES))
    if unknown:
        raise CohortError(f"artefact_type is {unknown[0]!r}; expected one of {', '.join(ARTEFACT_TYPES)}")
    if len(values) == 0:
        return truth, None if mask is None else mask != 0, None
    codes = np.array([*(ARTEFACT_TYPES.index(name) for name in values.to_pylist()), 0], dtype=np.int8)
    return truth, None if mask is None else mask != 0, codes[numbers].reshape(shape)


def _check_mask(mask: np.ndarray, names: list[str]) -> None:
    """Refuse a mask that is not 0 or 1, for instance a probability or an artefact's number."""
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise CohortError(
            f"subject {names[row]!r}: outlier_mask is {mask[row][wrong[row]][0]:g}; "
            "expected 0 (good) or 1 (artefact) in every sample, or NULL everywhere"
        )


def _complete(samples: pa.Table, column: str, shape: tuple[int, int], names: list[str]) -> np.ndarray | None:
    """Return a column that is known for all samples or, as None, for none of them."""
    values = _numbers(samples, column).reshape(shape)
    unknown = ~np.isfinite(values)
    if unknown.all():
        return None
    if unknown.any():
        raise CohortError(
            f"subject {names[unknown.any(axis=1).argmax()]!r}: {column} is NULL in some samples; "
            "expected a value in every sample of every recording, or NULL everywhere"
        )
    return values


def _unit(
    facts: dict[str, str], pupil: np.ndarray, time: np.ndarray, light: dict[str, np.ndarray]
) -> tuple[str, float]:
    """Return the unit and what has to be added to the signal (100 to percent change)."""
    stated = facts.get("unit", "unstated")
    if stated not in UNITS:
        raise CohortError(f"metadata says unit {stated!r}; expected one of {', '.join(UNITS)}")
    if stated != "unstated":
        return stated, 0.0
    lit = np.zeros(pupil.shape, dtype=bool)
    for edges in light.values():
        lit |= (time >= edges[:, :1]) & (time <= edges[:, 1:])
    seen = pupil[lit & np.isfinite(pupil) & (pupil != -1) & (pupil != 0)]  # -1 and 0 are words for lost
    return ("%", 100.0) if len(seen) and np.median(seen) < 0 else ("unstated", 0.0)


def _check_pupil(pupil: np.ndarray, names: list[str]) -> None:
    """Refuse a recording without one usable sample."""
    empty = ~np.isfinite(pupil).any(axis=1)
    if empty.any():
        raise CohortError(
            f"subject {names[empty.argmax()]!r}: pupil_orig has no usable sample; "
            "expected at least one: leave this recording out"
        )

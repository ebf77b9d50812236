"""The database rows of the stages before the classifier: quality, examples, features."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from src.evaluation.curves import Table
from src.evaluation.feature_relations import correlations, vif
from src.evaluation.resampling import EvaluationError
from src.registry import FACTORS
from src.results.columns import arrow_table, texts_at, with_constant
from src.results.safe_pickle import RejectedRun
from src.results.stores import MAX_LETTERS, can_be_shown, read_artifact, shown
from src.stage_files import MEMBERS
from src.tracking import StoredRun

OUTLIER_FACTORS = ("outlier_method",)
IMPUTATION_FACTORS = ("outlier_method", "imputation_method")
FEATURE_FACTORS = ("featurization", "outlier_method", "imputation_method")

_MAX_ARRAY_BYTES = 2**27  # as floats up to eight times as much
_MAX_ARRAYS = 1000  # each takes a tenth of a millisecond to open
_MAX_NAMES = 2**20
_MAX_FEATURES = 2000  # pairs of them are rows; the embeddings of the largest networks have 1024 dimensions
_MAX_JSON_BYTES = 16 * 2**20
_DETECTION = (
    "artefact_type",
    "n_samples",
    "n_artefact",
    "tp",
    "fp",
    "fn",
    "tn",
    "precision",
    "recall",
    "f1",
    "fpr",
    "f1_random",
)
_IMPUTATION = ("gap", "n_samples", "mae", "mre", "mse", "mae_linear", "mre_linear", "mse_linear")
_PROBE = ("n_recordings", "n_samples", "n_flagged", "share_flagged")
_NEWER = frozenset({"f1_random", "mae_linear", "mre_linear", "mse_linear"})  # older runs do without
_MEMBER_STATUS = ("used", "not kept", "left out")
_COUNTS = frozenset({"n_recordings", "n_samples", "n_flagged", "n_artefact", "tp", "fp", "fn", "tn"})
_ALWAYS_KNOWN = _COUNTS - {"fp", "tn"}  # a type of artefact has no false alarms
_SIGNALS = {"raw": float, "missing": bool, "imputed": float, "truth": float, "truth_mask": bool, "sd": float}


def one_per_method(
    runs: Iterable[StoredRun], factors: Sequence[str], linked: Collection[str]
) -> list[StoredRun]:
    """Choose one finished run for each method or pair of methods.

    Parameters
    ----------
    runs : iterable of StoredRun
        Runs of one stage.
    factors : sequence of str
        Parameters that name the method.
    linked : collection of str
        Runs the combinations of the database rest on: these go before newer ones.
    """
    chosen: dict[tuple[str, ...], StoredRun] = {}
    for run in sorted(runs, key=lambda run: (run.run_id in linked, run.start_time, run.run_id)):
        if run.status == "FINISHED":
            chosen[tuple(run.params.get(name, "") for name in factors)] = run
    return list(chosen.values())


def outlier_quality(run: StoredRun, folder: Path) -> pa.Table:
    """Rows of the table of that name from a run of the outlier stage; none without truth."""
    return _quality(run, folder, _DETECTION, OUTLIER_FACTORS, ())


def imputation_quality(run: StoredRun, folder: Path) -> pa.Table:
    """Rows of the table of that name from a run of the imputation stage; none without truth."""
    return _quality(run, folder, _IMPUTATION, IMPUTATION_FACTORS, ("unit",))


def hippus_probe(run: StoredRun, folder: Path) -> dict[str, pa.Table]:
    """The row of the table of that name, under it, from a run of the outlier stage; nothing in older runs."""
    if not (folder / "probe.json").is_file():
        return {}
    rows = _json(folder, "probe.json")
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise RejectedRun("probe.json is no list of one row")
    if wrong := [name for name in _PROBE if not _fits(name, rows[0].get(name, ""))]:
        raise RejectedRun(f"probe.json has no number {wrong[0]}")
    values: Table = {name: np.array([rows[0][name]], dtype=np.float64) for name in _PROBE}
    texts = _tags(run, ("fit_on",)) | {"run_id": run.run_id}
    return {"hippus_probe": _with_texts(values, texts | _factors(run, OUTLIER_FACTORS))}


def ensemble_members(stage: str, run: StoredRun, folder: Path) -> pa.Table:
    """Rows of the table of that name from a run of an ensemble."""
    rows = _rows(folder, MEMBERS)
    for row in rows:
        if not can_be_shown(row.get("member")) or row.get("status") not in _MEMBER_STATUS:
            raise RejectedRun(f"{MEMBERS} has a row without member or with a strange status")
        if not isinstance(row.get("reason") or "", str) or not _fits("quality", row.get("quality", "")):
            raise RejectedRun(f"{MEMBERS} has a strange reason or quality for {row['member']}")
    if len({row["member"] for row in rows}) < len(rows):
        raise RejectedRun(f"{MEMBERS} has a member twice")
    values: Table = {
        name: np.array([shown(" ".join((row.get(name) or "").split())) for row in rows], dtype=object)
        for name in ("member", "status", "reason")
    }
    values["quality"] = np.array([row["quality"] for row in rows], dtype=np.float64)
    factors = _factors(run, IMPUTATION_FACTORS)
    method = factors.pop(FACTORS[stage])
    upstream = factors["outlier_method"] if factors.get("outlier_method") else "none"
    texts = {"stage": stage, "method": method, "outlier_method": upstream, "run_id": run.run_id}
    return _with_texts(values, texts)


def n_unusable(folder: Path) -> int:
    """Number of recordings in which the imputer found no observed sample."""
    codes = _json(folder, "unusable.json")
    if not isinstance(codes, list):
        raise RejectedRun("unusable.json is no list")
    return len(codes)


def examples(run: StoredRun, folder: Path, known: Collection[str] = ()) -> dict[str, pa.Table]:
    """Example recordings of an imputation run.

    Parameters
    ----------
    run : StoredRun
    folder : Path
        Its artifacts.
    known : collection of str
        Recordings that are in the tables already.

    Returns
    -------
    dict
        Rows of example_recordings and example_light, of recordings that are not known, and of
        example_imputations.
    """
    arrays = _arrays(folder, "examples.npz", ("time", "codes", "raw", "missing", "imputed"))
    codes = _names(arrays["codes"], "examples.npz: codes", _MAX_NAMES)
    time = _numbers(arrays["time"], arrays["time"].shape[:1], "examples.npz: time").astype(np.float64)
    shape = (len(codes), time.size)
    signals = {
        name: _numbers(arrays[name], shape, f"examples.npz: {name}").astype(kind)
        for name, kind in _SIGNALS.items()
        if name in arrays
    }
    if not np.isfinite(time).all() or not np.isfinite(signals["imputed"]).all():
        raise RejectedRun("examples.npz: time or imputed has values that are not finite")
    imputed: Table = {name: signals[name] for name in ("missing", "imputed", "sd") if name in signals}
    recorded: Table = {name: signals[name] for name in ("raw", "truth", "truth_mask") if name in signals}
    recorded["time_s"] = np.broadcast_to(time, shape)
    new = np.array([code not in known for code in codes], dtype=bool)
    return {
        "example_recordings": arrow_table(_by_sample(codes, recorded, new)),
        "example_light": arrow_table(_light(arrays, codes, new)),
        "example_imputations": _with_texts(_by_sample(codes, imputed), _factors(run, IMPUTATION_FACTORS)),
    }


def _by_sample(
    codes: Sequence[str], signals: dict[str, np.ndarray], chosen: np.ndarray | None = None
) -> dict[str, Any]:
    """Signals, shape (recordings, samples), one row per sample."""
    rows = np.ones(len(codes), dtype=bool) if chosen is None else chosen
    columns = {name: values[rows].ravel() for name, values in signals.items()}
    n_samples = next(iter(signals.values())).shape[1]
    index = {"recording_code": texts_at(codes, np.repeat(np.flatnonzero(rows), n_samples))}
    return index | {"sample": np.tile(np.arange(n_samples), rows.sum())} | columns


class FeatureTable(NamedTuple):
    """Features of the recordings: values, shape (n, k), the recordings' codes and the features' names."""

    values: np.ndarray
    recordings: list[str]
    names: list[str]


def features(folder: Path) -> FeatureTable:
    """Feature table of a run of the feature stage."""
    arrays = _arrays(folder, "features.npz", ("values", "columns", "recordings"))
    recordings = _names(arrays["recordings"], "features.npz: recordings", _MAX_NAMES)
    columns = _names(arrays["columns"], "features.npz: columns", _MAX_FEATURES)
    values = _numbers(arrays["values"], (len(recordings), len(columns)), "features.npz: values")
    return FeatureTable(values.astype(np.float64), recordings, columns)


def feature_tables(run: StoredRun, table: FeatureTable, recordings: Sequence[str]) -> dict[str, pa.Table]:
    """Rows of feature_values, feature_correlations and feature_vif, over the recordings that were classified.

    Raises
    ------
    RejectedRun
        If the table lacks one of them, or has an infinite value.
    """
    place = {code: row for row, code in enumerate(table.recordings)}
    if absent := [code for code in recordings if code not in place]:
        raise RejectedRun(f"features.npz lacks the recording {absent[0]}")
    kept = table.values[[place[code] for code in recordings]]
    recording, feature = np.indices(kept.shape)
    tables: dict[str, dict[str, Any]] = {
        "feature_values": {
            "recording_code": texts_at(recordings, recording.ravel()),
            "feature": texts_at(table.names, feature.ravel()),
            "value": kept.ravel(),
        }
    }
    try:
        tables["feature_correlations"] = correlations(kept, table.names)
        tables["feature_vif"] = vif(kept, table.names)
    except (EvaluationError, np.linalg.LinAlgError) as error:
        raise RejectedRun(f"features.npz: {error}") from error
    factors = _factors(run, FEATURE_FACTORS)
    return {name: _with_texts(rows, factors) for name, rows in tables.items()}


def _with_texts(columns: Mapping[str, Any], texts: Mapping[str, str | None]) -> pa.Table:
    """The columns, and one for each text, which is the same in every row."""
    table = arrow_table(columns)
    for name, text in texts.items():
        table = with_constant(table, name, text)
    return table


def _tags(run: StoredRun, names: Iterable[str]) -> dict[str, str | None]:
    """Tags of the run; None where it has none."""
    tags = {name: run.tags.get(name) or None for name in names}
    if strange := [name for name, text in tags.items() if text is not None and not can_be_shown(text)]:
        raise RejectedRun(f"its tag {strange[0]} is no printable text of at most {MAX_LETTERS} letters")
    return tags


def _quality(
    run: StoredRun, folder: Path, columns: Sequence[str], factors: Sequence[str], tags: Sequence[str]
) -> pa.Table:
    rows = _rows(folder, "quality.json")
    label, *numbers = columns
    absent = {name: None if name in _NEWER else "" for name in numbers}
    for row in rows:
        if not can_be_shown(row.get(label)):
            raise RejectedRun(f"quality.json has a row without {label}")
        if wrong := [name for name in numbers if not _fits(name, row.get(name, absent[name]))]:
            raise RejectedRun(f"quality.json has no number {wrong[0]} for {row[label]}")
    if len({row[label] for row in rows}) < len(rows):
        raise RejectedRun(f"quality.json has a {label} twice")
    values: Table = {label: np.array([row[label] for row in rows], dtype=object)}
    values |= {name: np.array([row.get(name) for row in rows], dtype=np.float64) for name in numbers}
    values["duration_s"] = np.full(len(rows), run.metrics.get("duration_s", np.nan))
    texts = _tags(run, ("fit_on", "evaluated_on", *tags)) | {"run_id": run.run_id}
    return _with_texts(values, texts | _factors(run, factors))


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    rows = _json(folder, name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RejectedRun(f"{name} is no list of rows")
    return rows


def _fits(name: str, value: Any) -> bool:
    """Whether a value can stand in a column of quality: a count, or a finite number or none."""
    if value is None:
        return name not in _ALWAYS_KNOWN
    if name in _COUNTS:
        return type(value) is int and 0 <= value < 2**53
    return type(value) in (int, float) and -1e300 < value < 1e300


def _light(arrays: dict[str, np.ndarray], codes: list[str], chosen: np.ndarray) -> dict[str, Any]:
    lights = {name.removeprefix("light_"): a for name, a in arrays.items() if name.startswith("light_")}
    for colour, edges in lights.items():
        _numbers(edges, (len(codes), 2), f"examples.npz: light_{colour}")
    edges = np.concatenate([np.empty((0, 2)), *(a[chosen].astype(np.float64) for a in lights.values())])
    return {
        "recording_code": texts_at(codes, np.tile(np.flatnonzero(chosen), len(lights))),
        "onset_s": edges[:, 0],
        "offset_s": edges[:, 1],
        "colour": texts_at(list(lights), np.repeat(np.arange(len(lights)), chosen.sum())),
    }


def _names(array: np.ndarray, what: str, most: int) -> list[str]:
    """Texts that are unique and can be shown."""
    if array.size > most:
        raise RejectedRun(f"{what} has {array.size} names; at most {most} are read")
    try:
        names = array.tolist()
    except SystemError as error:  # numpy's answer to letters there are none of
        raise RejectedRun(f"{what} is no text") from error
    if array.ndim != 1 or not all(can_be_shown(name) for name in names):
        raise RejectedRun(f"{what} is no list of names, printable and of at most {MAX_LETTERS} letters")
    if len(set(names)) != len(names):
        raise RejectedRun(f"{what} has a name twice")
    return names


def _numbers(array: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """The array, if it holds numbers in this shape, of one axis at least."""
    if array.shape != shape or not shape or array.dtype.kind not in "biuf":
        raise RejectedRun(f"{what} is {array.dtype} {array.shape}; expected numbers {shape}")
    return array


def _factors(run: StoredRun, names: Sequence[str]) -> dict[str, Any]:
    return {name: run.params.get(name, "") for name in names}


def _arrays(folder: Path, name: str, required: Sequence[str]) -> dict[str, np.ndarray]:
    path = read_artifact(folder, name)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if len(members) > _MAX_ARRAYS:
            raise RejectedRun(f"{name} has {len(members)} arrays; at most {_MAX_ARRAYS} are read")
        size = sum(member.file_size for member in members)
        if size > _MAX_ARRAY_BYTES:
            raise RejectedRun(f"{name} unpacks to {size} bytes; at most {_MAX_ARRAY_BYTES} are read")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except RejectedRun:
        raise
    except Exception as error:  # whatever a damaged archive makes zip, zlib and numpy trip over
        raise RejectedRun(f"{name} is damaged: {type(error).__name__}") from error
    if not all(can_be_shown(key) for key in arrays):
        raise RejectedRun(f"{name} is damaged: an array's name cannot be shown")
    if strange := [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise RejectedRun(f"{name} is damaged: {strange[0]} is no array")
    if hollow := [key for key, array in arrays.items() if array.size > array.nbytes]:
        raise RejectedRun(f"{name} is damaged: {hollow[0]} has {arrays[hollow[0]].size} values of no bytes")
    if absent := [key for key in required if key not in arrays]:
        raise RejectedRun(f"{name} lacks {absent[0]}")
    return arrays


def _json(folder: Path, name: str) -> Any:
    path = read_artifact(folder, name)
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise RejectedRun(f"{name} has more than {_MAX_JSON_BYTES} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError) as error:
        raise RejectedRun(f"{name} is damaged") from error

"""The files a finished stage leaves in the store: masks, imputed signals, features, quality tables."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MEMBERS = "members.json"
"""What became of an ensemble's members: rows of member, status, reason and quality."""

_MAX_BYTES = 2**31  # of a file, unpacked


class DamagedFile(RuntimeError):
    """A stage's file cannot be read; the message says which, and what to do."""


def write_mask(folder: Path, mask: np.ndarray, file: str = "mask.npz") -> None:
    """Write a detector's mask, bool (n, T), at one bit a sample."""
    np.savez_compressed(folder / file, mask=np.packbits(mask, axis=1), shape=np.array(mask.shape))


def read_mask(folder: Path, file: str = "mask.npz") -> np.ndarray:
    """Read what `write_mask` wrote; `DamagedFile` if it cannot be."""
    with _arrays(folder / file) as written:
        return _unpacked(written["mask"], written["shape"])


def write_probe(folder: Path, mask: np.ndarray) -> None:
    """Write what a detector flags in recordings of hippus alone, bool (n, T): the mask, and its counts."""
    write_mask(folder, mask, "probe.npz")
    counts = {"n_recordings": len(mask), "n_samples": mask.size, "n_flagged": int(mask.sum())}
    write_rows(folder / "probe.json", [counts | {"share_flagged": float(mask.mean())}])


def read_probe(folder: Path) -> np.ndarray | None:
    """Read the mask that `write_probe` wrote; None where an older run did not."""
    return read_mask(folder, "probe.npz") if (folder / "probe.npz").is_file() else None


def write_imputed(folder: Path, missing: np.ndarray, pupil: np.ndarray, sd: np.ndarray | None) -> None:
    """Write the imputed samples only; the observed ones are in the cohort."""
    arrays = {"missing": np.packbits(missing, axis=1), "values": pupil[missing]}
    if sd is not None:
        arrays["sd"] = sd[missing]
    np.savez_compressed(folder / "imputed.npz", shape=np.array(missing.shape), **arrays)


def read_imputed(folder: Path, pupil: np.ndarray) -> np.ndarray:
    """Return the recorded signal (n, T) with the imputed samples put in; `DamagedFile` if it cannot be."""
    with _arrays(folder / "imputed.npz") as file:
        signal = pupil.copy()
        signal[_unpacked(file["missing"], file["shape"])] = file["values"]
    return signal


def write_examples(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write what a picture of a few recordings needs."""
    np.savez_compressed(folder / "examples.npz", allow_pickle=False, **arrays)


def write_features(
    folder: Path, values: np.ndarray, columns: Sequence[str], recordings: Sequence[str]
) -> None:
    """Write a feature table, float (n, p)."""
    np.savez_compressed(
        folder / "features.npz",
        values=values,
        columns=np.array(columns, dtype="U"),
        recordings=np.array(recordings, dtype="U"),
    )


def read_features(folder: Path) -> tuple[np.ndarray, list[str]]:
    """Return the values (n, p) and the names of the columns; `DamagedFile` if they cannot be read."""
    with _arrays(folder / "features.npz") as file:
        return file["values"], file["columns"].tolist()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]] | Sequence[str]) -> None:
    """Write a small table as JSON; an undefined number becomes null."""
    path.write_text(json.dumps([_plain(row) for row in rows], indent=1), encoding="utf-8")


@contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file; whatever zip, zlib and numpy trip over in a damaged one becomes one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, and at most {_MAX_BYTES} are read")
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except Exception as error:
        raise DamagedFile(
            f"{path} cannot be read ({type(error).__name__}: {error}); delete the folder {path.parent} and "
            "repeat the command, which computes it again"
        ) from error


def _plain(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def _unpacked(bits: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1, count=shape[1]).astype(bool)

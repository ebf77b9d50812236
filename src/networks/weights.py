"""Pretrained weights: the table of what there is, and where the files lie on this machine.

A method has a parameter `checkpoint` with a name of the table and asks here; it never sees an address.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from src.requirements import NotReady

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "configs" / "mlflow_registry" / "weights.yaml"

FOLDER_VARIABLE = "PLR_WEIGHTS"
"""Environment variable with the folder that holds one folder of files per name."""

DEFAULT_FOLDER = ROOT / "data" / "weights"


@dataclass(frozen=True)
class WeightsFile:
    """A published file: its SHA-256, and its size in bytes, which may be rounded."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Weights:
    """Published weights.

    Attributes
    ----------
    repository, revision : str
        On Hugging Face; a commit, so that the files can never change.
    licence, reference : str
    run_with_real_weights : bool
        Whether methods of this project were run with exactly these files yet.
    files : mapping of file name to WeightsFile
    """

    name: str
    repository: str
    revision: str
    licence: str
    reference: str
    run_with_real_weights: bool
    files: Mapping[str, WeightsFile]

    @property
    def size_mb(self) -> str:
        """Size of all files, for people."""
        return f"{sum(file.size for file in self.files.values()) / 1e6:.0f} MB"


@cache
def load_weights(table: Path = TABLE) -> dict[str, Weights]:
    """Return all published weights that methods use, by name."""
    entries = yaml.safe_load(table.read_text(encoding="utf-8"))
    return {
        name: Weights(
            name, **entry | {"files": {file: WeightsFile(**facts) for file, facts in entry["files"].items()}}
        )
        for name, entry in entries.items()
    }


def find_weights(name: str) -> Weights:
    """Return an entry of the table.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the names.
    """
    known = load_weights()
    if name not in known:
        raise ValueError(
            f"no weights are called {name!r}; configs/mlflow_registry/weights.yaml has {', '.join(known)}"
        )
    return known[name]


def place_of(name: str) -> Path:
    """Return the folder in which the files called `name` lie, or would lie."""
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER) / name


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_folder(name: str) -> Path:
    """Return the folder with all files of the weights called `name`.

    Raises
    ------
    NotReady
        If a file is not there; the message names the command that gets it.
    ValueError
        If the table has no such name.
    """
    folder = place_of(name)
    lacking = [file for file in find_weights(name).files if not (folder / file).is_file()]
    if lacking:
        raise NotReady(
            f"the weights {name} are not on this machine ({', '.join(lacking)}): "
            f"python scripts/fetch_weights.py {name}"
        )
    return folder


def weights_identity(name: str) -> dict[str, str]:
    """Return the SHA-256 of each file of the weights called `name`.

    Of the files on this machine, whatever they are; where a file is not there, what the table says. So
    results made with other files than the published ones never go by the same key. Empty for a name that the
    table does not have: the method that asks for those weights says so.
    """
    folder, known = place_of(name), load_weights().get(name)
    if known is None:
        return {}
    return {
        file: _digest(folder / file, (folder / file).stat().st_mtime_ns)
        if (folder / file).is_file()
        else facts.sha256
        for file, facts in known.files.items()
    }


def unpublished_files(name: str) -> dict[str, str]:
    """Return the SHA-256 of each file on this machine that is not the published one of that name."""
    known = load_weights().get(name)
    files = weights_identity(name).items()
    return {file: digest for file, digest in files if known and digest != known.files[file].sha256}


@cache
def _digest(path: Path, _modified: int) -> str:
    return digest_of(path)

"""Where a run's cohort file comes from: the targets of configs/data."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from src.cohort import artefacts, file, subjects, synthetic
from src.cohort.cohort import CohortError
from src.cohort.probe import check_ends


def synthetic_cohort(folder: str, **parameters: Any) -> Path:
    """Return the path of a synthetic cohort's file, making the file if it is not there.

    Parameters
    ----------
    folder : str
        Where such files are kept.
    **parameters
        Parameters of `src.cohort.synthetic.generate`.

    Returns
    -------
    Path
        Its name holds a hash of the parameters and of the generator's source, so that a file made by
        another version is never taken for this one.
    """
    digest = hashlib.blake2b(json.dumps(parameters, sort_keys=True).encode(), digest_size=6)
    for module in (synthetic, artefacts, subjects, file):
        digest.update(Path(str(module.__file__)).read_bytes())
    path = Path(folder) / f"synthetic-{digest.hexdigest()}.duckdb"
    if not path.exists():
        file.write_cohort(synthetic.generate(**parameters), path, parameters)
    return path


def cohort_file(path: str) -> Path:
    """Return the path of a cohort file that somebody made.

    Parameters
    ----------
    path : str
        A DuckDB file in the study's layout, for instance from `scripts/import_recordings.py`.

    Raises
    ------
    CohortError
        If there is no such file, or reading it crashes or does not end.
    """
    if not Path(path).is_file():
        raise CohortError(f"data.path is {path}: no such file; expected a cohort file (DuckDB)")
    _check_once(Path(path), Path(path).stat().st_mtime_ns)
    return Path(path)


@cache
def _check_once(path: Path, modified_ns: int) -> None:
    """All jobs of a sweep ask for the same file."""
    check_ends(path)

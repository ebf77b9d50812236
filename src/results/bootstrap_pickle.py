"""`bootstrap_results.pkl`: what one run leaves behind, from which every metric can be computed later."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from src.results.safe_pickle import RejectedRun, load_plain

FILE_NAME = "bootstrap_results.pkl"
SCHEMA_VERSION = 1

# B iterations, n labelled recordings. Readers may count on y_true, y_prob and test_indices only.
RESULTS_FORMAT = {
    "schema_version": "int, 1",
    "run_name": "str, for people",
    "factors": "dict: featurization, outlier_method, imputation_method, classifier",
    "n_iterations": "int, B",
    "seed": "int",
    "resample_id": "str: hash of the resamples",
    "cohort_hash": "str: content hash of the cohort",
    "source": "str: synthetic, measured or unstated",
    "unit": "str: unit of the pupil diameter",
    "fit_on": "str: unlabelled or all",
    "features": "list of str: what the classifier saw",
    "subject_codes": "list of n str, unique: the recordings",
    "groups": "list of n str: the subject of each recording",
    "y": "int8 (n,): 1 glaucoma, 0 control",
    "y_prob_all": "float32 (B, n): every iteration's model on every recording",
    "inbag_counts": "uint8 (B, n): how often each recording was drawn",
    "y_prob_apparent": "float32 (n,): the model trained on everybody",
    "random_states": "int (B,)",
    "versions": "dict: package to version",
    "code_commit": "str",
    "created_at": "str, ISO 8601",
    "fit_seconds": "float",
    # per iteration
    "auroc": "list of B floats, on the left-out recordings",
    "brier": "list of B floats, on the left-out recordings",
    "y_true": "list of B int8 arrays over the left-out recordings",
    "y_prob": "list of B float32 arrays over the left-out recordings",
    "train_indices": "list of B int arrays, with repeats",
    "test_indices": "list of B int arrays: the left-out recordings",
}

# What newer runs add; a file without them is complete. p features.
OPTIONAL_FORMAT = {
    "feature_importance": "float32 (B, p): the model's own, adds up to 1; NaN where it has none",
    "permutation_importance": "float32 (B, p): drop in left-out AUROC when a feature is permuted; NaN rows "
    "where an iteration did not compute it",
    "tuning": "dict, of a run whose hyper-parameters were searched for: how, the best ones, and why that is "
    "optimistic",
}

_PLAIN = (str, int, float, bool, type(None))


def dump(results: dict[str, Any], path: Path) -> None:
    """Write the results of one run.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    results : dict
        The keys of `RESULTS_FORMAT`, all of them, and any of `OPTIONAL_FORMAT`; values of plain dicts
        (string keys), lists, str, int, float, bool, None and numpy arrays of booleans, numbers or text.
    path : Path
        Target file, in an existing folder.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    TypeError
        If a value is of another type; the message says where.
    """
    if missing := [key for key in RESULTS_FORMAT if key not in results]:
        raise ValueError(f"{path.name}: the key {missing[0]!r} is missing ({RESULTS_FORMAT[missing[0]]})")
    if unknown := [key for key in results if key not in RESULTS_FORMAT | OPTIONAL_FORMAT]:
        raise ValueError(f"{path.name}: the key {unknown[0]!r} is not part of the format")
    _check_plain(results, "results")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Protocol 4 is the newest that numpy 1 and 2 both read in files of the other.
        draft.write_bytes(pickle.dumps(results, protocol=4))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Read the results of one run, written by this or another program, without running anything in them.

    Returns
    -------
    dict
        As written, except that tuples are lists and arrays are read-only.

    Raises
    ------
    RejectedRun
        If the file is missing, damaged, or holds anything but one dict of plain values and numpy arrays.
    """
    results = load_plain(path)
    if not isinstance(results, dict):
        raise RejectedRun(f"{path.name} holds a {type(results).__name__}; expected one dict")
    return results


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, np.ndarray):
        if type(value) is not np.ndarray or value.dtype.kind not in "biufU":
            raise TypeError(f"{where} is an array of {value.dtype}; expected booleans, numbers or text")
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"{where} has the key {key!r}; expected strings")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) is list:
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif type(value) not in _PLAIN:
        raise TypeError(f"{where} is a {type(value).__name__}; expected plain values or numpy arrays")

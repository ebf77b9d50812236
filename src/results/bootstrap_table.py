"""One run's predictions in one shape, whichever program wrote them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from src import registry
from src.results.safe_pickle import RejectedRun

FACTORS = tuple(registry.FACTORS.values())
IMPORTANCES = {"model": "feature_importance", "permutation": "permutation_importance"}
"""Kind of importance -> key in the file."""
_NESTED = frozenset({bool, int, float, list, np.ndarray})
MAX_CELLS, MAX_ITERATIONS = 20_000_000, 1_000_000


@dataclass(frozen=True, eq=False)
class BootstrapTable:
    """Predictions of all iterations for all labelled recordings.

    Attributes
    ----------
    y : ndarray of int8, shape (n,)
        1 glaucoma, 0 control; both occur.
    codes, groups : tuple of n str
        Anonymous codes of the recordings (unique) and of their subjects.
    p_all : ndarray of float64, shape (B, n)
        Probability of 1; NaN where the file does not tell (in-bag recordings in files of other programs).
    left_out : ndarray of bool, shape (B, n)
        True where the recording was left out of the iteration's training; `p_all` is known there.
    inbag_counts : ndarray of uint8, shape (B, n), or None
        How often each recording was drawn.
    p_apparent : ndarray of float64, shape (n,), or None
        From the model trained on everybody.
    stored_auroc, stored_brier : ndarray of float64, shape (B,), or None
        The file's own values per iteration, to be held against recomputed ones.
    features : tuple of str
        What the classifier saw; empty where the file does not tell.
    importances : dict of str to ndarray, shape (B, number of features)
        Importance of each feature per iteration, by kind ('model', 'permutation'), as far as the file has it.
    factors : dict or None
        The four factors as the file has them.
    details : dict
        Whatever else the file tells about the run (seed, versions, ...), unchecked.
    foreign : bool
        True for a file without this program's cohort hash and resample id.
    """

    y: np.ndarray
    codes: tuple[str, ...]
    groups: tuple[str, ...]
    p_all: np.ndarray
    left_out: np.ndarray
    inbag_counts: np.ndarray | None
    p_apparent: np.ndarray | None
    stored_auroc: np.ndarray | None
    stored_brier: np.ndarray | None
    features: tuple[str, ...]
    importances: dict[str, np.ndarray]
    factors: dict[str, str] | None
    details: Mapping[str, Any]
    foreign: bool

    @property
    def n_iterations(self) -> int:
        """Number of iterations, B."""
        return len(self.p_all)

    @property
    def cohort_hash(self) -> str:
        """The file's cohort hash; a hash of the outcomes where it has none."""
        return str(self.details["cohort_hash"]) if not self.foreign else array_digest(self.y)[:16]

    @property
    def resample_id(self) -> str:
        """The file's resample id; a hash of what each iteration left out where it has none."""
        return (
            str(self.details["resample_id"]) if not self.foreign else array_digest(self.y, self.left_out)[:16]
        )


@dataclass(frozen=True)
class _Tested:
    """The left-out predictions of all iterations, one after the other."""

    iteration: np.ndarray
    recording: np.ndarray
    y: np.ndarray
    p: np.ndarray
    n_iterations: int


def normalise(results: Mapping[str, Any]) -> BootstrapTable:
    """Check a run's results and bring them into one shape.

    Parameters
    ----------
    results : mapping
        From `bootstrap_pickle.load`. At least `y_true`, `y_prob` and `test_indices` with one entry per
        iteration; arrays or nested lists; probabilities of one class or two columns.

    Returns
    -------
    BootstrapTable

    Raises
    ------
    RejectedRun
        If something is missing, disagrees, or is impossible; the message says what.
    """
    tested = _tested(results)
    trained = _indices(results, "train_indices") if "train_indices" in results else None
    n = _n_recordings(results, tested, trained)
    y = _outcomes(results, tested, n)
    shape = (tested.n_iterations, n)
    if tested.n_iterations * n > MAX_CELLS:
        raise RejectedRun(f"{tested.n_iterations} iterations of {n} recordings; at most {MAX_CELLS} in all")
    cells = np.ravel_multi_index((tested.iteration, tested.recording), shape)
    left_out = np.zeros(shape, dtype=bool)
    left_out.ravel()[cells] = True
    if np.count_nonzero(left_out) != cells.size:
        raise RejectedRun("test_indices: an iteration lists a recording twice")
    foreign = not all(isinstance(results.get(key), str) for key in ("cohort_hash", "resample_id"))
    codes, groups = _anonymous(y) if foreign else _own_codes(results, n)
    features = _features(results)
    return BootstrapTable(
        y=y,
        codes=codes,
        groups=groups,
        p_all=_complete(results, tested.p, cells, shape),
        left_out=left_out,
        inbag_counts=_inbag(results, trained, left_out),
        p_apparent=_apparent(results, n),
        stored_auroc=_stored(results, "auroc", tested.n_iterations),
        stored_brier=_stored(results, "brier", tested.n_iterations),
        features=features,
        importances=_importances(results, (tested.n_iterations, len(features))),
        factors=_factors(results),
        details={key: value for key, value in results.items() if not isinstance(value, list | np.ndarray)},
        foreign=foreign,
    )


def _tested(results: Mapping[str, Any]) -> _Tested:
    iteration, recording, n_iterations = _indices(results, "test_indices")
    y, y_of = _values(results, "y_true", n_iterations)
    p, p_of = _values(results, "y_prob", n_iterations)
    for name, of in (("y_true", y_of), ("y_prob", p_of)):
        if not np.array_equal(of, iteration):
            raise RejectedRun(f"{name} and test_indices disagree on the number of left-out recordings")
    _check_probabilities(p, iteration)
    if not np.isin(y, (0, 1)).all():
        raise RejectedRun("y_true has values other than 0 and 1")
    return _Tested(iteration, recording, y.astype(np.int8), p, n_iterations)


def _entries(results: Mapping[str, Any], key: str) -> list[Any]:
    entries = results.get(key)
    if isinstance(entries, np.ndarray) and entries.ndim > 1 and len(entries) <= MAX_ITERATIONS:
        entries = list(entries)
    if not isinstance(entries, list) or not entries:
        raise RejectedRun(f"{key} is missing or is no list with one array per iteration")
    return entries


def _array(value: Any, what: str) -> np.ndarray:
    if not _is_numeric(value):
        raise RejectedRun(f"{what} is no array of numbers")
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged lists
        raise RejectedRun(f"{what} is no array of numbers") from error
    if array.dtype.kind not in "biuf":  # integers that are too large
        raise RejectedRun(f"{what} is no array of numbers")
    return array


def _is_numeric(value: Any) -> bool:
    """Whether lists of lists end in numbers: an array of text takes its longest text for each value."""
    level = [value]
    while level:
        if not set(map(type, level)) <= _NESTED:
            return False
        if not {item.dtype.kind for item in level if type(item) is np.ndarray} <= set("biuf"):
            return False
        level = list(chain.from_iterable(item for item in level if type(item) is list))
    return True


def _joined(results: Mapping[str, Any], key: str) -> tuple[np.ndarray, np.ndarray, int]:
    """The entries of all iterations, one after the other, the iteration of each row, and their number."""
    rows = _entries(results, key)
    if set(map(type, rows)) != {np.ndarray} or not {row.dtype.kind for row in rows} <= set("biuf"):
        rows = [_array(entry, f"{key}[{b}]") for b, entry in enumerate(rows)]
    if not all(row.ndim for row in rows):
        raise RejectedRun(f"{key} is no list with one array per iteration")
    lengths = list(map(len, rows))
    filled = [row for row, length in zip(rows, lengths, strict=True) if length]
    if len({row.shape[1:] for row in filled}) != 1:
        raise RejectedRun(f"{key}: the iterations have arrays of different shapes, or all are empty")
    return np.concatenate(filled), np.repeat(np.arange(len(rows)), lengths), len(rows)


def _indices(results: Mapping[str, Any], key: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Iteration and recording of every index, and the number of iterations."""
    recording, iteration, n_iterations = _joined(results, key)
    if recording.ndim != 1 or recording.dtype.kind not in "iu":
        raise RejectedRun(f"{key} has values that are no indices")
    if int(recording.min()) < 0 or (int(recording.max()) + 1) * n_iterations > MAX_CELLS:
        raise RejectedRun(f"{key} has indices from {recording.min()} to {recording.max()}")
    return iteration, recording.astype(np.intp), n_iterations


def _values(results: Mapping[str, Any], key: str, n_iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of all iterations one after the other, and the iteration of each; of two columns the second."""
    values, iteration, found = _joined(results, key)
    if found != n_iterations:
        raise RejectedRun(f"{key} has {found} iterations and test_indices {n_iterations}")
    values = _floats(values)
    if values.ndim == 2 and values.shape[1] == 2:
        if not np.allclose(values.sum(axis=1), 1, atol=1e-4):
            raise RejectedRun(f"{key} has two columns that do not add up to 1")
        values = values[:, 1]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise RejectedRun(
            f"{key} has {values.ndim} dimensions per iteration; expected one value per recording"
        )
    return values, iteration


def _check_probabilities(p: np.ndarray, iteration: np.ndarray) -> None:
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise RejectedRun(f"y_prob[{iteration[first]}] has the value {p[first]}; expected 0 to 1")


def _n_recordings(
    results: Mapping[str, Any], tested: _Tested, trained: tuple[np.ndarray, np.ndarray, int] | None
) -> int:
    """Number of labelled recordings: as told, otherwise one more than the largest index."""
    largest = int(tested.recording.max())
    if trained is not None:
        if trained[2] != tested.n_iterations:
            raise RejectedRun(
                f"train_indices has {trained[2]} iterations and test_indices {tested.n_iterations}"
            )
        largest = max(largest, int(trained[1].max()))
    told = [key for key in ("y", "y_prob_all", "inbag_counts") if results.get(key) is not None]
    sizes = {size for key in told for size in _array(results[key], key).shape[-1:]}
    if len(sizes) > 1:
        raise RejectedRun(f"{', '.join(told)} disagree on the number of recordings")
    n = sizes.pop() if sizes else largest + 1
    if largest >= n:
        raise RejectedRun(f"an index is {largest} but there are {n} recordings")
    return n


def _outcomes(results: Mapping[str, Any], tested: _Tested, n: int) -> np.ndarray:
    y = np.full(n, -1, dtype=np.int8)
    y[tested.recording] = tested.y
    differs = y[tested.recording] != tested.y
    if differs.any():
        raise RejectedRun(f"y_true: recording {tested.recording[np.argmax(differs)]} changes its outcome")
    if results.get("y") is not None:
        told = _array(results["y"], "y")
        if told.shape != (n,) or not np.isin(told, (0, 1)).all():
            raise RejectedRun("y is not one 0 or 1 per recording")
        if (told[tested.recording] != tested.y).any():
            raise RejectedRun("y and y_true disagree")
        y = told.astype(np.int8)
    if (y < 0).any():
        raise RejectedRun(f"recording {int(np.argmax(y < 0))} is never left out, so its outcome is unknown")
    if y.min() == y.max():
        raise RejectedRun(f"all outcomes are {y[0]}; expected 0 and 1")
    return y


def _own_codes(results: Mapping[str, Any], n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    codes, groups = results.get("subject_codes"), results.get("groups", results.get("subject_codes"))
    for key, value in (("subject_codes", codes), ("groups", groups)):
        if not isinstance(value, list) or len(value) != n or not all(_is_code(code) for code in value):
            raise RejectedRun(f"{key} is not one short text per recording")
    if len(set(codes or [])) != n:
        raise RejectedRun("subject_codes has a code twice")
    return tuple(codes or ()), tuple(groups or ())


def _is_code(code: Any) -> bool:
    return isinstance(code, str) and 0 < len(code) <= 100 and code.isprintable()


def _anonymous(y: np.ndarray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Codes as given to cohorts; other programs' codes may be those of patients and are not taken over."""
    number = np.where(y == 1, np.cumsum(y == 1), np.cumsum(y == 0))
    codes = tuple(f"{'G' if label else 'H'}{k:03d}" for label, k in zip(y, number, strict=True))
    return codes, codes


def _matrix(results: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if results.get(key) is None:
        return None
    values = _array(results[key], key)
    if values.shape != shape:
        raise RejectedRun(f"{key} has the shape {values.shape}; expected {shape}")
    return values


def _floats(values: np.ndarray) -> np.ndarray:
    """Numbers in double precision; a signalling NaN becomes one that is quiet."""
    with np.errstate(invalid="ignore"):
        return values.astype(float)


def _complete(
    results: Mapping[str, Any], p: np.ndarray, cells: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """All predictions where the file has them, after holding them against the left-out ones, p at `cells`."""
    p_all = _matrix(results, "y_prob_all", shape)
    if p_all is None:
        p_all = np.full(shape, np.nan)
        p_all.ravel()[cells] = p
        return p_all
    p_all = _floats(p_all)
    if not ((p_all >= 0) & (p_all <= 1)).all():
        raise RejectedRun("y_prob_all has values outside 0 to 1")
    if not (np.abs(p_all.take(cells) - p) <= 1e-6).all():
        raise RejectedRun("y_prob_all and y_prob disagree")
    return p_all


def _inbag(
    results: Mapping[str, Any], trained: tuple[np.ndarray, np.ndarray, int] | None, left_out: np.ndarray
) -> np.ndarray | None:
    counts = _matrix(results, "inbag_counts", left_out.shape)
    if trained is not None:
        cells = np.ravel_multi_index(trained[:2], left_out.shape)
        drawn = np.bincount(cells, minlength=left_out.size).reshape(left_out.shape)
        if counts is not None and not np.array_equal(drawn, counts):
            raise RejectedRun("inbag_counts and train_indices disagree")
        counts = drawn
    if counts is None:
        return None
    if not np.isfinite(counts).all() or (counts != np.floor(counts)).any():
        raise RejectedRun("inbag_counts has values that are no whole numbers")
    if ((counts > 0) & left_out).any():
        b = int(np.argmax(((counts > 0) & left_out).any(axis=1)))
        raise RejectedRun(f"iteration {b} tests recordings it was trained on")
    if counts.min() < 0 or counts.max() > 255:
        raise RejectedRun("inbag_counts has values outside 0 to 255")
    return counts.astype(np.uint8)


def _apparent(results: Mapping[str, Any], n: int) -> np.ndarray | None:
    p = _matrix(results, "y_prob_apparent", (n,))
    if p is not None and not ((p >= 0) & (p <= 1)).all():
        raise RejectedRun("y_prob_apparent has values outside 0 to 1")
    return None if p is None else _floats(p)


def _stored(results: Mapping[str, Any], key: str, n_iterations: int) -> np.ndarray | None:
    values = _matrix(results, key, (n_iterations,))
    return None if values is None else _floats(values)


def _features(results: Mapping[str, Any]) -> tuple[str, ...]:
    names = results.get("features")
    if names is None:
        return ()
    if not isinstance(names, list) or not all(_is_code(name) for name in names):
        raise RejectedRun("features is not a list of short texts")
    if len(set(names)) != len(names):
        raise RejectedRun("features has a name twice")
    return tuple(names)


def _importances(results: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    found = {kind: _matrix(results, key, shape) for kind, key in IMPORTANCES.items()}
    return {kind: values for kind, values in found.items() if values is not None}


def _factors(results: Mapping[str, Any]) -> dict[str, str] | None:
    factors = results.get("factors")
    if not isinstance(factors, dict) or not all(isinstance(factors.get(name), str) for name in FACTORS):
        return None
    return {name: factors[name] for name in FACTORS}


def array_digest(*arrays: np.ndarray) -> str:
    """Digest of the arrays' types, shapes and values, 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]

"""Which recordings each iteration trains on: a stratified bootstrap over subjects.

The draws depend on the seed, the labels and the ordered list of subjects and on nothing else, so every
combination of methods sees the same resamples and combinations are paired by subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

MIN_SUBJECTS_PER_CLASS = 5
"""Fewest subjects of a class that can be resampled.

Drawing n of n leaves nobody out with probability n! / n^n, and an iteration that leaves out nobody of a
class has no AUROC. That is 0.094 for 4 subjects and 0.038 for 5; with both classes that small, 18 % and
7.5 % of the iterations are lost, and an estimate needs 90 % of them.
"""

# First element of the spawn key: resampling, fitting and permuting never share random numbers.
_DRAW, _FIT, _PERMUTE = 0, 1, 2


class EvaluationError(ValueError):
    """Labels, groups or predictions that cannot be evaluated; the message says what was expected."""


def check_labels(y: np.ndarray) -> np.ndarray:
    """Return the labels as int8 after checking that both classes and nothing else are there.

    Parameters
    ----------
    y : array_like, shape (n,)
        1 case, 0 control.

    Raises
    ------
    EvaluationError
        If a label is not 0 or 1 (missing ones included), or only one class is present.
    """
    values = np.asarray(y)
    if values.ndim != 1:
        raise EvaluationError(f"labels have shape {values.shape}; expected one label per recording")
    strange = [v for v in np.unique(values).tolist() if v not in (0, 1)]
    if strange:
        raise EvaluationError(
            f"label {strange[0]!r} is not 0 (control) or 1 (case); leave recordings without a diagnosis out"
        )
    if len(np.unique(values)) < 2:
        raise EvaluationError(
            f"the labels hold one class only ({values.size} recordings); expected cases (1) and controls (0)"
        )
    return values.astype(np.int8)


def subject_index(y: np.ndarray, groups: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the subjects in order of first appearance.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels 0/1.
    groups : sequence, length n
        The subject of each recording.

    Returns
    -------
    index : ndarray of int, shape (n,)
        Subject number of each recording.
    subject_y : ndarray of int8, shape (n_subjects,)
        Class of each subject.

    Raises
    ------
    EvaluationError
        If a subject has recordings of both classes, or the lengths disagree.
    """
    names = np.asarray(groups)
    if names.shape != np.shape(y):
        raise EvaluationError(f"{names.size} subjects for {np.size(y)} labels; expected one per recording")
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    index = np.argsort(np.argsort(first))[inverse]
    subject_y = np.asarray(y)[np.sort(first)]
    mixed = subject_y[index] != y
    if mixed.any():
        raise EvaluationError(
            f"subject {str(names[mixed][0])!r} has recordings of both classes; a subject has one diagnosis"
        )
    return index, subject_y.astype(np.int8)


def summed_by_subject(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Add up the recordings' values, shape (k, n), by subject, (k, n_subjects); `index` is that of
    `subject_index`.
    """
    order = np.argsort(index, kind="stable")
    first = np.flatnonzero(np.diff(index[order], prepend=-1))
    return np.add.reduceat(values.take(order, axis=1), first, axis=1)


def inbag_counts(
    y: np.ndarray, groups: Sequence[str] | np.ndarray, n_iterations: int, seed: int
) -> np.ndarray:
    """Draw how often each recording is in the training set of each iteration.

    In every iteration, as many subjects of a class are drawn with replacement as there are; all recordings
    of a subject come along. The first iterations of a longer run are those of a shorter one.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels 0/1.
    groups : sequence, length n
        The subject of each recording.
    n_iterations : int
        Number of resamples B, at least 1.
    seed : int
        Not negative.

    Returns
    -------
    ndarray of uint8, shape (B, n)
        0 means left out.

    Raises
    ------
    EvaluationError
        If the labels are not 0/1 with both classes, a subject is in both classes, or a class has fewer than
        `MIN_SUBJECTS_PER_CLASS` subjects.
    """
    labels = check_labels(y)
    index, subject_y = subject_index(labels, groups)
    if n_iterations < 1:
        raise EvaluationError(f"n_iterations is {n_iterations}; expected at least 1")
    counts = np.zeros((n_iterations, subject_y.size), dtype=np.uint8)
    for label in (0, 1):
        members = np.flatnonzero(subject_y == label)
        _check_enough(members.size, label)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_DRAW, label)))
        drawn = rng.integers(0, members.size, size=(n_iterations, members.size))
        cells = drawn + members.size * np.arange(n_iterations)[:, None]
        tally = np.bincount(cells.ravel(), minlength=cells.size)
        counts[:, members] = tally.reshape(n_iterations, -1)
    return counts[:, index]


def _check_enough(n: int, label: int) -> None:
    """Refuse a class that is too small to leave somebody out."""
    if n < MIN_SUBJECTS_PER_CLASS:
        raise EvaluationError(
            f"{n} subjects of class {label} are too few to resample; expected at least "
            f"{MIN_SUBJECTS_PER_CLASS} (else too many resamples leave nobody out): add labelled subjects"
        )


def left_out(counts: np.ndarray) -> np.ndarray:
    """Return True where an iteration did not train on a recording, shape as `counts`."""
    return np.asarray(counts) == 0


def train_rows(counts: np.ndarray) -> np.ndarray:
    """Return the row numbers of one resample, each as often as it was drawn; `counts` has shape (n,)."""
    return np.repeat(np.arange(counts.size), counts)


def random_states(seed: int, n_iterations: int) -> np.ndarray:
    """Return the random state of each iteration's fit, shape (B,), 0 to 2^31 - 1; iteration b's depends on
    the seed and b alone.
    """
    states = [_random_state(seed, 1 + b) for b in range(n_iterations)]
    return np.array(states, dtype=np.int64)


def apparent_random_state(seed: int) -> int:
    """Return the random state of the fit on everybody."""
    return _random_state(seed, 0)


def _random_state(seed: int, position: int) -> int:
    sequence = np.random.SeedSequence(seed, spawn_key=(_FIT, position))
    return int(sequence.generate_state(1)[0] >> 1)


def permutation_rng(seed: int, b: int) -> np.random.Generator:
    """Return iteration b's random numbers for permuting features; they depend on the seed and b alone."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_PERMUTE, b)))


def resample_id(
    seed: int,
    n_iterations: int,
    subject_codes: Sequence[str],
    y: np.ndarray,
    groups: Sequence[str] | None = None,
) -> str:
    """Name a set of resamples; equal names mean that combinations may be compared subject by subject.

    Parameters
    ----------
    seed, n_iterations : int
        Of the resampling.
    subject_codes : sequence of str, length n
        Recordings in their order.
    y : array_like, shape (n,)
        Labels 0/1.
    groups : sequence of str, length n, optional
        The subject of each recording; by default every recording is its own.

    Returns
    -------
    str
        16 hexadecimal digits, the same on every machine.
    """
    owners = subject_codes if groups is None else groups
    lines = [f"seed {seed} iterations {n_iterations} n {len(subject_codes)}"]
    lines += [
        f"{code}\t{owner}\t{int(label)}" for code, owner, label in zip(subject_codes, owners, y, strict=True)
    ]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()

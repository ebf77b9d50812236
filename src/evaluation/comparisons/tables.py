"""The tables of the comparisons: their columns, and how rows become a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from src.evaluation.curves import Table

_NUMBER, _COUNT, _FLAG, _TEXT = np.dtype(np.float64), np.dtype(np.int64), np.dtype(bool), np.dtype(object)
_TEST = {"se": _NUMBER, "lo": _NUMBER, "hi": _NUMBER, "p": _NUMBER, "p_holm": _NUMBER, "p_bh": _NUMBER}
_FACTOR = {"metric": _TEXT, "featurization": _TEXT, "factor": _TEXT}

SCHEMA: dict[str, dict[str, np.dtype]] = {
    "pairwise_comparisons": {
        **{"metric": _TEXT, "run_a": _COUNT, "run_b": _COUNT, "against": _TEXT, "difference": _NUMBER},
        **_TEST,
        **{"refit_lo": _NUMBER, "refit_hi": _NUMBER, "test": _TEXT, "reason": _TEXT},
    },
    "method_effects": {
        **_FACTOR,
        **{"method": _TEXT, "effect": _NUMBER},
        **_TEST,
        **{"n_cells": _COUNT, "reason": _TEXT},
    },
    "confidence_set": {"metric": _TEXT, "run": _COUNT, "p_value": _NUMBER, "included": _FLAG},
    "critical_differences": {
        **_FACTOR,
        **{"method": _TEXT, "mean_rank": _NUMBER, "n_blocks": _COUNT, "n_methods": _COUNT},
        **{"friedman_chi2": _NUMBER, "friedman_p": _NUMBER, "critical_difference": _NUMBER, "title": _TEXT},
    },
    "nemenyi_pairs": {**_FACTOR, "method_a": _TEXT, "method_b": _TEXT, "p": _NUMBER},
    "variance_decomposition": {
        **_FACTOR,
        **{"sum_of_squares": _NUMBER, "df": _COUNT, "eta_squared": _NUMBER, "partial_eta_squared": _NUMBER},
    },
    "winners_curse": {
        **{"metric": _TEXT, "run": _COUNT, "oob": _NUMBER, "run_pooled": _COUNT, "value": _NUMBER},
        **{"corrected": _NUMBER, "optimism": _NUMBER, "lo": _NUMBER, "hi": _NUMBER, "n_draws": _COUNT},
    },
    "detectable_difference": {
        **{"metric": _TEXT, "se_difference": _NUMBER, "power": _NUMBER, "alpha": _NUMBER},
        **{"detectable": _NUMBER, "n_cases": _COUNT, "n_controls": _COUNT},
    },
    "refusals": {
        **{"comparison": _TEXT, "metric": _TEXT, "featurization": _TEXT, "factor": _TEXT, "reason": _TEXT}
    },
}
"""Columns of every table with their types. Columns whose name begins with `run` hold positions of
combinations. `method_effects`, `critical_differences`, `nemenyi_pairs` and `variance_decomposition` speak of
one feature set each, because the study's features are fixed."""


def table(name: str, parts: Iterable[Mapping[str, Any]]) -> Table:
    """Put parts of a table below each other.

    Parameters
    ----------
    name : str
        A table of `SCHEMA`.
    parts : iterable of mapping
        Values of the columns, arrays of equal length or single values, which are repeated.

    Returns
    -------
    table
        All columns of the schema in its order and with its types; empty ones where there are no parts.
    """
    columns = SCHEMA[name]
    stretched = [
        dict(zip(part, np.broadcast_arrays(*map(_column, part.values())), strict=True)) for part in parts
    ]
    return {
        column: np.concatenate([np.empty(0, kind), *(part[column] for part in stretched)]).astype(kind)
        for column, kind in columns.items()
    }


def _column(values: Any) -> np.ndarray:
    """Return values as one column; texts as objects, so that long and short ones mix."""
    column = np.atleast_1d(values)
    return column.astype(object) if column.dtype.kind == "U" else column


def refusal(comparison: str, metric: str, reason: str, featurization: str = "", factor: str = "") -> dict:
    """Return a row of `refusals`: what was not computed, and why."""
    return {
        "comparison": comparison,
        "metric": metric,
        "featurization": featurization,
        "factor": factor,
        "reason": reason,
    }

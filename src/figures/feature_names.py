"""Names of features as people read them."""

from __future__ import annotations

_UNITS = {
    "pct_s": "% s",
    "pct": "%",
    "mm": "mm",
    "px": "px",
    "s": "s",
    "years": "years",
    "au": "a.u.",
}
"""Endings of column names, the longer before those they end with."""


def readable_feature(name: str) -> str:
    """Return a feature's name with blanks, its unit in brackets: 'blue PIPR AUC (% s)'."""
    for ending, unit in _UNITS.items():
        stem = name.removesuffix(f"_{ending}")
        if stem != name:
            return f"{stem.replace('_', ' ')} ({unit})"
    return name.replace("_", " ")

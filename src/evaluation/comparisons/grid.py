"""The grid of outlier method x imputation method x classifier within one feature set, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from src.evaluation.comparisons.combinations import SHOWN, Cell, Combinations, name_cells

FIXED = "featurization"


@dataclass(frozen=True, eq=False)
class Grid:
    """All combinations of the levels seen or planned within one feature set.

    Parameters
    ----------
    featurization : str
        The feature set.
    levels : dict of str to list of str
        Levels of each other factor, those of the combinations first.
    run : ndarray of int, one axis per factor
        Position of the combination in each cell, -1 where there is none.
    """

    featurization: str
    levels: dict[str, list[str]]
    run: np.ndarray

    def name(self, mask: np.ndarray) -> str:
        """Name the cells where the mask holds by their methods, feature set first."""
        levels, places = list(self.levels.values()), np.flatnonzero(mask)
        first = [np.unravel_index(place, mask.shape) for place in places[:SHOWN]]
        cells = [
            (self.featurization, *(level[i] for level, i in zip(levels, place, strict=True)))
            for place in first
        ]
        return name_cells(cells, len(places))

    def values(self, values: np.ndarray) -> np.ndarray:
        """Return values (k,) of combinations in the shape of the grid; NaN where one is missing."""
        return np.append(np.asarray(values, dtype=np.float64), np.nan)[self.run]  # -1 is the last one

    def lacks(self, values: np.ndarray, needed: np.ndarray | None = None) -> str:
        """Say which cells have no run or no value; empty where nothing lacks.

        Parameters
        ----------
        values : ndarray, shape (k,)
            A metric of the combinations.
        needed : ndarray of bool, shape of the grid, optional
            The cells that matter; by default all.
        """
        matters = np.ones(self.run.shape, dtype=bool) if needed is None else needed
        missing = matters & (self.run < 0)
        undefined = matters & ~missing & np.isnan(self.values(values))
        parts = [("missing", missing), ("the metric is undefined in", undefined)]
        return "; ".join(f"{what}: {self.name(mask)}" for what, mask in parts if mask.any())


def grids(combinations: Combinations) -> list[Grid]:
    """Arrange the combinations by feature set, in order of appearance."""
    cells = combinations.cells
    fixed = list(combinations.factors).index(FIXED)
    names = [name for name in combinations.factors if name != FIXED]
    by_features: dict[str, list[tuple[Cell, int]]] = {}
    for run, cell in [*enumerate(cells), *((-1, tuple(cell)) for cell in combinations.missing)]:
        by_features.setdefault(cell[fixed], []).append((cell[:fixed] + cell[fixed + 1 :], run))
    return [_grid(features, names, entries) for features, entries in by_features.items()]


def _grid(features: str, names: list[str], entries: list[tuple[Cell, int]]) -> Grid:
    levels = [list(dict.fromkeys(cell[i] for cell, _ in entries)) for i in range(len(names))]
    run = np.full([len(level) for level in levels], -1)
    for cell, position in entries:
        if position >= 0:
            run[tuple(level.index(name) for level, name in zip(levels, cell, strict=True))] = position
    return Grid(features, dict(zip(names, levels, strict=True)), run)

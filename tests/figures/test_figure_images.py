"""Six figures look as they did when somebody last looked at them.

After a change that is meant, run this file with `--mpl-generate-path=tests/figures/baseline`, and look.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import FIGURES, drawn
from matplotlib.testing.compare import compare_images

BASELINE = Path(__file__).parent / "baseline"
TOLERANCE = 1.0
"""Root mean square difference, of 255: machines differ by less, a lost mark makes more."""
LOOK = {"dpi": 80, "facecolor": "white"}
NAMES = [
    "forest_outlier",
    "heatmap_auroc",
    "specification_curve_auroc",
    "critical_difference_brier",
    "calibration",
    "decision_curves",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.mpl_image_compare(tolerance=TOLERANCE, savefig_kwargs=LOOK)
def test_looks_as_before(name, whole_db):
    sheet, _, _ = drawn(FIGURES[name], whole_db)
    return sheet


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_mark_is_seen(name, whole_db, tmp_path):
    sheet, _, _ = drawn(FIGURES[name], whole_db)
    axes = next(axes for axes in sheet.axes if axes.collections or axes.patches or axes.lines)
    max([*axes.collections, *axes.patches, *axes.lines], key=_area).remove()
    sheet.savefig(tmp_path / "changed.png", **LOOK)
    expected = BASELINE / f"test_looks_as_before_{name}.png"
    assert compare_images(str(expected), str(tmp_path / "changed.png"), tol=TOLERANCE) is not None


def _area(mark):
    box = mark.get_window_extent()
    return box.width * box.height if mark.get_visible() else 0

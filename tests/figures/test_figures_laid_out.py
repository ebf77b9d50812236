"""Every figure on databases small, large and with holes: nothing cut off, covered or unsaid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import simulated_results as simulated
from drawing import FIGURES, drawn
from matplotlib.collections import LineCollection, PathCollection

DATABASES = ["whole_db", "gaps_db", "two_feature_sets_db", "long_names_db", "many_imputers_db"]


@pytest.fixture(scope="module", params=itertools.product(FIGURES, DATABASES), ids="-".join)
def picture(request):
    name, database = request.param
    found = drawn(FIGURES[name], request.getfixturevalue(database))
    if found is None:
        pytest.skip("this database has nothing for this figure")
    return found


def test_axis_limits_contain_all_data(picture):
    sheet, _, _ = picture
    for axes in sheet.axes:
        low, high = np.transpose([sorted(axes.get_xlim()), sorted(axes.get_ylim())])
        for points in _points(axes):
            points = points[np.isfinite(points).all(axis=1)]
            assert (points >= low - 1e-9).all(), axes.get_title()
            assert (points <= high + 1e-9).all(), axes.get_title()


def _points(axes):
    for line in axes.lines:
        if line.get_transform() == axes.transData:
            yield np.asarray(line.get_xydata(), float)
    for group in axes.collections:
        if isinstance(group, LineCollection):
            yield from (np.asarray(segment, float) for segment in group.get_segments())
        elif isinstance(group, PathCollection):
            yield np.asarray(group.get_offsets(), float)


def test_no_label_overlaps_another_and_none_leaves_the_picture(picture):
    sheet, _, _ = picture
    edge = sheet.bbox.padded(0.5)
    for axes in sheet.axes:
        for axis in (axes.xaxis, axes.yaxis):
            boxes = [(label.get_text(), label.get_window_extent()) for label in _shown(axis)]
            for (one, first), (other, second) in itertools.combinations(boxes, 2):
                assert not _overlap(first, second), (one, other)
            for text, box in boxes:
                assert edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0, text
        for text in axes.texts:
            box = text.get_window_extent()
            assert edge.x0 <= box.x0 and box.x1 <= edge.x1, text.get_text()


def test_no_title_of_a_panel_overlaps_another(picture):
    sheet, _, _ = picture
    titles = [title for axes in sheet.axes if axes.get_visible() for title in (axes.title, axes._left_title)]
    boxes = [(title.get_text(), title.get_window_extent()) for title in titles if title.get_text()]
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not _overlap(first, second), (one, other)
        assert second.x1 <= sheet.bbox.x1, other


def _shown(axis):
    if not axis.axes.get_visible():
        return []
    low, high = sorted(axis.get_view_interval())
    labels = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [label for label in labels if label.get_visible() and label.get_text()]


def _overlap(first, second):
    across = min(first.x1, second.x1) - max(first.x0, second.x0)
    along = min(first.y1, second.y1) - max(first.y0, second.y0)
    return across > 0.5 and along > 0.5


def test_nothing_covers_title_stamp_legend_or_the_line_on_missing_cells(picture):
    sheet, _, background = picture
    renderer = sheet.canvas.get_renderer()
    boxes = {text.get_gid(): text.get_window_extent() for text in sheet.texts}
    boxes |= {f"legend {i}": legend.get_window_extent() for i, legend in enumerate(sheet.legends)}
    shown = [axes for axes in sheet.axes if axes.get_visible()]
    boxes |= {f"axes {i}": axes.get_tightbbox(renderer) for i, axes in enumerate(shown)}
    assert {"title", "stamp"} <= set(boxes)
    assert ("incomplete" in boxes) == (not background.missing.empty)
    for one, other in itertools.combinations(boxes, 2):
        if not (one.startswith("axes") and other.startswith("axes")):
            assert not _overlap(boxes[one], boxes[other]), (one, other)


@pytest.fixture(scope="module")
def one_run_db(tmp_path_factory):
    """A single combination, so that figures of the selected combinations are one column wide."""
    cell = ("simple", "LOF", "linear", "CatBoost")
    return simulated.build(tmp_path_factory.mktemp("db") / "one.db", cells=[cell])


@pytest.mark.parametrize("name", FIGURES)
def test_legends_of_a_single_run_are_inside_the_picture(name, one_run_db):
    if (picture := drawn(FIGURES[name], one_run_db)) is None:
        pytest.skip("a single run has nothing for this figure")
    for legend in picture[0].legends:
        box = legend.get_window_extent()
        assert picture[0].bbox.x0 <= box.x0 and box.x1 <= picture[0].bbox.x1

"""Every figure, held against its own data: nothing left out, cut off, covered or unsaid."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest
import simulated_results as simulated
import yaml
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import is_color_like, to_hex

from src.figures import style
from src.figures.catalogue import find_figures, read, what_lacks
from src.figures.figure import PARTS
from src.figures.selection import CHOSEN
from src.figures.style import Background, finish, journal_style, read_background
from src.results.database import open_results

FIGURES = find_figures()
NAMES = [figure.name for figure in FIGURES]
DATABASES = ["whole_db", "gaps_db", "two_feature_sets_db", "long_names_db", "many_imputers_db"]


def drawn(figure, database, laid_out=True):
    """Draw a figure; return the picture, its tables and the background, or None without data."""
    with open_results(database) as results, journal_style():
        if what_lacks(figure, results):
            return None
        background, tables = read_background(results.query), read(figure, results)
        if next(iter(tables.values())).empty:
            return None
        sheet = figure.draw(tables, background)
        finish(sheet, figure.title, background)
        if laid_out:
            sheet.draw_without_rendering()
    return sheet, tables, background


@pytest.fixture(scope="module", params=itertools.product(NAMES, DATABASES), ids="-".join)
def picture(request):
    name, database = request.param
    found = drawn(FIGURES[NAMES.index(name)], request.getfixturevalue(database))
    if found is None:
        pytest.skip("this database has nothing for this figure")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_can_be_drawn(name, whole_db, two_feature_sets_db):
    figure = FIGURES[NAMES.index(name)]
    assert drawn(figure, whole_db, False) or drawn(figure, two_feature_sets_db, False)


@pytest.fixture
def demo(request, gaps_db):
    """The figure called for, drawn from the simulated demo."""
    return lambda name: drawn(FIGURES[NAMES.index(name)], gaps_db)


def marks(sheet):
    """How many marks were drawn, by the group they belong to."""
    counts = Counter()
    for axes in sheet.axes:
        for line in axes.lines:
            counts[line.get_gid()] += 1
        for patch in axes.patches:
            counts[patch.get_gid()] += 1
        for group in axes.collections:
            points = group.get_offsets() if isinstance(group, PathCollection) else group.get_paths()
            counts[group.get_gid()] += len(points)
    return counts


MARKS = yaml.safe_load((Path(__file__).parent / "marks.yaml").read_text())


@pytest.mark.parametrize("database", ["whole_db", "gaps_db"])
@pytest.mark.parametrize("name", NAMES)
def test_there_are_as_many_marks_as_rows(name, database, request):
    database = request.getfixturevalue(database)
    picture = drawn(FIGURES[NAMES.index(name)], database, laid_out=False)
    if picture is None:
        pytest.skip("this database has nothing for this figure")
    counts = marks(picture[0])
    with open_results(database) as results:
        selected = str(len(results.query(CHOSEN)))
        for group, sql in MARKS[name].items():
            expected = results.query(sql.replace("{selected}", selected)).iloc[0, 0]
            assert counts[group] == expected, group


def test_names_are_unique_and_everything_is_said():
    assert len(set(NAMES)) == len(NAMES) >= 8
    for figure in FIGURES:
        assert figure.needs
        assert figure.part in PARTS
        assert len(figure.caption) > 80


@pytest.mark.parametrize("name", ["forest_outlier", "forest_imputation", "forest_classifier"])
def test_forest_draws_every_combination_and_every_interval(demo, name):
    sheet, tables, _ = demo(name)
    rows, counts = tables["estimates"], marks(sheet)
    methods = rows["method"].nunique()
    assert len(rows) == 36 - 3
    assert counts["chosen"] == counts["sampling"] == counts["refit"] == 2 * methods
    assert counts["others"] == 2 * (len(rows) - methods)
    assert counts["baseline"] == 2


def test_the_line_of_age_is_that_of_age_alone(gaps_db, tmp_path):
    path = shutil.copy(gaps_db, tmp_path / "two_baselines.db")
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE baseline_metrics SET brier = 0.01 WHERE featurization = 'simple-age'")
    _, tables, _ = drawn(FIGURES[NAMES.index("forest_classifier")], path, laid_out=False)
    assert list(tables["baseline"]["run_id"]) == ["age"]


@pytest.mark.parametrize("name", ["heatmap_auroc", "heatmap_brier"])
def test_heatmap_draws_every_planned_cell_and_marks_the_missing(demo, name):
    sheet, tables, _ = demo(name)
    counts = marks(sheet)
    assert len(tables["cells"]) == 36
    assert (counts["value"], counts["missing"], counts["champion"]) == (33, 3, 1)
    written = [text.get_text() for axes in sheet.axes for text in axes.texts]
    assert written.count("failed") == 3
    values = [f"{value:.3f}" for value in tables["cells"]["value"].dropna()]
    assert Counter(values) == Counter(text for text in written if text != "failed")


def test_curves_are_drawn_for_every_chosen_combination(demo):
    chosen = len(demo("roc")[1]["chosen"])
    assert marks(demo("roc")[0])["curve"] == marks(demo("roc")[0])["band"] == chosen
    counts = marks(demo("calibration")[0])
    assert counts["oob_pooled"] == counts["apparent"] == chosen
    assert counts["groups"] == 10 * chosen
    sheet, tables, _ = demo("decision_curves")
    assert marks(sheet)["curve"] == 2 * chosen
    assert marks(sheet)["unshifted"] == chosen
    assert marks(sheet)["treat all"] == 2
    assert set(tables["curves"]["population"]) == {"study", "population"}


def test_histograms_draw_every_bin(demo):
    for name, key in (("probability_distributions", "bars"), ("calibration", "histogram")):
        sheet, tables, _ = demo(name)
        counts = marks(sheet)
        assert counts["class 0"] + counts["class 1"] == len(tables[key]) == 40 * len(tables["chosen"])


def test_recording_draws_every_flagged_sample(demo):
    sheet, tables, _ = demo("recording")
    first_column = sheet.axes[2]
    flagged = sum(len(group.get_paths()) for group in first_column.collections)
    assert flagged == len(tables["masks"]) + tables["signal"]["truth_mask"].sum()
    imputers = tables["imputed"]["imputation_method"].nunique()
    assert marks(sheet)["imputed"] == 2 * imputers


def test_recording_shows_a_detector_that_flagged_nothing_and_no_zoom_without_gaps(gaps_db, tmp_path):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    figure = FIGURES[NAMES.index("recording")]
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE example_imputations SET missing = false WHERE outlier_method = 'LOF'")
    sheet, _, background = drawn(figure, database)
    names = _strips(sheet)
    assert background.label("outlier", "LOF") in names
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE example_imputations SET missing = false")
    sheet, tables, _ = drawn(figure, database)
    assert _strips(sheet) == names
    assert len(sheet.axes) == 2 + tables["imputed"]["imputation_method"].nunique()


def _strips(sheet):
    """Names of the strips of the recording."""
    (axes,) = [axes for axes in sheet.axes if axes._left_title.get_text() == "Flagged or lost"]
    return [label.get_text() for label in axes.get_yticklabels()]


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


@pytest.mark.parametrize(
    ("source", "words"),
    [("synthetic", "SYNTHETIC DATA"), ("unstated", "SOURCE UNSTATED"), ("measured", None)],
)
def test_stamp_stands_on_what_was_not_measured_and_only_there(gaps_db, tmp_path, source, words):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE provenance SET source = ?", [source])
    for figure in FIGURES:
        if (picture := drawn(figure, database, laid_out=False)) is None:
            continue
        sheet = picture[0]
        stamps = [text for text in sheet.texts if text.get_gid() == "stamp"]
        assert [text.get_text() for text in stamps] == ([words] if words else [])
        assert all(text.get_visible() for text in stamps)


def test_missing_cells_are_named_on_the_picture(demo):
    sheet, _, _ = demo("roc")
    line = next(text.get_text() for text in sheet.texts if text.get_gid() == "incomplete").replace("\n", " ")
    assert line.startswith("Incomplete: 3 of 36 cells missing: ")
    assert "LOF + Ground truth + XGBoost (failed)" in line


def test_complete_grid_has_no_such_line(tmp_path):
    sheet, _, background = drawn(FIGURES[0], simulated.build(tmp_path / "x.db"))
    assert background.incomplete() == ""
    assert all(text.get_gid() != "incomplete" for text in sheet.texts)


def test_many_missing_cells_are_counted_not_listed(tmp_path):
    database = simulated.build(tmp_path / "x.db", missing=range(9))
    with open_results(database) as results:
        line = read_background(results.query).incomplete()
    assert line.startswith("Incomplete: 9 of 36")
    assert line.endswith("and 5 more")


def test_colours_and_names_come_from_the_methods_table(gaps_db):
    with open_results(gaps_db) as results:
        background = read_background(results.query)
    assert background.colour("outlier", "LOF") == "#DDCC77"
    assert background.label("outlier", "OneClassSVM") == "One-class SVM"
    assert background.label("outlier", "unheard-of") == "unheard-of"


OWN_COLOURS = {
    to_hex(colour)
    for value in vars(style).values()
    for colour in (value if isinstance(value, tuple) else (value,))
    if isinstance(colour, str) and is_color_like(colour) and colour.startswith("#")
}


@pytest.fixture(scope="module")
def recoloured_db(whole_db, tmp_path_factory):
    """The same results, all methods of other colours."""
    path = shutil.copy(whole_db, tmp_path_factory.mktemp("recoloured") / "x.db")
    with duckdb.connect(path) as connection:
        connection.execute(r"UPDATE methods SET colour = printf('#01%02d01', rowid)")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_colours_of_methods_are_those_of_the_table(name, whole_db, recoloured_db):
    figure = FIGURES[NAMES.index(name)]
    before, after = (drawn(figure, database, laid_out=False) for database in (whole_db, recoloured_db))
    if before is None:
        pytest.skip("this database has nothing for this figure")
    old, new = (set(picture[2].methods["colour"].str.lower()) for picture in (before, after))
    seen_before, seen_after = colours(before[0]), colours(after[0])
    assert not (seen_after & old) - OWN_COLOURS
    if (seen_before & old) - OWN_COLOURS:
        assert seen_after & new


def colours(sheet):
    """Every colour of the marks of a picture, without their transparency."""
    found = []
    for axes in sheet.axes:
        for line in axes.lines:
            found += [line.get_color(), line.get_markerfacecolor(), line.get_markeredgecolor()]
        for patch in axes.patches:
            found += [patch.get_facecolor(), patch.get_edgecolor()]
        for group in axes.collections:
            found += [*group.get_facecolor(), *group.get_edgecolor()]
    return {to_hex(colour) for colour in found}


def test_shortened_names_stay_different(gaps_db):
    with open_results(gaps_db) as results:
        background = read_background(results.query)
    names = ["x" * 20 + middle + "y" * 20 for middle in ("one", "two")]
    methods = background.methods.head(2).assign(stage="outlier", name=names, display_name=names)
    labels = Background(background.provenance, methods, background.coverage)
    assert labels.label("outlier", names[0]) != labels.label("outlier", names[1])

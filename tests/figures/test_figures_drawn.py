"""Every figure, held against its own data: nothing left out, cut off, covered or unsaid."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest
import simulated_results as simulated
import yaml
from drawing import FIGURES, colours, drawn, drawn_once, marks
from matplotlib.colors import is_color_like, to_hex
from matplotlib.text import Text

from src.figures import style
from src.figures.catalogue import find_figures
from src.figures.figure import PARTS
from src.figures.selection import CHOSEN
from src.figures.style import Background, read_background
from src.results.database import open_results


@pytest.fixture
def demo(request, gaps_db):
    """The figure called for, drawn from the simulated demo."""
    return lambda name: drawn_once(name, gaps_db)


MARKS = yaml.safe_load((Path(__file__).parent / "marks.yaml").read_text())


@pytest.mark.parametrize("database", ["whole_db", "gaps_db"])
@pytest.mark.parametrize("name", FIGURES)
def test_there_are_as_many_marks_as_rows(name, database, request):
    database = request.getfixturevalue(database)
    picture = drawn_once(name, database)
    if picture is None:
        pytest.skip("this database has nothing for this figure")
    counts = marks(picture[0])
    with open_results(database) as results:
        words = {"selected": len(results.query(CHOSEN)), "chosen": f"SELECT run_id FROM ({CHOSEN})"}
        for group, sql in MARKS[name].items():
            expected = results.query(sql.format(**words)).iloc[0, 0]
            assert counts[group] == expected, group


def test_everything_is_said_and_counted():
    assert set(MARKS) == set(FIGURES)
    assert len(FIGURES) == len(find_figures())
    for figure in FIGURES.values():
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
    _, tables, _ = drawn(FIGURES["forest_classifier"], path)
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
    figure = FIGURES["recording"]
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


@pytest.mark.parametrize(
    ("source", "words"),
    [("synthetic", "SYNTHETIC DATA"), ("unstated", "SOURCE UNSTATED"), ("measured", None)],
)
def test_stamp_stands_on_what_was_not_measured_and_only_there(gaps_db, tmp_path, source, words):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE provenance SET source = ?", [source])
    for name in ("roc", "coverage", "traces"):
        sheet, _, _ = drawn(FIGURES[name], database)
        stamps = [text for text in sheet.texts if text.get_gid() == "stamp"]
        assert [text.get_text() for text in stamps] == ([words] if words else [])
        assert all(text.get_visible() for text in stamps)


@pytest.fixture(scope="module", params=[0, 1], ids=["even", "odd"])
def undefined_db(request, whole_db, tmp_path_factory):
    """The same results, every interval and the other numbers of every second row undefined."""
    path = shutil.copy(whole_db, tmp_path_factory.mktemp("undefined") / "x.db")
    with duckdb.connect(path) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, column_name SIMILAR TO '.*(_lo|_hi|_sd)|lo|hi|sd' "
            "FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
            "WHERE data_type = 'DOUBLE' AND is_nullable AND column_name NOT IN ('brier', 'p', 'x')"
        ).fetchall()
        for table, column, whole in columns:
            some = "" if whole else f"WHERE rowid % 2 = {request.param}"
            connection.execute(f'UPDATE {table} SET "{column}" = NULL {some}')
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_undefined_numbers_are_never_written_as_numbers(name, undefined_db):
    picture = drawn(FIGURES[name], undefined_db)
    texts = [text.get_text() for text in picture[0].findobj(Text)] if picture else []
    assert [text for text in texts if re.search(r"\b(nan|None|inf)\b", text)] == []


def test_missing_cells_are_named_on_the_picture(demo):
    sheet, _, _ = demo("roc")
    line = next(text.get_text() for text in sheet.texts if text.get_gid() == "incomplete").replace("\n", " ")
    assert line.startswith("Incomplete: 3 of 36 cells missing: ")
    assert "LOF + Ground truth + XGBoost (failed)" in line


def test_complete_grid_has_no_such_line(tmp_path):
    sheet, _, background = drawn(FIGURES["coverage"], simulated.build(tmp_path / "x.db"))
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


@pytest.mark.parametrize("name", FIGURES)
def test_colours_of_methods_are_those_of_the_table(name, whole_db, recoloured_db):
    before, after = (drawn_once(name, database) for database in (whole_db, recoloured_db))
    if before is None:
        pytest.skip("this database has nothing for this figure")
    old, new = (set(picture[2].methods["colour"].str.lower()) for picture in (before, after))
    seen_before, seen_after = colours(before[0]), colours(after[0])
    assert not (seen_after & old) - OWN_COLOURS
    if (seen_before & old) - OWN_COLOURS:
        assert seen_after & new


def test_shortened_names_stay_different(gaps_db):
    with open_results(gaps_db) as results:
        background = read_background(results.query)
    names = ["x" * 20 + middle + "y" * 20 for middle in ("one", "two")]
    methods = background.methods.head(2).assign(stage="outlier", name=names, display_name=names)
    labels = Background(background.provenance, methods, background.coverage)
    assert labels.label("outlier", names[0]) != labels.label("outlier", names[1])

"""Calibration, risk-coverage and retention: every curve and band drawn is that of the database."""

from __future__ import annotations

import shutil

import duckdb
import numpy as np
import pytest
from drawing import drawn, marks

from src.figures.calibration import CALIBRATION
from src.figures.catalogue import read, what_lacks
from src.figures.retention import RETENTION
from src.figures.risk_coverage import RISK_COVERAGE
from src.results.database import open_results


def ask(database, sql, *values):
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql, values).fetchall()


@pytest.fixture
def changed(gaps_db, tmp_path):
    """The simulated demo after some statements."""

    def change(*statements):
        path = shutil.copy(gaps_db, tmp_path / "x.db")
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return change


def lines(axes, gid):
    return [np.column_stack(line.get_data()) for line in axes.lines if line.get_gid() == gid]


def outline(axes, gid):
    """The corners of the only area of a group."""
    (area,) = [group for group in axes.collections if group.get_gid() == gid]
    return {tuple(corner) for path in area.get_paths() for corner in path.vertices.round(9).tolist()}


def corners(rows):
    """Both ends of a band at every place: rows of place, lower and upper end."""
    return {(round(x, 9), round(end, 9)) for x, *ends in rows for end in ends}


def test_the_band_of_a_calibration_curve_is_that_of_the_database(gaps_db):
    sheet, tables, _ = drawn(CALIBRATION, gaps_db, laid_out=False)
    chosen = tables["chosen"]["run_id"].tolist()
    assert marks(sheet)["band"] == len(chosen)
    panels = [axes for axes in sheet.axes if lines(axes, "oob_pooled")]
    for axes, run_id in zip(panels, chosen, strict=True):
        rows = ask(
            gaps_db,
            "SELECT p, observed_lo, observed_hi FROM calibration_curves WHERE run_id = ? "
            "AND estimator = 'oob_pooled' AND observed IS NOT NULL",
            run_id,
        )
        assert len(rows) == 100
        assert corners(rows) <= outline(axes, "band")
        assert len(outline(axes, "band")) <= 2 * len(rows) + 2


def test_risk_and_coverage_are_those_of_the_database(gaps_db):
    sheet, tables, _ = drawn(RISK_COVERAGE, gaps_db, laid_out=False)
    chosen = tables["chosen"]["run_id"].tolist()
    counts = marks(sheet)
    assert counts["curve"] == counts["band"] == len(chosen) >= 3
    assert counts["reference"] == len(chosen) - 1
    panels = [axes for axes in sheet.axes if axes.get_visible()]
    for axes, run_id in zip(panels, chosen, strict=True):
        rows = ask(
            gaps_db,
            "SELECT retained, error, error_lo, error_hi FROM retention_curves "
            "WHERE run_id = ? ORDER BY point",
            run_id,
        )
        (curve,) = lines(axes, "curve")
        np.testing.assert_array_equal(curve, [row[:2] for row in rows])
        assert corners([(row[0], *row[2:]) for row in rows]) <= outline(axes, "band")
        low, high = axes.get_ylim()
        assert low <= min(row[2] for row in rows) and max(row[3] for row in rows) <= high


def test_the_areas_are_written_with_their_intervals(gaps_db):
    sheet, tables, _ = drawn(RISK_COVERAGE, gaps_db, laid_out=False)
    panels = [axes for axes in sheet.axes if axes.get_visible()]
    for axes, run_id in zip(panels, tables["chosen"]["run_id"], strict=True):
        rows = ask(
            gaps_db,
            "SELECT estimate, sampling_lo, sampling_hi FROM metric_estimates WHERE run_id = ? "
            "AND estimator = 'oob_pooled' AND metric IN ('aurc', 'eaurc') ORDER BY metric",
            run_id,
        )
        words = [f"{e:.3f} ({lo:.3f} to {hi:.3f})" for e, lo, hi in rows]
        assert f"AURC {words[0]}\nE-AURC {words[1]}" in {text.get_text() for text in axes.texts}


def test_an_area_without_interval_has_no_brackets_and_one_without_name_its_own(changed):
    database = changed(
        "UPDATE metric_estimates SET sampling_lo = NULL, sampling_hi = NULL WHERE metric = 'aurc'",
        "DELETE FROM metric_estimates WHERE metric = 'eaurc'",
        "DELETE FROM metrics WHERE name = 'aurc'",
    )
    sheet, tables, _ = drawn(RISK_COVERAGE, database, laid_out=False)
    run_id = tables["chosen"]["run_id"].iloc[0]
    ((value,),) = ask(
        database,
        "SELECT estimate FROM metric_estimates "
        "WHERE run_id = ? AND estimator = 'oob_pooled' AND metric = 'aurc'",
        run_id,
    )
    assert f"aurc {value:.3f}" in {text.get_text() for text in sheet.axes[0].texts}


def test_a_combination_without_curve_keeps_its_panel(changed, gaps_db):
    first = drawn(RISK_COVERAGE, gaps_db, laid_out=False)[1]["chosen"]["run_id"].iloc[0]
    database = changed(f"DELETE FROM retention_curves WHERE run_id = '{first}'")
    sheet, tables, _ = drawn(RISK_COVERAGE, database)
    curves = [line for axes in sheet.axes for line in lines(axes, "curve")]
    assert [len(curve) > 0 for curve in curves] == [False] + [True] * (len(tables["chosen"]) - 1)
    sheet, tables, _ = drawn(RETENTION, database)
    assert marks(sheet)["curve"] == 3 * (len(tables["chosen"]) - 1)


def test_retention_draws_every_metric_of_every_combination(gaps_db):
    sheet, tables, _ = drawn(RETENTION, gaps_db, laid_out=False)
    chosen = tables["chosen"]["run_id"].tolist()
    assert len(sheet.axes) == 3
    for axes, metric in zip(sheet.axes, ("auroc", "brier", "error"), strict=True):
        curves = lines(axes, "curve")
        assert len(curves) == len(chosen)
        for curve, run_id in zip(curves, chosen, strict=True):
            rows = ask(
                gaps_db,
                f"SELECT retained, {metric} FROM retention_curves "
                f"WHERE run_id = ? AND {metric} IS NOT NULL ORDER BY point",
                run_id,
            )
            np.testing.assert_array_equal(curve, rows)
    (legend,) = sheet.legends
    roles = [text.get_text().partition(":")[0] for text in legend.get_texts()]
    assert roles == tables["chosen"]["role"].tolist()
    colours = [line.get_color() for line in legend.get_lines()]
    assert colours == [line.get_color() for line in sheet.axes[0].lines]


def test_which_way_is_better_comes_from_the_dictionary_of_metrics(changed):
    database = changed("UPDATE metrics SET direction = 'lower', display_name = 'Area' WHERE name = 'auroc'")
    sheet, _, _ = drawn(RETENTION, database, laid_out=False)
    titles = [axes.get_title(loc="left") for axes in sheet.axes]
    assert titles == [
        "Area (lower is better)",
        "Brier score (lower is better)",
        "Share of errors (lower is better)",
    ]


@pytest.mark.parametrize("figure", [RISK_COVERAGE, RETENTION], ids=lambda figure: figure.name)
def test_without_curves_nothing_is_drawn_and_it_is_said(figure, changed):
    with open_results(changed("DELETE FROM retention_curves")) as results:
        assert what_lacks(figure, results) == "table retention_curves is empty"
    others = "DELETE FROM retention_curves WHERE run_id NOT IN (SELECT run_id FROM baseline_metrics)"
    with open_results(changed(others)) as results:
        assert what_lacks(figure, results) == ""
        assert next(iter(read(figure, results).values())).empty

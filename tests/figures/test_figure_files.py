"""What lies beside a figure, and what happens when something is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from damage import flipped, flipped_in

import src.figures
from src.figures.catalogue import draw_all, find_figures, read
from src.figures.gallery import write_gallery
from src.figures.selection import CHOSEN
from src.figures.style import FigureError, replacing
from src.results.database import ResultsError, open_results

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "scripts" / "make_figures.py")]


@pytest.fixture(scope="module")
def drawn_files(whole_db, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    draw_all(whole_db, out, formats=["png"])
    return out


def test_csv_is_what_the_queries_give(whole_db, drawn_files):
    with open_results(whole_db) as results:
        for figure in find_figures():
            for number, (part, table) in enumerate(read(figure, results).items()):
                name = f"{figure.name}_{part}.csv" if number else f"{figure.name}.csv"
                written = pd.read_csv(drawn_files / name)
                pd.testing.assert_frame_equal(
                    written, table, check_dtype=False, rtol=0, atol=0, check_exact=True
                )


def test_json_says_where_the_numbers_come_from(whole_db, drawn_files):
    for figure in find_figures():
        words = json.loads((drawn_files / f"{figure.name}.json").read_text())
        assert words["database_sha256"] == hashlib.sha256(whole_db.read_bytes()).hexdigest()
        assert (words["cohort_hash"], words["code_commit"]) == ("c0ffee0123456789", "abc1234")
        assert words["queries"] == dict(figure.queries)
        assert words["caption"] == figure.caption
        assert words["cells_missing"] == []


def test_json_names_the_missing_cells(gaps_db, tmp_path):
    draw_all(gaps_db, tmp_path, ["roc"], ["svg"], commit="abc")
    words = json.loads((tmp_path / "roc.json").read_text())
    assert [cell["status"] for cell in words["cells_missing"]] == ["failed"] * 3
    assert words["drawing_commit"] == "abc"


def test_pdf_embeds_its_fonts(gaps_db, tmp_path):
    draw_all(gaps_db, tmp_path, ["roc"], ["pdf"])
    pdf = (tmp_path / "roc.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_gallery_shows_every_figure_and_escapes(drawn_files):
    page = write_gallery(drawn_files).read_text()
    for figure in find_figures():
        assert f'src="{figure.name}.png"' in page
    assert "http" not in page


def test_an_empty_table_is_said_and_the_rest_is_drawn(gaps_db, tmp_path, capsys):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM roc_curves")
        connection.execute("DROP TABLE example_imputations")
    asked = ["roc", "recording", "decision_curves"]
    out = tmp_path / "out"
    draw_all(gaps_db, out, asked, ["png"])
    names = [outcome.name for outcome in draw_all(database, out, asked, ["png"]) if not outcome.reason]
    said = capsys.readouterr().out
    assert "roc: not drawn, table roc_curves is empty" in said
    assert "recording: not drawn, the database has no table example_imputations" in said
    assert names == ["decision_curves"]
    assert sorted(path.name for path in out.glob("*.png")) == ["decision_curves.png"]
    assert json.loads((out / "roc.json").read_text())["not_drawn"] == "table roc_curves is empty"
    page = write_gallery(out).read_text()
    assert "Not drawn: table roc_curves is empty." in page
    assert 'src="roc.png"' not in page


def test_a_refused_comparison_says_why(gaps_db, whole_db, tmp_path, capsys):
    asked = [figure.name for figure in find_figures() if figure.comparison == "variance decomposition"]
    assert asked
    assert [outcome.reason for outcome in draw_all(whole_db, tmp_path, asked, ["png"])] == [""] * len(asked)
    for outcome in draw_all(gaps_db, tmp_path, asked, ["png"]):
        assert outcome.reason.startswith("needs the complete grid; missing: simple + ")
        assert outcome.reason.count("simple + pupil-gt + linear + LogisticRegression") == 1


NEW_FIGURE = '''
"""How many runs there are."""

from src.figures.figure import Figure
from src.figures.style import new_sheet


def _draw(tables, background):
    sheet = new_sheet("single", 30)
    sheet.subplots().bar(0, tables["runs"]["n"])
    return sheet


RUNS = Figure("runs", "Runs", "How many runs there are.", {"runs": "SELECT count(*) AS n FROM runs"}, _draw,
              ("runs",), part="What ran")
'''


def test_a_new_figure_is_one_file(gaps_db, tmp_path, monkeypatch):
    (tmp_path / "count_of_runs.py").write_text(NEW_FIGURE)
    monkeypatch.setattr(src.figures, "__path__", [*src.figures.__path__, str(tmp_path)])
    find_figures.cache_clear()
    try:
        (outcome,) = draw_all(gaps_db, tmp_path / "out", ["runs"], ["png"])
    finally:
        find_figures.cache_clear()
    assert outcome.files == ("runs.png", "runs.csv", "runs.json")
    assert pd.read_csv(tmp_path / "out" / "runs.csv")["n"].tolist() == [35]
    assert 'src="runs.png"' in write_gallery(tmp_path / "out").read_text()


def test_two_processes_draw_what_one_draws(gaps_db, tmp_path):
    names = [figure.name for figure in find_figures()][:8]
    one, two = (draw_all(gaps_db, tmp_path / str(n), names, ["svg"], workers=n) for n in (1, 2))
    assert one == two
    for name in (file for outcome in one for file in outcome.files if file.endswith("csv")):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_table_under_a_view_may_be_gone(gaps_db, tmp_path):
    database = shutil.copy(gaps_db, tmp_path / "x.db")
    with duckdb.connect(str(database)) as connection:
        connection.execute("DROP TABLE winners_curse")
    one, other = draw_all(Path(database), tmp_path / "out", ["roc", "coverage"], ["png"])
    assert "winners_curse" in one.reason and not one.failed
    assert other.reason == ""


def test_an_error_costs_one_figure_and_is_shown(gaps_db, tmp_path, monkeypatch, capfd):
    draw_all(gaps_db, tmp_path, ["roc"], ["png"])
    monkeypatch.setattr("src.figures.roc.grid", lambda *_, **__: 1 / 0)
    one, other = draw_all(gaps_db, tmp_path, ["roc", "coverage"], ["png"])
    assert (one.failed, one.reason, other.failed) == (True, "ZeroDivisionError: division by zero", False)
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert (tmp_path / "roc.png").is_file()


def test_rows_of_a_chosen_run_may_be_gone(whole_db, tmp_path):
    database = Path(shutil.copy(whole_db, tmp_path / "x.db"))
    with open_results(database) as results:
        run_id = results.query(CHOSEN)["run_id"].iloc[0]
    with duckdb.connect(str(database)) as connection:
        for (table,) in connection.execute(
            "SELECT DISTINCT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
            "WHERE column_name = 'run_id' AND table_name NOT IN ('runs', 'essential_metrics', 'coverage')"
        ).fetchall():
            connection.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
        connection.execute("DELETE FROM example_imputations WHERE recording_code = 'U001'")
    outcomes = draw_all(database, tmp_path / "out", formats=["png"])
    assert [outcome.name for outcome in outcomes if outcome.failed] == []


def test_deleted_rows_are_not_drawn(gaps_db, tmp_path):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM essential_metrics WHERE outlier_method = 'LOF'")
    draw_all(database, tmp_path / "out", ["forest_outlier"], ["png"])
    assert "LOF" not in set(pd.read_csv(tmp_path / "out" / "forest_outlier.csv")["method"])


def test_unknown_names_list_the_known(gaps_db, tmp_path):
    with pytest.raises(FigureError, match=r"unknown figure 'rok'. Valid: .*roc"):
        draw_all(gaps_db, tmp_path, ["rok"])
    with pytest.raises(FigureError, match=r"unknown format 'gif'. Valid: png, pdf, svg"):
        draw_all(gaps_db, tmp_path, ["roc"], ["gif"])


def test_nothing_half_written_stays(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_command_draws_and_exits_0(gaps_db, tmp_path):
    run = _run("--db", gaps_db, "--out", tmp_path, "--only", "roc", "--format", "png")
    assert run.returncode == 0, run.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"roc.png", "roc.csv", "roc.json", "index.html"}


def test_command_names_the_missing_database_and_the_way_to_it(tmp_path):
    run = _run("--db", tmp_path / "no.db", "--out", tmp_path)
    assert run.returncode == 1
    assert "no.db" in run.stderr
    assert "python scripts/extract_results.py" in run.stderr


def test_command_says_where_it_cannot_write(gaps_db, tmp_path):
    (tmp_path / "file").write_text("x")
    run = _run("--db", gaps_db, "--out", tmp_path / "file", "--only", "roc")
    assert run.returncode == 2
    sentence = "File exists; choose another --out or make room there"
    assert run.stderr == f"cannot write {tmp_path / 'file'}: {sentence}\n"


@pytest.mark.parametrize("wrong", [["--only", ","], ["--format", ","], ["--jobs", "0"], ["--jobs", "x"]])
def test_command_refuses_what_says_nothing(wrong, gaps_db, tmp_path):
    run = _run("--db", gaps_db, "--out", tmp_path / "out", *wrong)
    assert run.returncode == 2
    assert f"argument {wrong[0]}: expected" in run.stderr
    assert not (tmp_path / "out").exists()


def test_command_exits_1_when_nothing_can_be_drawn(gaps_db, tmp_path):
    database = tmp_path / "x.db"
    shutil.copy(gaps_db, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM roc_curves")
    run = _run("--db", database, "--out", tmp_path / "out", "--only", "roc")
    assert run.returncode == 1
    assert "roc: not drawn" in run.stdout


def _run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_command_says_what_it_cannot_read(tmp_path):
    unreadable = tmp_path / ("x" * 300)  # as good as a folder without permission, and the same for root
    run = _run("--db", unreadable, "--out", tmp_path / "out")
    assert run.returncode == 1
    assert run.stderr == f"cannot read {unreadable}: File name too long; choose another --db\n"


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_database_is_one_sentence_that_says_what_to_do(gaps_db, tmp_path, seed):
    database = flipped(gaps_db, tmp_path / "r.db", seed)
    said = r"damaged \(Corrupt .*extract_results\.py --db .*r\.db$"
    with pytest.raises(ResultsError, match=said) as raised, open_results(database) as results:
        for table in results.query("SELECT table_name FROM duckdb_tables()")["table_name"]:
            results.query(f"SELECT * FROM {table}")
    assert "\n" not in str(raised.value)


def test_the_command_says_which_database_is_damaged(gaps_db, tmp_path):
    database = flipped_in(gaps_db, tmp_path / "r.db", "roc_curves")
    done = _run("--db", database, "--only", "roc", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{database} is damaged (Corrupt") and done.stderr.count("\n") == 1

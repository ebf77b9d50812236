"""The tables of README and ARCHITECTURE were measured, and are as the script writes them."""

from __future__ import annotations

import importlib.util
import json

import pytest
from commands import ROOT
from fuzzing import together
from measured import record

spec = importlib.util.spec_from_file_location("write_measured", ROOT / "scripts" / "write_measured.py")
write_measured = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_measured)

FAULTS = {"killed": {"survived": 1234, "rows_lost": 3, "date": "2001-02-03", "commit": "abc"}}
READ = {"inputs": 7, "outcomes": {"refused": 6, "clean": 1}, "slowest_s": 0.5}
FUZZ = {"cohort": READ | {"date": "2002-03-04", "commit": "def"}}
ROWS = [("a run", 12345.6, "h"), ("a file", 0.01234, "MB")]
COSTS = {"measured_at": "2003-04-05T06:07:08", "code_commit": "aaaaaaaaaaaa+changes", "cores": 2}
COSTS["rows"] = [dict(zip(("measure", "value", "unit"), row, strict=True)) for row in ROWS]
PAGE = "# Title\n\n<!-- {0} -->\nold\n<!-- /{0} -->\nThe rest.\n"
PAGES = {"README.md": PAGE.format("robustness"), "ARCHITECTURE.md": PAGE.format("costs")}
ALL = ("--faults", "faults.json", "--fuzz", "fuzz.json", "--costs", "costs.json")


@pytest.fixture
def run(tmp_path):
    for name, contents in {"faults.json": FAULTS, "fuzz.json": FUZZ, "costs.json": COSTS}.items():
        (tmp_path / name).write_text(json.dumps(contents))
    for name, page in PAGES.items():
        (tmp_path / name).write_text(page)

    def run(*words: str) -> int:
        places = ["--numbers", str(tmp_path / "kept.json"), "--pages", str(tmp_path)]
        measured = [str(tmp_path / word) if word.endswith(".json") else word for word in words]
        return write_measured.main([*places, *measured])

    return run


@pytest.mark.parametrize("table", write_measured.TABLES, ids=lambda table: table.page)
def test_the_tables_of_the_pages_are_what_the_script_writes(table):
    page = (ROOT / table.page).read_text(encoding="utf-8")
    numbers = json.loads(write_measured.NUMBERS.read_text(encoding="utf-8"))
    assert table.into(page, numbers) == page
    assert all(n["rows_lost"] == 0 and n["survived"] for n in numbers["faults"].values())


def test_what_was_measured_is_kept_and_stands_in_the_page(run, tmp_path):
    assert run(*ALL) == 0
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("# Title\n") and page.endswith("<!-- /robustness -->\nThe rest.\n")
    assert "| killed | 1,234 | 3 | 2001-02-03, abc |" in page
    assert "| cohort | 7 | 1 | 6 | 0 | 0.50 | 2002-03-04, def |" in page
    costs = (tmp_path / "ARCHITECTURE.md").read_text()
    assert (
        "| a run | 12,346 h |\n| a file | 0.0123 MB |" in costs
        and "2003-04-05 at aaaaaaaaaaaa+changes, 2 cores" in costs
    )
    assert "old" not in page
    newer = {"stopped": FAULTS["killed"] | {"survived": 9, "rows_lost": 0}}
    (tmp_path / "faults.json").write_text(json.dumps(newer))
    assert run("--faults", "faults.json") == 0
    assert json.loads((tmp_path / "kept.json").read_text()) == {"faults": newer, "fuzz": FUZZ, "costs": COSTS}
    page = (tmp_path / "README.md").read_text()
    assert run() == 0 and (tmp_path / "README.md").read_text() == page and "| stopped | 9 | 0 |" in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "has no numbers of faults; measure them: make test-faults"),
        (("--faults", "faults.json"), "has no numbers of fuzz; measure them: make fuzz"),
        (ALL[:4], "has no numbers of costs; measure them: .venv/bin/python -m benchmarks --only costs"),
        (("--fuzz", "nowhere.json"), "nowhere.json; measure it: make fuzz"),
    ],
)
def test_what_is_not_measured_is_not_written(run, tmp_path, capsys, words, sentence):
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert (tmp_path / "README.md").read_text() == PAGES["README.md"] and not (
        tmp_path / "kept.json"
    ).exists()


def test_a_page_without_a_place_for_the_table_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "README.md").write_text("# Title\n")
    assert run(*ALL) == 2
    assert "README.md has no place for the table; write <!-- robustness --> and" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "# Title\n" and not (tmp_path / "kept.json").exists()


def test_tests_add_to_a_report_one_after_the_other(tmp_path):
    path = tmp_path / "results" / "report.json"
    record(str(path), "a", {"n": 1})
    record(str(path), "b", {"n": 2})
    contents = json.loads(path.read_text())
    assert {what: numbers["n"] for what, numbers in contents.items()} == {"a": 1, "b": 2}
    assert set(contents["a"]) == {"n", "date", "commit"}
    record(None, "c", {})


def test_inputs_that_several_processes_tried_add_up(tmp_path):
    path = tmp_path / "report.json"
    for outcomes, slowest_s in (({"clean": 2, "refused": 3}, 0.5), ({"refused": 4, "no end": 1}, 0.25)):
        numbers = {"inputs": sum(outcomes.values()), "outcomes": outcomes, "slowest_s": slowest_s}
        record(str(path), "cohort", numbers, combine=together)
    found = json.loads(path.read_text())["cohort"]
    assert found["outcomes"] == {"clean": 2, "refused": 7, "no end": 1}
    assert (found["inputs"], found["slowest_s"]) == (10, 0.5)

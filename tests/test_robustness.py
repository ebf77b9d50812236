"""What the README says about faults and hostile files was measured, and is as the script writes it."""

from __future__ import annotations

import importlib.util
import json

import pytest
from commands import ROOT
from measured import record

spec = importlib.util.spec_from_file_location("robustness", ROOT / "scripts" / "robustness.py")
robustness = importlib.util.module_from_spec(spec)
spec.loader.exec_module(robustness)

FAULTS = {"killed": {"survived": 1234, "rows_lost": 3, "date": "2001-02-03", "commit": "abc"}}
READ = {"inputs": 7, "outcomes": {"refused": 6, "clean": 1}, "slowest_s": 0.5}
FUZZ = {"cohort": READ | {"date": "2002-03-04", "commit": "def"}}
PAGE = f"# Title\n\n{robustness.BEGIN}\nold\n{robustness.END}\nThe rest.\n"


@pytest.fixture
def run(tmp_path):
    for name, contents in {"faults.json": FAULTS, "fuzz.json": FUZZ}.items():
        (tmp_path / name).write_text(json.dumps(contents))
    (tmp_path / "README.md").write_text(PAGE)

    def run(*words: str) -> int:
        places = ["--numbers", str(tmp_path / "kept.json"), "--readme", str(tmp_path / "README.md")]
        measured = [str(tmp_path / word) if word.endswith(".json") else word for word in words]
        return robustness.main([*places, *measured])

    return run


def test_the_table_of_the_readme_is_what_the_script_writes():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    numbers = json.loads(robustness.NUMBERS.read_text(encoding="utf-8"))
    assert robustness.with_table(page, robustness.table(numbers)) == page
    assert all(n["rows_lost"] == 0 and n["survived"] for n in numbers["faults"].values())


def test_what_was_measured_is_kept_and_stands_in_the_page(run, tmp_path):
    assert run("--faults", "faults.json", "--fuzz", "fuzz.json") == 0
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("# Title\n") and page.endswith(f"{robustness.END}\nThe rest.\n")
    assert "| killed | 1,234 | 3 | 2001-02-03, abc |" in page
    assert "| cohort | 7 | 1 | 6 | 0.50 | 2002-03-04, def |" in page
    assert "old" not in page
    newer = {"stopped": FAULTS["killed"] | {"survived": 9, "rows_lost": 0}}
    (tmp_path / "faults.json").write_text(json.dumps(newer))
    assert run("--faults", "faults.json") == 0
    assert json.loads((tmp_path / "kept.json").read_text()) == {"faults": newer, "fuzz": FUZZ}
    page = (tmp_path / "README.md").read_text()
    assert run() == 0 and (tmp_path / "README.md").read_text() == page and "| stopped | 9 | 0 |" in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "has no numbers of faults; measure them: make test-faults"),
        (("--faults", "faults.json"), "has no numbers of fuzz; measure them: make fuzz"),
        (("--fuzz", "nowhere.json"), "nowhere.json; measure it: make fuzz"),
    ],
)
def test_what_is_not_measured_is_not_written(run, tmp_path, capsys, words, sentence):
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert (tmp_path / "README.md").read_text() == PAGE and not (tmp_path / "kept.json").exists()


def test_a_page_without_a_place_for_the_table_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "README.md").write_text("# Title\n")
    assert run("--faults", "faults.json", "--fuzz", "fuzz.json") == 2
    assert f"write {robustness.BEGIN} and {robustness.END}" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "# Title\n" and not (tmp_path / "kept.json").exists()


def test_tests_add_to_a_report_one_after_the_other(tmp_path):
    path = tmp_path / "results" / "report.json"
    record(str(path), "a", {"n": 1})
    record(str(path), "b", {"n": 2})
    contents = json.loads(path.read_text())
    assert {what: numbers["n"] for what, numbers in contents.items()} == {"a": 1, "b": 2}
    assert set(contents["a"]) == {"n", "date", "commit"}
    record(None, "c", {})

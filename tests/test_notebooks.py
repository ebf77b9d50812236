"""The notebooks, each run by a real kernel from an empty folder, and what they show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from commands import ROOT
from nbclient import NotebookClient

from src.cohort.file import read_cohort
from src.cohort.synthetic import generate
from src.figures.style import Background
from src.results.database import open_results

sys.path.insert(0, str(Path(__file__).parent / "figures"))
import simulated_results as simulated

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT_S = 300  # for one cell, on a busy machine: a kernel that hangs must not hang the tests

# Beside every picture, the words that stand on it.
WORDS_OF_PICTURES = """
from matplotlib.figure import Figure
_plain = get_ipython().display_formatter.formatters["text/plain"]
_ = _plain.for_type(Figure, lambda sheet, p, cycle: p.text("|".join(text.get_text() for text in sheet.texts)))
"""
KEEP_TABLES = """
import pandas as pd
for _name, _value in list(globals().items()):
    if isinstance(_value, pd.DataFrame) and not _name.startswith("_"):
        _value.reset_index(drop=True).to_parquet(f"{_FOLDER}/{_name}.parquet")
"""


@dataclass
class Executed:
    """What a notebook showed, and the data frames it left."""

    cells: list
    tables: dict[str, pd.DataFrame]

    @property
    def pictures(self) -> list[str]:
        """The words on every picture."""
        return [data["text/plain"] for data in self._data() if "image/png" in data]

    @property
    def printed(self) -> str:
        return "".join(
            o["text"] for cell in self.cells for o in cell.get("outputs", []) if o.get("name") == "stdout"
        )

    def _data(self):
        return [o["data"] for cell in self.cells for o in cell.get("outputs", []) if "data" in o]


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Run a notebook with other values of its parameters."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(home / name))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))

        def run(stem: str, **parameters) -> Executed:
            folder, tables = tmp_path_factory.mktemp(stem), tmp_path_factory.mktemp("tables")
            notebook = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
            (at,) = [
                i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])
            ]
            given = [f"{name} = {value!r}" for name, value in parameters.items()]
            for cell in notebook.cells:
                if "%matplotlib inline" in cell.source:
                    cell.source += WORDS_OF_PICTURES
            new = nbformat.v4.new_code_cell
            notebook.cells.insert(at + 1, new("\n".join(given)))
            notebook.cells.append(new(f"_FOLDER = {str(tables)!r}\n{KEEP_TABLES}"))
            client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": str(folder)}})
            client.execute()
            assert list(folder.iterdir()) == []
            read = {path.stem: pd.read_parquet(path) for path in tables.iterdir()}
            return Executed(notebook.cells, read)

        yield run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    stale = [i for i, cell in enumerate(code) if cell["outputs"] or cell["execution_count"] is not None]
    assert stale == [], f"{path.name} holds outputs; take them out with: make clear-notebooks"


def test_clearing_takes_outputs_out_and_nothing_else(tmp_path):
    (tmp_path / "notebooks").mkdir()
    before = NOTEBOOKS[0].read_text()
    ran = nbformat.reads(before, as_version=4)
    first = next(cell for cell in ran.cells if cell.cell_type == "code")
    first.outputs, first.execution_count = [nbformat.v4.new_output("stream", text="secret")], 3
    target = tmp_path / "notebooks" / NOTEBOOKS[0].name
    nbformat.write(ran, target)
    assert "secret" in target.read_text()
    recipe = re.search(r"^clear-notebooks:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = recipe[1].replace("$(BIN)/jupyter", f"{sys.executable} -m")
    subprocess.run(command, cwd=tmp_path, shell=True, check=True)
    assert target.read_text() == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_names_no_machine_and_runs_anywhere(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert str(ROOT) not in path.read_text() and "/home/" not in path.read_text()


@pytest.fixture(scope="module")
def explored(execute, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    words = ["data=smoke", f"data.folder='{folder}'"]
    done = execute("01_explore_the_cohort", DATA=words)
    (file,) = folder.iterdir()
    return done, read_cohort(file)[0]


def test_the_cohort_is_counted_right(explored):
    done, cohort = explored
    assert f"{len(cohort)} recordings" in done.printed and "synthetic" in done.printed
    assert list(done.tables["people"]["recordings"]) == [24, 14, 52]
    lost = ~(cohort.pupil == cohort.pupil)
    assert done.tables["lacks"]["lost"].tolist() == pytest.approx(lost.mean(axis=1).tolist())
    assert done.tables["over_time"]["artefact"].mean() == pytest.approx(cohort.truth_mask.mean(), rel=0.01)
    assert done.tables["features"].shape == (90, 8) and done.tables["features"].notna().all(axis=None)
    assert done.tables["pairs"].shape[0] == 9 * 8 / 2  # eight features and age
    assert (done.tables["inflation"]["vif"] >= 1).all()


def test_every_picture_of_a_synthetic_cohort_says_so(explored):
    done, _ = explored
    titles = [words.split("|")[0] for words in done.pictures]
    assert len(titles) == len(set(titles)) == 6
    assert [words for words in done.pictures if "SYNTHETIC DATA" not in words.split("|")] == []


def test_a_picture_of_measured_recordings_has_no_stamp_and_of_unknown_ones_has():
    assert Background.of_recordings("measured").stamp == ""
    assert Background.of_recordings("unstated").stamp == "SOURCE UNSTATED"


def test_a_cohort_without_truth_is_explored_too(execute, tmp_path):
    from src.cohort.file import write_cohort

    cohort = generate(n_recordings=30, n_controls=12, n_glaucoma=8, seed=4).without_truth()
    write_cohort(cohort, tmp_path / "cohort.duckdb")
    words = ["data=cohort", f"data.path='{tmp_path / 'cohort.duckdb'}'"]
    done = execute("01_explore_the_cohort", DATA=words)
    assert done.tables["lacks"]["artefact"].isna().all()
    assert len(done.pictures) == 6


ANSWERS = {
    "best": {"rank", "brier", "brier_lo", "brier_hi", "auroc", "in_confidence_set", "n_missing_cells"},
    "choosing": {"metric", "oob", "corrected", "optimism", "detectable"},
    "chance": {"brier_difference", "lo", "hi", "p", "p_holm"},
    "effects": {"factor", "method", "effect", "lo", "hi", "p_holm", "reason"},
    "detectors": {"outlier_method", "f1", "mean_brier", "n_cells"},
    "wrong": {"recording_code", "y", "share_wrong", "n_combinations"},
    "calibration": {"classifier", "cal_slope_median", "cal_intercept", "oe_ratio", "ici_oob_pooled"},
    "benefit": {"population", "net_benefit_per_1000", "treat_all_per_1000", "advantage_per_1000"},
    "stability": {"mape_mean", "flip_rate_10_mean", "refit_width", "sampling_width"},
    "baselines": {"part", "brier", "brier_difference"},
    "missing": {"what", "which", "why", "n"},
}


@pytest.fixture(scope="module", params=[(), (3, 10, 30)], ids=["complete", "gaps"])
def queried(request, execute, tmp_path_factory):
    path = simulated.build(tmp_path_factory.mktemp("db") / "results.db", missing=request.param)
    done = execute("02_query_the_results", DATABASE=str(path))
    with open_results(path) as results:
        yield done, results.query, len(request.param)


def test_ten_questions_have_answers(queried):
    done, _, _ = queried
    questions = [cell.source for cell in done.cells if re.match(r"## \d+\. .*\?$", cell.source, re.MULTILINE)]
    assert [int(q.split()[1][:-1]) for q in questions] == list(range(1, 11))
    for name, columns in ANSWERS.items():
        assert len(done.tables[name]) > 0, name
        assert columns <= set(done.tables[name]), name


def test_answers_are_those_of_the_database(queried):
    done, query, n_missing = queried
    best = query("SELECT min(brier) AS brier FROM essential_metrics")
    assert done.tables["best"]["brier"].iloc[0] == best["brier"].iloc[0]
    assert (done.tables["best"]["n_missing_cells"] == n_missing).all()
    runs = query("SELECT run_id FROM runs WHERE kind = 'combination'")
    assert (done.tables["wrong"]["n_combinations"] == len(runs)).all()  # no baseline among them
    predictions = query("SELECT * FROM predictions").merge(runs, on="run_id")
    first = done.tables["wrong"].iloc[0]
    hers = predictions[predictions["recording_code"] == first["recording_code"]]
    assert first["share_wrong"] == pytest.approx(((hers["p_oob"] >= 0.5) != (hers["y"] == 1)).mean())
    combinations = done.tables["missing"].query("what == 'combination'")
    assert combinations["n"].sum() == n_missing


def test_detectors_are_compared_in_the_same_cells(queried):
    done, query, n_missing = queried
    detectors = done.tables["detectors"]
    metrics = query("SELECT * FROM essential_metrics")
    cell = ["imputation_method", "classifier"]
    shared = metrics.groupby(cell).filter(lambda rows: len(rows) == 4)
    assert (len(shared) < len(metrics)) == (n_missing > 0)
    assert (detectors["n_cells"] == len(shared) / 4).all()
    means = shared.groupby("outlier_method")["brier"].mean()
    pd.testing.assert_series_equal(
        detectors.set_index("outlier_method")["mean_brier"].sort_index(), means, check_names=False
    )


def test_a_comparison_that_needs_the_whole_grid_gives_its_reason(queried):
    done, _, n_missing = queried
    effects = done.tables["effects"]
    assert effects["reason"].notna().any() == (n_missing > 0)
    assert (effects["effect"].notna() | effects["reason"].notna()).all()


def test_the_pictures_carry_the_stamp_and_name_missing_cells(queried):
    done, _, n_missing = queried
    assert len(done.pictures) == 2
    for words in done.pictures:
        assert "SYNTHETIC DATA" in words.split("|")
        assert ("Incomplete" in words) == (n_missing > 0)


@pytest.fixture(scope="module")
def added(execute):
    before = _contents()
    done = execute("03_add_a_method", RUN="data=smoke profile=smoke evaluation.n_iterations=20")
    return done, before, _contents()


def _contents() -> dict[str, bytes]:
    """What is in the checkout, without what running Python leaves."""
    listed = (path for part in ("src", "configs", "scripts", "data") for path in (ROOT / part).rglob("*"))
    return {str(p): p.read_bytes() for p in listed if p.suffix in (".py", ".yaml", ".sql", ".db")}


def test_the_new_method_is_found_run_and_compared(added):
    done, _, _ = added
    assert "planned 2, finished 2, reused 0, failed 0" in done.printed
    checks = done.tables["checks"].set_index("outlier_method")
    assert set(checks.index) == {"LOF", "SmallPupil"}
    assert checks.loc["SmallPupil", "better_than_random"]
    assert set(done.tables["board"]["outlier_display"]) == {"LOF", "Small pupil"}
    comparison = done.tables["comparison"].set_index("metric")
    brier = done.tables["board"].set_index("outlier_display")["brier"]
    assert comparison.loc["brier", "difference"] == pytest.approx(brier["Small pupil"] - brier["LOF"])
    assert (comparison["lo"] < comparison["difference"]).all()
    assert (comparison["difference"] < comparison["hi"]).all()


def test_adding_a_method_leaves_the_checkout_as_it_was(added):
    done, before, after = added
    assert before == after
    copy = Path(
        re.search(r"^(/.*)/data/public/foundation_plr_results\.db: 2 ", done.printed, re.MULTILINE)[1]
    )
    assert copy.name.startswith("add-a-method-") and not copy.exists()


def test_a_method_is_added_as_the_page_for_contributors_says():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^ {3}```(?:python|yaml)\n(.*?)^ {3}```", page, re.MULTILINE | re.DOTALL)
    code, config, entry = (re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in blocks)
    cells = [cell.source for cell in nbformat.read(ROOT / "notebooks/03_add_a_method.ipynb", 4).cells]
    assert f"%%writefile src/outliers/small_pupil.py\n{code}".rstrip() in cells
    assert f"%%writefile configs/outlier/SmallPupil.yaml\n{config}".rstrip() in cells
    assert any(f'"""\\\n{entry}"""' in cell for cell in cells)
    for path in ("src/outliers/small_pupil.py", "configs/outlier/SmallPupil.yaml"):
        assert f"`{path}`" in page

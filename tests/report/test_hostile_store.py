"""Texts of a store that are SQL, HTML or paths stay texts, from the runs to the pages."""

import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "results"))
from commands import run
from fake_store import FakeStore, example_arrays

from src.results.database import open_results
from src.results.extraction import extract
from src.results.safe_pickle import RejectedRun
from src.results.stage_tables import features

EVIL = "<script>x()</script>'); DROP TABLE runs;--../../../evil"
CELLS = [("simple", "LOF", "linear", name) for name in ("CatBoost", "XGBoost")]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    store = FakeStore(folder / "mlruns")
    links = store.stages("simple", "LOF", "linear")
    arrays = example_arrays()
    arrays |= {f"light_{EVIL}": arrays["light_red"], "../../../evil": np.zeros(3)}
    np.savez(store.folders["imputation"] / "artifacts" / "examples.npz", **arrays)
    store.sweep([*CELLS, ("simple", "LOF", "linear", EVIL)], name=EVIL, sweep_id=EVIL)
    tags = links | {"caveat": EVIL, "unpublished_weights": EVIL, "code_commit": EVIL}
    for seed, cell in enumerate(CELLS):
        told = store.combination(cell, seed, tags=tags, unit=EVIL, code_commit=EVIL, run_name=EVIL)
        meta = json.loads((told / "meta.yaml").read_text())
        (told / "meta.yaml").write_text(json.dumps(meta | {"run_name": EVIL}))
    store.failed(("simple", "LOF", "linear", "LogisticRegression"), error=EVIL)
    store.combination(("simple", "LOF", EVIL, "CatBoost"), 3)
    database = ("--db", str(folder / "results.db"))
    extract(store.root, folder / "results.db", progress=False)
    drawn = ("--only", "coverage,traces,recording", "--format", "svg,png", "--jobs", "1")
    run("scripts/make_figures.py", *database, *drawn, "--out", str(folder / "figures"))
    run("scripts/run_benchmark.py", *database, "--out", str(folder / "report"))
    return folder


def test_the_database_holds_them_as_they_are(made):
    with open_results(made / "results.db") as database:
        runs = database.query("SELECT run_name, caveat FROM runs")
        failed = database.query("SELECT reason FROM coverage WHERE status = 'failed'")["reason"]
    assert len(runs) == 2 and set(runs["run_name"]) == set(runs["caveat"]) == {EVIL}
    assert any(EVIL in reason for reason in failed)


def test_no_page_and_no_picture_holds_markup_of_theirs(made):
    pages = [path for path in made.rglob("*") if path.suffix in (".html", ".svg")]
    assert {path.suffix for path in pages} == {".html", ".svg"}
    assert not [path.name for path in pages if re.search(r"<script>\s*x\(", path.read_text())]
    assert any("&lt;script&gt;x()" in path.read_text() for path in pages)


def test_nothing_is_written_elsewhere(made):
    above = [*made.parent.rglob("*evil*"), *made.parents[1].glob("*evil*"), *made.parents[2].glob("*evil*")]
    assert not [path for path in above if made not in path.parents]
    assert {path.name for path in made.iterdir() if not path.name.startswith(".")} == {
        "mlruns",
        "results.db",
        "results_dictionary.html",
        "figures",
        "report",
    }


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (np.frombuffer(b"\xff\xff\xff\xff", "<U1"), "columns is no text"),
        (np.array(["\ud800"]), "columns is no list of names"),
        (np.zeros(2**28, dtype=bool), "unpacks to"),
    ],
    ids=["no letters", "half a letter", "bomb"],
)
def test_arrays_of_no_text_and_bombs_are_refused(tmp_path, names, reason):
    np.savez_compressed(
        tmp_path / "features.npz", values=np.zeros((1, 1)), columns=names, recordings=["G001"]
    )
    with pytest.raises(RejectedRun, match=reason):
        features(tmp_path)


def test_arrays_that_only_claim_their_values_are_refused(tmp_path):
    described = {"descr": "<U0", "fortran_order": False, "shape": (2**30,)}
    with zipfile.ZipFile(tmp_path / "features.npz", "w") as archive:
        for name in ("values", "columns", "recordings"):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, described)
    with pytest.raises(RejectedRun, match="values has 1073741824 values of no bytes"):
        features(tmp_path)


@pytest.mark.parametrize(("limit", "reason"), [("_MAX_ARRAYS", "3 arrays"), ("_MAX_NAMES", "3 names")])
def test_the_number_of_arrays_and_names_is_bounded(tmp_path, monkeypatch, limit, reason):
    names = ["a", "b", "c"]
    np.savez(tmp_path / "features.npz", values=np.zeros((3, 3)), columns=names, recordings=names)
    assert features(tmp_path).names == names
    monkeypatch.setattr(f"src.results.stage_tables.{limit}", 2)
    with pytest.raises(RejectedRun, match=f"has {reason}; at most 2 are read"):
        features(tmp_path)

"""What the artifacts and tags of one stage run may say: every text in them stands in many rows."""

import tracemalloc

import numpy as np
import pytest
from fake_store import (
    CODES,
    DETECTION_ROWS,
    IMPUTATION_ROW,
    MEMBERS,
    PROBE_ROW,
    FakeStore,
    example_arrays,
    feature_arrays,
    write_json,
)

from src.results.safe_pickle import RejectedRun
from src.results.stage_tables import (
    ensemble_members,
    examples,
    feature_tables,
    features,
    hippus_probe,
    imputation_quality,
    outlier_quality,
)
from src.results.stores import MAX_LETTERS, open_store

LONG, BROKEN, COLOURED = "x" * (MAX_LETTERS + 1), "bad \ud800 text", "\x1b[31mred"
STRANGE = [LONG, BROKEN, COLOURED]


@pytest.fixture
def stage_run(tmp_path):
    """Write artifacts and tags of a run; returns the run and its folder."""

    def write(name, content, **tags):
        store = FakeStore(tmp_path / "mlruns")
        folder = store.run("1", {"outlier_method": "LOF", "imputation_method": "linear"}, tags)
        if name.endswith(".npz"):
            np.savez(folder / "artifacts" / name, **content)
        else:
            write_json(folder, name, content)
        (run,) = open_store(store.root).runs
        return run, folder / "artifacts"

    return write


def named(**changes):
    return {"values": np.ones((1, 1)), "columns": np.array(["a"]), "recordings": np.array(["b"])} | changes


NAMES = {
    "codes is no list of names": lambda text: example_arrays() | {"codes": np.array([text])},
    "columns is no list of names": lambda text: named(columns=np.array([text])),
    "recordings is no list of names": lambda text: named(recordings=np.array([text])),
    "a row without artefact_type": lambda text: [DETECTION_ROWS[0] | {"artefact_type": text}],
    "a row without gap": lambda text: [IMPUTATION_ROW | {"gap": text}],
    "a row without member": lambda text: [MEMBERS[0] | {"member": text}],
}
READERS = {
    "codes": ("examples.npz", examples),
    "columns": ("features.npz", lambda _, folder: features(folder)),
    "recordings": ("features.npz", lambda _, folder: features(folder)),
    "artefact_type": ("quality.json", outlier_quality),
    "gap": ("quality.json", imputation_quality),
    "member": ("members.json", lambda run, folder: ensemble_members("outlier", run, folder)),
}


@pytest.mark.parametrize("text", STRANGE, ids=["long", "no UTF-8", "not printable"])
@pytest.mark.parametrize("reason", NAMES)
def test_a_name_that_cannot_be_shown_is_refused(stage_run, reason, text):
    (file, read), *_ = [READERS[word] for word in reason.split() if word in READERS]
    with pytest.raises(RejectedRun, match=reason):
        read(*stage_run(file, NAMES[reason](text)))


@pytest.mark.parametrize("colour", [LONG, COLOURED], ids=["long", "not printable"])
def test_the_name_of_an_array_can_be_shown(stage_run, colour):
    with pytest.raises(RejectedRun, match="an array's name cannot be shown"):
        examples(*stage_run("examples.npz", example_arrays() | {f"light_{colour}": np.ones((1, 2))}))


@pytest.mark.parametrize("text", [LONG, COLOURED], ids=["long", "not printable"])
@pytest.mark.parametrize(
    ("read", "file", "rows", "tag"),
    [
        (outlier_quality, "quality.json", DETECTION_ROWS, "fit_on"),
        (imputation_quality, "quality.json", [IMPUTATION_ROW], "unit"),
        (hippus_probe, "probe.json", [PROBE_ROW], "fit_on"),
    ],
)
def test_a_tag_that_stands_in_every_row_can_be_shown(stage_run, read, file, rows, tag, text):
    with pytest.raises(RejectedRun, match=f"its tag {tag} is no printable text of at most 500 letters"):
        read(*stage_run(file, rows, **{tag: text}))


def test_the_reason_of_a_member_is_cut_and_what_cannot_be_printed_is_a_question_mark(stage_run):
    rows = [row | {"reason": reason} for row, reason in zip(MEMBERS, STRANGE, strict=True)]
    table = ensemble_members("outlier", *stage_run("members.json", rows))
    assert table["reason"].to_pylist() == ["x" * MAX_LETTERS, "bad ? text", "?[31mred"]


def test_a_text_is_there_once_however_many_rows_have_it(stage_run):
    samples = 50_000
    arrays = {name: np.ones((1, samples)) for name in ("raw", "missing", "imputed", "light_blue")}
    arrays |= {"time": np.arange(samples), "codes": np.array(["x" * MAX_LETTERS])}
    arrays["light_blue"] = np.ones((1, 2))
    run, folder = stage_run("examples.npz", arrays)
    tracemalloc.start()
    tables = examples(run, folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < samples * MAX_LETTERS
    feature_names = ["y" * MAX_LETTERS, "z"]
    table = feature_arrays() | {"columns": np.array(feature_names)}
    np.savez(folder / "features.npz", **table)
    tables |= feature_tables(run, features(folder), CODES)
    assert tables["feature_values"]["feature"].to_pylist() == feature_names * len(CODES)
    assert tables["feature_values"]["recording_code"][2].as_py() == CODES[1]
    assert tables["example_light"]["colour"].to_pylist() == ["blue"]
    assert len(tables["example_recordings"]) == samples


def test_more_features_than_any_network_gives_are_refused(stage_run):
    columns = np.array([f"f{k}" for k in range(2001)])
    _, folder = stage_run("features.npz", named(columns=columns, values=np.ones((1, 2001))))
    with pytest.raises(RejectedRun, match="columns has 2001 names; at most 2000 are read"):
        features(folder)

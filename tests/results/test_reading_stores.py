import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_store import FakeStore

from src.results.safe_pickle import RejectedRun
from src.results.stores import open_store, read_artifact
from src.tracking import Record, Tracking, TrackingError, list_runs


@pytest.fixture
def store(tmp_path):
    return FakeStore(tmp_path / "mlruns")


def test_a_folder_of_plain_files_is_read_without_mlflow(store):
    folder = store.run(
        params={"outlier_method": "LOF", "outlier.n": "5"},
        tags={"kind": "combination", "mlflow.user": "somebody"},
        metrics={"duration_s": 2.5, "test/auroc": 0.75},
    )
    (run,) = open_store(store.root).runs
    assert run.run_id == folder.name
    assert run.experiment == "PLR_Classification"
    assert run.status == "FINISHED"
    assert run.params == {"outlier_method": "LOF", "outlier.n": "5"}
    assert run.tags == {"kind": "combination"}
    assert run.metrics == {"duration_s": 2.5, "test/auroc": 0.75}
    assert run.end_time - run.start_time == 500


def test_the_newest_value_of_a_metric_counts(store):
    folder = store.run(metrics={"duration_s": 1.0})
    (folder / "metrics" / "duration_s").write_text("1 1.0 0\n2 7.5 1\n")
    assert open_store(store.root).runs[0].metrics == {"duration_s": 7.5}


def test_artifacts_lie_beside_the_run_wherever_the_store_was_written(store, tmp_path):
    store.run()
    moved = tmp_path / "elsewhere" / "copy"
    shutil.move(store.root, moved)
    for uri in (moved, str(moved), moved.as_uri()):
        opened = open_store(uri)
        assert opened.kind == "mlruns folder"
        assert opened.artifacts(opened.runs[0]).parent.parent.parent == moved


def test_the_folder_above_mlruns_is_understood(store):
    store.run()
    assert len(open_store(store.root.parent).runs) == 1


def test_deleted_runs_and_hidden_folders_are_not_read(store):
    folder = store.run()
    text = (folder / "meta.yaml").read_text()
    (folder / "meta.yaml").write_text(text.replace('"active"', '"deleted"'))
    shutil.copytree(store.root / "4", store.root / ".trash" / "4")
    assert open_store(store.root).runs == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "missing"),
        ("status: [", "damaged"),
        ("just text", "damaged"),
        ("x" * 2**17, "more than"),
        ("a: &a [x]\nrun_name: *a", "damaged"),
        ("run_name: [x]", "damaged"),
        ("run_name: {x: y}", "damaged"),
        ("run_name: 2020-99-99", "damaged"),
        ("run_name: " + "9" * 5000, "damaged"),
        ("run_name: 0x" + "f" * 5000, "damaged"),
        ("run_name: " + "[" * 3000, "damaged"),
        ("run_name: !!timestamp x", "damaged"),
    ],
)
def test_a_run_with_a_damaged_description_is_listed(store, content, reason):
    folder = store.run()
    store.run()
    (folder / "meta.yaml").unlink()
    if content is not None:
        (folder / "meta.yaml").write_text(content)
    opened = open_store(store.root)
    assert len(opened.runs) == 1
    assert list(opened.unreadable) == [folder.name]
    assert reason in opened.unreadable[folder.name]


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        (b"\xff\xfebad", "??bad"),
        (b"x\n\x1b[31mHACK<script>", "x??[31mHACK<script>"),
        (b"A" * 32, "A" * 32),
    ],
)
def test_a_run_in_a_folder_without_an_id_is_listed(store, name, listed):
    folder = store.run()
    store.run()
    folder.rename(folder.with_name(os.fsdecode(name)))
    opened = open_store(store.root)
    assert len(opened.runs) == 1
    assert opened.unreadable == {listed: "its id is none of MLflow's; expected 32 hexadecimal digits"}


def test_whatever_a_run_says_of_itself_can_be_shown(store):
    folder = store.run()
    (folder / "meta.yaml").write_text(r'{"status": "\ud800", "run_name": "\e[31m"}')
    (run,) = open_store(store.root).runs
    assert (run.status, run.run_name) == ("?", "?[31m")
    (folder / "metrics").mkdir()
    (folder / "metrics" / os.fsdecode(b"\xff")).write_text("")
    assert open_store(store.root).unreadable == {folder.name: "its metric ? is damaged"}


@pytest.mark.parametrize("content", ["name: [", "just text", "x" * 2**21])
def test_an_experiment_with_a_damaged_description_is_one_sentence(store, content):
    store.run()
    (store.root / "4" / "meta.yaml").write_text(content)
    with pytest.raises(
        TrackingError, match=r"experiment .*/4 cannot be named: its meta\.yaml .* remove that file"
    ):
        open_store(store.root)
    (store.root / "4" / "meta.yaml").unlink()
    assert len(open_store(store.root).runs) == 1


def test_a_store_that_may_not_be_read_is_one_sentence(store, empty_store, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    def cannot(*arguments, **options):
        raise sqlite3.OperationalError("unable to open database file")

    with (
        monkeypatch.context() as patch,
        pytest.raises(
            TrackingError, match=r"store .*mlflow\.db cannot be read: unable to open database file"
        ),
    ):
        patch.setattr(sqlite3, "connect", cannot)
        open_store(empty_store)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(TrackingError, match=r"store .*mlruns cannot be read: Permission denied"):
        open_store(store.root)


def test_a_sqlite_file_that_is_no_store_is_one_sentence(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(TrackingError, match="cannot be read: no such table"):
        open_store(tmp_path / "other.db")


def test_a_sqlite_store_reads_as_mlflow_reads_it(tracking_uri):
    tracking = Tracking(tracking_uri, ("PLR_Classification",))
    values = {"duration_s": 1.5, "nothing": float("nan")}
    for name, status in (("one", "FINISHED"), ("two", "FAILED")):
        tracking.log(
            Record("PLR_Classification", name, {"classifier": "CatBoost", "n": "5"}, {"kind": "combination"},
                   values, lambda folder: None, time.time(), status)
        )  # fmt: skip
    read, told = open_store(tracking_uri).runs, list_runs(tracking_uri)
    assert [replace(run, metrics={}) for run in read] == [replace(run, metrics={}) for run in told]
    assert all(run.metrics == pytest.approx(values, nan_ok=True) for run in read)


def test_columns_of_a_sqlite_store_may_hold_anything(tracking_uri):
    tracking = Tracking(tracking_uri, ("PLR_Classification",))
    for name in ("a", "b", "c"):
        tracking.log(
            Record(
                "PLR_Classification",
                name,
                {"n": "5"},
                {"kind": "stage"},
                {"m": 1.5},
                lambda folder: None,
                0.0,
            )
        )
    with closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as connection, connection:
        for run, time_, text, number in (
            ("a", 2**62, b"\xff", "x"),
            ("b", "x", 7, b"y"),
            ("c", None, None, None),
        ):
            which = f"WHERE run_uuid = (SELECT run_uuid FROM runs WHERE name = '{run}')"
            connection.execute(f"UPDATE tags SET value = ? {which}", [text])
            connection.execute(f"UPDATE OR IGNORE params SET value = ? {which}", [text or "gone"])
            connection.execute(f"UPDATE OR IGNORE latest_metrics SET value = ? {which}", [number or 0])
            connection.execute(f"UPDATE runs SET start_time = ?, end_time = ? {which}", [time_, time_])
        connection.execute("UPDATE runs SET artifact_uri = 'file:///' || ? WHERE name = 'a'", ["a" * 5000])
    opened = open_store(tracking_uri)
    runs = {run.run_name: run for run in opened.runs}
    assert {name: (run.start_time, run.end_time) for name, run in runs.items()} == dict.fromkeys(
        "abc", (0, None)
    )
    assert {name: run.params["n"] for name, run in runs.items()} == {"a": "\ufffd", "b": "7", "c": "gone"}
    assert np.isnan(runs["a"].metrics["m"]) and runs["b"].metrics["m"] == 0
    with pytest.raises(RejectedRun, match="address of its artifacts cannot be used: File name too long"):
        opened.artifacts(runs["a"])


def test_links_out_of_the_store_are_not_followed(store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("password")
    folder = store.run(params={"a": "1"})
    (folder / "params" / "b").symlink_to(secret)
    (folder / "artifacts" / "bootstrap_results.pkl").symlink_to(secret)
    (store.root / "4" / ("f" * 32)).symlink_to(folder)
    opened = open_store(store.root)
    (run,) = opened.runs
    assert run.params == {"a": "1"}
    with pytest.raises(RejectedRun, match="link out of"):
        read_artifact(opened.artifacts(run), "bootstrap_results.pkl")


def test_an_artifact_name_cannot_climb_out(store, tmp_path):
    folder = store.run()
    (folder / "secret.txt").write_text("x")
    with pytest.raises(RejectedRun, match="link out of"):
        read_artifact(folder / "artifacts", "../secret.txt")


def test_no_store_is_one_clear_sentence(tmp_path):
    with pytest.raises(TrackingError, match="there is no store"):
        open_store(tmp_path / "nothing.db")
    with pytest.raises(TrackingError, match="no mlruns folder"):
        open_store(tmp_path)


def test_an_mlflow_store_is_read_by_address_and_by_path_also_when_moved(empty_store, tmp_path):
    """Artifacts are found beside a moved store; those that lie elsewhere need to be pointed at."""
    (tmp_path / "old").mkdir()
    shutil.copy(empty_store, tmp_path / "old" / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'old' / 'mlflow.db'}"
    tracking = Tracking(uri, ("PLR_Classification",))
    written = tracking.log(
        Record(
            "PLR_Classification",
            "name",
            {"classifier": "CatBoost"},
            {"kind": "combination"},
            {"duration_s": 1.0},
            lambda folder: (folder / "note.txt").write_text("here"),
            time.time(),
        )
    )
    for address in (uri, tmp_path / "old" / "mlflow.db"):
        opened = open_store(address)
        assert opened.kind == "sqlite"
        assert opened.runs == [written]
        assert (opened.artifacts(opened.runs[0]) / "note.txt").read_text() == "here"

    (tmp_path / "old").rename(tmp_path / "new")
    moved = open_store(tmp_path / "new" / "mlflow.db")
    folder = moved.artifacts(moved.runs[0])
    assert folder.is_relative_to(tmp_path / "new" / "mlartifacts")
    assert (folder / "note.txt").read_text() == "here"

    (tmp_path / "new" / "mlartifacts").rename(tmp_path / "elsewhere")
    with pytest.raises(RejectedRun, match="not where the store says; pass --artifact-root"):
        moved.artifacts(moved.runs[0])
    found = open_store(tmp_path / "new" / "mlflow.db", tmp_path / "elsewhere")
    assert (found.artifacts(found.runs[0]) / "note.txt").read_text() == "here"


HOSTILE = {
    "endless view": (
        "DROP TABLE params; CREATE VIEW params AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
        "FROM c) SELECT x AS run_uuid, x AS key, x AS value FROM c",
        "it holds 'CREATE VIEW params",
    ),
    "generated column": (
        "DROP TABLE params; CREATE TABLE params (run_uuid, key, value AS (hex(zeroblob(500000))))",
        "its table params has values that are not stored",
    ),
    "long default": (
        f"ALTER TABLE tags ADD COLUMN more DEFAULT '{'x' * 1000}'",
        "its table tags has values that are not stored",
    ),
    "long text": (
        "INSERT INTO params (run_uuid, key, value) VALUES ('a', 'b', hex(zeroblob(2000000)))",
        "string or blob too big",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_sqlite_file_gives_no_more_than_it_holds(empty_store, tmp_path, name):
    sql, reason = HOSTILE[name]
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.executescript(sql)
    with pytest.raises(TrackingError, match=f"cannot be read: {reason}"):
        open_store(tmp_path / "mlflow.db")


def in_circles(content: bytes, root: int, levels: int = 12, width: int = 400, size: int = 4096) -> bytes:
    """A sqlite file whose table has `width` ways from page to page, on each of so many levels."""
    pages, n_pages = bytearray(content), len(content) // size
    place = slice((root - 1) * size, root * size)

    def level(child: int) -> bytes:
        cells = struct.pack(">IB", child, 1) * width
        first = size - len(cells)
        head = struct.pack(f">BHHHBI{width}H", 5, 0, width, first, 0, child, *range(first, size, 5))
        return head + bytes(first - len(head)) + cells

    leaf = pages[place]
    pages[place] = level(n_pages + 1)
    pages += b"".join(level(n_pages + k) for k in range(2, levels + 1)) + leaf
    pages[28:32] = struct.pack(">I", len(pages) // size)
    return bytes(pages)


@pytest.mark.parametrize("key", ["kind", "mlflow.user"])
def test_pages_that_lead_in_circles_have_an_end(empty_store, tmp_path, key):
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("INSERT INTO tags (run_uuid, key, value) VALUES ('a', ?, 'x')", [key])
        connection.commit()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tags'").fetchone()
    assert open_store(path).runs == []
    path.write_bytes(in_circles(path.read_bytes(), root))
    with pytest.raises(
        TrackingError, match="it is damaged, and gives more than it holds; expected an MLflow"
    ):
        open_store(path)


def test_a_run_without_a_usable_id_is_listed_and_a_repeated_name_multiplies_nothing(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.executescript(
            """
            CREATE TABLE experiments (experiment_id, name, lifecycle_stage);
            CREATE TABLE runs (run_uuid, name, status, start_time, end_time, artifact_uri, lifecycle_stage,
                experiment_id);
            CREATE TABLE params (run_uuid, key, value);
            CREATE TABLE tags (run_uuid, key, value);
            CREATE TABLE latest_metrics (run_uuid, key, value, is_nan);
            """
        )
        connection.executemany("INSERT INTO experiments VALUES (1, ?, 'active')", [["e"], ["e"]])
        ids = ["a" * 32, "a" * 32, None, "../x", b"\xff"]
        run = "INSERT INTO runs VALUES (?, NULL, NULL, NULL, NULL, NULL, 'active', 1)"
        connection.executemany(run, [[run_id] for run_id in ids])
        tags = [("mlflow.runName", "n"), ("mlflow.runName", "n"), ("kind", None), (None, "x")]
        connection.executemany(f"INSERT INTO tags VALUES ('{'a' * 32}', ?, ?)", tags)
        connection.commit()
    opened = open_store(tmp_path / "mlflow.db")
    (run,) = opened.runs
    assert (run.run_name, run.experiment, run.status, run.artifact_uri) == ("n", "e", "", "")
    assert run.tags == {"kind": ""}
    assert list(opened.unreadable) == ["", "../x", "\ufffd"]

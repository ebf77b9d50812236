"""Faults made for real in a store of a real sweep: what the doctor says of each, and what its repair does."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from commands import ROOT, env, run, unread
from filelock import FileLock

from src.doctor import environment, leftovers, results, stages, tracking_store
from src.doctor.finding import Finding, shown, size_of
from src.doctor.places import Places
from src.networks.weights import FOLDER_VARIABLE
from src.results.builder import new_results
from src.tracking import StoredRun, Tracking, list_runs

SWEEP = (
    *("-m", "src.train", "-m", "outlier=SpeedMAD", "imputation=linear", "classifier=LogisticRegression"),
    *(
        "data=smoke",
        "profile=smoke",
        "evaluation.n_iterations=5",
        "evaluation.n_jobs=1",
        "baseline.features=[]",
    ),
)
LONG_AGO = time.time() - 3 * 24 * 3600
OF_FILES = (
    *(tracking_store.check_store, tracking_store.check_addresses, tracking_store.check_unfinished_runs),
    *(stages.check_orphans, stages.check_folders, leftovers.check_checkpoints, leftovers.check_drafts),
    environment.check_versions,
)


def sweep(folder: Path) -> str:
    where = f"tracking.uri=sqlite:///{folder / 'mlflow.db'}", f"hydra.sweep.dir={folder}/multirun/sweep"
    return run(*SWEEP, *where).stdout


def places_of(folder: Path) -> Places:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Places(uri, folder / "public" / "results.db", folder, data=folder / "data")


@pytest.fixture(scope="module")
def swept(tmp_path_factory, empty_store) -> Path:
    """A store after one combination: three stages, the combination and the plan."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_store, folder / "mlflow.db")
    assert "finished 1, reused 0, failed 0" in sweep(folder)
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The system's folder for temporary files, without those of others."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def places(swept, tmp_path, temporary) -> Places:
    """A copy of that store for one test, with addresses of its own."""
    copy = places_of(tmp_path / "copy")
    shutil.copytree(swept, copy.here)
    (finding,) = tracking_store.check_addresses(copy)
    finding.repair.do()
    return places_of(copy.here)


def the(findings) -> Finding:
    (finding,) = findings
    return finding


def mend(check, places: Places) -> tuple[Finding, Finding]:
    """Return what a check finds before and after its repair, which says so."""
    before = the(check(places))
    assert before.repair.question.endswith("?")
    assert before.repair.do()
    return before, the(check(replace(places)))


def by_kind(places: Places) -> dict[str, StoredRun]:
    runs = list_runs(places.uri)
    return {run.tags["kind"] if run.tags["kind"] != "stage" else run.experiment: run for run in runs}


def folder_of(places: Places, run: StoredRun) -> Path:
    return places.artifacts / run.experiment / run.run_id


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_nothing_is_wrong_with_a_store_after_its_sweep(places):
    found = [finding for check in OF_FILES for finding in check(places)]
    assert [(f.check, f.status, f.repair) for f in found if f.status != "ok" or f.repair] == []
    assert len(found) == len(OF_FILES)
    assert "5 runs" in found[0].sentence


def test_a_moved_store_is_told_where_it_is(places, tmp_path):
    moved = places_of(tmp_path / "moved")
    shutil.move(places.here, moved.here)
    before, after = mend(tracking_store.check_addresses, moved)
    assert before.status == "problem"
    assert "was moved or copied: the addresses of 5 finished runs and 4 experiments" in before.sentence
    assert (after.status, len(before.details)) == ("ok", 5)
    assert {Path(run.artifact_uri.removeprefix("file://")).is_dir() for run in list_runs(moved.uri)} == {True}
    assert not places.here.exists()


def test_a_copied_store_lets_the_other_be(places, tmp_path):
    copied = places_of(tmp_path / "copied")
    shutil.copytree(places.here, copied.here)
    before, after = mend(tracking_store.check_addresses, copied)
    assert (before.status, after.status) == ("problem", "ok")
    assert str(copied.artifacts) in list_runs(copied.uri)[0].artifact_uri
    assert the(tracking_store.check_addresses(places)).status == "ok"


def list_files(places: Places) -> None:
    """Have every run tell the files it has, as a sweep does."""
    for one in list_runs(places.uri):
        folder = folder_of(places, one) / "artifacts"
        sizes = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
        sql = "INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES ('files', ?, ?)"
        write(places.sqlite, (sql, [json.dumps(sizes), one.run_id]))


@pytest.mark.parametrize(
    ("kind", "file"),
    [("combination", ""), ("combination", "bootstrap_results.pkl"), ("PLR_Featurization", "features.npz")],
)
def test_artifacts_that_are_gone(places, kind, file):
    list_files(places)
    run = by_kind(places)[kind]
    if file:
        (folder_of(places, run) / "artifacts" / file).unlink()
    else:
        shutil.rmtree(folder_of(places, run))
    before, after = mend(tracking_store.check_addresses, places)
    assert before.status == "problem"
    assert before.sentence.startswith("1 finished run without artifacts, or not with all of them: copy them")
    assert run.run_id in before.details[0]
    assert after.status == "ok"
    assert run.run_id not in {left.run_id for left in list_runs(places.uri)}
    assert not folder_of(places, run).exists()
    assert len(list_runs(places.uri)) == len(list(places.artifacts.glob("PLR_*/*"))) == 4


def test_a_file_of_another_size_is_no_artifact(places):
    list_files(places)
    run = by_kind(places)["PLR_Featurization"]
    with (folder_of(places, run) / "artifacts" / "features.npz").open("r+b") as file:
        file.truncate(10)
    assert run.run_id in the(tracking_store.check_addresses(places)).details[0]


def test_runs_without_artifacts_that_were_made_again_are_let_be(places):
    old = by_kind(places)["combination"]
    new, place = replace(old, run_id="0" * 32), folder_of(places, old)
    shutil.copytree(place, folder_of(places, new))
    shutil.rmtree(place)
    write(
        places.sqlite,
        ("CREATE TABLE again AS SELECT * FROM runs WHERE run_uuid = ?", [old.run_id]),
        ("UPDATE again SET run_uuid = ?, start_time = start_time + 1", [new.run_id]),
        ("UPDATE again SET artifact_uri = replace(artifact_uri, ?, run_uuid)", [old.run_id]),
        ("INSERT INTO runs SELECT * FROM again", []),
        (
            "INSERT INTO tags SELECT key, value, ? FROM tags WHERE run_uuid = ? AND key = 'stage_key'",
            [new.run_id, old.run_id],
        ),
    )
    assert the(tracking_store.check_addresses(places)).status == "ok"
    shutil.rmtree(folder_of(places, new))
    assert len(the(tracking_store.check_addresses(places)).details) == 2


def test_a_run_that_has_its_artifacts_again_is_not_deleted(places):
    place = folder_of(places, by_kind(places)["combination"])
    place.rename(places.here / "aside")
    repair = the(tracking_store.check_addresses(places)).repair
    (places.here / "aside").rename(place)
    assert repair.do() == "0 runs deleted"
    assert len(list_runs(places.uri)) == 5 and place.is_dir()


def test_the_folder_of_a_run_that_is_a_link_is_let_be(places, tmp_path):
    place, other = folder_of(places, by_kind(places)["combination"]), tmp_path / "other"
    shutil.rmtree(place)
    other.mkdir()
    place.symlink_to(other)
    assert the(tracking_store.check_addresses(places)).repair.do() == "0 runs deleted"
    assert len(list_runs(places.uri)) == 5 and place.is_symlink() and other.is_dir()


def test_nothing_is_deleted_where_no_run_has_artifacts(places):
    places.artifacts.rename(places.here / "unmounted")
    finding = the(tracking_store.check_addresses(places))
    assert (finding.status, finding.repair, len(finding.details)) == ("problem", None, 5)


def test_artifacts_of_somebody_else_are_not_taken_for_gone(places, monkeypatch):
    def is_complete(run: StoredRun, folder: Path) -> bool:
        if folder.is_relative_to(places.artifacts):
            return False
        raise PermissionError(13, "Permission denied", str(folder))

    write(places.sqlite, ("UPDATE runs SET artifact_uri = '/home/somebody/' || run_uuid", []))
    monkeypatch.setattr(tracking_store, "is_complete", is_complete)
    finding = the(tracking_store.check_addresses(places))
    assert (finding.status, finding.repair, len(finding.details)) == ("warning", None, 5)


def test_artifacts_in_another_place(places, tmp_path):
    elsewhere = replace(places, own_root=tmp_path / "other")
    finding = the(tracking_store.check_addresses(elsewhere))
    assert finding.sentence.startswith("5 finished runs with artifacts outside")
    assert "--artifact-root" in finding.sentence
    assert (finding.status, finding.repair) == ("warning", None)


def test_a_locked_store(places, monkeypatch):
    monkeypatch.setattr(tracking_store, "_WAIT_S", 0.1)
    with closing(sqlite3.connect(places.sqlite)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        finding = the(tracking_store.check_store(places))
    assert finding.status == "problem"
    assert "locked by another program: wait until it is done, or end it" in finding.sentence
    assert the(tracking_store.check_store(replace(places))).status == "ok"


def damage_an_index(path: Path) -> None:
    """Overwrite the entries of an index: everything can be read still, and answers may be wrong."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'index_tags_run_uuid'"
        (page,) = connection.execute(sql).fetchone()
    with path.open("r+b") as file:
        file.seek(page * size - 100)
        file.write(bytes(100))


def cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        (damage_an_index, "is damaged ("),
        (cut_short, "cannot be read"),
        (lambda p: p.write_text("x" * 5000), "is not a database"),
        (lambda p: p.write_bytes(b""), "cannot be read"),
        (
            lambda p: foreign(p),
            "cannot be read: no such table: params; expected an MLflow sqlite file; restore",
        ),
    ],
)
def test_a_damaged_store(places, hurt, said):
    for extra in places.here.glob("mlflow.db-*"):
        extra.unlink()
    hurt(places.sqlite)
    finding = the(tracking_store.check_store(places))
    assert finding.status == "problem"
    assert said in finding.sentence
    assert finding.sentence.endswith("restore it from a copy, or move it away and run the sweeps again")


def test_a_store_that_is_locked_for_readers_too(places, monkeypatch):
    write(places.sqlite, ("PRAGMA journal_mode=DELETE", []))
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))
    with closing(sqlite3.connect(places.sqlite)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        finding = the(tracking_store.check_store(places))
    assert (
        finding.sentence == f"{places.sqlite} is locked by another program: wait until it is done, or end it"
    )


def refuse(monkeypatch, of: object, name: str, place: Path) -> None:
    """Have a function refuse what lies in a place, as another user's folder does; root may all."""
    real = getattr(of, name)

    def refusing(path, *arguments, **named):
        if Path(path).is_relative_to(place):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(of, name, refusing)


def test_a_store_in_a_folder_that_is_closed(places, monkeypatch):
    refuse(monkeypatch, Path, "is_file", places.here)
    finding = the(tracking_store.check_store(places))
    assert (finding.status, finding.sentence) == (
        "problem",
        f"{places.sqlite}: Permission denied; get the right to read it and its folder",
    )


def test_a_check_that_may_not_look_keeps_what_it_found_and_others_go_on(doctor, places, monkeypatch):
    shutil.rmtree(folder_of(places, by_kind(places)["combination"]))
    refuse(monkeypatch, Path, "is_dir", places.artifacts / "PLR_Imputation")
    real = tracking_store.check_unfinished_runs

    def stops(places):
        yield from real(places)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(tracking_store, "check_unfinished_runs", stops)
    status, text = doctor("--json")
    found = [(finding["check"], finding["status"], finding["sentence"]) for finding in json.loads(text)]
    (said,) = [sentence for check, status, sentence in found if (check, status) == ("artifacts", "warning")]
    assert said.startswith(f"could not be looked at in full ({places.artifacts / 'PLR_Imputation'}")
    assert "Permission denied): mend that and look again" in said
    unfinished = [(status, sentence) for check, status, sentence in found if check == "unfinished runs"]
    assert [status for status, _ in unfinished] == ["ok", "warning"]
    assert "(database is locked)" in unfinished[1][1]
    assert (found[-1][0], status) == ("disk", 0)


def test_a_repair_that_is_refused_leaves_the_others_to_be_made(doctor, places, monkeypatch):
    lost = places.artifacts / "PLR_Imputation" / ("0" * 32)
    checkpoint = places.artifacts / ".unfinished" / "0123456789abcdef"
    for folder in (lost, checkpoint):
        folder.mkdir(parents=True)
    refuse(monkeypatch, shutil, "rmtree", lost)
    status, text = doctor("--clean", "--yes", "--json")
    mended = {finding["check"]: finding["mended"] for finding in json.loads(text) if finding["repair"]}
    assert (status, mended) == (1, {"artifact folders": False, "checkpoints": True})
    assert lost.is_dir() and not checkpoint.exists()
    assert doctor.errors == [
        f"artifact folders: not all could be cleaned up ({lost}: Permission denied): mend that first"
    ]


def test_no_store_yet(tmp_path):
    finding = the(tracking_store.check_store(places_of(tmp_path)))
    assert (finding.status, "the first run makes it" in finding.sentence) == ("warning", True)


def test_a_process_killed_while_it_logged_a_run(places, temporary):
    code = (
        "import os, time\nfrom src.tracking import Record, Tracking\n"
        "def die(folder):\n    (folder / 'half').write_text('x')\n    os.kill(os.getpid(), 9)\n"
        "record = Record('PLR_Imputation', 'dies', {}, {'kind': 'stage'}, {}, die, time.time())\n"
        f"Tracking({places.uri!r}, ()).log(record)"
    )
    where = {**env(ROOT), "TMPDIR": str(temporary)}
    assert subprocess.run([sys.executable, "-c", code], env=where, check=False).returncode == -9
    before, after = mend(tracking_store.check_unfinished_runs, places)
    assert before.sentence.startswith("1 run left by processes that died")
    assert (before.status, after.status) == ("warning", "ok")
    statuses = {run.run_name: run.status for run in list_runs(places.uri)}
    assert statuses.pop("dies") == "KILLED" and set(statuses.values()) == {"FINISHED"}
    assert the(leftovers.check_drafts(places)).status == "ok"  # it is young: somebody may be at it
    for left in temporary.glob("plr-artifacts-*"):
        os.utime(left, (LONG_AGO, LONG_AGO))
    before, after = mend(leftovers.check_drafts, places)
    assert (before.details[0].rpartition("/")[2][:14], after.status) == ("plr-artifacts-", "ok")
    assert list(temporary.iterdir()) == []


def test_stages_that_wait_for_a_planned_combination_are_kept(places):
    runs, tracking = by_kind(places), Tracking(places.uri, ())
    tracking.discard(runs["combination"], folder_of(places, runs["combination"]))
    assert the(stages.check_orphans(places)).status == "ok"


def test_stages_that_nothing_rests_on(places, swept):
    runs, tracking = by_kind(places), Tracking(places.uri, ())
    for kind in ("combination", "sweep"):
        tracking.discard(runs[kind], folder_of(places, runs[kind]))
    before, after = mend(stages.check_orphans, places)
    assert before.sentence.startswith("no combination rests on 3 stages")
    assert (before.status, after.status) == ("warning", "ok")
    assert list_runs(places.uri) == []
    assert [path for path in places.artifacts.glob("PLR_*/*") if path.is_dir()] == []
    assert len(list(swept.glob("mlartifacts/PLR_*/*"))) == 5  # of the store it was copied from


def write(path: Path, *statements: tuple[str, list[object]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for sql, values in statements:
            connection.execute(sql, values)


@pytest.mark.parametrize(
    ("tag", "run_id"), [("0123", "../../precious"), ("../../thesis.tex", "0" * 32), (None, "0" * 32)]
)
def test_a_row_that_leads_out_of_the_store_deletes_nothing(places, tag, run_id):
    runs, tracking = by_kind(places), Tracking(places.uri, ())
    for kind in ("combination", "sweep"):
        tracking.discard(runs[kind], folder_of(places, runs[kind]))
    stage = runs["PLR_Imputation"]
    folder_of(places, stage).rename(folder_of(places, replace(stage, run_id=run_id)))
    write(
        places.sqlite,
        ("UPDATE runs SET run_uuid = ? WHERE run_uuid = ?", [run_id, stage.run_id]),
        ("UPDATE tags SET run_uuid = ? WHERE run_uuid = ?", [run_id, stage.run_id]),
        ("UPDATE tags SET value = ? WHERE key = 'stage_key' AND run_uuid = ?", [tag, run_id]),
    )
    thesis = places.here / "thesis.tex"
    thesis.write_text("years of work")
    the(stages.check_orphans(places)).repair.do()
    assert folder_of(places, replace(stage, run_id=run_id)).is_dir()
    assert thesis.read_text() == "years of work"
    assert len([path for path in places.artifacts.glob("PLR_*/*") if path.is_dir()]) == ("/" not in run_id)


def test_stages_in_the_results_database_are_kept(places):
    runs, tracking = by_kind(places), Tracking(places.uri, ())
    for kind in ("combination", "sweep"):
        tracking.discard(runs[kind], folder_of(places, runs[kind]))
    kept = runs["PLR_OutlierDetection"].run_id
    make_database(places.database, stage_run=kept)
    before, _ = mend(stages.check_orphans, places)
    assert len(before.details) == 2
    assert [run.run_id for run in list_runs(places.uri)] == [kept]


def test_members_of_an_ensemble_are_kept():
    def stage(run_id: str, method: str, **tags: str) -> StoredRun:
        tags = {"kind": "stage", "cohort_hash": "c"} | tags
        return StoredRun(run_id, "", "O", "FINISHED", 0, 0, {"outlier_method": method}, tags, {}, "")

    runs = [stage("1", "LOF"), stage("2", "SubPCA"), stage("3", "PROPHET")]
    ensemble = stage("4", "vote", members="LOF, SubPCA")
    cell = stage("5", "vote", kind="combination", outlier_run_id="4")
    assert stages._needed([cell], [*runs, ensemble]) == {"1", "2", "4"}


def test_folders_that_no_run_refers_to(places):
    lost = places.artifacts / "PLR_Imputation" / ("0" * 32)
    (lost / "artifacts").mkdir(parents=True)
    (lost / "artifacts" / "imputed.npz").write_bytes(b"x" * 100)
    before, after = mend(stages.check_folders, places)
    assert before.sentence.startswith("no run refers to 1 artifact folder (100 bytes)")
    assert after.status == "ok" and not lost.exists()
    assert len(list(places.artifacts.glob("PLR_*/*"))) == 5


def foreign(path: Path) -> None:
    path.unlink()
    write(path, ("CREATE TABLE runs (other)", []))


@pytest.mark.parametrize("hurt", [cut_short, foreign])
def test_no_folder_is_lost_beside_a_file_that_cannot_be_read(places, empty_store, hurt):
    lost = places.artifacts / "PLR_Imputation" / ("0" * 32)
    lost.mkdir()
    repair = the(stages.check_folders(places)).repair
    shutil.copy(empty_store, places.here / "second.db")
    hurt(places.here / "second.db")
    finding = the(stages.check_folders(places))
    assert (finding.status, finding.repair) == ("warning", None)
    assert f"cannot tell which ones no run refers to: {places.here / 'second.db'}" in finding.sentence
    assert repair.do().startswith("nothing is deleted")
    assert lost.is_dir()


def test_folders_of_a_store_in_the_same_place_are_kept(places, empty_store):
    shutil.copy(empty_store, places.here / "second.db")
    run = by_kind(places)["sweep"]
    shutil.copytree(folder_of(places, run), places.artifacts / run.experiment / ("0" * 32))
    with closing(sqlite3.connect(places.here / "second.db")) as connection, connection:
        connection.execute("INSERT INTO runs (run_uuid, status) VALUES (?, 'FINISHED')", ["0" * 32])
    assert the(stages.check_folders(places)).status == "ok"


def test_checkpoints_of_an_interrupted_training(places, monkeypatch):
    folder = places.artifacts / ".unfinished" / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "network-1.pt").write_bytes(b"x" * 2000)
    link = folder.with_name("fedcba9876543210")
    link.symlink_to(places.here)  # is nobody's training
    with FileLock(places.artifacts / ".locks" / folder.name):  # as its training holds it
        assert the(leftovers.check_checkpoints(places)).status == "ok"
        waiting = leftovers._give_up(places.artifacts, [folder])
        assert waiting == "checkpoints of 0 trainings deleted" and folder.exists()
    with monkeypatch.context() as patch:  # another user's lock cannot be tried
        refuse(patch, os, "open", places.artifacts / ".locks")
        assert the(leftovers.check_checkpoints(places)).status == "ok"
    before, after = mend(leftovers.check_checkpoints, places)
    assert before.sentence.startswith("1 interrupted training (2.0 kB): repeat the command")
    assert after.status == "ok" and not folder.exists() and link.is_symlink()


def test_half_written_files_of_dead_processes(places):
    dead = dead_pid()
    places.database.parent.mkdir()
    left = [
        places.database.parent / f".results.db.{dead}.building",
        places.here / "multirun" / "sweep" / "0" / f".status.json.{dead}",
        places.here / f".mlflow.db.{dead}",
        places.here / "data" / "cohorts" / ".writing-abc_0123",
    ]
    kept = [places.database.parent / f".results.db.{os.getpid()}.building", places.here / ".hidden"]
    left[-1].mkdir(parents=True)
    (left[-1] / "cohort.duckdb").write_text("x")
    for path in (*left[:-1], *kept):
        path.write_text("x")
    assert the(leftovers.check_drafts(places)).status == "ok"
    for path in (*left, *kept):
        os.utime(path, (LONG_AGO, LONG_AGO))
    before, after = mend(leftovers.check_drafts, places)
    assert sorted(before.details) == sorted(map(str, left))
    assert after.status == "ok"
    assert [path.exists() for path in (*left, *kept)] == [False] * 4 + [True] * 2


def test_files_of_others_that_look_half_written_are_kept(places, temporary, monkeypatch):
    pid = dead_pid()
    places.database.parent.mkdir()
    others = [
        folder / name
        for folder in (places.here, temporary, places.database.parent, places.artifacts)
        for name in (
            ".bashrc.20240101",
            f".viminfo.{pid}",
            ".film.mkv.part",
            ".removed-files",
            "plr-study-old",
        )
    ]
    draft = places.here / f".mlflow.db.{pid}"
    for path in (*others, draft):
        path.write_text("mine")
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert the(leftovers.check_drafts(places)).details == (str(draft),)
    monkeypatch.setattr(os, "geteuid", lambda: draft.stat().st_uid + 1)
    assert the(leftovers.check_drafts(places)).status == "ok"


def make_database(path: Path, built: float = 0.0, version: int = 4, stage_run: str = "") -> None:
    text = dict.fromkeys(("cohort_hash", "resample_id", "tracking_store"), "x") | {"source": "synthetic"}
    names = ("n_subjects", "n_recordings", "n_cases", "n_controls", "n_iterations")
    numbers = dict.fromkeys(names, 1) | {"prevalence_study": 0.5, "prevalence_population": 0.5}
    row = text | numbers | {"schema_version": version, "foreign": False}
    row["created_at"] = pd.Timestamp(built, unit="s")
    path.parent.mkdir(exist_ok=True)
    with new_results(path) as writer:
        writer.insert("provenance", pd.DataFrame([row]))
        if stage_run:
            stage = {"run_id": stage_run, "stage": "outlier", "files": "x"}
            writer.insert("stage_runs", pd.DataFrame([stage]))


@pytest.mark.parametrize(
    ("built", "version", "status", "said"),
    [
        (0.0, 4, "warning", "1 run ended after it was built; take them in: python scripts/extract"),
        (4e9, 4, "ok", "has every run of the store"),
        (0.0, 3, "problem", "made by another version of this program (tables of version 3; expected 4)"),
    ],
)
def test_the_results_database(places, built, version, status, said):
    assert "there is no" in the(results.check_database(places)).sentence
    make_database(places.database, built, version)
    finding = the(results.check_database(places))
    assert (finding.status, said in finding.sentence) == (status, True)


def test_runs_that_the_results_database_left_out(places):
    make_database(places.database, 4e9)
    run = by_kind(places)["combination"]
    with closing(duckdb.connect(str(places.database))) as connection:
        row = "INSERT INTO excluded_runs VALUES (?, 'name', 'combination', ?, 'the artifact is missing')"
        connection.executemany(row, [[run.run_id, "rejected"], ["0" * 32, "rejected"], ["1" * 32, "failed"]])
    finding = the(results.check_database(places))
    assert finding.status == "warning"
    assert finding.sentence.startswith("1 run of the store left out because something is wrong")
    assert finding.details == (f"name ({run.run_id}): the artifact is missing",)


def test_a_results_database_that_is_none(places):
    places.database.parent.mkdir()
    places.database.write_text("x" * 10_000)
    finding = the(results.check_database(places))
    assert (finding.status, "no results database, or damaged" in finding.sentence) == ("problem", True)


def test_runs_made_with_other_versions(places):
    with closing(sqlite3.connect(places.sqlite)) as connection, connection:
        connection.execute(
            "UPDATE tags SET value = json_set(value, '$.numpy', '0.1') "
            "WHERE key = 'versions' AND run_uuid = ?",
            [by_kind(places)["combination"].run_id],
        )
    finding = the(environment.check_versions(places))
    assert finding.status == "warning" and "are reused all the same: install those" in finding.sentence
    assert [line.partition(" (here")[0] for line in finding.details] == ["numpy 0.1"]
    assert finding.details[0].endswith(": 1 run")


def test_odd_rows_are_skipped_or_named(places):
    here, runs = socket.gethostname(), by_kind(places)
    value = "UPDATE tags SET value = ? WHERE key = ? AND run_uuid = ?"
    told = [run for run in runs.values() if "versions" in run.tags]
    versions = zip(told, ("python 3", "[1]", '{"numpy": ["1"]}', None), strict=True)
    processes = zip(list(runs.values())[:4], (None, f"{here}:²", f"{here}:{'9' * 30}", "x"), strict=True)
    write(
        places.sqlite,
        # Without the constraints of the table, as a file from elsewhere may be.
        ("CREATE TABLE loose AS SELECT * FROM runs", []),
        ("DROP TABLE runs", []),
        ("ALTER TABLE loose RENAME TO runs", []),
        *((value, [text, "versions", run.run_id]) for run, text in versions),
        *((value, [text, "process", run.run_id]) for run, text in processes),
        ("INSERT INTO runs SELECT * FROM runs WHERE name = ?", [runs["sweep"].run_name]),
        ("UPDATE runs SET run_uuid = NULL WHERE rowid = (SELECT max(rowid) FROM runs)", []),
        ("UPDATE runs SET artifact_uri = 'http://[x' WHERE run_uuid = ?", [runs["combination"].run_id]),
        ("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", ["a" * 5000, runs["sweep"].run_id]),
    )
    found = {f.check: f for check in OF_FILES for f in check(places)}
    store = found["tracking store"]
    assert (store.status, "rows that are none" in store.sentence) == ("warning", True)
    assert [line.rpartition("/")[2] for line in store.details] == [""]
    assert "4 runs without readable versions" in found["versions of runs"].sentence
    assert found["unfinished runs"].status == found["orphan stages"].status == "ok"
    assert len(found["artifacts"].details) == 2  # with addresses that lead nowhere
    write(places.sqlite, ("UPDATE runs SET status = 'RUNNING'", []))
    finding = the(tracking_store.check_unfinished_runs(replace(places)))
    assert "1 run left" in finding.sentence  # the one whose tag is as it was


def test_an_environment_that_lacks_something(tmp_path, monkeypatch):
    project = '[project]\nrequires-python = ">=9.1"\ndependencies = ["numpy<1", "no-such-thing"]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "constraints.txt").write_text("# exact\nnumpy==0.1\nno-such-thing==1\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    finding = the(environment.check_python())
    assert (finding.status, "is not >=9.1: make a new environment" in finding.sentence) == ("problem", True)
    finding = the(environment.check_packages())
    assert (finding.status, "make setup" in finding.sentence) == ("problem", True)
    assert [line.partition(" (")[0] for line in finding.details] == ["numpy<1", "no-such-thing"]
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    finding = the(environment.check_packages())
    assert (finding.status, len(finding.details)) == ("warning", 1)
    assert finding.sentence.startswith("1 package not as pinned")


def test_a_python_without_the_packages_is_told_to_get_them():
    words = ("-S", str(ROOT / "scripts" / "doctor.py"), "--clean")  # without site-packages
    done = run(*words, expect=1)
    assert done.stdout == f"problem  packages: {sys.executable} has none of this project's; run: make setup\n"
    assert done.stderr == ""


def test_optional_packages_name_the_methods_that_need_them(monkeypatch, places):
    there = environment._installed()
    monkeypatch.setattr(environment, "_installed", lambda: {n: v for n, v in there.items() if n != "prophet"})
    real = importlib.util.find_spec
    monkeypatch.setattr("src.requirements.find_spec", lambda name: None if name == "prophet" else real(name))
    finding = the(environment.check_optional_packages(places))
    assert finding.status == "warning"
    assert finding.sentence.endswith("pip install 'foundation-plr[prophet]'")
    assert finding.details == ("prophet: prophet<1.6,>=1.5 (missing); needed by outlier=PROPHET",)


def test_weights_that_are_missing_or_others(monkeypatch, tmp_path, places):
    other = [line for line in the(environment.check_weights(places)).details if "not the published" in line]
    assert other and all(line.startswith("MOMENT-1-small: ") for line in other)  # the tests' tiny ones
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "none"))
    finding = the(environment.check_weights(places))
    assert "python scripts/fetch_weights.py MOMENT-1-small" in finding.sentence
    assert any("TabPFN" in line and "needed by classifier=TabPFN" in line for line in finding.details)


@pytest.mark.parametrize(("free", "status"), [(1e12, "ok"), (1e9, "warning"), (1e8, "problem")])
def test_room_on_the_disk(places, monkeypatch, free, status):
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(results.shutil, "disk_usage", lambda path: usage)
    finding = the(results.check_disk(places))
    assert finding.status == status
    assert ("make room" in finding.sentence) == (status != "ok")
    size = shown(size_of([places.artifacts / "PLR_Classification"]))
    assert f"artifacts PLR_Classification: {size}" in finding.details


def test_the_size_of_a_folder_that_cannot_be_entered(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    for file in (tmp_path / "own", tmp_path / "closed" / "other"):
        file.write_text("x" * 100)
    refuse(monkeypatch, Path, "is_dir", tmp_path / "closed" / "other")
    assert size_of([tmp_path]) == 100


@pytest.fixture
def doctor(places, monkeypatch, capsys):
    """The command on that store."""
    spec = importlib.util.spec_from_file_location("doctor", ROOT / "scripts" / "doctor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(places.here)

    def command(*words: str, answers: object = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers) if isinstance(answers, str) else answers)
        status = module.main(["--tracking-uri", places.uri, "--db", str(places.database), *words])
        printed = capsys.readouterr()
        command.errors = printed.err.splitlines()
        return status, printed.out

    return command


def test_the_command_asks_and_then_the_same_sweep_completes(doctor, places):
    status, text = doctor()
    assert (status, "ok       tracking store: " in text) == (0, True)
    runs, tracking = by_kind(places), Tracking(places.uri, ())
    for kind in ("combination", "sweep"):
        tracking.discard(runs[kind], folder_of(places, runs[kind]))
    checkpoint = places.artifacts / ".unfinished" / "0123456789abcdef"
    checkpoint.mkdir(parents=True)
    status, text = doctor()
    assert status == 0 and "What --clean would ask:" in text and checkpoint.exists()
    status, text = doctor("--clean", answers="no\n")  # and then nobody answers
    assert status == 0 and "deleted" not in text and checkpoint.exists()
    status, text = doctor("--clean", answers="n\nyes\n")
    assert "checkpoints of 1 training deleted" in text and not checkpoint.exists()
    assert len(list_runs(places.uri)) == 3
    status, text = doctor("--clean", "--yes", "--json")
    mended = [finding["check"] for finding in json.loads(text) if finding["mended"]]
    assert (status, mended, list_runs(places.uri)) == (0, ["orphan stages"], [])
    assert "finished 1, reused 0, failed 0" in sweep(places.here)


def test_the_command_exits_with_1_for_a_problem(doctor, places):
    shutil.rmtree(folder_of(places, by_kind(places)["combination"]))
    status, text = doctor("--json")
    found = {finding["check"]: finding for finding in json.loads(text)}
    assert status == 1
    assert (found["artifacts"]["status"], found["tracking store"]["status"]) == ("problem", "ok")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--clean", "--json"), "--clean asks; with --json add --yes"),
        (("--yes",), "--yes answers the questions of --clean; add that"),
        (("--tracking-uri", "sqlite:///relative.db"), "write sqlite:/// followed by an absolute path"),
        (("--tracking-uri", "sqlite:///{here}"), "{here} is no file; expected the place of an MLflow sqlite"),
        (("--tracking-uri", "sqlite:///{here}/pipe"), "{here}/pipe is no file; expected the place of an"),
        (("--tracking-uri=",), "argument --tracking-uri: is empty; leave the option out"),
        (("--db", "{here}"), "{here} is no file; expected the place of a results database in --db"),
        (("--db=",), "argument --db: is empty"),
        (("--artifact-root=",), "argument --artifact-root: is empty"),
        (("--artifact-root", "{here}/none"), "there is no folder {here}/none; make or mount it, or correct"),
        (("--artifact-root", "{here}/mlflow.db"), "there is no folder {here}/mlflow.db"),
    ],
)
def test_what_cannot_be_meant_is_refused(doctor, places, capsys, words, said):
    os.mkfifo(places.here / "pipe")
    with pytest.raises(SystemExit) as refused:
        doctor(*(word.format(here=places.here) for word in words))
    assert refused.value.code == 2
    assert said.format(here=places.here) in capsys.readouterr().err


def test_nobody_is_there_to_answer_or_answers_with_ctrl_c(doctor, places, monkeypatch, capsys):
    checkpoint = places.artifacts / ".unfinished" / "0123456789abcdef"
    checkpoint.mkdir(parents=True)
    status, text = doctor("--clean", answers=None)
    assert status == 0 and "Delete the checkpoints of 1 interrupted training (0 bytes)? [y/N] \n" in text

    class CtrlC:
        def readline(self):
            raise KeyboardInterrupt

    status, _ = doctor("--clean", answers=CtrlC())
    assert (status, doctor.errors) == (130, ["", "stopped; repeat the command to go on"])
    assert checkpoint.exists()


@pytest.mark.parametrize("words", [("--clean", "--yes"), ("--help",)], ids=["clean", "help"])
def test_nobody_reads_what_it_prints(places, words):
    checkpoint = places.artifacts / ".unfinished" / "0123456789abcdef"
    checkpoint.mkdir(parents=True)
    where = "--tracking-uri", places.uri, "--db", str(places.database)
    done = unread(str(ROOT / "scripts" / "doctor.py"), *where, *words)
    assert (done.returncode, done.stderr) == (2, "nobody reads any more what this prints: stopped\n")
    assert checkpoint.exists()

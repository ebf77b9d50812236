"""Nothing that could name a patient leaves `data/private/`, through the real commands."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import ROOT, run

from src.cohort.synthetic import generate

SECRETS = ("zyxwvpatient", "qvolkrecording", "1987-03-", "ubqxoculus")  # long: chance writes four letters
STAGES = ("outlier=LOF", "imputation=linear", "classifier=LogisticRegression", "profile=smoke")
FIGURES = "recording,traces,stimulus,coverage"


def code(n: int) -> str:
    return f"Zyxwvpatient-{n:02d}"


def device_files(folder: Path) -> Path:
    """Raw files of sixteen subjects, one with both eyes, under telling names; returns the table of labels."""
    made = generate(n_recordings=17, n_controls=9, n_glaucoma=8, seed=5)
    folder.mkdir()
    rows = ["file,subject_code,class_label,age,eye,recording_name"]
    for n, (pupil, label) in enumerate(zip(made.pupil, made.labels, strict=True)):
        name, day, who = f"Qvolkrecording_{n:02d}_1987-03-{n + 10}.csv", f"1987-03-{n + 10}", n
        if n == 16:
            who = int((made.labels[:16] == label).argmax())
        rows.append(f"{name},{code(who)},{'glaucoma' if label else 'control'},60,Ubqxoculus-{n},{day}")
        lines = []
        for k, (t, size) in enumerate(zip(made.time, 10 * np.nan_to_num(pupil), strict=True)):
            blue, red = 90 * (16 <= t <= 25), 100 * (47 <= t <= 56)
            lines.append(f"{k}, {t:.4f}, {size:.3f}, 0, 0, 30, 3, 0, 0, {red}, 0, {blue}, {red}")
        (folder / name).write_text("\n".join(lines))
    labels = folder.parent / "labels.csv"
    labels.write_text("\n".join(rows))
    return labels


def tell(path: Path) -> None:
    """Write days and file names into a cohort file, as one of other hands may have them."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE train SET recording_name = 'Qvolkrecording_1987-03-' || recording_name")


def texts(name: str, content: bytes, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """What a file says, also where it is packed: archives, streams of PNG and PDF, databases, Parquet."""
    yield name, content
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from texts(f"{name}:{member}", archive.read(member), scratch)
    if content[:4] in (b"%PDF", b"\x89PNG"):
        for stream in re.finditer(rb"x[\x01\x5e\x9c\xda]", content):
            unpacked = zlib.decompressobj()
            try:
                yield f"{name}@{stream.start()}", unpacked.decompress(content[stream.start() :], 2**22)
            except zlib.error:
                continue
    if content[8:12] == b"DUCK":
        yield from ((f"{name}/{table}", rows) for table, rows in _duckdb_rows(content, scratch))
    if content[:15] == b"SQLite format 3":
        yield name, _sqlite_dump(content, scratch)
    if content[:4] == b"PAR1":
        yield name, str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
    utf16 = content.replace(b"\x00", b"")  # text in arrays of numpy takes four bytes a letter
    if len(utf16) < len(content):
        yield f"{name} without zeros", utf16


def _duckdb_rows(content: bytes, scratch: Path) -> Iterator[tuple[str, bytes]]:
    path = scratch / "copy.db"
    path.write_bytes(content)
    with duckdb.connect(str(path), read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            for batch in connection.sql(f'FROM "{table}"').to_arrow_reader(100_000):
                for column in batch.columns:
                    if str(column.type) == "string":
                        yield table, "\n".join(map(str, column.unique().to_pylist())).encode()


def _sqlite_dump(content: bytes, scratch: Path) -> bytes:
    path = scratch / "copy.sqlite"
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump()).encode()


def secrets_in(folder: Path, scratch: Path) -> list[str]:
    """Where a secret stands in a folder: file, place in it, and which."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found += [f"the name {name}: {secret}" for secret in SECRETS if secret in name.lower()]
        if path.is_file():
            for place, text in texts(name, path.read_bytes(), scratch):
                lower = text.lower()
                found += [f"{place}: {secret}" for secret in SECRETS if secret.encode() in lower]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, which has a `data/private/` of its own."""
    project = tmp_path_factory.mktemp("copy") / "project"
    ignore = shutil.ignore_patterns("__pycache__", "*.duckdb", "private")
    for name in ("src", "configs", "scripts"):
        shutil.copytree(ROOT / name, project / name, ignore=ignore)
    return project


def test_no_code_day_or_file_name_leaves_the_private_folder(project, tmp_path, empty_store):
    labels, cohort = device_files(tmp_path / "raw"), tmp_path / "cohort.duckdb"
    out = project / "out"
    out.mkdir()
    shutil.copy(empty_store, out / "mlflow.db")
    uri = f"sqlite:///{out / 'mlflow.db'}"
    told = []

    def command(*words: str) -> None:
        done = run(*words, cwd=project)
        told.append(done.stdout + done.stderr)

    command(
        "scripts/import_recordings.py", str(tmp_path / "raw"), "--labels", str(labels), "--out", str(cohort)
    )
    tell(cohort)
    data = ("data=cohort", f"data.path={cohort}")
    command("scripts/make_cohort.py", *data, "--out", str(out / "trace.svg"))
    settings = ("evaluation.n_iterations=20", "evaluation.n_jobs=1", f"tracking.uri={uri}")
    command("-m", "src.train", "-m", *data, *STAGES, *settings, f"hydra.sweep.dir={out}/multirun")
    database = ("--db", str(out / "results.db"))
    command("scripts/extract_results.py", "--tracking-uri", uri, *database, "--parquet", str(out / "parquet"))
    drawn = ("--only", FIGURES, "--format", "png,pdf,svg", "--jobs", "1", "--out", str(out / "figures"))
    command("scripts/make_figures.py", *database, *drawn)
    command("scripts/run_benchmark.py", *database, "--out", str(out / "report"))
    (out / "terminal.log").write_text("\n".join(told))

    kinds = {path.suffix for path in out.rglob("*")}
    assert {
        ".db",
        ".parquet",
        ".pkl",
        ".npz",
        ".json",
        ".yaml",
        ".png",
        ".pdf",
        ".svg",
        ".csv",
        ".html",
    } <= kinds
    lookups = list((project / "data" / "private").rglob("subject_lookup.csv"))
    assert len(lookups) == 1 and all(code(n) in lookups[0].read_text() for n in range(16))
    found = secrets_in(project, tmp_path)
    assert [place for place in found if not place.startswith("data/private/")] == []
    assert found and secrets_in(cohort.parent / "raw", tmp_path)  # the search finds what is there


def test_the_search_looks_into_packed_files(tmp_path):
    folder, secret = tmp_path / "files", code(1)
    folder.mkdir()
    np.savez_compressed(folder / "a.npz", names=np.array([secret]))
    with zipfile.ZipFile(folder / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/c.txt", secret * 99)
    with duckdb.connect(str(folder / "d.db")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT '{secret}' AS code")
        connection.execute(f"COPY t TO '{folder / 'e.parquet'}' (COMPRESSION zstd)")
    with closing(sqlite3.connect(folder / "f.db")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT '{secret}' AS code")
        connection.commit()
    (folder / "g.pdf").write_bytes(b"%PDF-1.4 stream\n" + zlib.compress(secret.encode() * 9))
    (folder / f"{secret}.txt").write_text("x")
    for name in ("a.npz", "b.zip", "d.db", "e.parquet", "f.db", "g.pdf", "the name"):
        assert any(place.startswith(name) for place in secrets_in(folder, tmp_path)), name

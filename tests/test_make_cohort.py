"""The command that makes a cohort and draws one recording of it."""

from commands import run


def test_the_picture_goes_where_it_is_asked_or_the_reason_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    command = ("scripts/make_cohort.py", "data=smoke", f"data.folder='{tmp_path}'", "--out")
    done = run(*command, str(tmp_path / "new" / "trace.pdf"))
    assert "24 controls" in " ".join(done.stdout.split()) and "14 glaucoma" in done.stdout
    assert (tmp_path / "new" / "trace.pdf").read_bytes().startswith(b"%PDF")
    barred = tmp_path / "file" / "trace.png"
    done = run(*command, str(barred), expect=2)
    assert done.stderr == f"cannot write {barred}: File exists; choose another --out or make room there\n"
    done = run(*command, str(tmp_path / "trace.doc"), expect=2)
    assert "trace.doc; expected a name that ends in .png, .pdf, .svg" in done.stderr

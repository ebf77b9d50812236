"""What is noted of code and libraries."""

from __future__ import annotations

import pytest

from src import provenance


@pytest.mark.parametrize(
    ("script", "commit"),
    [
        ('[ "$5" = rev-parse ] && echo 0123456789ab', "0123456789ab"),
        ('[ "$5" = rev-parse ] && echo 0123456789ab || echo " M src/train.py"', "0123456789ab+changes"),
        ("exit 128", "unknown"),
    ],
)
def test_the_commit_is_what_git_says(monkeypatch, tmp_path, script, commit):
    git_says(script, tmp_path, monkeypatch)
    assert provenance.code_commit.__wrapped__() == commit


def test_a_git_that_is_killed_does_not_make_the_code_unknown(monkeypatch, tmp_path):
    git_says("kill -9 $$", tmp_path, monkeypatch)
    with pytest.raises(ChildProcessError, match="git was ended by signal 9"):
        provenance.code_commit.__wrapped__()


def git_says(script, folder, monkeypatch):
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

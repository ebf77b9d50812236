"""Run the project's commands the way a user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path = ROOT, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS`; fail with all output if the exit status is not the expected one."""
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, env=env(cwd), check=False
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def unread(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` where nobody reads what it prints."""
    reader, writer = os.pipe()
    os.close(reader)
    inherited = {name: value for name, value in env(ROOT).items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writer) as nobody:
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited,
            check=False,
        )


def start(*words: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env(cwd),
    )


def env(cwd: Path) -> dict[str, str]:
    """A user's environment: whoever runs the tests may have told Python to write no bytecode."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {"PYTHONPATH": str(cwd), "PYTHONUNBUFFERED": "1"}


def summary(output: str) -> dict[str, int]:
    """The counts of the line in which a sweep sums up what it did."""
    line = next(line for line in output.splitlines() if line.startswith("planned "))
    return {name: int(n) for name, n in re.findall(r"(\w+) (\d+)", line)}

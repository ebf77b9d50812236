#!/usr/bin/env python3
"""sbatch, squeue, scancel and scontrol in one: tasks are processes of this machine. And work for them.

Its state lies in the folder FAKE_SLURM: `asked`, a line per command; `tasks/`, a file with the process id of
each task; and, where a test puts them, `down` (the controller does not answer), `pending` (why it says that a
task waits), `refuse` (what sbatch says to
arrays after the first `taken`), `size` (MaxArraySize) and `known` (what scontrol still knows of a task).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """Work that does what its name says: 'record', 'die', 'raise' or 'wait' until a file is there."""

    does: str
    path: Path

    def __call__(self) -> None:
        if self.does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.does == "raise":
            raise ValueError("this piece is broken")
        deadline = time.monotonic() + 60
        while self.does == "wait" and not self.path.with_name("go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.leave({"state": "done", "piece": self.path.name, "order": time.time_ns()})

    def leave(self, record: dict) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(record))
        draft.replace(self.path)

    def record(self) -> dict | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def give_up(self, reason: str) -> None:
        assert self.record() is None, "given up twice"
        self.leave({"state": "lost", "piece": self.path.name, "reason": reason})


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sbatch(state: Path, words: list[str]) -> str:
    taken = len([line for line in (state / "asked").read_text().splitlines() if line.startswith("sbatch")])
    first = int((state / "taken").read_text()) if (state / "taken").exists() else 0
    if (state / "refuse").exists() and taken > first:
        sys.exit((state / "refuse").read_text())
    if "--hold" in words:
        return f"{taken}"
    script = Path(words[-1]).read_text()
    options = dict(re.findall(r"#SBATCH --([\w-]+)=(\S+)", script))
    for task in (
        range(int(options["array"].split("%")[0].partition("-")[2]) + 1) if "array" in options else [""]
    ):
        name = f"{taken}_{task}" if task != "" else f"{taken}"
        job = {"SLURM_JOB_ID": f"{taken}"}
        if task != "":
            job |= {"SLURM_ARRAY_JOB_ID": f"{taken}", "SLURM_ARRAY_TASK_ID": f"{task}"}
        streams = [options[s].replace("%A", f"{taken}").replace("%a", f"{task}") for s in ("output", "error")]
        out, err = (os.open(path.replace("%j", f"{taken}"), os.O_CREAT | os.O_WRONLY) for path in streams)
        process = subprocess.Popen(
            ["bash", words[-1]],
            cwd=options["chdir"],
            env={**os.environ, **job},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        (state / "tasks").mkdir(exist_ok=True)
        (state / "tasks" / name).write_text(f"{process.pid} {options['job-name']}")
    return f"Submitted batch job {taken}"


def squeue(state: Path, words: list[str]) -> str:
    if (state / "down").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    lines = []
    for path in (state / "tasks").glob("*"):
        job, _, task = path.name.partition("_")
        if is_running(int(path.read_text().split()[0])):
            pending = state / "pending"
            does = f"PENDING|{pending.read_text()}" if pending.exists() else "RUNNING|None"
            lines.append(f"{job}|{task or 'N/A'}|{does}")
    return "\n".join(lines)


def scancel(state: Path, words: list[str]) -> str:
    names = [word.removeprefix("--name=") for word in words if word.startswith("--name=")]
    for path in (state / "tasks").glob("*"):
        pid, name = path.read_text().split()
        if name in names or path.name in words:
            os.killpg(int(pid), signal.SIGKILL)
    return ""


def scontrol(state: Path, words: list[str]) -> str:
    if "config" in words:
        size = state / "size"
        return f"MaxArraySize            = {size.read_text() if size.exists() else 1001}"
    if (state / "known").exists():
        return (state / "known").read_text()
    sys.exit("slurm_load_jobs error: Invalid job id specified")


if __name__ == "__main__":
    command, folder = Path(sys.argv[0]).name, Path(os.environ["FAKE_SLURM"])
    with (folder / "asked").open("a") as asked:
        asked.write(" ".join([command, *sys.argv[1:]]) + "\n")
    print(globals()[command](folder, sys.argv[1:]))

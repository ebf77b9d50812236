"""Commands that are killed at random times: the same command again completes, and nothing is lost.

`FAULT_KILLS` is the number of kills of each kind, 3 unless set; `make test-faults` sets it, and a new seed.
With the same `FAULT_SEED` the same times and victims are drawn. At most `FAULT_IN_A_ROW` kills hit a study
before it is let complete.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from subprocess import Popen

import pytest
from commands import summary
from faults import (
    KILLS,
    N_CELLS,
    REPORT,
    SEED,
    TWO_WORKERS,
    Study,
    Undisturbed,
    assert_same_results,
    assert_sound,
    assert_whole_files,
    rows_lost,
)
from measured import record
from processes import children, combinations, forkservers, kill, wait_for, wait_until_gone

from src.train import STOPPED

FEW = KILLS <= 3
IN_A_ROW = int(os.environ.get("FAULT_IN_A_ROW", "3"))
CALM_S = 120  # what ends within seconds has long done so


def pause(process: Popen[str], seconds: float) -> bool:
    """Wait while a command runs; return whether it still does."""
    try:
        process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        return True
    return False


def kill_combinations(study: Study, whole_s: float, rng: random.Random, n: int) -> int:
    """Kill processes that compute combinations while a sweep runs, which goes on without them."""
    process, started = study.start(study.sweep(*rng.choice([TWO_WORKERS, ()]))), time.monotonic()
    killed: set[int] = set()  # they may be there for a moment yet
    for moment in sorted(rng.uniform(0, whole_s) for _ in range(n)):
        pause(process, started + moment - time.monotonic())
        victims = wait_for(lambda: sorted(set(combinations(process.pid)) - killed), process)
        rng.shuffle(victims)
        killed.update(pid for pid in victims[:1] if kill(pid))
    ends_in_good_order(process, died="exit code -9")
    return len(killed)


def kill_commands(study: Study, whole_s: float, rng: random.Random, n: int) -> int:
    """Kill the sweep itself, and again when it is repeated; its processes end with it."""
    n_killed = 0
    while n_killed < n:
        process = study.start(study.sweep(*rng.choice([TWO_WORKERS, ()])))
        left_s = 0.6 * whole_s if n_killed else whole_s  # some of it is done
        n_killed += pause(process, rng.uniform(0, left_s)) and kill(process.pid)
        process.wait(CALM_S)
        assert_whole_files(study)
    return n_killed


def kill_servers(study: Study, whole_s: float, rng: random.Random, n: int) -> int:
    """Kill the process that those which compute combinations are forked from: they die with it."""
    n_killed = 0
    for _ in range(n):
        process = study.start(study.sweep(*TWO_WORKERS))
        pause(process, rng.uniform(0, whole_s))
        victims = wait_for(lambda pid=process.pid: forkservers(pid), process)
        n_killed += bool(victims) and kill(victims[0])
        ends_in_good_order(process, died="died")
    return n_killed


def interrupt(study: Study, whole_s: float, rng: random.Random, n: int) -> int:
    """Press Ctrl-C while combinations are computed."""
    n_stopped = 0
    for _ in range(n):
        process = study.start(study.sweep(*TWO_WORKERS))
        busy = wait_for(lambda pid=process.pid: combinations(pid), process)
        if busy and pause(process, rng.uniform(0, whole_s / 4)):
            os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=CALM_S)
        wait_until_gone(process.pid)
        assert "Traceback" not in output, output
        if process.returncode == STOPPED:
            assert output.endswith("stopped; the same command goes on where this one was\n")
            n_stopped += 1
    return n_stopped


def ends_in_good_order(process: Popen[str], died: str) -> None:
    """The command sums up what it did, and exits with 1 if, and only if, something failed."""
    output, _ = process.communicate(timeout=300)
    assert "Traceback" not in output, output
    assert summary(output)["planned"] == N_CELLS
    assert process.returncode == (1 if died in output else 0), output
    wait_until_gone(process.pid)


SOME = 0 if FEW else KILLS // 5
DISTURBANCES: dict[str, tuple[Callable[[Study, float, random.Random, int], int], int]] = {
    "process of a combination killed": (kill_combinations, KILLS),
    "sweep killed": (kill_commands, KILLS),
    "server of processes killed": (kill_servers, SOME),
    "sweep stopped with Ctrl-C": (interrupt, SOME),
}
TOGETHER = [list(DISTURBANCES)] if FEW else [[kind] for kind in DISTURBANCES]
"""Disturbances of one study, one after the other: few of them share one, to save time."""
EXTRACTION = "extraction, or a process of it, killed"


def test_an_extraction_that_is_killed_completes_when_it_is_repeated(undisturbed, new_study):
    """Killed are the command and the processes that evaluate runs for it."""
    print(f"FAULT_KILLS={KILLS} FAULT_SEED={SEED}")
    rng = random.Random(SEED)
    left, lost = KILLS, 0
    while left > 0:
        study = new_study()
        study.uri = undisturbed.study.uri
        if rng.random() < 0.5:
            shutil.copytree(undisturbed.db.parent, study.db.parent)
        for _ in range(min(left, IN_A_ROW if FEW else rng.randint(1, IN_A_ROW))):
            left -= kill_extraction(study, undisturbed.extraction_s, rng)
            if study.db.exists():
                assert_same_results(undisturbed.db, study.db)
        study.complete(study.extraction())
        lost += rows_lost(undisturbed.db, study.db)
        assert_sound(study, undisturbed.db)
        assert not study.close()
        shutil.rmtree(study.folder)
        record(REPORT, EXTRACTION, {"survived": KILLS - left, "rows_lost": lost, "seed": SEED})


def kill_extraction(study: Study, whole_s: float, rng: random.Random) -> bool:
    """Kill an extraction or one of its processes; one that loses a process says so in one sentence."""
    process = study.start(study.extraction("--rebuild"))
    killed = False
    if pause(process, rng.uniform(0, whole_s)):
        victim = rng.choice([process.pid, *children(process.pid)])
        killed = kill(victim)
    output, _ = process.communicate(timeout=CALM_S)
    wait_until_gone(process.pid)
    assert process.returncode in (0, 1, -signal.SIGKILL), output
    if process.returncode == 1:
        assert "No database was built: a process that evaluates runs died" in output
        assert "Traceback" not in output, output
    return killed


def test_a_sweep_that_is_killed_completes_when_it_is_repeated(undisturbed, new_study):
    print(f"FAULT_KILLS={KILLS} FAULT_SEED={SEED}")
    rng = random.Random(SEED)
    left = {kind: n for kind, (_, n) in DISTURBANCES.items()}
    lost = dict.fromkeys(left, 0)
    while any(n > 0 for n in left.values()):
        for kinds in TOGETHER:
            chosen = [kind for kind in kinds if left[kind] > 0]
            n_lost = disturbed(new_study(), undisturbed, rng, left, chosen) if chosen else 0
            for kind in chosen:
                lost[kind] += n_lost
                n_survived = DISTURBANCES[kind][1] - left[kind]
                record(REPORT, kind, {"survived": n_survived, "rows_lost": lost[kind], "seed": SEED})


def disturbed(
    study: Study, undisturbed: Undisturbed, rng: random.Random, left: dict[str, int], kinds: list[str]
) -> int:
    """Disturb a study, counting down, and let it complete; return how many rows of its database are lost."""
    for kind in kinds:
        n = min(left[kind], IN_A_ROW if FEW else rng.randint(1, IN_A_ROW))
        left[kind] -= DISTURBANCES[kind][0](study, undisturbed.sweep_s, rng, n)
    study.complete(study.sweep())
    study.complete(study.extraction())
    n_lost = rows_lost(undisturbed.db, study.db)
    assert_sound(study, undisturbed.db)
    assert not study.close()
    shutil.rmtree(study.folder)
    return n_lost


@pytest.mark.parametrize("words", [TWO_WORKERS] if FEW else [TWO_WORKERS, ()])
def test_commands_started_at_once_do_not_disturb_each_other(undisturbed, new_study, words):
    study = new_study()
    if not words:
        (study.folder / "mlflow.db").unlink()  # both find none, and one of them makes it
    both = [study.start(study.sweep()), study.start(study.sweep(*words))]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    assert sum(summary(output)["finished"] for output in outputs) == N_CELLS
    both = [study.start(study.extraction()), study.start(study.extraction())]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    assert_sound(study, undisturbed.db)
    assert not study.close()

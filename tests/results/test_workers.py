import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.results.safe_pickle import RejectedRun, load_plain
from src.results.workers import WorkerDiedError, Workers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files(tmp_path):
    """Pickles of the numbers 0 to 29; every tenth is broken."""
    made = []
    for number in range(30):
        made.append(tmp_path / f"{number}.pkl")
        made[-1].write_bytes(b"broken" if number % 10 == 9 else f"I{number}\n.".encode())
    return made


@pytest.mark.parametrize("number", [1, 2])
def test_answers_come_in_order_with_rejections_among_them(files, number):
    with Workers(number) as workers:
        answers = list(workers.map(load_plain, files))
    for position, answer in enumerate(answers):
        if position % 10 == 9:
            assert isinstance(answer, RejectedRun)
        else:
            assert answer == position


def test_processes_serve_again_and_end_with_the_block(files):
    with Workers(2) as workers:
        first, second = (list(workers.map(load_plain, files[:9])) for _ in range(2))
        processes = list(workers._processes)
        assert len(processes) == 2
    assert first == second == list(range(9))
    assert all(process.poll() is not None for process in processes)


def test_a_killed_process_is_one_error(files):
    with Workers(2) as workers:
        answers = workers.map(load_plain, files)
        assert next(answers) == 0
        for process in workers._processes:
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="died"):
            list(answers)


def test_an_error_on_the_way_to_a_process_is_not_waited_for(files):
    with Workers(2) as workers, pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(workers.map(lambda path: path, files))  # cannot be sent


def test_nothing_is_waited_for_once_the_caller_has_left(files):
    with Workers(2) as workers:
        answers = workers.map(load_plain, files)
        assert next(answers) == 0
        answers.close()
        assert [process.wait(60) for process in workers._processes] == [-signal.SIGKILL] * 2


def test_a_script_without_a_guard_may_start_them(files, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom src.results.safe_pickle import load_plain\n"
        "from src.results.workers import Workers\nprint('once')\n"
        f"files = [Path({str(tmp_path)!r}) / f'{{i}}.pkl' for i in range(9)]\n"
        "with Workers(2) as workers:\n    print(list(workers.map(load_plain, files)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "once\n[0, 1, 2, 3, 4, 5, 6, 7, 8]\n"


def test_processes_do_not_survive_their_parent(files, tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom src.results.safe_pickle import load_plain\n"
        "from src.results.workers import Workers\nfiles = [Path(p) for p in sys.argv[1:]]\n"
        "workers = Workers(2)\nlist(workers.map(load_plain, files))\n"
        "print(*[p.pid for p in workers._processes], flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, files)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in children)


def _runs(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False

import os
import signal
import subprocess
import sys
import time

import pytest

from src.isolation import ProcessDied, run_isolated


def double(x, send):
    send(("stage", "half way"))
    return 2 * x


def die(send):
    os.kill(os.getpid(), signal.SIGKILL)


def complain(send):
    raise ValueError("not like this")


def sleep_long(send):
    send(os.getpid())
    time.sleep(60)


def test_returns_the_result_and_passes_messages():
    messages = []
    assert run_isolated(double, 21, on_message=messages.append) == 42
    assert [m for m in messages if m is not None] == [("stage", "half way")]


def test_a_killed_child_is_an_error_with_its_exit_code():
    with pytest.raises(ProcessDied, match="exit code -9"):
        run_isolated(die, on_message=lambda message: None)


def test_what_the_child_raises_reaches_the_parent(capfd):
    with pytest.raises(ProcessDied, match="ended with ValueError: not like this"):
        run_isolated(complain, on_message=lambda message: None)


def test_a_child_ends_with_its_parent():
    code = (
        "from test_isolation import sleep_long; from src.isolation import run_isolated\n"
        "if __name__ == '__main__':\n"
        "    run_isolated(sleep_long, on_message=lambda m: m and print(m, flush=True))"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and alive(child):
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False

import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess

import pytest

from src.isolation import THREAD_VARIABLES, ProcessDied, _server, run_isolated


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


def die_within_a_message(send):
    os.write(logging.root.handlers[0].sender.fileno(), struct.pack("!i", 1000) + b"the beginning")
    die(send)


def kill_the_server(send):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def server() -> int:
    return forkserver._forkserver._forkserver_pid


def test_returns_the_result_and_passes_messages():
    messages = []
    assert run_isolated(double, 21, on_message=messages.append) == 42
    assert [m for m in messages if m is not None] == [("stage", "half way")]


def test_a_child_starts_one_thread_whatever_the_environment_says(monkeypatch):
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "8")
    _server.cache_clear()
    _server()
    assert [os.environ[variable] for variable in THREAD_VARIABLES] == ["1"] * len(THREAD_VARIABLES)


def test_a_killed_child_is_an_error_with_its_exit_code():
    with pytest.raises(ProcessDied, match="exit code -9"):
        run_isolated(die, on_message=lambda message: None)


def test_a_child_killed_while_it_answers_is_an_error_too():
    with pytest.raises(ProcessDied, match="exit code -9"):
        run_isolated(die_within_a_message, on_message=lambda message: None)


def test_without_its_server_a_child_dies_and_the_next_one_gets_another():
    with pytest.raises(ProcessDied, match="the process died"):
        run_isolated(kill_the_server, on_message=lambda message: None)
    thread = threading.Thread(target=run_isolated, args=(double, 21), kwargs={"on_message": lambda m: None})
    thread.start()
    thread.join(60)
    new = server()
    time.sleep(0.2)
    assert alive(new), "it ended with the thread that needed it"
    assert run_isolated(double, 21, on_message=lambda message: None) == 42
    assert server() == new


def test_a_server_that_dies_as_it_is_asked_is_an_error(monkeypatch):
    def start(process):
        raise EOFError

    monkeypatch.setattr("multiprocessing.context.ForkServerProcess.start", start)
    with pytest.raises(ProcessDied, match="the server of processes died"):
        run_isolated(double, 21, on_message=lambda message: None)


def test_a_server_that_was_killed_may_refuse_for_a_moment(monkeypatch):
    start, refusals = ForkServerProcess.start, [ConnectionRefusedError(), ConnectionRefusedError()]

    def refused_at_first(process):
        if refusals:
            raise refusals.pop()
        start(process)

    monkeypatch.setattr(ForkServerProcess, "start", refused_at_first)
    assert run_isolated(double, 21, on_message=lambda message: None) == 42


def test_a_folder_too_deep_for_sockets_is_named(tmp_path):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    code = "from src.isolation import start_server; start_server()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(deep)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"too long for the sockets of processes (set TMPDIR to a shorter one): '{deep}'" in done.stderr


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

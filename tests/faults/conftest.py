from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import Study, Undisturbed
from filelock import FileLock


@pytest.fixture(scope="session", autouse=True)
def as_from_a_terminal() -> Iterator[None]:
    """What a shell starts in its background ignores Ctrl-C, and so would the commands of these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Undisturbed:
    """Made once, also where several processes run tests."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    times = root / "undisturbed.json"
    with FileLock(root / ".undisturbed.lock"):
        study = Study(root / "undisturbed", empty_store)
        if not times.exists():
            times.write_text(json.dumps([seconds(study, study.sweep()), seconds(study, study.extraction())]))
            study.close()
    return Undisturbed(study, *json.loads(times.read_text()))


def seconds(study: Study, command: tuple[str, ...]) -> float:
    started = time.monotonic()
    study.complete(command)
    return time.monotonic() - started


@pytest.fixture
def new_study(tmp_path: Path, empty_store: Path) -> Iterator[Callable[[], Study]]:
    """Make empty studies; nothing that was started in them is left running, whatever happens."""
    made: list[Study] = []

    def make() -> Study:
        made.append(Study(tmp_path / f"study{len(made)}", empty_store))
        return made[-1]

    yield make
    for study in made:
        study.close()

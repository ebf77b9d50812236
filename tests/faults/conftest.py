from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import Study, Undisturbed


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Undisturbed:
    study = Study(tmp_path_factory.mktemp("undisturbed") / "study", empty_store)
    seconds = []
    for command in (study.sweep(), study.extraction()):
        started = time.monotonic()
        study.complete(command)
        seconds.append(time.monotonic() - started)
    assert not study.close()
    return Undisturbed(study, *seconds)


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

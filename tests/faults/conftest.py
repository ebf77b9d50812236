from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults import Study


@dataclass(frozen=True)
class Undisturbed:
    """A study that nothing happened to, and how long its commands took."""

    study: Study
    sweep_s: float
    extraction_s: float

    @property
    def db(self) -> Path:
        return self.study.db


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Undisturbed:
    study = Study(tmp_path_factory.mktemp("undisturbed"), empty_store)
    seconds = []
    for command in (study.sweep(), study.extraction()):
        started = time.monotonic()
        study.complete(command)
        seconds.append(time.monotonic() - started)
    return Undisturbed(study, *seconds)


@pytest.fixture
def study(tmp_path: Path, empty_store: Path) -> Iterator[Study]:
    """An empty study; what a test leaves running there is a fault of its own."""
    study = Study(tmp_path, empty_store)
    yield study
    assert not study.close()

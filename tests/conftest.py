import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from hypothesis import settings
from tiny_weights import TINY, line_weights, write_moment

from src.networks.weights import FOLDER_VARIABLE
from src.tracking import Tracking

# Property tests try the same examples in every run; `pytest --hypothesis-profile=explore` looks for new ones.
# No deadlines: a shared machine may pause a test for longer than hypothesis expects.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files that start whole commands come first: they take longest, so none is left for the end."""
    places = (ROOT / "tests", ROOT / "tests" / "faults")
    items.sort(key=lambda item: item.path.parent not in places)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised MLflow file without runs: copying it spares every test seconds of migrations."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}", ("Default",))
    return path


@pytest.fixture
def tracking_uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session", autouse=True)
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tiny networks in the place of pretrained ones: what is tested is the way, not the result."""
    folder = tmp_path_factory.mktemp("weights")
    write_moment(folder / "MOMENT-1-small", TINY, line_weights(TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        yield folder

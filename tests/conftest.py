import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from src.tracking import Tracking

# Property tests try the same examples in every run; `pytest --hypothesis-profile=explore` looks for new ones.
# No deadlines: a shared machine may pause a test for longer than hypothesis expects.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


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

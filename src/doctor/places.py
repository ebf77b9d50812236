"""Where a project keeps what the checks look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from src.results.stores import Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes
    ----------
    uri : str
        Address of the tracking store.
    database : Path
        The results database.
    here : Path
        Folder in which sweeps were started: it has `multirun/` and `outputs/`.
    own_root : Path, optional
        Folder of the artifacts; beside a sqlite file by default.
    data : Path
        Folder with `cohorts/` and `private/`.
    """

    uri: str
    database: Path
    here: Path
    own_root: Path | None = None
    data: Path = ROOT / "data"

    @property
    def sqlite(self) -> Path | None:
        """The file of the store, None for a server."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @property
    def artifacts(self) -> Path | None:
        """Folder of the artifacts, where it is on this machine."""
        from src.tracking import default_artifact_root

        return self.own_root or default_artifact_root(self.uri)

    @cached_property
    def store(self) -> Store:
        """The runs as they are when first asked for."""
        return self.read_again()

    def read_again(self) -> Store:
        """Return the runs as they are now; rows that are none are set apart."""
        from src.results.stores import open_store
        from src.tracking import RUN_ID

        store = open_store(self.uri, self.artifacts)
        runs, odd = [], {}
        for run in store.runs:
            if run.experiment and RUN_ID.fullmatch(run.run_id or ""):
                runs.append(run)
            else:
                odd[f"{run.experiment}/{run.run_id}"] = "it is no run of MLflow's"
        return replace(store, runs=runs, unreadable=store.unreadable | odd)

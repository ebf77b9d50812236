"""The project's modules as they were when the process began: what is edited later is for the next command.

A key holds the source of a method, so it must be the source that is executed, whenever it is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


def keep_sources() -> None:
    """Have this process, and those forked from it, import this project's modules as they are now."""
    sys.meta_path.insert(0, _KeptModules(_PACKAGE))


class _KeptModules(MetaPathFinder):
    """Finds the modules of a package whose sources it has read."""

    def __init__(self, package: Path) -> None:
        files = package.rglob("*.py")
        loaders = [_KeptModule(_module_name(path.relative_to(package.parent)), str(path)) for path in files]
        self.loaders = {loader.name: loader for loader in loaders}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module comes from; None for those of others."""
        loader = self.loaders.get(fullname)
        return None if loader is None else spec_from_file_location(fullname, loader.path, loader=loader)


class _KeptModule(SourceFileLoader):
    """Loads a module from the source it has read; its bytecode, if that is of this source, from the disk."""

    def __init__(self, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        with Path(path).open("rb") as file:
            stat = os.fstat(file.fileno())
            self._source = file.read()
        self._stats = {"mtime": stat.st_mtime, "size": len(self._source)}

    def get_data(self, path: str) -> bytes:
        """Return the source, or what else is read from the disk."""
        return self._source if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> dict[str, Any]:
        """Return what bytecode of the source must have been made from."""
        return self._stats


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

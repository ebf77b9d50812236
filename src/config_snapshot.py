"""Configs as they were when the command began: what is edited while a sweep runs is for the next command.

Hydra reads them again for every job.
"""

from __future__ import annotations

import builtins
import os
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf


def keep_configs(folder: Path) -> None:
    """Have Hydra, in this process, read this folder now and any other one when it is first named: once."""
    Plugins.instance()  # registers the class that this one stands for
    SourcesRegistry.instance().types[KeptConfigs.scheme()] = KeptConfigs
    _kept(str(folder))


class KeptConfigs(FileConfigSource):
    """A folder of configs as it was when it was read."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Parse a config; what is wrong with it is said of the file it was read from."""
        name = Path(self._normalize_file_name(config_path))
        if name not in _kept(self.path).files:
            raise ConfigLoadError(f"Config not found : {Path(self.path) / name}")
        text = _Text(_kept(self.path).files[name].decode("utf-8"))
        text.name = str(Path(self.path) / name)
        header = self._get_header_dict(text.getvalue()[:512])
        return ConfigResult(self.provider, self.full_path(), OmegaConf.load(text), header)

    def is_group(self, config_path: str) -> bool:
        """Whether there was such a folder."""
        return Path(config_path) in _kept(self.path).groups

    def is_config(self, config_path: str) -> bool:
        """Whether there was such a config."""
        return Path(self._normalize_file_name(config_path)) in _kept(self.path).files

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        """Return the names of the configs and folders there were in a folder."""
        kept = _kept(self.path)
        found: builtins.list[str] = []
        for path in (*kept.files, *kept.groups - {Path()}):
            if path.parent == Path(config_path):
                self._list_add_result(found, str(path), path.name, results_filter)
        return sorted(set(found))


class _Text(StringIO):
    """Text that says which file it was read from, for messages about its lines."""

    name = ""


@dataclass(frozen=True)
class _Kept:
    files: dict[Path, bytes]
    groups: frozenset[Path]


@cache
def _kept(folder: str) -> _Kept:
    """Read all configs below a folder; what may not be read is not there."""
    files, groups = {}, set()
    for place, _, names in os.walk(folder, followlinks=True):
        group = Path(place).relative_to(folder)
        groups.add(group)
        for path in (Path(place, name) for name in names if name.endswith(".yaml")):
            if path.is_file() and os.access(path, os.R_OK):
                files[group / path.name] = path.read_bytes()
    return _Kept(files, frozenset(groups))

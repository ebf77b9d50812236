"""What a method needs besides this project: packages that are not installed by default, and weights."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec


class NotReady(RuntimeError):
    """A method lacks something on this machine; the message names the command that gets it."""


def need_packages(method: str, extra: str, packages: Iterable[str]) -> None:
    """Raise NotReady if a package that a method needs is not installed.

    Parameters
    ----------
    method : str
        For the message.
    extra : str
        The project's extra that brings the packages.
    packages : iterable of str
        Names to import; they are looked for, not imported.
    """
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        raise NotReady(
            f"{method} needs {', '.join(lacking)}, not installed here: pip install 'foundation-plr[{extra}]'"
        )


class NotHereYet:
    """Stands for a method without a config: it can be planned, and fails at once with the reason.

    Parameters
    ----------
    stage, name : str
    """

    def __init__(self, stage: str, name: str) -> None:
        self.stage = stage
        self.name = name

    def check_ready(self) -> None:
        """Raise `NotReady`, always."""
        file = f"configs/{self.stage}/{self.name}.yaml"
        raise NotReady(f"{self.stage}={self.name} cannot be run here yet: there is no {file}")

"""What a method needs besides this project: packages that are not installed by default, and weights."""

from __future__ import annotations


class NotReady(RuntimeError):
    """A method lacks something on this machine; the message names the command that gets it."""


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

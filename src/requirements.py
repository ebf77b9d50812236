"""What a method needs besides this project: packages that are not installed by default, and weights."""

from __future__ import annotations


class NotReady(RuntimeError):
    """A method lacks something on this machine; the message names the command that gets it."""

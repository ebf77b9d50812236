"""What a run leaves in its log file: one line per event, and nothing of what libraries say to themselves."""

from __future__ import annotations

import logging
import time

events = logging.getLogger("src.events")
"""Logger of what happens to a run. It goes to the file alone: the terminal has the progress."""


class OneLine(logging.Formatter):
    """Time (UTC), level and text, with line breaks and control characters taken out."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = " ".join(super().format(record).split())
        return "".join(letter if letter.isprintable() else "?" for letter in line)


class Own(logging.Filter):
    """Lets pass what this project logs, and of libraries their errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        return record.name.partition(".")[0] == "src" or record.levelno >= logging.ERROR

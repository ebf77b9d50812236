"""What a run leaves in its log file: one line per event, and nothing of what libraries say to themselves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG = "run.log"

_OURS = logging.getLogger("src")

events = logging.getLogger("src.events")
"""Logger of what happens to a run. It goes to the file alone: the terminal has the progress."""


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Append to a file what this project logs from this thread, and from processes it started.

    Each worker of a sweep is a thread with a file of its own.
    """
    handler = _File(path, encoding="utf-8", delay=True)
    handler.setFormatter(OneLine())
    thread = threading.get_ident()
    handler.addFilter(lambda record: threading.get_ident() == thread)
    _OURS.addHandler(handler)
    try:
        yield
    finally:
        _OURS.removeHandler(handler)
        handler.close()


class _File(logging.FileHandler):
    """A log file; where it cannot be written, who logs learns it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise what went wrong."""
        raise


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


class ForTerminal(logging.Filter):
    """Lets pass what this project logs besides its events, and of libraries their errors.

    What all workers notice at once (a record's `news`) passes once, until there is other news.
    """

    def __init__(self) -> None:
        super().__init__()
        self._one_asks = threading.Lock()
        self._news = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record."""
        ours = record.name.partition(".")[0] == _OURS.name
        shown = record.name != events.name and (ours or record.levelno >= logging.ERROR)
        return shown and self._is_news(getattr(record, "news", ""))

    def _is_news(self, news: str) -> bool:
        with self._one_asks:
            known, self._news = self._news, news or self._news
        return not news or news != known


def log_to_terminal() -> None:
    """Set up where Hydra does not run what `configs/hydra/job_logging/plain.yaml` sets up."""
    handler = logging.StreamHandler()
    handler.addFilter(ForTerminal())
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])

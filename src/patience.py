"""Ask again what does not answer, with growing pauses, for a bounded time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from src.parallel import check_going_on

PATIENCE_S = 120.0
"""How long to wait for what does not answer, where nothing else is said."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_SILENT_S = 1.0  # what is over so soon is not worth a line
_SLICE_S = 0.5
_JITTER = random.SystemRandom()  # forked processes share the state of any other

log = logging.getLogger(__name__)


class GaveUp(RuntimeError):
    """What was asked did not answer as long as there was patience; the message says since when, and why."""


@dataclass
class Patience:
    """How long to wait for something that is away, counted from when it first did not answer.

    Attributes
    ----------
    name : str
        What is asked, for messages.
    limit_s : float
        How long to wait; 0: ask once.
    why_away : callable
        Gives the reason if an error means that it is away, and nothing if it means something else.
    """

    name: str
    limit_s: float
    why_away: Callable[[Exception], str]
    _since: float | None = field(default=None, init=False)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Return the answer to a question, which is asked again while there is none.

        Errors of something that is there are raised as they are.

        Raises
        ------
        GaveUp
            If there was no answer for `limit_s`. Asked once more, it raises this without waiting again.
        """
        pause, told = _FIRST_PAUSE_S, False
        while True:
            try:
                answer = question()
            except Exception as error:
                reason = self.why_away(error)
                if not reason:
                    raise
                away_s = self._away_s()
                if away_s >= self.limit_s:
                    raise GaveUp(self._sentence(reason)) from error
            else:
                self._since = None
                if told:
                    log.warning("%s answers again", self.name, extra={"news": "answers"})
                return answer
            if not told and away_s >= _SILENT_S:
                told = True
                until = f"trying again for {self.limit_s:.0f} s in all"
                log.warning("%s does not answer (%s): %s", self.name, reason, until, extra={"news": "away"})
            _wait(min(pause * _JITTER.uniform(0.5, 1.0), self.limit_s - away_s))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _away_s(self) -> float:
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since

    def _sentence(self, reason: str) -> str:
        since = datetime.now(UTC) - timedelta(seconds=self._away_s())
        return f"{self.name} has not answered since {since:%H:%M:%S} UTC ({reason})"


def _wait(seconds: float) -> None:
    """Sleep; stop when the command is stopped."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check_going_on()
        time.sleep(min(left, _SLICE_S))

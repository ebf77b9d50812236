"""What does not answer is asked again for a bounded time; nothing is asked twice that was refused."""

from __future__ import annotations

import logging
import time

import pytest

import src.patience
from src.logs import ForTerminal
from src.parallel import Stopped, stop, submit, workers
from src.patience import GaveUp, Patience

FOR_EVER = float("inf")


class Away(Exception):
    """What is asked is away."""


class Clock:
    """A clock that goes on while somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(src.patience, "time", clock)
    return clock


class Thing:
    """Answers when it has been asked often enough, and late enough."""

    def __init__(self, clock: Clock, error: Exception, failures: float = 0, back: float = 0) -> None:
        self.clock, self.error, self.failures, self.back = clock, error, failures, back
        self.asked: list[float] = []

    def __call__(self) -> str:
        self.asked.append(self.clock.now)
        if len(self.asked) <= self.failures or self.clock.now < self.back:
            raise self.error
        return "answer"


def patience(limit_s: float) -> Patience:
    return Patience("the thing", limit_s, lambda error: "it sleeps" if isinstance(error, Away) else "")


def test_what_comes_back_in_time_answers(clock, caplog):
    thing = Thing(clock, Away(), back=clock.now + 50)
    assert patience(120).ask(thing) == "answer"
    pauses = [b - a for a, b in zip(thing.asked, thing.asked[1:], strict=False)]
    assert pauses[0] < 0.3 and max(pauses) <= 8 and len(pauses) > 8
    assert [record.getMessage() for record in caplog.records] == [
        "the thing does not answer (it sleeps): trying again for 120 s in all",
        "the thing answers again",
    ]


def test_what_is_over_at_once_is_not_worth_a_line(clock, caplog):
    assert patience(120).ask(Thing(clock, Away(), failures=1)) == "answer"
    assert caplog.records == []


def test_patience_ends(clock):
    asking, began = patience(120), clock.now
    thing = Thing(clock, Away(), failures=FOR_EVER)
    with pytest.raises(GaveUp, match=r"^the thing has not answered since \d\d:\d\d:\d\d UTC \(it sleeps\)$"):
        asking.ask(thing)
    assert clock.now == pytest.approx(began + 120)
    assert thing.asked[-1] == clock.now, "asked once more at the end"
    with pytest.raises(GaveUp):  # whatever is asked next does not wait all over again
        asking.ask(thing)
    assert clock.now == pytest.approx(began + 120)
    thing.failures = 0
    assert asking.ask(thing) == "answer"


def test_without_patience_it_is_asked_once(clock):
    thing = Thing(clock, Away(), failures=FOR_EVER)
    with pytest.raises(GaveUp):
        patience(0).ask(thing)
    assert len(thing.asked) == 1


def test_another_error_is_raised_as_it_is(clock):
    thing = Thing(clock, KeyError("no"), failures=FOR_EVER)
    with pytest.raises(KeyError, match="no"):
        patience(120).ask(thing)
    assert len(thing.asked) == 1


def test_who_waits_stops_when_the_command_is_stopped():
    reason, caught = SystemExit(75), []

    def wait_for_ever() -> None:
        try:
            patience(FOR_EVER).ask(Thing(Clock(), Away(), failures=FOR_EVER))
        except Stopped as error:
            caught.append(error)

    with pytest.raises(SystemExit) as stopped, workers(2):
        submit(wait_for_ever)
        submit(lambda: stop(reason))
    assert stopped.value is reason and len(caught) == 1


def test_nothing_is_begun_after_a_stop():
    reason, done = SystemExit(75), []
    with pytest.raises(SystemExit) as stopped, workers(1):
        submit(lambda: time.sleep(0.2))
        submit(lambda: stop(reason))
        submit(lambda: done.append(1))
    assert stopped.value is reason and done == []
    with pytest.raises(SystemExit), workers(1):
        stop(reason)
        submit(lambda: done.append(1))
    assert done == []
    assert stop(reason) is reason  # without workers


def test_news_that_all_workers_have_is_shown_once():
    shown = ForTerminal()

    def passes(news: str = "") -> bool:
        record = logging.LogRecord("src.patience", logging.WARNING, "", 1, "text", (), None)
        if news:
            record.news = news
        return shown.filter(record)

    told = [passes(news) for news in ("away", "away", "", "answers", "answers", "away", "")]
    assert told == [True, False, True, True, False, True, True]

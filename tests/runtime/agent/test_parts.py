"""Parts of the Python agent that are hard to see from outside: its reactor, its log, what it asks aside, cooling."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from compiler.runtime.agent.aside import Aside
from compiler.runtime.agent.functions.cool_down import cool_down
from compiler.runtime.agent.identity import in_brief
from compiler.runtime.agent.log import Log
from compiler.runtime.agent.reactor import READABLE, Reactor


def raises() -> Any:
    raise OSError("no such host")


def test_a_callback_that_fails_stops_nothing() -> None:
    failures: list[BaseException] = []
    reactor = Reactor(failures.append)
    reactor.after(0.0, raises)
    called_off = reactor.after(0.0, raises)
    called_off.cancel()
    reactor.after(0.02, reactor.stop)
    reactor.run()
    assert [str(error) for error in failures] == ["no such host"]


def test_who_is_forgotten_is_not_called() -> None:
    reactor = Reactor(lambda error: pytest.fail(str(error)))
    first, second = os.pipe(), os.pipe()
    called: list[int] = []

    def take(own: int, other: int) -> None:
        called.append(own)
        reactor.forget(other)
        reactor.forget(own)

    for own, other in ((first[0], second[0]), (second[0], first[0])):
        reactor.watch(own, READABLE, lambda _events, own=own, other=other: take(own, other))
    for _, end in (first, second):
        os.write(end, b"x")
    reactor.after(0.05, reactor.stop)
    reactor.run()
    assert len(called) == 1
    for end in (*first, *second):
        os.close(end)


def test_who_comes_in_the_place_of_one_that_was_closed_is_not_called_for_it() -> None:
    """The system gives the lowest number that is free: a new connection often has that of the one before."""
    reactor = Reactor(lambda error: pytest.fail(str(error)))
    first, second, empty = os.pipe(), os.pipe(), os.pipe()
    called: list[int] = []

    def replace(own: int, other: int) -> None:
        reactor.forget(own)
        reactor.forget(other)
        os.dup2(empty[0], other)
        reactor.watch(other, READABLE, called.append)

    for own, other in ((first[0], second[0]), (second[0], first[0])):
        reactor.watch(own, READABLE, lambda _events, own=own, other=other: replace(own, other))
    for _, end in (first, second):
        os.write(end, b"x")
    reactor.after(0.05, reactor.stop)
    reactor.run()
    assert called == []
    for end in (*first, *second, *empty):
        os.close(end)


@pytest.mark.parametrize(
    ("question", "seconds", "answer"),
    [
        (lambda: ["an", "answer"], 60.0, ["an", "answer"]),
        (raises, 60.0, None),
        (lambda: os._exit(3), 60.0, None),
        (lambda: os.abort(), 60.0, None),
        (lambda: time.sleep(600), 0.5, None),
    ],
)
def test_what_is_asked_aside_comes_to_an_end(question: Any, seconds: float, answer: Any) -> None:
    reactor = Reactor(lambda error: pytest.fail(str(error)))
    answers: list[Any] = []

    def answered(given: Any) -> None:
        answers.append(given)
        reactor.stop()

    asked = Aside(reactor, question, answered, seconds)
    reactor.run()
    assert answers == [answer]
    with pytest.raises(ChildProcessError):
        os.waitpid(asked.pid, os.WNOHANG)


def test_a_log_that_nobody_reads_loses_lines_and_waits_for_nobody() -> None:
    reader, writer = os.pipe()
    log = Log(writer)
    for number in range(3000):
        log(f"line {number} \x1b[31m\nwith what could move a cursor, and rather long, so that the pipe is full soon")
    text = os.read(reader, 1 << 20).decode()
    os.close(reader)
    log("to nobody")
    os.close(writer)
    assert "line 0 \\x1b[31m\\nwith" in text.splitlines()[0] and "\x1b" not in text


def test_what_is_said_seldom_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    log = Log(writer)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(5):
        log.seldom("kind", "a line", 0.05)
    now += 0.06
    log.seldom("kind", "a line", 0.05)
    monkeypatch.undo()
    lines = os.read(reader, 1 << 16).decode().splitlines()
    assert [line[20:] for line in lines] == ["a line", "a line (and 4 more before)"]
    for end in (reader, writer):
        os.close(end)


class Cooling:
    """A board that begins at 80 degrees and loses five with every look."""

    def __init__(self) -> None:
        self.celsius = 85.0

    def read(self) -> dict[str, Any]:
        self.celsius -= 5
        return {"celsius": {"CPU-therm": self.celsius, "GPU-therm": 40.0}}


def test_cooling_down_waits_until_it_is_cool_or_too_late() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    cooled = cool_down(Cooling(), 60.0, 100.0, clock=lambda: now[0], sleep=sleep)
    assert cooled == {"celsius": 60.0, "waited": 2.0, "reached": True}
    now[0] = 0.0
    late = cool_down(Cooling(), 60.0, 1.2, clock=lambda: now[0], sleep=sleep)
    assert late == {"celsius": 65.0, "waited": 1.2, "reached": False}


def test_an_identity_in_brief_keeps_whole_processors() -> None:
    block = "processor : {}\nmodel name : A\nflags : " + "f " * 700
    text = "\n\n".join(block.format(number) for number in range(64))
    brief = in_brief({"cpuinfo": text, "cores": 64})
    assert brief["cores"] == 64 and len(brief["cpuinfo"]) <= 1 << 13
    assert brief["cpuinfo"].count("processor") == brief["cpuinfo"].count("flags") == 5

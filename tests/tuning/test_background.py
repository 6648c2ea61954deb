"""Builds on a thread of its own: what comes back, and how it ends."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from compiler.tuning.background import BackgroundBuilder
from compiler.tuning.work import Trial
from compiler.tuning.workers import Outcome
from tests.tuning.stand_in import StandInBuilder
from tests.waiting import wait_for


class Builder(StandInBuilder):
    """Takes `seconds` for each of its jobs, or until it is abandoned."""

    def __init__(self, seconds: float = 0.0, failure: Exception | None = None) -> None:
        self.seconds = seconds
        self.failure = failure
        self.abandoned = threading.Event()
        self.begun: list[str] = []

    def build(self, job: dict[str, Any]) -> Outcome:
        if self.failure is not None:
            raise self.failure
        self.begun.append(job["module"])
        late = self.abandoned.wait(self.seconds)
        return Outcome(error="crashed: SIGKILL") if late else Outcome(value=job["module"])

    def abandon(self) -> None:
        self.abandoned.set()


class Permitted(Builder):
    """Ends as many jobs as it has permits for."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)

    def build(self, job: dict[str, Any]) -> Outcome:
        self.begun.append(job["module"])
        self.permits.acquire(timeout=60)
        return Outcome(value=job["module"])


def trials(*modules: str) -> list[tuple[Trial, dict[str, Any]]]:
    return [(Trial(None, None), {"module": module}) for module in modules]  # type: ignore[arg-type]


def taken(builds: BackgroundBuilder, count: int) -> list[tuple[Trial, Outcome]]:
    found: list[tuple[Trial, Outcome]] = []
    deadline = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline
        found += builds.take()
        time.sleep(0.005)
    return found


def test_every_build_comes_back_once_and_the_largest_are_begun_first() -> None:
    builder = Builder()
    with contextlib.closing(BackgroundBuilder(builder)) as builds:
        jobs = trials("aa", "a", "aaaa", "aaa")
        builds.submit(jobs)
        found = taken(builds, 4)
        assert {id(t): o.value for t, o in found} == {id(t): job["module"] for t, job in jobs}
        assert builder.begun == ["aaaa", "aaa", "aa", "a"]
        assert builds.under_way == builds.waiting == 0
        builds.submit(trials("more"))
        assert taken(builds, 1)[0][1].value == "more"


def test_waiting_is_what_no_builder_is_at() -> None:
    builder = Permitted()
    with contextlib.closing(BackgroundBuilder(builder)) as builds:
        builds.submit(trials(*"abcdef"))
        assert builds.under_way == 6 and builds.waiting >= 4
        builder.permits.release(6)
        taken(builds, 5)
        assert builds.under_way <= 1 and builds.waiting == 0


def test_cancelled_builds_do_not_come_back() -> None:
    builder = Permitted()
    with contextlib.closing(BackgroundBuilder(builder)) as builds:
        builds.submit(trials(*"abcdefghijkl"))
        builder.permits.release(1)
        taken(builds, 1)
        builds.cancel()
        builder.permits.release(20)
        wait_for(lambda: not builds.running)
        assert all(outcome.error is None for _, outcome in builds.take())
        assert len(builder.begun) <= 4
    assert not builder.abandoned.is_set(), "nothing had to be killed"


def test_closing_ends_what_is_built_at_once() -> None:
    builder = Builder(600.0)
    builds = BackgroundBuilder(builder)
    builds.submit(trials("a", "b"))
    while not builder.begun:
        time.sleep(0.005)
    started = time.monotonic()
    builds.close()
    assert time.monotonic() - started < 300 and builder.abandoned.is_set()


def test_what_the_builder_raises_is_raised_where_results_are_taken() -> None:
    with contextlib.closing(BackgroundBuilder(Builder(failure=ValueError("broken")))) as builds:
        builds.submit(trials("a"))
        with pytest.raises(ValueError, match="broken"):
            taken(builds, 1)

"""Waiting for what happens elsewhere, on a machine that may be slow, or busy with something else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

PAUSE_SECONDS = 0.02
PATIENT_SECONDS = 60.0
"""For what takes a moment on a machine that has nothing else to do: how soon it is there is not what is tested."""


def wait_for(
    condition: Callable[[], object],
    seconds: float = PATIENT_SECONDS,
    what: str = "it",
    said: Callable[[], str] = lambda: "",
    pause: float = PAUSE_SECONDS,
) -> None:
    """Return as soon as `condition` holds. Fails after `seconds`, with `what` was waited for and what `said` gives
    then, such as a log."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{said()}"
        time.sleep(pause)


class Attempt:
    """One of several attempts; a context, whose value is how many times longer than the first this one may take."""

    def __init__(self, seconds: float, longer: float, last: bool) -> None:
        self._seconds = seconds * longer
        self._longer = longer
        self._last = last
        self.done = False

    def __enter__(self) -> float:
        self._began = time.monotonic()
        return self._longer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _where: object) -> bool:
        self.done = kind is None
        late = time.monotonic() - self._began > self._seconds
        return late and not self._last and isinstance(error, Exception | pytest.fail.Exception)


def attempts(seconds: float, grow: float = 1.0, times: int = 4) -> Iterator[contextlib.AbstractContextManager[float]]:
    """Attempts at what is true only where it is done in time: `for attempt in attempts(2.0): with attempt as longer:`.

    A failure counts where the attempt took less than `seconds`: it is the tested program's. Where it took more, this
    machine may have been held up, and it is tried again, `times` in all; each may take `grow` times as long as the one
    before, and is told how many times longer than the first that is (`longer`). What fails for being late itself fails
    each time, and in the end the test.
    """
    for number in range(times):
        attempt = Attempt(seconds, grow**number, number == times - 1)
        yield attempt
        if attempt.done:
            return

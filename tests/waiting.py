"""Waiting for what happens elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.02


def wait_for(
    condition: Callable[[], object], seconds: float = 10.0, what: str = "it", said: Callable[[], str] = lambda: ""
) -> None:
    """Return as soon as `condition` holds. Fails after `seconds`, with `what` was waited for and what `said` gives
    then, such as a log."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{said()}"
        time.sleep(PAUSE_SECONDS)

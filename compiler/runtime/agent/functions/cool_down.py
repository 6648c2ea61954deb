"""Waiting until a board is cool enough for its times to mean something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

_LOOK_SECONDS = 0.5


class ReadsCelsius(Protocol):
    def read(self) -> dict[str, Any]: ...


def cool_down(
    sensors: ReadsCelsius,
    celsius: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait until no sensor reads more than `celsius`, `seconds` at most.

    Returns the highest temperature (None where there is no sensor), the seconds waited, and whether it was reached.
    """
    began = clock()
    while True:
        highest = max(sensors.read()["celsius"].values(), default=None)
        waited = clock() - began
        if highest is None or highest <= celsius or waited >= seconds:
            return {
                "celsius": highest,
                "waited": round(waited, 3),
                "reached": highest is None or highest <= celsius,
            }
        sleep(min(_LOOK_SECONDS, max(0.0, seconds - waited)))

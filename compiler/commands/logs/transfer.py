"""What pushing and pulling say while they are under way."""

from __future__ import annotations

import time
from collections.abc import Callable

from compiler.report.steps import Steps

_EVERY_S = 5.0


def spoken(step: Steps) -> Callable[[str], None]:
    """Progress as `step` shows it; where each step takes a line of its own, counts come only now and then."""
    said = 0.0

    def say(line: str) -> None:
        nonlocal said
        counting = any(char.isdigit() for char in line.split(" of ")[0]) and " of " in line
        if not step.live and counting and time.monotonic() - said < _EVERY_S:
            return
        if counting or said == 0.0:
            said = time.monotonic()
        step(line)

    return say

"""The agent's log: lines with a time on standard error, whatever becomes of standard error."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time

_LONGEST = 2000


class Log:
    """Writes a line at a time. A reader that has stopped reading, or is gone, stops no one: lines are lost then."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._quiet_until: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def __call__(self, line: str) -> None:
        """Write `line`, with what could move a cursor or break the line shown as an escape."""
        shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line[:_LONGEST])
        data = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {shown}\n".encode(errors="replace")
        with contextlib.suppress(OSError):
            # A pipe that says that it is writable takes at least 4096 bytes without blocking.
            if any(events & select.POLLOUT for _, events in self._poll.poll(0)):
                os.write(self._descriptor, data)

    def seldom(self, what: str, line: str, seconds: float = 5.0) -> None:
        """Write `line` unless `what` was written within so many seconds; how often it was not is told the next time."""
        now = time.monotonic()
        if now < self._quiet_until.get(what, 0.0):
            self._unsaid[what] = self._unsaid.get(what, 0) + 1
            return
        left_out = self._unsaid.pop(what, 0)
        self._quiet_until[what] = now + seconds
        self(f"{line} (and {left_out} more before)" if left_out else line)

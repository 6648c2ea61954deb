"""What a session prints: its last lines are kept, the rest is read and dropped, so that it fills nothing."""

from __future__ import annotations

import contextlib
import os

from compiler.runtime.agent.reactor import READABLE, Reactor

_KEPT = 4096  # bytes
_READ_A_TURN = 1 << 16
_LINES = 10
_LONGEST = 300


class Output:
    """A pipe's end that is read. `writer` is the other end, for the session: close it when it has been given away."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._kept = b""
        self._open = True
        reactor.watch(self._reader, READABLE, self._read)

    def last_lines(self) -> list[str]:
        """The last lines that were printed, each of a bearable length."""
        for _ in range(4):  # what is still in the pipe
            if self._open:
                self._read(READABLE)
        lines = [line.strip() for line in self._kept.decode(errors="replace").splitlines()]
        return [line[:_LONGEST] for line in lines if line][-_LINES:]

    def close(self) -> None:
        if self._open:
            self._open = False
            self._reactor.forget(self._reader)
            os.close(self._reader)

    def _read(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            data = os.read(self._reader, _READ_A_TURN)
            self._kept = (self._kept + data)[-_KEPT:]
            if not data:
                self.close()

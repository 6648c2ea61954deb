"""One thread that waits for many sockets and for times: poll(2) itself, which tells when the other side has closed."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Protocol

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""The other side has closed, or shut down its sending."""

Callback = Callable[[int], None]
"""Told which events there are."""


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Timer:
    """A call at a time, which can be called off."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Reactor:
    """Calls back for descriptors and timers until it is stopped. What a callback raises goes to `failed`."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._poll = select.poll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._running = True

    def watch(self, source: HasDescriptor | int, events: int, callback: Callback) -> None:
        """Call `callback` whenever one of `events` has come for `source`; the last call for a source counts."""
        descriptor = source if isinstance(source, int) else source.fileno()
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, events)

    def forget(self, source: HasDescriptor | int) -> None:
        """Watch it no more. Call this before it is closed."""
        descriptor = source if isinstance(source, int) else source.fileno()
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call `call` once, in so many seconds."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    @property
    def running(self) -> bool:
        """Whether `stop` was not called."""
        return self._running

    def stop(self) -> None:
        """Have `run` return after the callback under way."""
        self._running = False

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Wait and call back until `stop` was called, or `until` is true."""
        while self._running and not (until is not None and until()):
            self._turn()

    def _turn(self) -> None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        wait = max(0.0, self._timers[0][0] - time.monotonic()) * 1000 + 1 if self._timers else None
        ready = [(descriptor, events, self._callbacks.get(descriptor)) for descriptor, events in self._poll.poll(wait)]
        for descriptor, events, callback in ready:
            # An earlier one may have taken it away; what another has of the same number by now is not what is ready.
            if callback is not None and self._callbacks.get(descriptor) is callback and self._running:
                self._call(callback, events)
        now = time.monotonic()
        while self._running and self._timers and self._timers[0][0] <= now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                self._call(call)

    def _call(self, function: Callable[..., None], *arguments: int) -> None:
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - one client's failure must not end the agent
            self._failed(error)

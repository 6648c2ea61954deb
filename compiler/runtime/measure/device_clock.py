"""Timing calls of a kernel by the GPU's own events, each with a cold second-level cache if that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from compiler.runtime.device_events import events_of
from compiler.runtime.instrument import DeviceEvents

FLUSHED_BYTES = 256 << 20
"""Written before each call: several times what the second-level cache of any GPU holds."""
KINDS = ("flush", "rotate", "warm")
"""What is done about the second-level cache: it is overwritten before each call, weights take turns with copies of
themselves, or nothing."""


class DeviceClock:
    """Times calls between two events of the device, which take about a microsecond.

    What flushes the cache also keeps the device busy until the call is queued: else a short kernel would be measured
    with the time that the host takes to launch it.
    """

    def __init__(self, device: Any, events: DeviceEvents, flushed_bytes: int = FLUSHED_BYTES) -> None:
        """`device` is TVM's. Without `flushed_bytes` the cache is left as it is.

        `flush_seconds` is what emptying it before a call takes.
        """
        import tvm

        self._events = events
        self._scratch = (
            [tvm.runtime.tensor(np.zeros(flushed_bytes // 8, np.float32), device=device) for _ in range(2)]
            if flushed_bytes
            else []
        )
        self.flush_seconds = min(self._time_flush() for _ in range(2)) if self._scratch else 0.0

    def _time_flush(self) -> float:
        self._events.reuse()
        begun = self._events.record()
        self._scratch[0].copyto(self._scratch[1])
        return self._events.nanoseconds(begun, self._events.record()) * 1e-9

    def seconds(self, function: Callable[..., Any], calls: Iterable[list[Any]]) -> float:
        """The mean over `calls`, each a list of arguments."""
        pairs = []
        self._events.reuse()
        for arguments in calls:
            if self._scratch:
                self._scratch[0].copyto(self._scratch[1])
            begun = self._events.record()
            function(*arguments)
            pairs.append((begun, self._events.record()))
        return sum(self._events.nanoseconds(*pair) for pair in pairs) * 1e-9 / len(pairs)


_clocks: dict[tuple[str, bool], DeviceClock] = {}


def device_clock(kind: str, flush: bool) -> DeviceClock | None:
    """The clock of the device of this kind (`cpu`, `cuda`); None where it has no events, and the host's must do."""
    import tvm

    if (kind, flush) not in _clocks:
        events = events_of(kind)
        if events is None:
            return None
        _clocks[kind, flush] = DeviceClock(tvm.device(kind), events, FLUSHED_BYTES if flush else 0)
    return _clocks[kind, flush]

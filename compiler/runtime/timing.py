"""Timing single invocations: what every engine is measured with, right beside the code that is measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypedDict


@dataclass(frozen=True)
class Window:
    """When counted invocations ran, and nothing else did: `begin` and `end` on the device's clock that never jumps.

    `wall` is when it began on this machine's clock: seconds since 1970, UTC.
    """

    begin: float
    end: float
    wall: float


class Edges(Protocol):
    """Told when a window begins and ends, right beside the invocations; returns these times (see `Window`)."""

    def begin(self) -> float: ...

    def end(self) -> float: ...


class Limits(TypedDict, total=False):
    """How long whoever can be timed is timed: see `time_invocations`."""

    runs: int
    seconds: float
    warmup_runs: int
    warmup_seconds: float
    limit_seconds: float | None
    edges: Edges | None


@dataclass(frozen=True)
class Timing:
    """One uninterrupted series of invocations.

    `seconds` holds each invocation's duration in order; `began` and `ended` are about when the series ran, on the clock
    of the device (seconds since 1970, UTC). `windows` are exactly when, where that was asked for.
    """

    seconds: tuple[float, ...]
    began: float
    ended: float
    windows: tuple[Window, ...] = ()


def time_invocations(
    invoke: Callable[[], object],
    *,
    runs: int = 1,
    seconds: float = 0.0,
    warmup_runs: int = 0,
    warmup_seconds: float = 0.0,
    limit_seconds: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    edges: Edges | None = None,
) -> Timing:
    """Invoke until at least `runs` invocations and `seconds` are measured, after a warm-up of which the same is true.

    Past `limit_seconds` (warm-up and measurement each) a series ends with what it has, one invocation at least; when
    `cancelled()` turns true it ends too. `invoke` must return only when its work is done. The garbage collector rests
    meanwhile. With `edges` the timing has the window of the measurement.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        if warmup_runs or warmup_seconds:
            _series(invoke, warmup_runs, warmup_seconds, limit_seconds, cancelled)
        begin = edges.begin() if edges is not None else 0.0
        began = time.time()
        durations = _series(invoke, max(1, runs), seconds, limit_seconds, cancelled)
        end = edges.end() if edges is not None else 0.0
        windows = (Window(begin, end, began),) if edges is not None else ()
        return Timing(tuple(durations), began, time.time(), windows)
    finally:
        if collecting:
            gc.enable()


def _series(
    invoke: Callable[[], object],
    runs: int,
    seconds: float,
    limit: float | None,
    cancelled: Callable[[], bool],
) -> list[float]:
    clock = time.perf_counter
    durations: list[float] = []
    first = clock()
    while True:
        start = clock()
        invoke()
        end = clock()
        durations.append(end - start)
        elapsed = end - first
        if (len(durations) >= runs and elapsed >= seconds) or (limit is not None and elapsed >= limit) or cancelled():
            return durations

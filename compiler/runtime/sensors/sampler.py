"""Sampling: channels of power are read at a steady pace, and at the edges of windows, while something else is measured.

Energy is computed where it was sampled, on one clock that never jumps.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.energy import Energy, counter_energy, power_energy, steps

PERIOD_S = 0.05
"""Seconds between two readings. Some sensors are on slow buses, and reading takes time from what is measured."""
_SHARE = 0.02
"""Of a CPU, that reading may use."""
_STUCK_S = 5.0
"""A bus may hang; the thread ends with the process then."""
_LAST_STEP_S = 1.0
"""So long, at most, is waited for a counter to move once more after the last window: NVML's move every 0.1 s."""


class ChannelReport(Struct, frozen=True):
    """How a channel was read: `interval` are the seconds between readings that were new, the median."""

    name: str
    sensor: str
    counts: bool
    interval: float | None = None


class EnergyReport(Struct, frozen=True):
    """The energies of windows: for each window those of all `channels`, in their order. `period` in seconds."""

    period: float
    channels: list[ChannelReport]
    windows: list[list[Energy]]


class _Trace:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.times: list[float] = []
        self.values: list[float] = []
        self.moved = 0.0
        """When it was seen to be another one than before."""

    def take(self, clock: Callable[[], float]) -> None:
        before = clock()
        value = self.channel.read()
        if value is None:
            return
        now = (before + clock()) / 2
        if self.times and now <= self.times[-1]:
            return
        if self.values and value != self.values[-1]:
            self.moved = now
        self.times.append(now)
        self.values.append(value)

    def energy(self, begin: float, end: float, period: float) -> Energy:
        if self.channel.counts:
            return counter_energy(self.times, self.values, begin, end, period, self.channel.span)
        return power_energy(self.times, self.values, begin, end, period)

    def report(self) -> ChannelReport:
        channel = self.channel
        times = steps(self.times, self.values, channel.span)[0] if channel.counts else self.times
        gaps = [later - earlier for earlier, later in pairwise(times)]
        return ChannelReport(channel.name, channel.sensor, channel.counts, statistics.median(gaps) if gaps else None)


class Sampler:
    """Reads `channels` in a thread from `start` to `stop`; `begin` and `end` read them at a window's edges besides.

    `period` in seconds, longer where reading takes much of it.
    """

    def __init__(
        self, channels: Sequence[Channel], period: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.period = period
        self._clock = clock
        self._traces = [_Trace(channel) for channel in channels]
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last_edge = 0.0
        self._thread = threading.Thread(target=self._run, name="edgetune-power", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        began, used = self._clock(), time.thread_time()
        self.sample()
        took, used = self._clock() - began, time.thread_time() - used
        self.period = max(self.period, 2 * took, used / _SHARE)
        self._thread.start()

    def sample(self) -> None:
        """Read all channels now."""
        with self._lock:
            for trace in self._traces:
                trace.take(self._clock)

    def begin(self) -> float:
        """Read, and return the time after that: a window begins."""
        self.sample()
        self._last_edge = self._clock()
        return self._last_edge

    def end(self) -> float:
        """The time now, before reading: a window has ended."""
        self._last_edge = self._clock()
        self.sample()
        return self._last_edge

    def stop(self) -> None:
        """End reading, as soon as all counters have moved since the last edge: else its place is not known."""
        deadline = self._clock() + _LAST_STEP_S
        while self._clock() < deadline and not all(self._settled(trace) for trace in self._traces):
            time.sleep(self.period / 4)
        self._ended.set()
        self._thread.join(_STUCK_S)

    def report(self, windows: Sequence[tuple[float, float]]) -> EnergyReport:
        """The energies of `windows`: begin and end of each, as `begin` and `end` returned them. After `stop`."""
        energies = [[trace.energy(begin, end, self.period) for trace in self._traces] for begin, end in windows]
        return EnergyReport(self.period, [trace.report() for trace in self._traces], energies)

    def _settled(self, trace: _Trace) -> bool:
        if trace.channel.counts:
            return trace.moved >= self._last_edge
        return bool(trace.times) and trace.times[-1] >= self._last_edge

    def _run(self) -> None:
        due = self._clock()
        while True:
            due = max(due + self.period, self._clock())
            if self._ended.wait(max(0.0, due - self._clock())):
                return
            self.sample()

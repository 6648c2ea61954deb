"""Meters: where power comes from. Here this machine's sensors; boards and external meters have files of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from compiler.bench.environment import MAX_OTHER_CPUS, OtherLoad
from compiler.bench.power.gpu import gpu_channel
from compiler.bench.power.readings import Readings, readings_of
from compiler.bench.protocol import wait_until_idle
from compiler.errors import EdgetuneError
from compiler.runtime.sensors import nvml
from compiler.runtime.sensors.channels import channels, why_none
from compiler.runtime.sensors.sampler import PERIOD_S, Sampler
from compiler.runtime.sensors.total import Rail, Scope, scope
from compiler.runtime.timing import Edges, Window


class Meter(Protocol):
    """From `start` to `stop` it measures, unless `why` says why not; `edges` is what `timed` of engines is given."""

    @property
    def why(self) -> str | None: ...

    @property
    def edges(self) -> Edges | None: ...

    def start(self) -> None: ...

    def idle(self, seconds: float) -> Window:
        """Let `seconds` pass in which nothing is computed. Raises EdgetuneError where something is."""
        ...

    def stop(self, windows: Sequence[Window]) -> Readings:
        """The energies of `windows`. Raises EdgetuneError where the meter has none of them."""
        ...

    def close(self) -> None:
        """End measuring, whether it was stopped or not."""
        ...


class Clock:
    """The edges of windows where nothing is sampled here."""

    def begin(self) -> float:
        """The time."""
        return time.monotonic()

    def end(self) -> float:
        """The time."""
        return time.monotonic()


def idle_here(seconds: float, edges: Edges) -> Window:
    """A window on this machine in which nothing is computed. Raises EdgetuneError where something is."""
    if not wait_until_idle():
        raise EdgetuneError("this process was not idle")
    others = OtherLoad()
    wall, begin = time.time(), edges.begin()
    time.sleep(seconds)
    window = Window(begin, edges.end(), wall)
    cpus = others.cpus()
    if cpus > MAX_OTHER_CPUS:
        raise EdgetuneError(f"other processes used {cpus:.2f} CPUs' worth of time")
    return window


class LocalMeter:
    """The sensors of this machine, under `root`; `gpu` where it is a GPU that computes. See `Meter`."""

    def __init__(self, gpu: bool, root: Path = Path("/"), period: float = PERIOD_S) -> None:
        self.why: str | None = "it was not started"
        self.edges: Edges | None = None
        self._gpu = gpu
        self._root = root
        self._period = period
        self._scope: Scope | None = None
        self._sampler: Sampler | None = None

    def start(self) -> None:
        """Begin to sample what measures the CPU or the GPU."""
        found = channels(self._root)
        gpu = gpu_channel(found) if self._gpu else None
        self._scope, self.why = choose([Rail(one.name, one.sensor) for one in found], gpu, self._gpu)
        if self._scope is None:
            if not found:
                self.why = why_none(self._root)
            elif self._gpu and nvml.missing():
                self.why = nvml.INSTALL
            return
        by_name = {channel.name: channel for channel in found}
        self._sampler = Sampler([by_name[name] for name in self._scope.names], self._period)
        self._sampler.start()
        self.edges = self._sampler

    def idle(self, seconds: float) -> Window:
        """See `Meter.idle`."""
        return idle_here(seconds, self.edges or Clock())

    def stop(self, windows: Sequence[Window]) -> Readings:
        """See `Meter.stop`."""
        if self._sampler is None or self._scope is None:
            raise EdgetuneError(self.why or "nothing was sampled")
        self.close()
        return readings_of(self._sampler.report([(window.begin, window.end) for window in windows]), self._scope)

    def close(self) -> None:
        """See `Meter.close`."""
        if self._sampler is not None and self.edges is not None:
            self._sampler.stop()
        self.edges = None


def choose(rails: Sequence[Rail], gpu: str | None, on_gpu: bool) -> tuple[Scope | None, str | None]:
    """What of `rails` measures the CPU, or with `on_gpu` the GPU whose channel is `gpu`; or why nothing does."""
    if not rails:
        return None, "no power sensor is readable there"
    chosen = scope(rails, gpu) if gpu is not None or not on_gpu else scope([r for r in rails if r.sensor != "RAPL"])
    if chosen is not None:
        return chosen, None
    what = "the GPU that computes" if on_gpu else "the CPU"
    return None, f"no power sensor measures {what}; there are: {', '.join(rail.name for rail in rails)}"

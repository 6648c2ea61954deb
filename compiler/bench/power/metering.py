"""A meter through one measurement: idle first, then the windows of all engines."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.bench.power.meter import Meter
from compiler.bench.power.power import Power, power_of
from compiler.bench.protocol import Measurement
from compiler.errors import EdgetuneError
from compiler.runtime.timing import Edges, Window

IDLE_S = 2.0
"""How long the machine is left alone, to see what it takes then."""


class Metering:
    """Use it in a `with` statement around `measure`; without a meter nothing is measured, and nothing waits.

    The machine is left alone for `idle_seconds` first, IDLE_S by default.
    """

    def __init__(self, meter: Meter | None, idle_seconds: float | None = None) -> None:
        self._meter = meter
        self._idle_seconds = IDLE_S if idle_seconds is None else idle_seconds
        self._why: str | None = None
        self._idle: Window | None = None
        self._idle_reason: str | None = None

    @property
    def edges(self) -> Edges | None:
        """What `measure` tells the edges of windows to; None where no power is measured."""
        return None if self._meter is None else self._meter.edges

    def powers(self, measurements: Sequence[Measurement]) -> list[Power | None]:
        """The power of each measurement; None without a meter."""
        if self._meter is None:
            return [None] * len(measurements)
        windows = [[window for timing in one.rounds for window in timing.windows] for one in measurements]
        asked = [window for those in windows for window in those]
        idle = [] if self._idle is None else [self._idle]
        try:
            if self._why is not None:
                raise EdgetuneError(self._why)
            readings = self._meter.stop([*idle, *asked])
        except EdgetuneError as error:
            return [Power(reason=str(error), of_windows=len(those)) for those in windows]
        energies = list(readings.windows)
        idle_watts, idle_reason = None, self._idle_reason
        if self._idle is not None:
            quiet = energies.pop(0)
            idle_reason = quiet.why
            if quiet.joules is not None:
                idle_watts = quiet.joules / (self._idle.end - self._idle.begin)
        found: list[Power | None] = []
        for those in windows:
            own, energies = energies[: len(those)], energies[len(those) :]
            found.append(power_of(readings, list(zip(those, own, strict=True)), idle_watts, idle_reason))
        return found

    @staticmethod
    def _started(meter: Meter) -> str | None:
        """None, or why the meter does not measure: be it that a board fails, the measurement goes on."""
        try:
            meter.start()
        except EdgetuneError as error:
            return str(error)
        return meter.why

    def __enter__(self) -> Metering:
        if self._meter is None:
            return self
        try:
            self._why = self._started(self._meter)
            if self._why is None:
                self._idle = self._meter.idle(self._idle_seconds)
        except EdgetuneError as error:
            self._idle_reason = str(error)
        except BaseException:
            self._meter.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._meter is not None:
            self._meter.close()

"""When a board's sensors and its reference kernel are to be looked at again, and what they mean.

A board that is hot, or that shares its power with something else, is slower than it was, and what it measures then says
nothing about a schedule. So one kernel, the reference, is measured again every couple of minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

SENSORS_SECONDS = 30.0
REFERENCE_SECONDS = 120.0
UNSTEADY_SECONDS = 5.0
"""Between two measurements of the reference while the board is not itself."""
PATIENCE_SECONDS = 120.0
"""How long a board may not be itself, before what it is now counts."""
SMALL = 1.05
"""The reference takes so many times what it took at first: worth a word."""
LARGE = 1.15
"""And here what was measured since is measured again."""


class Verdict(Enum):
    """What a measurement of the reference says of the board."""

    STEADY = "as it was"
    SLOWER = "a little slower"
    UNSTEADY = "not itself: nothing that it measures counts"
    CHANGED = "not itself for so long that what it is now counts"


class Health:
    """The health of one board, by the seconds of a clock that a test may move."""

    def __init__(self, cool_below: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`cool_below` is the temperature in degrees Celsius above which the board is to cool down; None: none is."""
        self.cool_below = cool_below
        self.celsius: float | None = None
        """The highest temperature that was read."""
        self.reference: float | None = None
        """Seconds of the reference kernel when the board was itself."""
        self.ratio = 1.0
        """The reference's last time, as a multiple of that."""
        self.sensors: Mapping[str, Any] = {}
        """What the board's sensors read the last time."""
        self._clock = clock
        self._sensors_due = clock()
        self._reference_due = math.inf
        self._unsteady_since: float | None = None

    @property
    def sensors_due(self) -> bool:
        """Whether the sensors are to be read before the next candidate."""
        return self._clock() >= self._sensors_due

    def note_sensors(self, sensors: Mapping[str, Any]) -> bool:
        """Note what the board reads (`sensors` of the protocol); whether it is to cool down."""
        self._sensors_due = self._clock() + SENSORS_SECONDS
        self.sensors = sensors
        hottest = hottest_of(sensors)
        if hottest is None:
            return False
        self.celsius = hottest if self.celsius is None else max(self.celsius, hottest)
        return self.cool_below is not None and hottest > self.cool_below

    @property
    def reference_due(self) -> bool:
        """Whether the reference is to be measured before the next candidate."""
        return self._clock() >= self._reference_due

    @property
    def steady(self) -> bool:
        """Whether what the board measures counts, as far as is known."""
        return self._unsteady_since is None

    def set_reference(self, seconds: Sequence[float]) -> None:
        """Have a kernel that takes `seconds` (its repeats) be the reference."""
        self.reference = min(seconds)
        self._reference_due = self._clock() + REFERENCE_SECONDS

    def postpone_reference(self) -> None:
        """Note that the reference could not be measured now."""
        self._reference_due = self._clock() + SENSORS_SECONDS

    def note_reference(self, seconds: Sequence[float]) -> Verdict:
        """Note what the reference takes now. Its fastest repeat counts: nothing makes a kernel faster than it is."""
        now, found = self._clock(), min(seconds)
        if self.reference is None or found <= self.reference:
            self.reference = found
        self.ratio = found / self.reference
        if self.ratio <= LARGE:
            self._unsteady_since = None
            self._reference_due = now + REFERENCE_SECONDS
            return Verdict.SLOWER if self.ratio > SMALL else Verdict.STEADY
        if self._unsteady_since is None:
            self._unsteady_since = now
        if now - self._unsteady_since >= PATIENCE_SECONDS:
            self._unsteady_since = None
            self._reference_due = now + REFERENCE_SECONDS
            self.reference = found
            return Verdict.CHANGED
        self._reference_due = now + UNSTEADY_SECONDS
        return Verdict.UNSTEADY


def hottest_of(sensors: Mapping[str, Any]) -> float | None:
    """The highest temperature in what a board reads, in degrees Celsius; None where there is none."""
    readings = sensors.get("celsius")
    if not isinstance(readings, Mapping):
        return None
    values = [float(v) for v in readings.values() if isinstance(v, int | float) and math.isfinite(v)]
    return max(values, default=None)

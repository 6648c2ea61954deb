"""What the machine was like while it was measured: recorded beside the figures, so that a reader can judge them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from msgspec import Struct

from compiler.bench.environment import OtherLoad
from compiler.runtime.sensors.clocks import governor
from compiler.runtime.sensors.power_mode import power_mode
from compiler.runtime.sensors.reading import Sensors
from targets.cpuinfo import cpu_quota, usable_cpus


class Conditions(Struct, frozen=True, kw_only=True):
    """None is what this machine does not say: a virtual machine often shows no clocks and no temperatures.

    `before` and `after` belong to the measurement. `clock_mhz` is the mean of the CPUs' clocks, `celsius` the hottest
    sensor; `throttled` says whether anything slowed the processor down meanwhile. `other_cpus` is how many CPUs' worth
    of time other processes took, `load` the system's load average over a minute when it began, `quota_cpus` what a
    container may use.
    """

    system: str
    usable_cpus: int
    quota_cpus: float | None
    governor: str | None
    power_mode: str | None
    load: float | None
    other_cpus: float
    clock_mhz_before: float | None
    clock_mhz_after: float | None
    celsius_before: float | None
    celsius_after: float | None
    throttled: bool | None


class Watch:
    """Make it when the measurement begins; `conditions` when it has ended."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._sensors = Sensors(root)
        self._before = self._sensors.read(wait=False)
        self._load = _load()
        self._others = OtherLoad()

    def conditions(self) -> Conditions:
        """What it was like from the making of this until now."""
        others = self._others.cpus()
        after = self._sensors.read(wait=False)
        throttled = [one["throttled"] for one in (self._before, after) if one["throttled"] is not None]
        return Conditions(
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            usable_cpus=len(usable_cpus()),
            quota_cpus=cpu_quota(),
            governor=governor(self._root),
            power_mode=power_mode(self._root),
            load=self._load,
            other_cpus=others,
            clock_mhz_before=_mean_clock(self._before["clock_mhz"]),
            clock_mhz_after=_mean_clock(after["clock_mhz"]),
            celsius_before=max(self._before["celsius"].values(), default=None),
            celsius_after=max(after["celsius"].values(), default=None),
            throttled=any(throttled) if throttled else None,
        )


def _mean_clock(clocks: dict[str, float]) -> float | None:
    cpus = [mhz for name, mhz in clocks.items() if name.startswith("cpu")]
    return sum(cpus) / len(cpus) if cpus else None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None

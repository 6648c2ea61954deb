"""Power of x86 packages and their parts, from the energy that the kernel's powercap counts (RAPL)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.files import folders, read_int, read_text

SENSOR = "RAPL"


class Rapl:
    """Turns energy counters into power: the average since the reading before."""

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._zones = _zones(root)
        self._before = {name: self._energy(zone) for name, zone in self._zones.items()}

    @property
    def present(self) -> bool:
        """Whether there is a counter that this process may read."""
        return any(before is not None for before in self._before.values())

    @property
    def age(self) -> float:
        """Seconds since the reading before: the time that the next one is the average of."""
        taken = [before[0] for before in self._before.values() if before is not None]
        return self._clock() - max(taken) if taken else float("inf")

    def power(self) -> dict[str, float]:
        """Watts by zone (`package-0`, `package-0 dram`), the average since the call before, or since this was made."""
        found: dict[str, float] = {}
        for name, zone in self._zones.items():
            before, now = self._before[name], self._energy(zone)
            self._before[name] = now
            if before is None or now is None or now[0] <= before[0]:
                continue
            microjoules = now[1] - before[1]
            if microjoules < 0:  # the counter began anew
                span = read_int(zone / "max_energy_range_uj")
                if span is None:
                    continue
                microjoules += span
            if microjoules >= 0:
                found[name] = microjoules / 1e6 / (now[0] - before[0])
        return found

    def _energy(self, zone: Path) -> tuple[float, int] | None:
        microjoules = read_int(zone / "energy_uj")  # of Linux 5.10 and newer, for root alone
        return (self._clock(), microjoules) if microjoules is not None else None


def counters(root: Path = Path("/")) -> list[Channel]:
    """The counters that this process may read."""
    found = []
    for name, zone in _zones(root).items():
        read, span = _joules(zone / "energy_uj"), read_int(zone / "max_energy_range_uj")
        if read() is not None:
            found.append(Channel(name, SENSOR, True, read, None if span is None else span / 1e6))
    return found


def forbidden(root: Path = Path("/")) -> bool:
    """Whether there are counters, and this process may read none of them."""
    zones = _zones(root)
    return bool(zones) and not counters(root)


def _joules(file: Path) -> Callable[[], float | None]:
    def read() -> float | None:
        microjoules = read_int(file)
        return None if microjoules is None else microjoules / 1e6

    return read


def _zones(root: Path) -> dict[str, Path]:
    """The zones by name. The same counters by way of MMIO (`intel-rapl-mmio`) are left out."""
    found: dict[str, Path] = {}
    for zone in sorted(folders(root / "sys/class/powercap", "intel-rapl:*"), key=_numbers):
        name = read_text(zone / "name")
        if name is None:
            continue
        numbers = _numbers(zone)
        if len(numbers) > 1:  # a part of the package `intel-rapl:N`
            package = read_text(zone.parent / f"intel-rapl:{numbers[0]}" / "name")
            name = f"{package} {name}" if package else name
        found[name] = zone
    return found


def _numbers(zone: Path) -> list[int]:
    """Of `intel-rapl:0:2` 0 and 2: packages in their order, each before its parts."""
    return [int(number) for number in zone.name.split(":")[1:] if number.isdigit()]

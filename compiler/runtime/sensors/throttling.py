"""Whether something slows the processor down: heat, or too little power."""

from __future__ import annotations

import contextlib
from pathlib import Path

from compiler.runtime.sensors.files import folders, read_int, read_text

_SLOWING = ("cpufreq", "devfreq", "Processor", "intel_powerclamp", "cpu-", "gpu-")
"""Cooling devices that cool by slowing down, as their types say; a fan does not."""
_RASPBERRY_PI = "sys/devices/platform/soc/soc:firmware/get_throttled"
_RASPBERRY_PI_NOW = 0b1110  # clock capped, throttled, soft limit of the temperature


class Throttling:
    """Asks all that says so. Counters of past events count from when this was made, or asked the last time."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._events = self._count()

    def throttled(self) -> bool | None:
        """Whether anything slows the processor down; None where nothing would say so."""
        known: list[bool] = []
        for device in folders(self._root / "sys/class/thermal", "cooling_device*"):
            kind, state = read_text(device / "type") or "", read_int(device / "cur_state")
            if state is not None and any(word in kind for word in _SLOWING):
                known.append(state > 0)
        bits = read_text(self._root / _RASPBERRY_PI)
        if bits is not None:
            with contextlib.suppress(ValueError):
                known.append(bool(int(bits, 16) & _RASPBERRY_PI_NOW))
        before, self._events = self._events, self._count()
        if self._events is not None:
            known.append(before is not None and self._events > before)
        return any(known) if known else None

    def _count(self) -> int | None:
        """Events of throttling since the machine started: of x86's packages, and of a Jetson's over-current guards."""
        counts = [
            read_int(cpu / "thermal_throttle/package_throttle_count")
            for cpu in folders(self._root / "sys/devices/system/cpu", "cpu[0-9]*")
        ]
        for chip in folders(self._root / "sys/class/hwmon", "hwmon*"):
            if read_text(chip / "name") == "soctherm_oc":
                counts += [read_int(file) for file in folders(chip, "oc*_event_cnt")]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

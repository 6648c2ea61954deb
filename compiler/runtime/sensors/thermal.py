"""Temperatures: the thermal zones (Documentation/driver-api/thermal/sysfs-api.rst) and, without any, hwmon's."""

from __future__ import annotations

from pathlib import Path

from compiler.runtime.sensors.files import add, folders, read_int, read_text

_BELIEVABLE = (-50.0, 150.0)  # degrees Celsius; a sensor that is switched off reads -256 or some thousands
_FIXED = frozenset({"PMIC-Die", "pmic-die"})
"""Zones of the Jetson TX1 to Xavier that say 100 degrees whatever happens: they stand for an interrupt of the PMIC."""


def temperatures(root: Path = Path("/")) -> dict[str, float]:
    """Degrees Celsius by the name of the zone or the chip."""
    found: dict[str, float] = {}
    for zone in folders(root / "sys/class/thermal", "thermal_zone*"):
        _take(found, read_text(zone / "type") or zone.name, read_int(zone / "temp"))
    return found or _of_chips(root)


def _of_chips(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        name = read_text(chip / "name") or chip.name
        for file in folders(chip, "temp*_input"):
            label = read_text(chip / file.name.replace("_input", "_label"))
            _take(found, f"{name} {label}" if label else name, read_int(file))
    return found


def _take(found: dict[str, float], name: str, millidegrees: int | None) -> None:
    if millidegrees is None or name in _FIXED:
        return
    celsius = millidegrees / 1000
    if _BELIEVABLE[0] < celsius < _BELIEVABLE[1]:
        add(found, name, celsius)

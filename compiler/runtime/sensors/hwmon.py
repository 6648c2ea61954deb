"""Power that a chip measures: INA3221 and INA2xx on Jetsons, and whatever else hwmon has a power or a current of.

Three layouts: hwmon with a power (INA2xx, power supplies), hwmon with a voltage and a current for each channel
(INA3221 of JetPack 5 and newer; Documentation/hwmon/ina3221.rst), and NVIDIA's own driver under IIO (JetPack 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.files import add, folders, read_int, read_text

_CHANNELS = range(1, 5)  # INA3221 has three; a fourth one on some chips of hwmon
_SUMS = ("sum of shunt voltages",)  # the INA3221's own sum of its channels: no rail


def power(root: Path = Path("/")) -> dict[str, float]:
    """Watts by the name of the rail."""
    values = ((channel.name, channel.read()) for channel in rails(root))
    return {name: watts for name, watts in values if watts is not None}


def rails(root: Path = Path("/")) -> list[Channel]:
    """The rails that can be read now, each under a name of its own."""
    names: dict[str, float] = {}
    found = []
    for name, sensor, read in _candidates(root):
        if read() is not None:
            add(names, name, 0.0)
            found.append(Channel(list(names)[-1], sensor, False, read))
    return found


_Candidate = tuple[str, str, Callable[[], "float | None"]]


def _candidates(root: Path) -> Iterator[_Candidate]:
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        yield from _of_chip(chip)
    for device in folders(root / "sys/bus/i2c/devices", "*"):
        for folder in [*folders(device, "iio:device*"), *folders(device, "iio_device")]:
            yield from _of_iio(folder)


def _of_chip(chip: Path) -> Iterator[_Candidate]:
    name = read_text(chip / "name") or chip.name
    for kind in ("input", "average"):  # an average where there is no momentary value
        files = [file for file in folders(chip, f"power*_{kind}") if read_int(file) is not None]
        for file in files:
            number = file.name.removeprefix("power").removesuffix(f"_{kind}")
            label = read_text(chip / f"power{number}_label") or read_text(chip / "label") or name
            yield label, name, _scaled(file, 1e6)
        if files:
            return
    for channel in _CHANNELS:
        rail = read_text(chip / f"in{channel}_label")
        if rail not in _SUMS:
            yield rail or f"{name} {channel}", name, _product(chip, channel)


def _of_iio(folder: Path) -> Iterator[_Candidate]:
    for file in folders(folder, "in_power*_input"):
        number = file.name.removeprefix("in_power").removesuffix("_input")
        rail = read_text(folder / f"rail_name_{number}")
        if rail is not None:
            yield rail, read_text(folder / "name") or "ina3221x", _scaled(file, 1e3)


def _scaled(file: Path, unit: float) -> Callable[[], float | None]:
    def read() -> float | None:
        value = read_int(file)
        return None if value is None else value / unit

    return read


def _product(chip: Path, channel: int) -> Callable[[], float | None]:
    """Voltage times current; None where the channel is switched off."""
    enabled, volts, amperes = (chip / f"{name}" for name in _names(channel))

    def read() -> float | None:
        if read_int(enabled) == 0:
            return None
        millivolts, milliamperes = read_int(volts), read_int(amperes)
        return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6

    return read


def _names(channel: int) -> tuple[str, str, str]:
    return f"in{channel}_enable", f"in{channel}_input", f"curr{channel}_input"

"""Power that a chip measures: INA3221 and INA2xx on Jetsons, and whatever else hwmon has a power or a current of.

Three layouts: hwmon with a power (INA2xx, power supplies), hwmon with a voltage and a current for each channel
(INA3221 of JetPack 5 and newer; Documentation/hwmon/ina3221.rst), and NVIDIA's own driver under IIO (JetPack 4).
"""

from __future__ import annotations

from pathlib import Path

from compiler.runtime.sensors.files import add, folders, read_int, read_text

_CHANNELS = range(1, 5)  # INA3221 has three; a fourth one on some chips of hwmon
_SUMS = ("sum of shunt voltages",)  # the INA3221's own sum of its channels: no rail


def power(root: Path = Path("/")) -> dict[str, float]:
    """Watts by the name of the rail."""
    found: dict[str, float] = {}
    for chip in folders(root / "sys/class/hwmon", "hwmon*"):
        _of_chip(found, chip)
    for device in folders(root / "sys/bus/i2c/devices", "*"):
        for folder in [*folders(device, "iio:device*"), *folders(device, "iio_device")]:
            _of_iio(found, folder)
    return found


def _of_chip(found: dict[str, float], chip: Path) -> None:
    name = read_text(chip / "name") or chip.name
    measured = False
    for kind in ("input", "average"):  # an average where there is no momentary value
        if measured:
            break
        for file in folders(chip, f"power*_{kind}"):
            microwatts = read_int(file)
            if microwatts is not None:
                number = file.name.removeprefix("power").removesuffix(f"_{kind}")
                label = read_text(chip / f"power{number}_label") or read_text(chip / "label") or name
                add(found, label, microwatts / 1e6)
                measured = True
    if measured:
        return
    for channel in _CHANNELS:
        rail = read_text(chip / f"in{channel}_label")
        millivolts, milliamperes = read_int(chip / f"in{channel}_input"), read_int(chip / f"curr{channel}_input")
        if read_int(chip / f"in{channel}_enable") == 0 or millivolts is None or milliamperes is None:
            continue
        if rail not in _SUMS:
            add(found, rail or f"{name} {channel}", millivolts * milliamperes / 1e6)


def _of_iio(found: dict[str, float], folder: Path) -> None:
    for file in folders(folder, "in_power*_input"):
        milliwatts = read_int(file)
        number = file.name.removeprefix("in_power").removesuffix("_input")
        rail = read_text(folder / f"rail_name_{number}")
        if milliwatts is not None and rail is not None:
            add(found, rail, milliwatts / 1e3)

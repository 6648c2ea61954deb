"""Clocks: those of the CPUs (cpufreq) and of an integrated GPU (devfreq)."""

from __future__ import annotations

from pathlib import Path

from compiler.runtime.sensors.files import add, folders, read_int, read_text

_GPUS = (".gpu", ".ga10b", ".gv11b", ".gp10b", ".gm20b", "gpu-gpc-0")
"""How devfreq calls the GPUs of Jetsons, after the address: by device, or by chip."""


def clocks(root: Path = Path("/")) -> dict[str, float]:
    """MHz by `cpu0`, `cpu1`, ... and `gpu`."""
    found: dict[str, float] = {}
    for cpu in folders(root / "sys/devices/system/cpu", "cpu[0-9]*"):
        kilohertz = read_int(cpu / "cpufreq/scaling_cur_freq")
        if kilohertz is not None:
            found[cpu.name] = kilohertz / 1e3
    for device in folders(root / "sys/class/devfreq", "*"):
        if device.name.endswith(_GPUS):
            hertz = read_int(device / "cur_freq")
            if hertz is not None:
                add(found, "gpu", hertz / 1e6)
    return found


def governor(root: Path = Path("/")) -> str | None:
    """How the clock of the first CPU is chosen: `performance`, `schedutil`, ...; None where nothing chooses it."""
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")

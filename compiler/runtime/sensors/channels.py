"""All channels of power under a root, and why there are none."""

from __future__ import annotations

from pathlib import Path

from compiler.runtime.sensors import hwmon, nvml, rapl
from compiler.runtime.sensors.channel import Channel


def channels(root: Path = Path("/")) -> list[Channel]:
    """Rails, then counters, then GPUs; each name is there once."""
    found = [*hwmon.rails(root), *rapl.counters(root)]
    if root == Path("/"):
        found += nvml.gpu_channels()
    return list({channel.name: channel for channel in found}.values())


def why_none(root: Path = Path("/")) -> str:
    """Why no power can be measured, in a sentence without a full stop."""
    if rapl.forbidden(root):
        return "only root may read RAPL's counters here (/sys/class/powercap/*/energy_uj)"
    if root == Path("/") and nvml.missing():
        return nvml.INSTALL
    return "no power sensor is readable here: no RAPL, NVML, INA or power meter"

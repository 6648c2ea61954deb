"""What NVIDIA's management library says of the discrete GPUs, by way of nvidia-ml-py where that is installed.

It needs no CUDA context. Integrated GPUs have no NVML for this; their values are among the board's files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from compiler.runtime.sensors.channel import Channel

SENSOR = "NVML"
INSTALL = "NVIDIA's GPUs are asked by nvidia-ml-py: pip install 'edgetune[power]'"


class GpuReading(NamedTuple):
    """Degrees Celsius, watts, MHz and whether a limit slows it down; None is what the driver does not say."""

    name: str
    celsius: float | None
    watts: float | None
    clock_mhz: float | None
    throttled: bool | None


def gpu_readings() -> list[GpuReading]:
    """The GPUs that NVML knows; none without the package, the library or a GPU."""
    nvml = _nvml()
    found = []
    for index, device in _devices(nvml):
        celsius = _ask(nvml.nvmlDeviceGetTemperature, device, nvml.NVML_TEMPERATURE_GPU)
        milliwatts = _ask(nvml.nvmlDeviceGetPowerUsage, device)
        clock = _ask(nvml.nvmlDeviceGetClockInfo, device, nvml.NVML_CLOCK_GRAPHICS)
        reasons = _ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, device)
        slowing = (
            nvml.nvmlClocksThrottleReasonHwSlowdown
            | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonSwPowerCap
        )
        found.append(
            GpuReading(
                name=f"gpu{index}",
                celsius=None if celsius is None else float(celsius),
                watts=None if milliwatts is None else milliwatts / 1e3,
                clock_mhz=None if clock is None else float(clock),
                throttled=None if reasons is None else bool(reasons & slowing),
            )
        )
    return found


def gpu_channels() -> list[Channel]:
    """A channel for each GPU: its counter of energy (Volta and newer), or else its power.

    Of an Ampere or newer, the power is the average of the last second: nothing that short windows could use.
    """
    nvml = _nvml()
    found = []
    for index, device in _devices(nvml):
        address = getattr(_ask(nvml.nvmlDeviceGetPciInfo, device), "busId", None)
        bus = address.decode(errors="replace") if isinstance(address, bytes) else address
        for counts, function in (
            (True, "nvmlDeviceGetTotalEnergyConsumption"),
            (False, "nvmlDeviceGetPowerUsage"),
        ):
            read = _thousandths(getattr(nvml, function, None), device)
            if read() is not None:
                found.append(Channel(f"gpu{index}", SENSOR, counts, read, bus=bus))
                break
    return found


def missing() -> bool:
    """Whether there is a driver with a discrete GPU, and no package to ask it by."""
    return _nvml() is None and Path("/dev/nvidia0").exists() and Path("/proc/driver/nvidia/gpus").exists()


def _thousandths(function: Callable[..., Any] | None, device: Any) -> Callable[[], float | None]:
    def read() -> float | None:
        value = None if function is None else _ask(function, device)
        return None if value is None else value / 1e3

    return read


def _devices(nvml: Any) -> list[tuple[int, Any]]:
    if nvml is None:
        return []
    devices = [(index, _ask(nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(_count(nvml))]
    return [(index, device) for index, device in devices if device is not None]


def _count(nvml: Any) -> int:
    return int(_ask(nvml.nvmlDeviceGetCount) or 0)


@lru_cache(maxsize=1)
def _nvml() -> Any:
    """The module with its library initialised, once a process; None where that cannot be."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no package, no library, no driver, no permission: no readings
        return None
    return pynvml


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:  # noqa: BLE001 - NVMLError, which only the optional package has: this GPU does not say
        return None

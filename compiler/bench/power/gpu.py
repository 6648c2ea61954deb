"""Which of NVML's GPUs it is that CUDA computes on: NVML counts all of a machine, CUDA those that a process may use."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from compiler.runtime.sensors import nvml
from compiler.runtime.sensors.channel import Channel

_ADDRESS_BYTES = 32


def gpu_channel(channels: Sequence[Channel]) -> str | None:
    """The name of the channel of CUDA's first GPU; None where there is none, or the driver does not say which it is."""
    gpus = [channel for channel in channels if channel.sensor == nvml.SENSOR]
    if len(gpus) <= 1:
        return gpus[0].name if gpus else None
    address = _address_of_first()
    return next((one.name for one in gpus if one.bus and address and _same(one.bus, address)), None)


def _address_of_first() -> str | None:
    """The PCI address of CUDA's first GPU, such as `0000:65:00.0`."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        device, text = ctypes.c_int(), ctypes.create_string_buffer(_ADDRESS_BYTES)
        if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
            return None
        if driver.cuDeviceGetPCIBusId(text, _ADDRESS_BYTES, device):
            return None
    except (OSError, AttributeError):  # no driver, or one without these functions
        return None
    return text.value.decode(errors="replace")


def _same(one: str, other: str) -> bool:
    """NVML's domain has eight digits, CUDA's four."""
    return [int(part, 16) for part in one.replace(".", ":").split(":")] == [
        int(part, 16) for part in other.replace(".", ":").split(":")
    ]

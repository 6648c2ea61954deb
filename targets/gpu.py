"""The NVIDIA GPU of this machine, asked of its driver; no CUDA toolkit is needed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

# Values of CUdevice_attribute in cuda.h.
_SM_COUNT = 16
_MAJOR = 75
_MINOR = 76
_SHARED_PER_BLOCK_OPTIN = 97
_REGISTERS_PER_SM = 82
_L2_BYTES = 38
_MEMORY_CLOCK_KHZ = 36
_MEMORY_BUS_BITS = 37


@dataclass(frozen=True)
class Gpu:
    """Name, architecture (`sm_90`) and sizes of a GPU in bytes, registers and GB/s; None where the driver is silent."""

    name: str
    arch: str
    sm_count: int
    shared_bytes_per_block: int | None
    registers_per_sm: int | None
    l2_bytes: int | None
    memory_gb_s: float | None


@lru_cache(maxsize=1)
def gpu() -> Gpu | None:
    """The first GPU that the driver shows, or None where there is no driver or no GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0:
            return None
        device = ctypes.c_int()
        if driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
            return None
        name = ctypes.create_string_buffer(256)
        if driver.cuDeviceGetName(name, len(name), device) != 0:
            return None
        major, minor = _attribute(driver, device, _MAJOR), _attribute(driver, device, _MINOR)
        sm_count = _attribute(driver, device, _SM_COUNT)
    except (OSError, AttributeError):  # no driver, or a stub that lacks the functions
        return None
    if not major or minor is None or not sm_count:
        return None
    clock, bus = _attribute(driver, device, _MEMORY_CLOCK_KHZ), _attribute(driver, device, _MEMORY_BUS_BITS)
    return Gpu(
        name=name.value.decode(errors="replace"),
        arch=f"sm_{major}{minor}",
        sm_count=sm_count,
        shared_bytes_per_block=_attribute(driver, device, _SHARED_PER_BLOCK_OPTIN),
        registers_per_sm=_attribute(driver, device, _REGISTERS_PER_SM),
        l2_bytes=_attribute(driver, device, _L2_BYTES),
        # Two transfers a clock on every memory that these GPUs have.
        memory_gb_s=round(2 * clock * 1e3 * bus / 8 / 1e9, 1) if clock and bus else None,
    )


def _attribute(driver: ctypes.CDLL, device: ctypes.c_int, attribute: int) -> int | None:
    value = ctypes.c_int()
    status = driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value if status == 0 else None


def driver_version() -> int | None:
    """The newest CUDA that the driver runs, 13000 for 13.0; None where there is no driver."""
    version = ctypes.c_int()
    try:
        status = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value if status == 0 and version.value > 0 else None

"""NVML by way of a package that may be there or not."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import pytest

from compiler.runtime.sensors import nvml


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    nvml._nvml.cache_clear()
    yield
    nvml._nvml.cache_clear()


def fake(**changes: object) -> types.ModuleType:
    """nvidia-ml-py with one GPU, as far as it is asked; `changes` replace functions."""
    module = types.ModuleType("pynvml")
    values: dict[str, object] = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlDeviceGetTemperature": lambda device, kind: 61,
        "nvmlDeviceGetPowerUsage": lambda device: 250_500,
        "NVML_CLOCK_GRAPHICS": 0,
        "nvmlDeviceGetClockInfo": lambda device, kind: 1980,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda device: 8,
        "nvmlClocksThrottleReasonHwSlowdown": 8,
        "nvmlClocksThrottleReasonSwThermalSlowdown": 32,
        "nvmlClocksThrottleReasonSwPowerCap": 4,
        **changes,
    }
    for name, value in values.items():
        setattr(module, name, value)
    return module


def refuse(*_: object) -> object:
    raise RuntimeError("not supported")


def test_a_gpu_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake())
    assert nvml.gpu_readings() == [nvml.GpuReading("gpu0", 61.0, 250.5, 1980.0, True)]


def test_what_it_does_not_say_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = fake(nvmlDeviceGetPowerUsage=refuse, nvmlDeviceGetCurrentClocksThrottleReasons=refuse)
    monkeypatch.setitem(sys.modules, "pynvml", silent)
    assert nvml.gpu_readings() == [nvml.GpuReading("gpu0", 61.0, None, 1980.0, None)]


def test_without_package_library_or_gpu_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (None, fake(nvmlInit=refuse), fake(nvmlDeviceGetCount=lambda: 0), fake(nvmlDeviceGetCount=refuse)):
        nvml._nvml.cache_clear()
        monkeypatch.setitem(sys.modules, "pynvml", module)
        assert nvml.gpu_readings() == []

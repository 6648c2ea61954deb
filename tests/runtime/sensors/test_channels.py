"""Which channels of power there are on boards as they come, and which of them make the whole."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from compiler.bench.power.gpu import _same, gpu_channel
from compiler.runtime.sensors import nvml
from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.channels import channels, why_none
from compiler.runtime.sensors.total import Rail, Scope, scope
from tests.runtime.sensors import nvml_stub
from tests.runtime.sensors.trees import (
    AGX_ORIN,
    AGX_XAVIER,
    DESKTOP,
    NANO,
    ORIN_NANO,
    SERVER,
    THOR,
    TX1,
    TX2,
    plant,
)


def rails(found: list[Channel]) -> list[Rail]:
    return [Rail(channel.name, channel.sensor) for channel in found]


@pytest.mark.parametrize(
    ("tree", "covers", "names", "watts"),
    [
        (TX1, "module", ["VDD_IN"], 2.0),
        (TX2, "module", ["VDD_IN"], 2.285),
        (NANO, "board", ["POM_5V_IN"], 2.0),
        (AGX_XAVIER, "module", ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"], 12.0),
        (ORIN_NANO, "module", ["VDD_IN"], 5.064 * 0.936),
        (AGX_ORIN, "module", ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"], 15.0),
        (THOR, "board", ["VIN"], 42.0),
    ],
    ids=["tx1", "tx2", "nano", "agx-xavier", "orin-nano", "agx-orin", "thor"],
)
def test_jetsons(tmp_path: Path, tree: Mapping[str, object], covers: str, names: list[str], watts: float) -> None:
    found = channels(plant(tmp_path, tree))
    assert not any(channel.counts for channel in found)
    chosen = scope(rails(found))
    assert chosen == Scope(covers, tuple(names)) == scope(rails(found), "gpu0"), "its GPU is on the same rails"
    by_name = {channel.name: channel for channel in found}
    assert sum(by_name[name].read() or 0.0 for name in names) == pytest.approx(watts)
    assert all(by_name[name].sensor.startswith("ina") for name in names)


def test_x86_counts_energy(tmp_path: Path) -> None:
    found = {channel.name: channel for channel in channels(plant(tmp_path, SERVER))}
    assert list(found) == ["package-0", "package-0 dram", "package-0 core", "package-1", "psys"]
    assert scope(rails(list(found.values()))) == Scope("CPU and memory", ("package-0", "package-0 dram", "package-1"))
    package = found["package-0"]
    assert (package.counts, package.read(), package.span) == (True, 5.0, pytest.approx(262_143.328850))
    plant(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": 7_500_000})
    assert package.read() == 7.5
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    assert package.read() is None


def test_a_gpu_that_is_not_the_cpu_is_not_added_to_it(tmp_path: Path) -> None:
    found = rails(channels(plant(tmp_path, DESKTOP)))
    assert Rail("PPT", "amdgpu") in found
    assert scope(found) == Scope("CPU and memory", ("package-0", "package-0 dram"))
    assert scope([Rail("PPT", "amdgpu")]) is None
    both = [*found, Rail("gpu0", nvml.SENSOR)]
    assert scope(both) == scope(found)
    assert scope(both, "gpu0") == Scope("GPU", ("gpu0",)) and scope(found, "gpu0") is None
    assert scope([Rail("power_meter", "power_meter"), *both]) == Scope("machine", ("power_meter",))


def test_counters_for_root_alone_are_told_from_none(tmp_path: Path) -> None:
    plant(tmp_path, SERVER)
    for zone in (tmp_path / "sys/class/powercap").iterdir():
        (zone / "energy_uj").unlink()
        (zone / "energy_uj").mkdir()  # refused to root, too
    assert channels(tmp_path) == []
    assert why_none(tmp_path).startswith("only root may read RAPL's counters")


def test_a_bare_machine_says_that_it_has_none(tmp_path: Path) -> None:
    assert channels(tmp_path) == [] and why_none(tmp_path).startswith("no power sensor is readable here")


@pytest.fixture
def gpus(tmp_path: Path) -> Iterator[None]:
    """nvidia-ml-py on a library of two GPUs: loaded first, it is the one that is found by its name."""
    pynvml = pytest.importorskip("pynvml")
    stub = ctypes.CDLL(str(nvml_stub.build(tmp_path)), ctypes.RTLD_GLOBAL)
    nvml._nvml.cache_clear()
    yield
    nvml._nvml.cache_clear()
    pynvml.nvmlShutdown()
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()
    del stub


def test_nvidias_gpus_by_their_library(gpus: None) -> None:
    assert nvml.gpu_readings() == [
        nvml.GpuReading("gpu0", 61.0, 100.0, 1980.0, True),
        nvml.GpuReading("gpu1", 55.0, 50.0, None, False),
    ]
    first, second = nvml.gpu_channels()
    assert (first.name, first.counts, first.bus) == ("gpu0", True, "00000000:17:00.0")
    assert (second.name, second.counts, second.read()) == ("gpu1", False, 50.0)
    assert (first.read() or 0.0) > 0
    assert [channel.name for channel in channels()][-2:] == ["gpu0", "gpu1"]


def test_which_gpu_computes_is_told_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [
        Channel(f"gpu{k}", nvml.SENSOR, True, lambda: 1.0, bus=f"00000000:{bus}:00.0")
        for k, bus in enumerate(("17", "65"))
    ]
    monkeypatch.setattr("compiler.bench.power.gpu._address_of_first", lambda: "0000:65:00.0")
    assert gpu_channel(both) == "gpu1" and gpu_channel(both[:1]) == "gpu0" and gpu_channel([]) is None
    monkeypatch.setattr("compiler.bench.power.gpu._address_of_first", lambda: None)
    assert gpu_channel(both) is None
    assert _same("00000000:0A:00.0", "0000:0a:00.0") and not _same("00000000:17:00.0", "0000:17:00.1")

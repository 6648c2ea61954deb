"""How similar devices are."""

from __future__ import annotations

import pytest

import targets
from compiler.records.nearest.devices import Device


def cpu(name: str, device: str, cores: int = 4, fingerprint: str | None = None) -> Device:
    target = targets.get(name, cores)
    return Device(fingerprint or f"{name}-{device}-{cores}", target.config(), device, cores)


def gpu(arch: str, device: str, sms: int = 16) -> Device:
    return Device(f"cuda-{arch}-{device}", {"kind": "cuda", "arch": arch}, device, sms)


EPYC = cpu("x86-znver4", "AMD EPYC")


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        (EPYC, 0.0),
        (cpu("x86-znver4", "AMD EPYC", 4, "another-tvm"), 0.5),
        (cpu("x86-znver4", "AMD EPYC", 16), 1.0),
        (cpu("x86-znver4", "AMD Ryzen"), 1.0),
        (cpu("x86-sapphirerapids", "Intel Xeon"), 2.0),
        (cpu("x86-avx512", "AMD EPYC", 8), 2.25),
        (cpu("x86-avx2", "AMD EPYC"), None),
        (cpu("arm-neoverse-n1", "Arm Neoverse N1"), None),
        (gpu("sm_86", "RTX 3090"), None),
        (Device("unknown", {}, "", 0), None),
        (Device("odd", {"kind": "llvm", "mcpu": 3, "mtriple": None}, "", 4), None),
    ],
)
def test_cpus(other: Device, distance: float | None) -> None:
    assert EPYC.distance(other) == distance
    assert other.distance(EPYC) == distance


def test_a_cpu_that_no_target_is_for_is_similar_to_itself_alone() -> None:
    def strange(name: str, cores: int) -> Device:
        return Device(f"{name}-{cores}", {"kind": "llvm", "mcpu": name, "mtriple": "riscv64-linux-gnu"}, name, cores)

    assert strange("one", 4).distance(strange("one", 8)) == 0.75
    assert strange("one", 4).distance(strange("two", 4)) is None


def test_arm_cpus_with_the_same_vectors_are_similar() -> None:
    one = cpu("arm-cortex-a76", "Arm Cortex-A76")
    assert one.distance(cpu("arm-cortex-a72", "Arm Cortex-A72")) == 2.0


def test_generic_is_the_name_of_no_device() -> None:
    one = cpu("x86-znver4", targets.GENERIC, 4)
    assert one.distance(cpu("x86-znver4", targets.GENERIC, 8)) == 1.25


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        (gpu("sm_87", "Orin", 8), 2.0),
        (gpu("sm_86", "RTX 3090", 82), 0.5),
        (gpu("sm_86", "RTX 3060", 28), 1.0),
        (gpu("sm_89", "L4"), 2.0),
        (gpu("sm_90a", "H100"), None),
        (gpu("gfx90a", "MI250"), None),
        (EPYC, None),
    ],
)
def test_gpus(other: Device, distance: float | None) -> None:
    own = Device("cuda-own", {"kind": "cuda", "arch": "sm_86"}, "RTX 3090", 82)
    assert own.distance(other) == distance

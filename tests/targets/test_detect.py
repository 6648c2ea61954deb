"""`native` is never more than the CPU can execute, whatever a hypervisor hides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import targets
from targets import arm, cpuinfo, detect, x86
from targets.cpuinfo import CpuInfo

ALL_FLAGS = frozenset().union(*x86.REQUIRES.values())


def amd_zen4_vm(flags: frozenset[str] = x86.REQUIRES["x86-znver4"]) -> CpuInfo:
    return CpuInfo("x86_64", "AuthenticAMD", 25, 17, 1, "AMD EPYC", flags)


def test_native_is_a_registered_target_under_its_own_name() -> None:
    native = targets.get("native")
    assert native.name in targets.names()
    assert native == targets.get(native.name)
    assert targets.why_not_run(native) is None
    assert targets.fingerprint(native) == targets.fingerprint(targets.get(native.name))
    assert native.options["num-cores"] == cpuinfo.usable_cores()


def test_native_executes_on_this_cpu() -> None:
    """A vectorised kernel built by the real TVM for `native` runs here and gives the right sum."""
    import numpy as np
    import tvm
    from tvm import te

    n = 1024
    a = te.placeholder((n,), "float32", name="a")
    b = te.compute((n,), lambda i: a[i] * 2.0 + 1.0, name="b")
    module = tvm.compile(te.create_prim_func([a, b]), target=targets.get("native").to_tvm())
    x = tvm.runtime.tensor(np.arange(n, dtype="float32"))
    y = tvm.runtime.tensor(np.zeros(n, dtype="float32"))
    module["main"](x, y)
    np.testing.assert_allclose(y.numpy(), np.arange(n) * 2.0 + 1.0)


def test_this_cpus_flags_cover_all_that_llvm_has_for_native() -> None:
    from tests.targets.test_registry import ARM_EMITTED, X86_EMITTED, llvm_features

    native = targets.get("native")
    table = X86_EMITTED if native.family == "x86" else ARM_EMITTED
    emitted = {table[feature] for feature in llvm_features(dict(native.options)) if feature in table}
    assert emitted <= cpuinfo.cpu_info().flags


@pytest.mark.parametrize(
    ("vendor", "family", "model", "flags", "expected"),
    [
        ("AuthenticAMD", 25, 17, "x86-znver4", "x86-znver4"),  # EPYC Genoa in a VM that hides its name
        ("AuthenticAMD", 25, 17, "x86-avx512", "x86-avx512"),  # the same, with more hidden
        ("AuthenticAMD", 25, 17, "x86-avx2", "x86-avx2"),
        ("AuthenticAMD", 25, 1, "x86-znver3", "x86-znver3"),
        ("AuthenticAMD", 23, 49, "x86-znver2", "x86-znver2"),
        ("AuthenticAMD", 26, 2, "x86-znver5", "x86-znver5"),
        ("AuthenticAMD", 99, 2, "x86-znver5", "x86-avx512"),  # a CPU that no table knows yet
        ("GenuineIntel", 6, 0x55, "x86-skylake-avx512", "x86-skylake-avx512"),
        ("GenuineIntel", 6, 0x55, "x86-cascadelake", "x86-cascadelake"),
        ("GenuineIntel", 6, 0x55, "x86-cooperlake", "x86-cooperlake"),
        ("GenuineIntel", 6, 0x6A, "x86-icelake-server", "x86-icelake-server"),
        ("GenuineIntel", 6, 0x8F, "x86-sapphirerapids", "x86-sapphirerapids"),
        ("GenuineIntel", 6, 0x8F, "x86-icelake-server", "x86-icelake-server"),  # AMX and FP16 hidden
        ("GenuineIntel", 6, 0x4F, "x86-broadwell", "x86-broadwell"),
        ("GenuineIntel", 6, 0x9A, "x86-alderlake", "x86-alderlake"),
        ("GenuineIntel", 6, 0x2A, "x86-sse42", "x86-sse42"),  # Sandy Bridge
        ("", 0, 0, "x86-64", "x86-64"),
    ],
)
def test_names_of_known_cpus(vendor: str, family: int, model: int, flags: str, expected: str) -> None:
    info = CpuInfo("x86_64", vendor, family, model, 1, "", x86.REQUIRES[flags])
    assert detect.name_for(info) == expected


@given(
    vendor=st.sampled_from(["GenuineIntel", "AuthenticAMD", "CentaurHauls", ""]),
    family=st.sampled_from([6, 0x17, 0x19, 0x1A, 15]),
    model=st.integers(0, 255),
    hidden=st.sets(st.sampled_from(sorted(ALL_FLAGS - {"sse", "sse2"}))),
)
def test_never_a_target_that_the_cpu_cannot_execute(vendor: str, family: int, model: int, hidden: set[str]) -> None:
    info = CpuInfo("x86_64", vendor, family, model, 0, "", ALL_FLAGS - hidden)
    assert x86.REQUIRES[detect.name_for(info)] <= info.flags


def test_machines_that_cannot_be_described() -> None:
    with pytest.raises(targets.TargetError, match="riscv64"):
        detect.name_for(CpuInfo("riscv64", "", 0, 0, 0, "", frozenset()))
    with pytest.raises(targets.TargetError, match="--target"):
        detect.name_for(CpuInfo("x86_64", "", 0, 0, 0, "", frozenset()))


ORIN = "".join(
    f"processor\t: {core}\nBogoMIPS\t: 62.50\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp "
    "asimdhp cpuid asimdrdm lrcpc dcpop asimddp uscat ilrcpc flagm\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    "CPU variant\t: 0x0\nCPU part\t: 0xd42\nCPU revision\t: 1\n\n"
    for core in range(12)
)
BIG_LITTLE = """processor : 0
Features : fp asimd crc32 atomics fphp asimdhp asimdrdm lrcpc asimddp
CPU implementer : 0x41
CPU part : 0xd05

processor : 4
Features : fp asimd crc32 atomics fphp asimdhp asimdrdm lrcpc asimddp
CPU implementer : 0x41
CPU part : 0xd0b
"""


def test_arm_boards() -> None:
    orin = cpuinfo.parse_cpuinfo(ORIN, "aarch64")
    assert detect.name_for(orin) == "arm-cortex-a78ae"
    assert arm.cpu_name(orin) == "Arm Cortex-A78AE"
    rk3588 = cpuinfo.parse_cpuinfo(BIG_LITTLE, "aarch64")
    assert detect.name_for(rk3588) == "arm-cortex-a76"
    assert arm.cpu_name(rk3588) == "Arm Cortex-A55 + Arm Cortex-A76"
    unknown = cpuinfo.parse_cpuinfo(BIG_LITTLE.replace("0xd0b", "0xfff").replace("0xd05", "0xffe"), "aarch64")
    assert detect.name_for(unknown) == "arm-generic"


@given(st.text(max_size=300))
def test_any_cpuinfo_text_is_read(text: str) -> None:
    assert cpuinfo.parse_cpuinfo(text, "x86_64").machine == "x86_64"


def test_a_cpu_quota_lowers_the_core_count(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/docker/abc\n3:cpu,cpuacct:/docker/abc\n")
    folder = tmp_path / "root" / "docker" / "abc"
    folder.mkdir(parents=True)
    assert cpuinfo.cpu_quota(tmp_path / "root", membership) is None
    (folder / "cpu.max").write_text("max 100000\n")
    assert cpuinfo.cpu_quota(tmp_path / "root", membership) is None
    (folder.parent / "cpu.max").write_text("150000 100000\n")
    assert cpuinfo.cpu_quota(tmp_path / "root", membership) == 1.5
    old = tmp_path / "root" / "cpu" / "docker" / "abc"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("50000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert cpuinfo.cpu_quota(tmp_path / "root", membership) == 0.5
    (folder / "cpu.max").write_text("garbage")
    assert cpuinfo.cpu_quota(tmp_path / "root", membership) == 0.5


def test_affinity_lowers_the_core_count() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import targets; print(targets.get('native').cores)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert out.stdout.strip() == "1"


def test_caches_are_read(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate([(1, "Data", "32K"), (1, "Instruction", "64K"), (2, "Unified", "1M")]):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        (folder / "level").write_text(f"{level}\n")
        (folder / "type").write_text(f"{kind}\n")
        (folder / "size").write_text(f"{size}\n")
    found = cpuinfo.caches(0, tmp_path)
    assert (found.l1d, found.l2, found.l3) == (32 * 1024, 1024 * 1024, None)
    assert cpuinfo.caches(1, tmp_path) == cpuinfo.Caches(None, None, None)

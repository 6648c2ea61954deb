"""What a machine lacks is named, and fingerprints keep devices apart."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import targets
from targets import cpuinfo, toolchain, x86
from targets.cpuinfo import CpuInfo


@pytest.fixture
def haswell(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process believes it runs on a Haswell."""
    name = "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz"
    info = CpuInfo("x86_64", "GenuineIntel", 6, 0x3C, 3, name, x86.REQUIRES["x86-avx2"])
    monkeypatch.setattr(cpuinfo, "cpu_info", lambda: info)
    monkeypatch.setattr("targets.detect.cpu_info", lambda: info)


@pytest.mark.usefixtures("haswell")
def test_missing_features_are_named_and_compiling_still_works() -> None:
    target = targets.get("x86-avx512")
    why = targets.why_not_run(target)
    assert why is not None
    assert "has no avx512f, avx512bw, avx512cd, avx512dq, avx512vl" in why
    assert "i7-4770" in why
    assert targets.why_not_compile(target) is None
    assert targets.fingerprint(target).device == "generic"


@pytest.mark.usefixtures("haswell")
def test_fingerprints_are_readable_and_safe_as_folder_names() -> None:
    found = targets.fingerprint(targets.get("native"))
    assert found.device.startswith("Intel(R) Core(TM) i7-4770")
    assert re.fullmatch(r"x86-haswell-intel-core-i7-4770-family-6-model-60-\d+c-tvm[0-9a-z.]+-[0-9a-f]{8}", found.id)
    assert re.fullmatch(r"[a-z0-9._-]+", found.id)


def test_fingerprints_tell_devices_apart() -> None:
    base = targets.get("x86-avx2", cores=4)
    ids = {
        targets.fingerprint(base).id,
        targets.fingerprint(base, device="AMD Ryzen 7").id,
        targets.fingerprint(targets.get("x86-avx2", cores=2)).id,
        targets.fingerprint(targets.get("x86-haswell", cores=4)).id,
    }
    assert len(ids) == 4
    assert targets.fingerprint(base) == targets.fingerprint(targets.get("x86-avx2", cores=4))
    assert targets.tvm_version() in targets.fingerprint(base).id


def test_a_gpus_fingerprint_does_not_depend_on_the_host() -> None:
    one, other = targets.get("cuda-sm86", cores=2), targets.get("cuda-sm86", cores=8)
    assert one.host != other.host
    assert targets.fingerprint(one) == targets.fingerprint(other)


def test_a_foreign_board_says_so() -> None:
    if cpuinfo.machine() == "aarch64":
        pytest.skip("this is an Arm machine")
    why = targets.why_not_run(targets.get("arm-cortex-a72"))
    assert why is not None and "not aarch64" in why
    why = targets.why_not_run(targets.get("jetson-orin"))
    assert why is not None and "Jetson AGX Orin" in why


def test_cuda_without_a_gpu_still_has_a_target() -> None:
    from targets.gpu import gpu

    if gpu() is not None:
        pytest.skip("this machine has a GPU")
    target = targets.get("cuda")
    assert target.kind == "cuda"
    assert "no NVIDIA GPU" in (targets.why_not_run(target) or "")
    assert "no GPU" in (targets.why_not_compile(target) or "")


@pytest.mark.gpu
def test_cuda_is_this_machines_gpu() -> None:
    from targets.gpu import gpu

    here = gpu()
    if here is None:
        pytest.skip("this machine has no GPU")
    target = targets.get("cuda")
    assert target.options["arch"] == here.arch
    assert targets.why_not_run(target) is None
    assert targets.fingerprint(target).device == here.name


def test_a_missing_linker_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(toolchain, "_zig", list)
    assert "ziglang" in (targets.why_not_compile(targets.get("x86-avx2")) or "")
    assert "aarch64-linux-gnu" in (targets.why_not_compile(targets.get("arm-cortex-a72")) or "")


def test_asking_for_targets_imports_no_tvm() -> None:
    code = (
        "import sys, targets\n"
        "for name in targets.names(): t = targets.get(name); targets.why_not_run(t); targets.fingerprint(t).id\n"
        "assert 'tvm' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)

"""Packages for GPUs hold machine code for them, made without a GPU, and are refused where they cannot run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import targets
from compiler.build import compile_model
from compiler.cuda.checks import check_library, exceeds
from compiler.cuda.cubins import KernelCode, cubins
from compiler.errors import EdgetuneError
from compiler.frontend import load
from compiler.graph.scheduling import hardware_of
from schedules.cuda.gpu import gpu
from targets import cuda_toolkit
from tests.command import edgetune_here, one_line
from tests.graph.graphs import module, node, weight

pytestmark = pytest.mark.skipif(
    any(cuda_toolkit.why_no_toolkit(arch) for arch in ("sm_53", "sm_90")), reason="the extra [cuda] is not installed"
)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("jetson-tx1", "fp16"),
        ("jetson-orin", "fp32"),
        ("cuda-sm90", "fp16"),
        ("jetson-thor", "fp32"),
        ("cuda-sm80", "tf32"),
        ("jetson-orin", "tf32"),
        ("cuda-sm120", "tf32"),
    ],
)
def test_a_package_holds_machine_code_for_its_gpu(small: Path, name: str, precision: str, tmp_path: Path) -> None:
    target = targets.get(name)
    library = tmp_path / "library.so"
    built = compile_model(load(str(small)), target, library, precision=precision)
    data = library.read_bytes()
    machine = int.from_bytes(data[18:20], "little")
    assert machine == (183 if name.startswith("jetson") else 62)  # EM_AARCH64, EM_X86_64
    [cubin] = cubins(data)
    assert cubin.arch == target.options["arch"]
    assert b"__global__" not in data
    assert len(cubin.kernels) >= built.tasks
    assert check_library(library, cubin.arch, hardware_of(target)) == cubin
    for kernel in cubin.kernels:
        assert 0 < kernel.registers <= 255 and kernel.shared_bytes <= 48 * 1024
        assert kernel.max_threads is not None and kernel.max_threads <= 1024
        assert kernel.stack_bytes == 0  # nothing spilled


def test_channels_behind_a_shuffle_are_no_vectors(tmp_path: Path) -> None:
    """ShuffleNet in FP16: what lies side by side in the sum does not in memory."""
    nodes = [
        node("Conv", ["x", "a"], ["t1"], group=4),
        node("Relu", ["t1"], ["t2"]),
        node("Reshape", ["t2", "five"], ["t3"]),
        node("Transpose", ["t3"], ["t4"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t4", "four"], ["t5"]),
        node("Conv", ["t5", "b"], ["y"], group=4),
    ]
    weights = {"a": weight(1, 544, 136, 1, 1), "b": weight(2, 544, 136, 1, 1)}
    weights |= {"five": np.array([1, 4, 136, 7, 7]), "four": np.array([1, 544, 7, 7])}
    model = module(tmp_path, nodes, (1, 544, 7, 7), weights=weights, opset=13)
    built = compile_model(model, targets.get("cuda-sm90"), tmp_path / "library.so", precision="fp16")
    assert any("grouped" in name for name in built.kernels)


def test_source_in_the_place_of_machine_code_is_a_failure(small: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(b'\x7fELF... extern "C" __global__ void main_kernel() {}')
    with pytest.raises(EdgetuneError, match="source in the place of machine code"):
        check_library(library, "sm_87", gpu(87, 16))


def test_machine_code_for_another_gpu_is_a_failure(small: Path, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    compile_model(load(str(small)), targets.get("cuda-sm90"), library)
    with pytest.raises(EdgetuneError, match="machine code for sm_90, not sm_80"):
        check_library(library, "sm_80", gpu(80, 108))


def test_limits() -> None:
    orin, tx1 = gpu(87, 16), gpu(53, 2)
    assert exceeds(KernelCode("k", 64, 1024, 0, 256), orin) is None
    assert "registers a block" in (exceeds(KernelCode("k", 255, 0, 0, 512), orin) or "")
    assert exceeds(KernelCode("k", 128, 0, 0, 512), orin) is None
    assert "registers a block" in (exceeds(KernelCode("k", 128, 0, 0, 512), tx1) or "")
    assert "shared memory" in (exceeds(KernelCode("k", 32, 50 * 1024, 0, 64), orin) or "")
    assert "threads" in (exceeds(KernelCode("k", 32, 0, 0, 2048), orin) or "")


def test_a_package_for_a_gpu_is_refused_without_one(small: Path, tmp_path: Path) -> None:
    from targets.gpu import gpu as found

    if found() is not None:
        pytest.skip("this machine has a GPU")
    package = tmp_path / "small.tar"
    said = edgetune_here("compile", str(small), "--target", "cuda-sm86", "-o", str(package))
    assert "not verified" in said.stderr and "no NVIDIA GPU" in said.stderr
    for command in (("run", str(package)), ("verify", str(package)), ("bench", str(package))):
        error = one_line(edgetune_here(*command, check=None).stderr)
        assert "no NVIDIA GPU" in error and "cuda-sm86" in error


def test_tf32_is_refused_in_one_line_where_there_is_none(small: Path) -> None:
    for target, *command in (
        ("cuda-sm75", "compile", "-o", "x.tar"),
        ("cuda-sm75", "bench"),
        ("native", "tune", "--tasks", "list"),
        ("native", "logs", "show"),
    ):
        said = edgetune_here(*command, str(small), "--target", target, "--precision", "tf32", check=None)
        assert said.returncode == 2
        assert "has no TF32, which NVIDIA's GPUs have from sm_80 on" in one_line(said.stderr)

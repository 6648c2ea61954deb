"""The kernels that measure a GPU's peak: one for what each GPU multiplies with, in machine code that it can launch.
What they measure is seen on an emulated GPU (`tests/cuda/device`)."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.bench import gpu_peak
from compiler.bench import gpu_peak_kernels as kernels
from compiler.cuda.checks import check_library
from schedules.cuda.gpu import gpu
from targets import cuda_toolkit

CASES = [
    ("jetson-tx1", "fp32", "single"),
    ("jetson-tx1", "fp16", "pairs"),
    ("cuda-sm75", "fp16", "tensor"),
    ("jetson-orin", "fp16", "tensor"),
    ("cuda-sm90", "fp32", "single"),
    ("cuda-sm90", "fp16", "tensor"),
]


@pytest.mark.parametrize(("name", "precision", "expected"), CASES)
def test_it_is_of_what_kernels_of_that_precision_use(name: str, precision: str, expected: str, tmp_path: Path) -> None:
    target = targets.get(name)
    arch = str(target.options["arch"])
    missing = cuda_toolkit.why_no_toolkit(arch)
    if missing is not None:
        pytest.skip(missing)
    kernel = gpu_peak.kernel_of(arch, precision)
    assert kernel.name == expected
    library = tmp_path / "peak.so"
    gpu_peak.build(target, kernel, 8, kernels.floats_of_step(8), library)
    cubin = check_library(library, arch, gpu(cuda_toolkit.sm(arch), sms=8))
    assert cubin is not None
    # What is in registers stays there: four blocks fit on a multiprocessor, as many as are launched.
    assert all(code.registers <= 64 and not code.stack_bytes for code in cubin.kernels)

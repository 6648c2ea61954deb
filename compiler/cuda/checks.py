"""What a package for a GPU must hold, looked at in its bytes: machine code for that GPU which the GPU can launch."""

from __future__ import annotations

from pathlib import Path

from compiler.cuda.cubins import Cubin, KernelCode, cubins
from compiler.errors import EdgetuneError
from schedules.cuda.gpu import MAX_THREADS, STATIC_SHARED, WARP, Gpu

MAX_REGISTERS = 255  # of a thread, on every GPU since sm_35
_GRANULE = 8  # registers are given to threads by so many


def check_library(library: Path, arch: str, gpu: Gpu) -> Cubin | None:
    """The machine code in `library`; None where it has no kernel at all.

    Raises EdgetuneError where the library holds kernels as source, for another architecture than `arch`, or one that
    exceeds the limits of `gpu`: the device could not launch it.
    """
    data = library.read_bytes()
    found = cubins(data)
    if not found:
        if b"__global__" in data:
            raise EdgetuneError(f"the package holds source in the place of machine code for {arch}: this is a bug")
        return None
    for cubin in found:
        if cubin.arch != arch:
            raise EdgetuneError(f"the package holds machine code for {cubin.arch}, not {arch}: this is a bug")
        for kernel in cubin.kernels:
            why = exceeds(kernel, gpu)
            if why is not None:
                raise EdgetuneError(f"kernel {kernel.name} cannot be launched on {arch}: {why}")
    return Cubin(arch, tuple(kernel for cubin in found for kernel in cubin.kernels))


def exceeds(kernel: KernelCode, gpu: Gpu) -> str | None:
    """None, or which limit of `gpu` the kernel exceeds."""
    threads = kernel.max_threads or WARP
    if threads > MAX_THREADS:
        return f"{threads} threads a block, of at most {MAX_THREADS}"
    if kernel.shared_bytes > min(STATIC_SHARED, gpu.shared_bytes):
        return f"{kernel.shared_bytes} bytes of shared memory a block, of at most {STATIC_SHARED}"
    if kernel.registers > MAX_REGISTERS:
        return f"{kernel.registers} registers a thread, of at most {MAX_REGISTERS}"
    warps = -(-threads // WARP)
    registers = -(-kernel.registers // _GRANULE) * _GRANULE * WARP * warps
    if registers > gpu.block_registers:
        return f"{registers} registers a block, of at most {gpu.block_registers}"
    return None

"""NVRTC, of either generation, called through its C interface (nvrtc.h): CUDA source becomes machine code."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from compiler.errors import EdgetuneError
from targets.cuda_toolkit import Toolkit

# Fast division and square roots are as exact as the FP16 and TF32 around them; denormals are kept.
OPTIONS = ("-default-device", "--fmad=true", "--prec-div=false", "--prec-sqrt=false", "--extra-device-vectorization")


class CudaSourceError(EdgetuneError):
    """CUDA source that does not compile."""


def compile_source(text: str, arch: str, toolkit: Toolkit, options: Sequence[str] = OPTIONS) -> bytes:
    """The cubin, an ELF file, of the CUDA source `text` for `arch` (`sm_87`).

    Raises CudaSourceError with the compiler's first error where it does not compile.
    """
    nvrtc = _load(str(toolkit.library))
    flags = [f"--gpu-architecture={arch}", *options, *(f"-I{folder}" for folder in toolkit.headers)]
    arguments = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    program = ctypes.c_void_p()
    _must(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
    try:
        if nvrtc.nvrtcCompileProgram(program, len(flags), arguments) != 0:
            log = _bytes(nvrtc, program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").decode(errors="replace")
            raise CudaSourceError(f"NVRTC does not compile the kernels for {arch}: {_first_error(log)}")
        return _bytes(nvrtc, program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def version(toolkit: Toolkit) -> str:
    """NVRTC's version, such as 13.0."""
    nvrtc = _load(str(toolkit.library))
    major, minor = ctypes.c_int(), ctypes.c_int()
    _must(nvrtc, nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


@lru_cache(maxsize=4)
def _load(library: str) -> ctypes.CDLL:
    try:
        # NVRTC opens it by name, and not every version looks where it lies itself.
        for builtins in sorted(Path(library).parent.glob("libnvrtc-builtins.so.*")):
            ctypes.CDLL(str(builtins))
        nvrtc = ctypes.CDLL(library)
    except OSError as error:
        raise EdgetuneError(f"NVRTC cannot be loaded: {error}") from None
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def _bytes(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, size_of: str, content_of: str) -> bytes:
    size = ctypes.c_size_t()
    _must(nvrtc, getattr(nvrtc, size_of)(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _must(nvrtc, getattr(nvrtc, content_of)(program, buffer))
    return buffer.raw


def _must(nvrtc: ctypes.CDLL, status: int) -> None:
    if status != 0:
        raise EdgetuneError(f"NVRTC: {nvrtc.nvrtcGetErrorString(status).decode(errors='replace')}")


def _first_error(log: str) -> str:
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")[:300]

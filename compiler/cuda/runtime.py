"""Loading the CUDA part of TVM's runtime, which also writes packages for GPUs, wherever this runs."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from compiler.errors import EdgetuneError
from targets import cuda_toolkit
from targets.gpu import driver_version
from targets.toolchain import linker_command

STUB = Path(__file__).with_name("driver_stub.c")
DRIVER = "libcuda.so.1"
PART = "lib/libtvm_runtime_cuda.so"
_RUNTIME_13, _CUDA_13 = b"libcudart.so.13", 13000
_BUILD_SECONDS = 300.0


@lru_cache(maxsize=1)
def load_cuda_runtime() -> None:
    """Load it, once, in any process that compiles for GPUs or runs on one: TVM skips it in silence where the driver is
    missing, or CUDA's runtime is not where the loader looks, as in PyPI's packages.

    Raises EdgetuneError, in one line, where that cannot be done.
    """
    import tvm
    import tvm_ffi

    if tvm_ffi.get_global_func("ffi.Module.create.cuda", allow_missing=True) is not None:
        return
    runtime = cuda_toolkit.cuda_runtime()
    if runtime is None:
        raise EdgetuneError(f"the CUDA runtime of PyPI is not installed: {cuda_toolkit.INSTALL}")
    part = Path(tvm.__file__).parent / PART
    try:
        if not _has_driver():
            ctypes.CDLL(str(_stub()), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(part), mode=ctypes.RTLD_LOCAL)
    except OSError as error:
        raise EdgetuneError(f"the CUDA part of TVM cannot be loaded: {error}") from None


@lru_cache(maxsize=1)
def load_to_run() -> None:
    """Load it, once, where kernels are to run. Raises EdgetuneError as `load_cuda_runtime` does, and for a driver that
    is too old for it."""
    reason = why_driver_is_too_old()
    if reason is not None:
        raise EdgetuneError(reason)
    load_cuda_runtime()


def why_driver_is_too_old() -> str | None:
    """None, or why the GPU's driver does not do for the CUDA that the TVM installed here was built with."""
    version, tvm = driver_version(), importlib.util.find_spec("tvm")
    if version is None or version >= _CUDA_13 or tvm is None or tvm.origin is None:
        return None
    part = Path(tvm.origin).parent / PART
    with contextlib.suppress(OSError):
        if _RUNTIME_13 in part.read_bytes():
            known = f"{version // 1000}.{version % 1000 // 10}"
            return f"the GPU's driver is one for CUDA {known}, and TVM needs one for CUDA 13 (580 or newer): update it"
    return None


def _has_driver() -> bool:
    try:
        ctypes.CDLL(DRIVER, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def _stub() -> Path:
    """The stand-in for the driver, built where it is not in the user's cache yet."""
    import platformdirs

    source = STUB.read_bytes()
    folder = Path(platformdirs.user_cache_dir("edgetune", appauthor=False)) / "cuda"
    name = f"driver-stub-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if (folder / name).is_file():
        return folder / name
    command = linker_command()
    if command is None:
        raise EdgetuneError("no C compiler: install g++ or clang, or `pip install ziglang`")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(descriptor)
    try:
        options = ["-x", "c", "-shared", "-fPIC", f"-Wl,-soname,{DRIVER}"]
        subprocess.run(
            [*command, *options, str(STUB), "-o", made],
            check=True, capture_output=True, text=True, errors="replace", timeout=_BUILD_SECONDS,
        )  # fmt: skip
        Path(made).replace(folder / name)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise EdgetuneError(f"the stand-in for NVIDIA's driver cannot be built: {said[0] if said else error}") from None
    finally:
        Path(made).unlink(missing_ok=True)
    return folder / name

"""Loading the CUDA part of TVM's runtime, which also writes packages for GPUs, wherever this runs."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from compiler.errors import EdgetuneError
from targets import cuda_toolkit
from targets.toolchain import linker_command

STUB = Path(__file__).with_name("driver_stub.c")
DRIVER = "libcuda.so.1"
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
    part = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_cuda.so"
    try:
        if not _has_driver():
            ctypes.CDLL(str(_stub()), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(part), mode=ctypes.RTLD_LOCAL)
    except OSError as error:
        raise EdgetuneError(f"the CUDA part of TVM cannot be loaded: {error}") from None


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

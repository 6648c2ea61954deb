"""What a Python does first that is to see the emulated GPU, or to compile for one: see `machine.py`.

CUDA's runtime is the stand-in's, and the source of what is compiled for a GPU is kept, as C++, for when it is loaded.
"""

import os
import zlib
from pathlib import Path

from compiler.cuda import nvrtc
from targets import cuda_toolkit

_FOLDER = Path(os.environ["EMULATED_GPU"])
_compile_source = nvrtc.compile_source


def compile_source(text, *arguments, **options):  # type: ignore[no-untyped-def]
    cubin = _compile_source(text, *arguments, **options)
    from tests.cuda.emulator import for_cpu

    path = _FOLDER / "modules" / f"{zlib.crc32(cubin):08x}-{len(cubin)}.cc"
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(for_cpu(text))
    part.replace(path)
    return cubin


nvrtc.compile_source = compile_source
if str(_FOLDER) in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
    from compiler.runtime.agent import identity

    cuda_toolkit.cuda_runtime = lambda: _FOLDER / "runtime/libcudart.so.13"
    identity.has_gpu_device = lambda root=None: True  # there is no file of a driver's

"""What TVM calls to have CUDA source compiled, in the place of its own (python/tvm/support/nvcc.py)."""

from __future__ import annotations

from compiler.cuda import nvrtc
from compiler.cuda.cache import cached
from compiler.cuda.runtime import load_cuda_runtime
from compiler.cuda.source import lean, whole
from compiler.errors import EdgetuneError
from targets.cuda_toolkit import Toolkit, states, toolkit_for, why_no_toolkit

NAME = "tvm_callback_cuda_compile"


def register(keep: bool = True) -> None:
    """Have TVM compile for GPUs with NVRTC of the generation that the target needs, and remember what was compiled.

    Without `keep` nothing is remembered: the candidates of a search would drive everything else out of the cache.
    Raises EdgetuneError where TVM's CUDA part cannot be loaded.
    """
    load_cuda_runtime()
    import tvm_ffi

    tvm_ffi.register_global_func(NAME, _compile if keep else _compile_candidate, override=True)


def _compile_candidate(source: str) -> bytes:
    return _compile(source, keep=False)


def _compile(source: str, keep: bool = True) -> bytes:
    import tvm

    target = tvm.target.Target.current(allow_none=True)
    arch = str(target.attrs["arch"]) if target is not None and "arch" in target.attrs else None
    if arch is None:
        raise EdgetuneError("kernels are compiled for no GPU in particular: build within `with target:`")
    toolkit = toolkit_for(arch)
    if toolkit is None:
        raise EdgetuneError(why_no_toolkit(arch) or f"there is no NVRTC for {arch}")
    text = lean(str(source))
    if not keep:
        return _made(str(source), text, arch, toolkit)
    parts = (text, arch, nvrtc.version(toolkit), *states(toolkit), *nvrtc.OPTIONS)
    return cached(parts, lambda: _made(str(source), text, arch, toolkit))


def _made(source: str, text: str, arch: str, toolkit: Toolkit) -> bytes:
    try:
        return nvrtc.compile_source(text, arch, toolkit)
    except nvrtc.CudaSourceError:
        # A kernel may use more of the C++ library than is put in its place.
        return nvrtc.compile_source(whole(source), arch, toolkit)

"""NVIDIA's run-time compiler (NVRTC) as PyPI has it, and the headers that it reads: one generation for each GPU.

CUDA 13 compiles for sm_75 and newer; what it dropped (sm_53, 62, 72: Jetson TX1, TX2, Nano and Xavier) CUDA 12.9 still
compiles. So it does for sm_87, Orin's: JetPack 6 has a driver of CUDA 12, which loads no machine code of CUDA 13.

Both live side by side in one environment. Nothing is imported or loaded here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

OLDEST_OF_13 = 75
OF_12_BY_ITS_BOARDS = 87
INSTALL = "`pip install edgetune[cuda]`"


@dataclass(frozen=True)
class Toolkit:
    """A generation: the library of NVRTC, and the folders of headers."""

    generation: int
    library: Path
    headers: tuple[Path, ...]


# Beneath the namespace package `nvidia`: where PyPI's packages put what is needed.
_NVRTC = {
    13: ("cu13/lib/libnvrtc.so.13", ("cu13/include", "cu13/include/cccl")),
    12: ("cuda_nvrtc/lib/libnvrtc.so.12", ("cuda_runtime/include", "cuda_cccl/include")),
}
_RUNTIME = "cu13/lib/libcudart.so.13"
_NEEDED = "cuda_fp16.h"
_INCLUDED = "cuda_fp16.*"


def sm(arch: str) -> int:
    """The number of an architecture: 87 of `sm_87`."""
    return int(arch.removeprefix("sm_"))


def generation_for(arch: str) -> int:
    """The CUDA, 12 or 13, whose compiler and drivers `arch` has."""
    return 13 if sm(arch) >= OLDEST_OF_13 and sm(arch) != OF_12_BY_ITS_BOARDS else 12


def toolkit_for(arch: str) -> Toolkit | None:
    """The installed generation that compiles for `arch` (`sm_87`), or None where it is not installed."""
    generation = generation_for(arch)
    name, folders = _NVRTC[generation]
    library = _find(name)
    headers = tuple(path for path in map(_find, folders) if path is not None)
    if library is None or len(headers) < len(folders) or not any((path / _NEEDED).is_file() for path in headers):
        return None
    return Toolkit(generation, library, headers)


def states(toolkit: Toolkit) -> list[str]:
    """Size and time of what compiles with `toolkit`: its library, and the headers that kernels include. Their packages
    have versions of their own, and NVRTC tells only half of its."""
    files = [toolkit.library, *(path for folder in toolkit.headers for path in sorted(folder.glob(_INCLUDED)))]
    return [f"{path} {state.st_size} {state.st_mtime_ns}" for path in files for state in [path.stat()]]


def cuda_runtime() -> Path | None:
    """The CUDA runtime that TVM's wheel is linked to, or None where it is not installed."""
    return _find(_RUNTIME)


def why_no_toolkit(arch: str) -> str | None:
    """None where kernels for `arch` can be compiled here, else the line that says what to install."""
    if cuda_runtime() is None:
        return f"the CUDA runtime of PyPI is not installed: {INSTALL}"
    if toolkit_for(arch) is None:
        generation = {13: "13", 12: "12.9"}[generation_for(arch)]
        return f"NVIDIA's run-time compiler of CUDA {generation} is not installed: {INSTALL}"
    return None


def _find(name: str) -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / name
        if path.exists():
            return path
    return None

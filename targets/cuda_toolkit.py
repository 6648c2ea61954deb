"""NVIDIA's run-time compiler (NVRTC) as PyPI has it, and the headers that it reads: one generation for each GPU.

CUDA 13 compiles for sm_75 and newer; what it dropped (sm_53, 62, 72: Jetson TX1, TX2, Nano and Xavier) CUDA 12.9 still
compiles. So it does for sm_87, Orin's: JetPack 6 has a driver of CUDA 12, which loads no machine code of CUDA 13.

Both live side by side in one environment. What PyPI's packages lack is looked for where NVIDIA's own installer puts it.
Nothing is imported or loaded here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
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
_NEEDED = ("cuda_fp16.h", "nv/target")  # which includes the other
_INCLUDED = "cuda_fp16.*"
_USUAL_ROOTS = ("/usr/local/cuda", "/usr/local/cuda-{generation}*", "/opt/cuda")
_VERSION = re.compile(r"#define\s+CUDA_VERSION\s+(\d+)")


def sm(arch: str) -> int:
    """The number of an architecture: 87 of `sm_87`."""
    return int(arch.removeprefix("sm_"))


def generation_for(arch: str) -> int:
    """The CUDA, 12 or 13, whose compiler and drivers `arch` has."""
    return 13 if sm(arch) >= OLDEST_OF_13 and sm(arch) != OF_12_BY_ITS_BOARDS else 12


def toolkit_for(arch: str) -> Toolkit | None:
    """The installed generation that compiles for `arch` (`sm_87`), or None where it is not installed.

    What PyPI's packages have comes first; what they lack, NVIDIA's own installation may have.
    """
    generation = generation_for(arch)
    name, folders = _NVRTC[generation]
    library = _find(name) or _installed(generation, f"lib64/{Path(name).name}")
    own = [path for folder in folders for path in [_find(folder)] if path is not None]
    if not _whole(own):
        include = _installed(generation, "include")
        own += [path for path in (include, include / "cccl") if path.is_dir()] if include is not None else []
    return Toolkit(generation, library, tuple(own)) if library is not None and _whole(own) else None


def _whole(folders: Sequence[Path]) -> bool:
    return all(any((folder / name).is_file() for folder in folders) for name in _NEEDED)


def states(toolkit: Toolkit) -> list[str]:
    """Size and time of what compiles with `toolkit`: its library, and the headers that kernels include. Their packages
    have versions of their own, and NVRTC tells only half of its."""
    files = [toolkit.library, *(path for folder in toolkit.headers for path in sorted(folder.glob(_INCLUDED)))]
    return [f"{path} {state.st_size} {state.st_mtime_ns}" for path in files for state in [path.stat()]]


def cuda_runtime() -> Path | None:
    """The CUDA runtime that TVM's wheel is linked to, or None where it is not installed."""
    return _find(_RUNTIME) or _installed(13, f"lib64/{Path(_RUNTIME).name}")


def why_no_toolkit(arch: str) -> str | None:
    """None where kernels for `arch` can be compiled here, else the line that says what to install."""
    if cuda_runtime() is None:
        return f"the CUDA runtime of PyPI is not installed: {INSTALL}"
    if toolkit_for(arch) is None:
        generation = {13: "13", 12: "12.9"}[generation_for(arch)]
        return f"NVIDIA's run-time compiler of CUDA {generation} is not installed: {INSTALL}"
    return None


def _find(name: str) -> Path | None:
    """`name` beneath PyPI's folders `nvidia`: those of all of Python's path. A package in one of them that has an
    __init__.py hides the others from Python."""
    spec = importlib.util.find_spec("nvidia")
    known = (spec.submodule_search_locations or []) if spec is not None else []
    for folder in (*map(Path, known), *(Path(entry) / "nvidia" for entry in sys.path)):
        path = folder / name
        if path.exists():
            return path
    return None


def _installed(generation: int, name: str) -> Path | None:
    """`name` beneath an installation of CUDA of this generation; None where there is none that has it."""
    for root in _roots(generation):
        path = root / name
        if path.exists() and _generation_of(root) == generation:
            return path
    return None


def _roots(generation: int) -> Iterator[Path]:
    """Where an installation of CUDA may be: where the environment says, where `nvcc` is, and the usual places."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        yield Path(nvcc).resolve().parents[1]
    for usual in _USUAL_ROOTS:
        pattern = Path(usual.format(generation=generation))
        yield from sorted(pattern.parent.glob(pattern.name), reverse=True)


@functools.lru_cache(maxsize=16)
def _generation_of(root: Path) -> int | None:
    with contextlib.suppress(OSError):
        found = _VERSION.search((root / "include/cuda.h").read_text(encoding="utf-8", errors="replace"))
        return int(found.group(1)) // 1000 if found is not None else None
    return None

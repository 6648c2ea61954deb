"""Runs the CUDA source that TVM generates on a CPU: emulator.h stands in for the GPU, g++ for NVIDIA's compiler.

Unlike schedules run as serial loops, this runs what is compiled for the GPU in the end: vectors, virtual threads, sums
over the threads of a block, and where threads wait for each other.
"""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tvm
from tvm import s_tir, tirx

from compiler.cuda import fragments
from compiler.cuda.lowering import lowering
from compiler.cuda.source import BOUNDS, lean
from tests.schedules.kernels_for_tests import Case

HEADER = Path(__file__).with_name("emulator.h")
_SIGNATURE = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\) \{')
_KERNEL = 'extern "C" __global__'
_WAITS = re.compile(r"(?:__syncthreads|tvm_builtin_ptx_cp_async_wait_group\w*)\(\);")
_SHARED = re.compile(r"extern __shared__ __align__\((\d+)\) (\w+) (\w+)\[\];")
_COPY = re.compile(r"__device__ void (ptx_cp_async_legacy_(pred_)?c[ag]_(\d+)_(\d+)_(\d+))\(")
_OWN = re.compile(r"^__device__ __forceinline__ void edgetune_\w+\(.*?^}", re.M | re.S)
_CLOSE = re.compile(r"__device__ void (tvm_builtin_ptx_cp_async_commit_group\w*)\(\)")
_WAIT = re.compile(r"__device__ void (tvm_builtin_ptx_cp_async_wait_group\w*_(\d+))\(\)")
_AXES = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z")


def cuda_source(mod: tvm.IRModule, target: tvm.target.Target) -> str:
    """The CUDA source of a scheduled module, as it is given to NVIDIA's compiler."""
    import tvm_ffi

    from compiler.cuda import callback

    found: list[str] = []

    def keep(source: str) -> bytes:
        found.append(str(source))
        return b"\x7fELF"

    callback.register()
    tvm_ffi.register_global_func(callback.NAME, keep, override=True)
    try:
        with target, lowering(target):
            tvm.compile(mod, target=target)
    finally:
        callback.register()
    [source] = found
    return source


def extents(func: tirx.PrimFunc) -> list[dict[str, int]]:
    """Of each kernel of a scheduled function, how many threads and blocks it has along each axis."""
    body = func.body.block.body
    return [dict(_bound(part)) for part in (body if isinstance(body, tirx.SeqStmt) else [body])]


def _bound(node: tirx.Stmt) -> Iterator[tuple[str, int]]:
    if isinstance(node, tirx.For):
        if node.thread_binding is not None:
            yield str(node.thread_binding.thread_tag), int(node.extent)
        yield from _bound(node.body)
    elif isinstance(node, tirx.SeqStmt):
        for part in node:
            yield from _bound(part)
    elif isinstance(node, s_tir.SBlockRealize):
        yield from _bound(node.block.body)


class Program:
    """A scheduled task compiled for the CPU."""

    def __init__(self, sch: s_tir.Schedule, target: tvm.target.Target, folder: Path, skippable: bool = False) -> None:
        """With `skippable` each wait of the source can be left out; `waits` counts them."""
        self.func = sch.mod["main"]
        source = cuda_source(sch.mod, target)
        self.kernels = _SIGNATURE.findall(source)
        self.launches = extents(self.func)
        assert len(self.kernels) == len(self.launches)
        self.waits = 0
        if skippable:
            headers, kernel, rest = source.partition(_KERNEL)
            source = headers + kernel + _WAITS.sub(self._numbered, rest)
        self.library = _compiled(source, folder)

    def _numbered(self, match: re.Match[str]) -> str:
        self.waits += 1
        return f"if (emulator_skipped != {self.waits - 1}) {match.group()}"

    def __call__(
        self,
        case: Case,
        backwards: bool,
        skipped: int = -1,
        empty: Callable[[tirx.Var], np.ndarray] | None = None,
    ) -> np.ndarray:
        """What the task computes, without the wait of this number; what it does not write is NaN, or the least
        integer."""
        ctypes.c_int.in_dll(self.library, "emulator_skipped").value = skipped
        arrays: dict[str, np.ndarray] = {}
        for param, argument in zip(self.func.params[:-1], case.arguments, strict=True):
            arrays[str(param.name)] = np.ascontiguousarray(argument)
        empty = empty if empty is not None else _empty
        out = empty(self.func.params[-1])
        arrays[str(self.func.params[-1].name)] = out
        for buffer in self.func.body.block.alloc_buffers:
            if buffer.scope() in ("", "global"):
                arrays[str(buffer.name).replace(".", "_")] = empty(buffer)
        for (name, parameters), launch in zip(self.kernels, self.launches, strict=True):
            names = [p.split()[-1].removesuffix("_ptr") for p in parameters.split(",")]
            pointers = (ctypes.c_void_p * len(names))(*(arrays[n].ctypes.data for n in names))
            sizes = [launch.get(axis, 1) for axis in _AXES]
            getattr(self.library, f"launch_{name}")(pointers, (ctypes.c_int * 6)(*sizes), int(backwards))
        misaligned = ctypes.c_int.in_dll(self.library, "emulator_misaligned").value
        assert not misaligned, f"{misaligned} vectors lie where a GPU cannot read or write them"
        return out


def run(sch: s_tir.Schedule, case: Case, target: tvm.target.Target, folder: Path, backwards: bool) -> np.ndarray:
    """What the scheduled task computes; what it does not write is NaN, or the least integer."""
    return Program(sch, target, folder)(case, backwards)


def _empty(buffer: tirx.Var) -> np.ndarray:
    dtype = np.dtype(str(buffer.dtype))
    fill = np.nan if dtype.kind == "f" else np.iinfo(dtype).min
    return np.full([int(d) for d in buffer.shape], fill, dtype)


def _helpers(headers: str) -> Iterator[str]:
    """What stands in for the functions in front of the kernels: NVIDIA's assembly is emulated, our own C++ is kept."""
    if fragments.TEXT in headers:
        yield fragments.TEXT
    for name, wanted, size, to_bytes, from_bytes in _COPY.findall(headers):
        predicate = ", int wanted" if wanted else ""
        yield f"static void {name}(void* to, int to_at, void* from, int from_at{predicate}) {{"
        yield f"  emulator::copy((char*)to + to_at * {to_bytes}, (char*)from + from_at * {from_bytes}, {size}"
        yield f"    {', wanted' if wanted else ''});"
        yield "}"
    yield from _OWN.findall(headers)
    for name in _CLOSE.findall(headers):
        yield f"static void {name}() {{ emulator::close_group(); }}"
    for name, left in _WAIT.findall(headers):
        yield f"static void {name}() {{ emulator::wait_for_copies({left}); }}"


COMPILER = (
    *("g++", "-std=c++17", "-O1", "-fno-strict-aliasing", "-fsanitize=alignment", "-w", "-shared", "-fPIC"),
    *(("-mf16c",) if platform.machine() == "x86_64" else ()),  # FP16 is widened by an instruction, not by a function
    f"-I{HEADER.parent}",
)


def for_cpu(text: str) -> str:
    """C++ of what is given to NVRTC, to be compiled by `COMPILER`.

    For a kernel there are `launch_KERNEL(pointers, sizes, backwards)` and `parameters_KERNEL`, how many it has.
    """
    # C++ wants what the declaration is aligned to in front of all else.
    headers, _, kernel = text.partition(BOUNDS)
    kernel = _SHARED.sub(r"alignas(\1) static \2 \3[227 * 1024];", kernel)
    kernel = kernel.replace("__shared__ alignas(64)", "alignas(64) static")
    lines = ['#include "emulator.h"', *_helpers(headers), BOUNDS, kernel]
    for name, parameters in _SIGNATURE.findall(kernel):
        types = [_type(parameter) for parameter in parameters.split(",")]
        arguments = ", ".join(f"({kind})pointers_{name}[{i}]" for i, kind in enumerate(types))
        lines += [
            f'extern "C" int parameters_{name};',
            f"int parameters_{name} = {len(types)};",
            f"static void** pointers_{name};",
            f"static void call_{name}() {{ {name}({arguments}); }}",
            f'extern "C" void launch_{name}(void** pointers, const int* sizes, int backwards) {{',
            f"  pointers_{name} = pointers;",
            f"  emulator::launch(call_{name}, sizes, sizes + 3, backwards);",
            "}",
        ]
    return "\n".join(lines)


def _type(parameter: str) -> str:
    """What a pointer is cast to, or a number, which is passed in the place of one."""
    words, star, _ = parameter.rpartition("*")
    return f"{words.strip()}*" if star else "intptr_t"


def _compiled(source: str, folder: Path) -> ctypes.CDLL:
    path, library = folder / "kernels.cc", folder / "kernels.so"
    path.write_text(for_cpu(lean(source)))
    done = subprocess.run([*COMPILER, str(path), "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return ctypes.CDLL(str(library))

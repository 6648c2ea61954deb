"""Whether a schedule's kernels could be launched on any GPU, found out before code is made of them: threads and blocks
by CUDA's limits, and nothing left over that no thread does.

Registers and shared memory are seen in the machine code only: see compiler/cuda/checks.
"""

from __future__ import annotations

from typing import Any

from compiler.errors import EdgetuneError

MAX_THREADS = 1_024  # of a block, on every GPU
# By axis, on every GPU (CUDA C++ Programming Guide, "Compute Capabilities").
MAX_EXTENTS = {
    "threadIdx.x": 1_024,
    "threadIdx.y": 1_024,
    "threadIdx.z": 64,
    "blockIdx.x": 2**31 - 1,
    "blockIdx.y": 65_535,
    "blockIdx.z": 65_535,
}


def check_launch(func: Any, threads: bool = False) -> None:
    """Raises EdgetuneError, in one line, where a scheduled function could not be launched on any GPU.

    A function without loops that are bound to threads passes, unless it must have `threads`.
    """
    from tvm import tirx

    nests: list[dict[str, int]] = []
    alone: list[Any] = []
    _walk(func.body, None, nests, alone)
    if (threads or nests) and any(isinstance(statement, tirx.BufferStore) for statement in alone):
        raise EdgetuneError("it leaves work to no thread of the GPU")
    for extents in nests:
        for axis, extent in extents.items():
            most = MAX_EXTENTS.get(axis)
            if most is not None and extent > most:
                raise EdgetuneError(f"it asks for {extent} of {axis}, and GPUs have {most}")
        count = 1
        for axis, extent in extents.items():
            count *= extent if axis.startswith("threadIdx.") else 1
        if count > MAX_THREADS:
            raise EdgetuneError(f"it asks for {count} threads a block, and GPUs have {MAX_THREADS}")


def _walk(statement: Any, nest: dict[str, int] | None, nests: list[dict[str, int]], alone: list[Any]) -> None:
    """Collects the extents of each nest of loops that becomes a kernel, and what is in none of them."""
    from tvm import s_tir, tirx

    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            _walk(part, nest, nests, alone)
    elif isinstance(statement, tirx.For):
        if statement.thread_binding is not None:
            if nest is None:
                nest = {}
                nests.append(nest)
            axis = str(statement.thread_binding.thread_tag)
            # An axis that is bound again within a kernel means the same threads.
            nest[axis] = max(nest.get(axis, 1), _constant(statement.extent))
        _walk(statement.body, nest, nests, alone)
    elif isinstance(statement, s_tir.SBlockRealize):
        if statement.block.init is not None:
            _walk(statement.block.init, nest, nests, alone)
        _walk(statement.block.body, nest, nests, alone)
    elif isinstance(statement, tirx.IfThenElse):
        _walk(statement.then_case, nest, nests, alone)
        if statement.else_case is not None:
            _walk(statement.else_case, nest, nests, alone)
    elif nest is None:
        alone.append(statement)


def _constant(value: Any) -> int:
    number = getattr(value, "value", value)
    if not isinstance(number, int):
        raise EdgetuneError("it has threads without a constant number")
    return number

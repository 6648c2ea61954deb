"""Steps that several kinds of GPU kernels share: putting blocks away, and giving loops to threads."""

from __future__ import annotations

import contextlib

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from schedules.cpu.blocks import NotApplicable, extent, extents, is_reduction, kernel_of, root_blocks

from .gpu import WARP, Gpu

VECTOR = 4  # elements of a vector load: 16 bytes of float32


def output_names(sch: s_tir.Schedule) -> set[str]:
    """Names of the blocks that write results."""
    return {sch.get(b).name_hint for b in sch.get_output_blocks(sch.get_sblock("root"))}


def count(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def inline_elementwise(sch: s_tir.Schedule, keep: set[str]) -> None:
    """Inline every block that is not a reduction, writes no result and is not in `keep`, where that can be done."""
    outputs = output_names(sch)
    for block in root_blocks(sch):
        name = sch.get(block).name_hint
        if name in keep or name in outputs or is_reduction(sch, block):
            continue
        with contextlib.suppress(Exception):  # what cannot be inlined gets a schedule of its own
            sch.compute_inline(block)


def threads_for(total: int, gpu: Gpu) -> int:
    """Threads of a block for `total` equal pieces of work: fewer where the multiprocessors would not all have some."""
    threads = 256
    while threads > WARP and -(-total // threads) < 2 * gpu.sms:
        threads //= 2
    return threads


def vector_of(sch: s_tir.Schedule, block: SBlockRV, most: int = VECTOR) -> int:
    """Elements along the last axis that one thread may take as a vector: the last axis of everything that is indexed by
    it must be made of whole vectors."""
    realized = sch.get(block)
    last = realized.iter_vars[-1].var
    width = most
    sizes = [extents(sch, block)[-1]]
    for region in (*realized.reads, *realized.writes):
        if region.region and region.region[-1].min.same_as(last):
            sizes.append(int(region.source.shape[-1]))
    while width > 1 and any(size % width for size in sizes):
        width //= 2
    return width


def even_threads(total: int, gpu: Gpu) -> int | None:
    """Threads of a block that divide `total` pieces of work evenly; None where they would be a few only."""
    most = threads_for(total, gpu)
    fitting = [t for t in range(1, most + 1) if total % t == 0]
    best = max(fitting, key=lambda t: (round(t / (-(-t // WARP) * WARP), 1) if t >= most // 2 else 0.0, t))
    return best if best >= WARP or best == total else None


def bind_threads(sch: s_tir.Schedule, loops: list[LoopRV], gpu: Gpu, even: bool = False) -> LoopRV:
    """Fuse `loops` and give them to blocks of threads; the loop over threads of a block.

    Raises NotApplicable where blocks have to divide the loops evenly and cannot. They have to where another block is
    computed at the loop: TVM would lose the condition that keeps it from what lies beyond the end.
    """
    fused = sch.fuse(*loops) if len(loops) > 1 else loops[0]
    total = extent(sch, fused)
    threads = even_threads(total, gpu)
    if threads is None:
        if even:
            raise NotApplicable("no number of threads divides the work")
        threads = threads_for(total, gpu)
    block, thread = sch.split(fused, [None, threads])
    sch.bind(block, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return thread


def is_bound(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    """Whether a loop around `block` is given to threads or blocks of them."""
    return any(sch.get(loop).thread_binding is not None for loop in sch.get_loops(block))


__all__ = [
    "VECTOR",
    "NotApplicable",
    "bind_threads",
    "count",
    "even_threads",
    "extent",
    "extents",
    "inline_elementwise",
    "is_bound",
    "is_reduction",
    "kernel_of",
    "output_names",
    "root_blocks",
    "threads_for",
    "vector_of",
]

"""Functions that sum up or compare whole rows and then go over the rows again, as softmax does: a block per row.

All threads of a block share each sum (a tree through shared memory), and the row is written by the same block, in one
kernel instead of one for every sum.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir

from .blocks import (
    NotApplicable,
    extent,
    extents,
    inline_elementwise,
    is_reduction,
    output_names,
    root_blocks,
)
from .gpu import WARP, Gpu

MAX_THREADS = 256


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space: as many threads as a row has use for."""
    reductions = [b for b in root_blocks(sch) if is_reduction(sch, b)]
    outputs = output_names(sch)
    if len(reductions) < 2 or len(outputs) != 1:
        raise NotApplicable("not several sums of a row")
    out = sch.get_sblock(next(iter(outputs)))
    if is_reduction(sch, out):
        raise NotApplicable("the result is a sum itself")
    sizes = extents(sch, out)
    for block in reductions:
        own = [int(axis.dom.extent) for axis in sch.get(block).iter_vars]
        kinds = [int(axis.iter_type) for axis in sch.get(block).iter_vars]
        if kinds != [0] * (len(own) - 1) + [2] or own != sizes:
            raise NotApplicable("sums of something else than the last axis")
    return [_schedule]


def _schedule(sch: s_tir.Schedule) -> None:
    inline_elementwise(sch, keep=set())
    [name] = output_names(sch)
    out = sch.get_sblock(name)
    reductions = [b for b in root_blocks(sch) if is_reduction(sch, b)]
    if len(root_blocks(sch)) != len(reductions) + 1:
        raise NotApplicable("something between the sums cannot be inlined")
    *rows, last = sch.get_loops(out)
    threads = WARP
    while threads < min(MAX_THREADS, extent(sch, last)):
        threads *= 2
    row = sch.fuse(*rows) if len(rows) > 1 else rows[0] if rows else sch.add_unit_loop(last)
    sch.bind(row, "blockIdx.x")
    for block in reversed(reductions):
        sch.compute_at(block, row, preserve_unit_loops=True)
        sch.set_scope(block, 0, "shared")
        _, thread = sch.split(sch.get_loops(block)[-1], [None, threads])
        sch.bind(thread, "threadIdx.x")
    _, thread = sch.split(last, [None, threads])
    sch.bind(thread, "threadIdx.x")

"""Any other function, block by block: elementwise work and copies in vectors, sums by one thread or many for each.

It always applies; a block that is not made of plain loops is run by one thread, row by row.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from .blocks import bind_threads, count, even_threads, extent, inline_elementwise, is_bound, root_blocks, vector_of
from .gpu import WARP, Gpu
from .inlining import inline_behind

WIDE_FROM = 1024  # elements a multiprocessor should have before threads take vectors
LONG_SUM = 64  # elements of a sum from which on threads share it, where there are few sums
SUM_THREADS = 128
COLUMN_ROWS = 8  # rows of threads that share the sum of a column


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space: the defaults."""
    return [lambda s: _schedule(s, gpu)]


def _schedule(sch: s_tir.Schedule, gpu: Gpu) -> None:
    inline_elementwise(sch, keep=set())
    schedule_rest(sch, gpu)


def schedule_rest(sch: s_tir.Schedule, gpu: Gpu) -> None:
    """Schedule every block that has no threads yet."""
    for name in [sch.get(b).name_hint for b in root_blocks(sch)]:
        # A block behind a sum may have gone into it meanwhile.
        present = [b for b in root_blocks(sch) if sch.get(b).name_hint == name]
        if present and not is_bound(sch, present[0]):
            one(sch, present[0], gpu)


def one(sch: s_tir.Schedule, block: SBlockRV, gpu: Gpu) -> None:
    """Schedule one block by itself."""
    loops = sch.get_loops(block)
    if not loops:
        sch.add_unit_loop(block)
        loops = sch.get_loops(block)
    axes = sch.get(block).iter_vars
    if len(axes) != len(loops):
        bind_threads(sch, [loops[0]], gpu)
        return
    spatial = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) == 0]
    reduced = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) == 2]
    if not reduced:
        total = count([extent(sch, loop) for loop in loops])
        wide = vector_of(sch, block) if total >= WIDE_FROM * gpu.sms else 1
        *outer, last = loops
        if wide > 1:
            last, vector = sch.split(last, [None, wide])
            sch.vectorize(vector)
        bind_threads(sch, [*outer, last], gpu)
        return
    if not spatial:
        spatial = [sch.add_unit_loop(loops[0])]
    sch.reorder(*spatial, *reduced)
    results = count([extent(sch, loop) for loop in spatial])
    terms = count([extent(sch, loop) for loop in reduced])
    if terms >= LONG_SUM and results < 64 * gpu.sms:
        if results >= WARP and _neighbours(sch, block):
            _column_sum(sch, spatial, reduced)
        else:
            _shared_sum(sch, spatial, reduced)
        return
    even = even_threads(results, gpu) is not None
    thread = bind_threads(sch, spatial, gpu)
    if even and len(sch.get(block).writes) == 1:
        written = sch.cache_write(block, 0, "local")
        sch.reverse_compute_at(written, thread, preserve_unit_loops=True)
        inline_behind(sch, written)


def _neighbours(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    """Whether neighbouring results are sums of neighbours in memory."""
    realized = sch.get(block)
    last = [axis.var for axis in realized.iter_vars if int(axis.iter_type) == 0][-1]
    return any(region.region and region.region[-1].min.same_as(last) for region in realized.reads)


def _column_sum(sch: s_tir.Schedule, spatial: list[LoopRV], reduced: list[LoopRV]) -> None:
    """A warp's width of results for each block; its rows of threads share each sum."""
    result = sch.fuse(*spatial) if len(spatial) > 1 else spatial[0]
    term = sch.fuse(*reduced) if len(reduced) > 1 else reduced[0]
    block, x = sch.split(result, [None, WARP])
    _, y = sch.split(term, [None, COLUMN_ROWS])
    sch.bind(block, "blockIdx.x")
    sch.bind(x, "threadIdx.x")
    sch.bind(y, "threadIdx.y")


def _shared_sum(sch: s_tir.Schedule, spatial: list[LoopRV], reduced: list[LoopRV]) -> None:
    """A block of threads for each result."""
    result = sch.fuse(*spatial) if len(spatial) > 1 else spatial[0]
    term = sch.fuse(*reduced) if len(reduced) > 1 else reduced[0]
    _, thread = sch.split(term, [None, SUM_THREADS])
    sch.bind(result, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")

"""Any other function: elementwise work and copies in parallel and in vectors, reductions in parallel over what is kept.

It always applies; what it cannot improve it leaves as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from . import tiles
from .blocks import NotApplicable, extents, is_reduction, root_blocks

SMALL = 4096  # elements below which starting a parallel region costs more than it saves
INNER = 1024  # elements of one parallel piece, about


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space: the defaults."""
    return [lambda s: _schedule(s, hardware)]


def _schedule(sch: s_tir.Schedule, hardware: tiles.Hardware) -> None:
    blocks = root_blocks(sch)
    outputs = {sch.get(b).name_hint for b in sch.get_output_blocks(sch.get_sblock("root"))}
    names = []
    for block in blocks:
        name = sch.get(block).name_hint
        if name not in outputs and not is_reduction(sch, block) and not _feeds_reduction(sch, block):
            with contextlib.suppress(Exception):  # a block that cannot be inlined is scheduled in its place
                sch.compute_inline(block)
                continue
        names.append(name)
    for name in names:
        _one(sch, sch.get_sblock(name), hardware)


def _feeds_reduction(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    """Whether inlining would compute the block again for every step of a reduction that reads it several times."""
    produced = 1
    for size in extents(sch, block):
        produced *= size
    for consumer in sch.get_consumers(block):
        if is_reduction(sch, consumer):
            visited = 1
            for size in extents(sch, consumer):
                visited *= size
            if visited > produced:
                return True
    return False


def _one(sch: s_tir.Schedule, block: SBlockRV, hardware: tiles.Hardware) -> None:
    loops = sch.get_loops(block)
    if not loops:
        return
    iters = sch.get(block).iter_vars
    if len(iters) != len(loops):
        raise NotApplicable("loops that are no axes")
    spatial = [loop for loop, it in zip(loops, iters, strict=True) if int(it.iter_type) == 0]
    reduced = [loop for loop, it in zip(loops, iters, strict=True) if int(it.iter_type) == 2]
    if len(spatial) + len(reduced) != len(loops):
        raise NotApplicable("neither spatial nor reduction")
    total = 1
    for size in extents(sch, block):
        total *= size
    if not spatial:
        return
    lanes = hardware.vector_bits // 32
    if reduced:
        sch.reorder(*spatial, *reduced)
        fused = sch.fuse(*spatial)
        width = _width(_extent(sch, fused), lanes)
        inner = None
        if width > 1 and _last_read_is_spatial(sch, block):
            fused, inner = sch.split(fused, [None, width])
            sch.reorder(fused, *reduced, inner)
        # Before the reduction is taken apart: a loop around an update is not known to be free to run in parallel.
        if total >= SMALL and _extent(sch, fused) > 1:
            sch.parallel(fused)
        if inner is not None:
            sch.vectorize(inner)
            sch.decompose_reduction(block, reduced[0])
        return
    if len(spatial) > 1 and total >= SMALL and _rows_apart(sch, block, lanes):
        _rows(sch, spatial, lanes)
        return
    fused = sch.fuse(*spatial)
    width = _width(total, lanes)
    if width == 1:
        if total >= SMALL:
            outer, _ = sch.split(fused, [hardware.cores * 4, None])
            sch.parallel(outer)
        return
    vectors = total // width
    if total < SMALL:
        _, inner = sch.split(fused, [None, width])
        sch.vectorize(inner)
        return
    pieces = max(d for d in tiles.divisors(vectors) if vectors // d >= INNER // width // 4 or d <= hardware.cores)
    outer, _, inner = sch.split(fused, [pieces, None, width])
    sch.parallel(outer)
    sch.vectorize(inner)


def _rows_apart(sch: s_tir.Schedule, block: SBlockRV, lanes: int) -> bool:
    """Whether rows of whole vectors lie apart in one of the tensors, as those of a slice do: an index counted over all
    elements would be divided by the length of a row at every vector."""
    realized = sch.get(block)
    row = extents(sch, block)[-1]
    lengths = [int(region.source.shape[-1]) for region in (*realized.reads, *realized.writes)]
    return row % lanes == 0 and any(length not in (1, row) for length in lengths)


def _rows(sch: s_tir.Schedule, spatial: list[s_tir.schedule.LoopRV], lanes: int) -> None:
    """Rows in parallel, each in vectors."""
    *outer, last = spatial
    fused = sch.fuse(*outer)
    rows, row = _extent(sch, fused), _extent(sch, last)
    pieces = max(d for d in tiles.divisors(rows) if rows // d * row >= INNER or d == 1)
    sch.parallel(sch.split(fused, [pieces, None])[0])
    sch.vectorize(sch.split(last, [None, lanes])[1])


def _extent(sch: s_tir.Schedule, loop: s_tir.schedule.LoopRV) -> int:
    return int(sch.get(loop).extent)


def _width(size: int, lanes: int) -> int:
    while lanes > 1 and size % lanes:
        lanes //= 2
    return lanes


def _last_read_is_spatial(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    """Whether neighbours along the last kept axis are neighbours in memory, so that a vector of them is one load."""
    realized = sch.get(block)
    last = [it.var for it in realized.iter_vars if int(it.iter_type) == 0][-1]
    return any(
        len(region.region) > 0 and region.region[-1].min.same_as(last)
        for region in realized.reads
        if not region.source.same_as(realized.writes[0].source)
    )

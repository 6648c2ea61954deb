"""Local response normalisation: one pixel at a time, its squares in a padded scratch row, channels in vectors."""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir

from . import tiles
from .blocks import NotApplicable, extents, is_reduction, kernel_of, parallel_outer, root_blocks, vectorize_inner

KERNEL = "lrn"


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """A single space: how many pixels one parallel piece takes."""
    blocks = root_blocks(sch)
    if len([b for b in blocks if kernel_of(sch, b) == KERNEL]) != 1 or any(is_reduction(sch, b) for b in blocks):
        raise NotApplicable("not one normalisation")
    outputs = sch.get_output_blocks(sch.get_sblock("root"))
    if len(outputs) != 1:
        raise NotApplicable("several outputs")
    return [lambda s: _schedule(s, hardware)]


def _schedule(sch: s_tir.Schedule, hardware: tiles.Hardware) -> None:
    out_name = sch.get(sch.get_output_blocks(sch.get_sblock("root"))[0]).name_hint
    pad = None
    for block in root_blocks(sch):
        if kernel_of(sch, block) == "pad":
            pad = block
        elif sch.get(block).name_hint != out_name:
            sch.compute_inline(block)
    if pad is None:
        raise NotApplicable("no padded squares")
    out = sch.get_sblock(out_name)
    loops = sch.get_loops(out)
    pixels = sch.fuse(*loops[:-1])
    count = 1
    for size in extents(sch, out)[:-1]:
        count *= size
    each = max(d for d in tiles.divisors(count) if count // d >= 4 * hardware.cores or d == 1)
    outer, inner = sch.split(pixels, sch.sample_perfect_tile(pixels, 2, 1024, decision=[count // each, each]))
    parallel_outer(sch, [outer])
    sch.compute_at(pad, inner, preserve_unit_loops=True)
    vectorize_inner(sch, sch.get_loops(out)[-1], hardware.vector_bits // 32)

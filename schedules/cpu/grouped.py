"""Convolution in groups, channels last: the register tile of `conv2d`, within one group.

parallel over (image, rows, group)
    for rows, channel tiles, pixel tiles
        accumulators in registers = 0
        for kernel row, kernel column, input channel of the group
            accumulators += broadcast activations x weight vectors
        write out through the fused epilogue

The last tile of a group may hold channels that are not kept. A group's weights are small: they stay in the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from . import tiles
from .accumulate import accumulate, write_out
from .blocks import NotApplicable, extent, extents, gather, parallel_outer, vectorize_inner

KERNEL = "grouped"
VARIANTS = 5
PIECES = 8  # parallel pieces a core, at least


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per register tile, the tile that the model prefers first."""
    probe = sch.copy()
    sizes = extents(probe, gather(probe, KERNEL).anchor)
    if len(sizes) != 8:
        raise NotApplicable("not a convolution in groups over two axes")
    found = tiles.register_tiles(sizes[2], sizes[4], hardware)[:VARIANTS]
    return [partial(_schedule, tile=tile, hardware=hardware) for tile in found]


def _schedule(sch: s_tir.Schedule, tile: tiles.RegisterTile, hardware: tiles.Hardware) -> None:
    parts = gather(sch, KERNEL)
    n, oh, _, groups, _, _, _, _ = extents(sch, parts.anchor)
    out_n, out_h, out_w, out_g, out_c = sch.get_loops(parts.out)
    whole = extent(sch, out_c) % tile.channels == 0
    rows = max(d for d in tiles.divisors(oh) if n * (oh // d) * groups >= PIECES * hardware.cores or d == 1)
    h_out, h_in = sch.split(out_h, sch.sample_perfect_tile(out_h, 2, 64, decision=[oh // rows, rows]))
    w_out, w_in = sch.split(out_w, [None, tile.rows])
    c_out, c_in = sch.split(out_c, [None, tile.channels])
    sch.reorder(out_n, h_out, out_g, h_in, c_out, w_out, w_in, c_in)
    piece = parallel_outer(sch, [out_n, h_out, out_g])
    sch.compute_at(parts.anchor, w_out, preserve_unit_loops=True)
    accumulate(sch, parts.anchor, tile, 5, hardware)
    if parts.pad is not None:
        sch.compute_at(parts.pad, piece, preserve_unit_loops=True)
        vectorize_inner(sch, sch.get_loops(parts.pad)[-1], hardware.vector_bits // 32)
    if whole:
        write_out(sch, parts.out, tile)

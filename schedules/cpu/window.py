"""Windows that stay within a channel: pooling and depthwise convolution. Channels in vectors, pixels in parallel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from . import tiles
from .blocks import NotApplicable, extents, gather, parallel_outer, vectorize_inner

KERNEL = "window"
MAX_UNROLLED = 25  # window elements unrolled: 5 x 5


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per number of channel vectors held at once."""
    probe = sch.copy()
    parts = gather(probe, KERNEL)
    sizes = extents(probe, parts.anchor)
    if len(sizes) != 6:
        raise NotApplicable("not a window over two axes")
    lanes = tiles.lanes_for(sizes[3], hardware)
    counts = [v for v in tiles.divisors(sizes[3] // lanes) if v <= 8]
    counts.sort(key=lambda v: abs(v - 4))
    return [partial(_schedule, tile=tiles.RegisterTile(1, v, lanes), hardware=hardware) for v in counts[:3]]


def _schedule(sch: s_tir.Schedule, tile: tiles.RegisterTile, hardware: tiles.Hardware) -> None:
    parts = gather(sch, KERNEL)
    n, oh, _, _, rh, rw = extents(sch, parts.anchor)
    out_n, out_h, out_w, out_c = sch.get_loops(parts.out)
    # Rows per piece: few enough for every core to have work, enough for padded rows to be shared.
    rows = max(
        (d for d in tiles.divisors(oh) if d == 1 or n * (oh // d) >= 4 * hardware.cores or (n >= hardware.cores)),
        key=lambda d: (d <= 8, d),
    )
    h_out, h_in = sch.split(out_h, sch.sample_perfect_tile(out_h, 2, 32, decision=[oh // rows, rows]))
    c_out, c_in = sch.split(out_c, [None, tile.channels])
    sch.reorder(out_n, h_out, h_in, out_w, c_out, c_in)
    if n * oh < 2 * hardware.cores:  # a small picture (a global pool): the channels are what there is to share
        sch.reorder(out_n, c_out, h_out, h_in, out_w, c_in)
        piece = parallel_outer(sch, [out_n, c_out])
        at = out_w
    else:
        piece = parallel_outer(sch, [out_n, h_out])
        at = c_out
    sch.compute_at(parts.anchor, at, preserve_unit_loops=True)
    sch.set_scope(parts.anchor, 0, "local")
    loops = sch.get_loops(parts.anchor)
    y, x, c, wh, ww = loops[-5:]
    vectors, lanes = sch.split(c, [None, tile.lanes])
    sch.reorder(y, x, wh, ww, vectors, lanes)
    if rh * rw <= MAX_UNROLLED:
        sch.unroll(wh)
        sch.unroll(ww)
    sch.unroll(vectors)
    sch.vectorize(lanes)
    init = sch.decompose_reduction(parts.anchor, wh)
    vectors, lanes = sch.get_loops(init)[-2:]
    sch.unroll(vectors)
    if parts.pad is not None:
        sch.compute_at(parts.pad, piece, preserve_unit_loops=True)
        vectorize_inner(sch, sch.get_loops(parts.pad)[-1], hardware.vector_bits // 32)
    c_in = sch.get_loops(parts.out)[-1]
    vectors, lanes = sch.split(c_in, [None, tile.lanes])
    sch.unroll(vectors)
    sch.vectorize(lanes)

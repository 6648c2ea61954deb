"""Fully connected layers: weights packed as [column tile][k][column], streamed once; a register tile of rows x columns.

With one row this is a matrix-vector product and memory-bound: several vectors of columns side by side keep enough loads
in flight. With many rows it is the same loop as a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from . import tiles
from .blocks import NotApplicable, extent, extents, gather, parallel_outer, widen

KERNEL = "dense"
VARIANTS = 5
UNROLL = 8


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per register tile, the tile that the model prefers first."""
    probe = sch.copy()
    parts = gather(probe, KERNEL)
    if parts.pad is not None:
        raise NotApplicable("a dense layer is never padded")
    m, n, _ = extents(probe, parts.anchor)
    found = tiles.register_tiles(m, n, hardware)
    if m == 1:  # memory-bound: about four vectors a row of weights is a cache line or more per load stream
        found.sort(key=lambda t: abs(t.vectors - 4))
    # With one tile of rows every weight is read once: there is nothing to widen it ahead for.
    return [partial(_schedule, tile=tile, hardware=hardware, keep_widened=m > tile.rows) for tile in found[:VARIANTS]]


def _schedule(sch: s_tir.Schedule, tile: tiles.RegisterTile, hardware: tiles.Hardware, keep_widened: bool) -> None:
    parts = gather(sch, KERNEL, keep_widened)
    m, n, k = extents(sch, parts.anchor)
    out_m, out_n = sch.get_loops(parts.out)
    m_tiles, m_in = sch.split(out_m, [None, tile.rows])
    n_tiles, n_in = sch.split(out_n, [None, tile.channels])
    # A piece takes as many rows as there are while its packed weights stay in the second-level cache.
    weights = 4 * k * tile.channels
    rows = m // tile.rows
    if weights > (hardware.l2_bytes or 512 * 1024) // 2 or n // tile.channels < hardware.cores:
        rows = max(d for d in tiles.divisors(rows) if d * tile.rows <= 64 or d == 1)
    m_out, m_mid = sch.split(m_tiles, sch.sample_perfect_tile(m_tiles, 2, 64, decision=[m // tile.rows // rows, rows]))
    n_out, n_mid = sch.split(n_tiles, sch.sample_perfect_tile(n_tiles, 2, 16, decision=[n // tile.channels, 1]))
    sch.reorder(n_out, m_out, n_mid, m_mid, m_in, n_in)
    parallel_outer(sch, [n_out, m_out])
    sch.compute_at(parts.anchor, m_mid, preserve_unit_loops=True)
    if parts.widen is not None:
        widen(sch, parts.widen, n_mid, tile.lanes)
    sch.set_scope(parts.anchor, 0, "local")
    row, column, r = sch.get_loops(parts.anchor)[-3:]
    steps = extent(sch, r)
    default = max(d for d in tiles.divisors(steps) if d <= (4 if m == 1 else 1))
    r_out, r_in = sch.split(r, sch.sample_perfect_tile(r, 2, UNROLL, decision=[steps // default, default]))
    vectors, lanes = sch.split(column, [None, tile.lanes])
    sch.reorder(r_out, r_in, row, vectors, lanes)
    for loop in (r_in, row, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)
    init = sch.decompose_reduction(parts.anchor, r_out)
    row, vectors, _ = sch.get_loops(init)[-3:]
    sch.unroll(row)
    sch.unroll(vectors)
    row, column = sch.get_loops(parts.out)[-2:]
    vectors, lanes = sch.split(column, [None, tile.lanes])
    sch.unroll(row)
    sch.unroll(vectors)
    sch.vectorize(lanes)

"""Direct convolution in FP16 arithmetic, channels last: as `conv2d`, its register tile of FP16 sums, two to each FP32.

parallel over (image, outer channels, outer rows)
    copy the padded input rows that this piece needs (where there is padding)
    for channels, rows, pixel tiles
        sums in FP32, in scratch memory = 0
        for kernel row, kernel column, run of input channels
            accumulators in registers, FP16 = 0
            for the channels of the run
                accumulators += broadcast activations x weight vectors
            sums += accumulators, widened
        write out through the fused epilogue
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from . import tiles
from .accumulate import write_out
from .blocks import NotApplicable, extents, gather, vectorize_inner
from .conv2d import cut

KERNEL = "conv2d_half"
VARIANTS = 6  # register tiles offered to the search
BITS = 16  # of a factor, and of a sum in registers
UNROLL = 4  # terms of a run unrolled with no tuning


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per register tile, the tile that the model prefers first."""
    probe = sch.copy()
    parts = gather(probe, KERNEL)
    if parts.short is None:
        raise NotApplicable("no sums of short runs")
    sizes = extents(probe, parts.anchor)
    if len(sizes) != 7:
        raise NotApplicable("not a convolution over two axes")
    found = tiles.register_tiles(sizes[2], sizes[3], hardware, BITS)[:VARIANTS]
    return [partial(_schedule, tile=tile, hardware=hardware) for tile in found]


def _schedule(sch: s_tir.Schedule, tile: tiles.RegisterTile, hardware: tiles.Hardware) -> None:
    parts = gather(sch, KERNEL)
    short = parts.short
    if short is None:
        raise NotApplicable("no sums of short runs")
    sizes = extents(sch, parts.anchor)
    run = extents(sch, short)[-1]
    made = cut(sch, parts, [*sizes[:6], sizes[6] * run], tile, hardware, BITS)

    sch.compute_at(parts.anchor, made.pixels, preserve_unit_loops=True)
    sch.set_scope(parts.anchor, 0, "local")
    *_, image, row, rows_in, channels, rh, rw, rc = sch.get_loops(parts.anchor)
    vectors, lanes = sch.split(channels, [None, tile.lanes])
    sch.reorder(image, row, rh, rw, rc, rows_in, vectors, lanes)
    for loop in (rows_in, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)

    sch.compute_at(short, rc, preserve_unit_loops=True)
    sch.set_scope(short, 0, "local")
    _, _, rows_in, channels, *window, term = sch.get_loops(short)[-8:]
    factors = sch.sample_perfect_tile(term, 2, 16, decision=_unrolled(run))
    term_out, term_in = sch.split(term, factors)
    vectors, lanes = sch.split(channels, [None, tile.lanes])
    sch.reorder(*window, term_out, term_in, rows_in, vectors, lanes)
    for loop in (term_in, rows_in, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)
    for block, loop in ((short, term_out), (parts.anchor, rh)):
        rows_in, vectors, _ = sch.get_loops(sch.decompose_reduction(block, loop))[-3:]
        sch.unroll(rows_in)
        sch.unroll(vectors)
    if parts.pad is not None:
        sch.compute_at(parts.pad, made.pieces, preserve_unit_loops=True)
        vectorize_inner(sch, sch.get_loops(parts.pad)[-1], hardware.vector_bits // BITS)
    if made.whole:
        write_out(sch, parts.out, tile)


def _unrolled(run: int) -> list[int]:
    """How a run is split: [turns of its loop, terms unrolled in each]."""
    each = max(d for d in tiles.divisors(run) if d <= UNROLL)
    return [run // each, each]

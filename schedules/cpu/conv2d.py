"""Direct convolution, channels last: a register tile of output pixels by channels, weights packed in the tile's order.

parallel over (image, outer channels, outer rows)
    copy the padded input rows that this piece needs (where there is padding)
    for channels, rows, pixel tiles
        accumulators in registers = 0
        for kernel row, kernel column, input channel
            accumulators += broadcast activations x weight vectors
        write out through the fused epilogue
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from . import tiles
from .accumulate import accumulate, write_out
from .blocks import Anchored, NotApplicable, extent, extents, gather, parallel_outer, vectorize_inner, widen

KERNEL = "conv2d"
VARIANTS = 6  # register tiles offered to the search
PIXEL_TILES = 4  # in a row of the picture, from which on widening weights ahead pays


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per register tile, the tile that the model prefers first."""
    probe = sch.copy()
    parts = gather(probe, KERNEL)
    sizes = extents(probe, parts.anchor)
    if len(sizes) != 7:
        raise NotApplicable("not a convolution over two axes")
    groups = int(probe.get(parts.anchor).annotations["edgetune.groups"])
    found = tiles.register_tiles(sizes[2], sizes[3] // groups, hardware)[:VARIANTS]
    return [
        partial(_schedule, tile=tile, hardware=hardware, keep_widened=_widen_ahead(sizes, tile, hardware))
        for tile in found
    ]


def _widen_ahead(sizes: list[int], tile: tiles.RegisterTile, hardware: tiles.Hardware) -> bool:
    """Whether weights stored narrower are widened for a channel tile at once: if many pixel tiles then read them, and
    they stay in the second-level cache meanwhile."""
    _, _, ow, _, rh, rw, rc = sizes
    weights = 4 * rh * rw * rc * tile.channels
    return ow // tile.rows >= PIXEL_TILES and weights <= (hardware.l2_bytes or 512 * 1024) // 2


def chunks(
    sizes: list[int],
    tile: tiles.RegisterTile,
    padded: bool,
    in_bytes_per_row: int,
    stride: int,
    hardware: tiles.Hardware,
    bits: int = 32,
) -> tuple[int, int]:
    """Rows and channel tiles that one parallel piece takes, by what each choice costs in time.

    `sizes` are n, oh, ow, co, kernel h, kernel w, ci, with factors of `bits`; the cost counts multiply-adds at full
    rate with what cores wait for each other, the bytes of padded input copied, and the weights read again from beyond
    the second-level cache.
    """
    n, oh, ow, co, rh, rw, rc = sizes
    lanes = hardware.vector_bits // bits
    flops = 2.0 * n * oh * ow * co * rh * rw * rc
    l2 = hardware.l2_bytes or 512 * 1024
    best: tuple[float, tuple[int, int]] | None = None
    for rows in tiles.divisors(oh):
        for wide in tiles.divisors(co // tile.channels):
            pieces = n * (oh // rows) * (co // (wide * tile.channels))
            # Cycles of one core at 2 FMA a cycle, 8 bytes a cycle copied, 8 bytes a cycle from the third-level cache.
            cycles = flops / (4.0 * lanes) * tiles.waiting(pieces, hardware.cores)
            if padded:
                cycles += pieces * ((rows - 1) * stride + rh) * in_bytes_per_row / 8.0
            weights = bits / 8.0 * rh * rw * rc * tile.channels
            reread = 1 if wide * weights < l2 / 2 and wide == co // tile.channels else pieces
            cycles += reread * wide * weights / 8.0 * (1.0 if weights < l2 / 2 else rows)
            cycles += pieces * 200.0
            if best is None or cycles < best[0]:
                best = cycles, (rows, wide)
    return best[1] if best is not None else (1, 1)  # 1 divides everything


class Pieces(NamedTuple):
    """The output cut into pieces: the loop over `pieces`, one for each task of a thread, those over `channels` and
    `pixels` tiles within, and whether the tiles cover the output's channels evenly (`whole`): otherwise the last one
    computes some that are not kept."""

    pieces: LoopRV
    channels: LoopRV
    pixels: LoopRV
    whole: bool


def cut(
    sch: s_tir.Schedule,
    parts: Anchored,
    terms: Sequence[int],
    tile: tiles.RegisterTile,
    hardware: tiles.Hardware,
    bits: int = 32,
) -> Pieces:
    """Cut the output of a convolution into pieces by register tile; rows and channel tiles of a piece are sampled.

    terms: the sizes of the convolution's seven loops; bits: of an activation.
    """
    stride, row_bytes = 1, 0
    if parts.pad is not None:
        shape = [int(d) for d in sch.get(parts.pad).writes[0].source.shape]
        row_bytes = bits // 8 * shape[2] * shape[3]
        stride = max(1, (shape[1] - terms[4]) // max(1, terms[1] - 1)) if terms[1] > 1 else 1
    rows, wide = chunks(list(terms), tile, parts.pad is not None, row_bytes, stride, hardware, bits)
    out_n, out_h, out_w, out_c = sch.get_loops(parts.out)
    whole = extent(sch, out_c) == terms[3]
    row_tiles = sch.sample_perfect_tile(out_h, 2, 64, decision=[terms[1] // rows, rows])
    h_out, h_in = sch.split(out_h, row_tiles)
    w_out, w_in = sch.split(out_w, [None, tile.rows])
    c_tiles, c_in = sch.split(out_c, [None, tile.channels])
    wide_tiles = sch.sample_perfect_tile(c_tiles, 2, 64, decision=[terms[3] // tile.channels // wide, wide])
    c_out, c_mid = sch.split(c_tiles, wide_tiles)
    sch.reorder(out_n, c_out, h_out, c_mid, h_in, w_out, w_in, c_in)
    return Pieces(parallel_outer(sch, [out_n, c_out, h_out]), c_mid, w_out, whole)


def _schedule(sch: s_tir.Schedule, tile: tiles.RegisterTile, hardware: tiles.Hardware, keep_widened: bool) -> None:
    parts = gather(sch, KERNEL, keep_widened)
    made = cut(sch, parts, extents(sch, parts.anchor), tile, hardware)
    sch.compute_at(parts.anchor, made.pixels, preserve_unit_loops=True)
    if parts.widen is not None:
        widen(sch, parts.widen, made.channels, tile.lanes)
    accumulate(sch, parts.anchor, tile, 4, hardware)
    if parts.pad is not None:
        sch.compute_at(parts.pad, made.pieces, preserve_unit_loops=True)
        vectorize_inner(sch, sch.get_loops(parts.pad)[-1], hardware.vector_bits // 32)
    if made.whole:
        write_out(sch, parts.out, tile)

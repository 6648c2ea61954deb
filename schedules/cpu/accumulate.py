"""A register tile: accumulators set to zero, added up along a convolution's reduction, and written out."""

from __future__ import annotations

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from . import tiles
from .blocks import extent

UNROLL = 4  # steps of the reduction unrolled at most
UNROLL_SPARE = 2  # registers left beside the tile; with one, the first layer of ResNet was seen to spill


def accumulate(
    sch: s_tir.Schedule, anchor: SBlockRV, tile: tiles.RegisterTile, spatial: int, hardware: tiles.Hardware
) -> None:
    """Schedule `anchor`, computed where one tile of it is wanted.

    Its innermost loops are `spatial` ones, of which the third are the tile's rows and the last its channels, and three
    of the reduction: kernel row, kernel column, input channel.
    """
    sch.set_scope(anchor, 0, "local")
    loops = sch.get_loops(anchor)[-spatial - 3 :]
    kept, (rh, rw, rc) = loops[:spatial], loops[spatial:]
    rows, channels = kept[2], kept[-1]
    outer = [loop for index, loop in enumerate(kept[:-1]) if index != 2]
    steps = extent(sch, rc)
    # A few steps are unrolled whole, where that leaves registers for the loads that LLVM moves across them.
    spare = hardware.vector_registers - tiles.registers(tile.rows, tile.vectors, hardware)
    default = steps if steps <= UNROLL and spare >= UNROLL_SPARE else 1
    rc_out, rc_in = sch.split(rc, sch.sample_perfect_tile(rc, 2, UNROLL, decision=[steps // default, default]))
    vectors, lanes = sch.split(channels, [None, tile.lanes])
    sch.reorder(*outer, rh, rw, rc_out, rc_in, rows, vectors, lanes)
    for loop in (rc_in, rows, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)
    init = sch.decompose_reduction(anchor, rh)
    rows, vectors, _ = sch.get_loops(init)[-3:]
    sch.unroll(rows)
    sch.unroll(vectors)


def write_out(sch: s_tir.Schedule, out: SBlockRV, tile: tiles.RegisterTile) -> None:
    """Schedule the innermost loops of `out`, rows and channels of one tile."""
    rows, channels = sch.get_loops(out)[-2:]
    vectors, lanes = sch.split(channels, [None, tile.lanes])
    sch.unroll(rows)
    sch.unroll(vectors)
    sch.vectorize(lanes)

"""Winograd convolution: input transform, products and output transform of a block of tiles in one piece of work.

    parallel over (block of tiles, outer channels)
        transform the block's input tiles into scratch: [alpha, alpha, block, ci]
        for channels
            for each of the alpha x alpha products: a register tile of picture tiles x channels
            for each tile: transform back, write out through the fused epilogue

Everything that a piece touches stays in the second-level cache, but for the weights, which are streamed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from . import tiles
from .blocks import NotApplicable, extents, kernel_of, parallel_outer, root_blocks, vectorize_inner
from .winograd_blocks import Layer, chunks
from .winograd_stages import KERNEL, stages_of

VARIANTS = 5
BLOCKS = 3  # sizes of a block that are offered for each


def spaces(sch: s_tir.Schedule, hardware: tiles.Hardware) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per register tile of the products; of several images, one per tile and number of tiles in a block.

    The number is not left to the search there: most would cut pictures where TVM cannot tell the pieces apart, and
    trying them was a third of the time of tuning.
    """
    found = [b for b in root_blocks(sch) if kernel_of(sch, b) == KERNEL]
    if len(found) != 1:
        raise NotApplicable("no product of transformed tiles")
    groups = int(sch.get(found[0]).annotations["edgetune.groups"])
    layer = _layer(sch, found[0])
    shapes = tiles.register_tiles(layer.count, layer.co // groups, hardware)
    offered = [(tile, blocks) for tile in shapes for blocks in [chunks(layer, tile, hardware)] if blocks][:VARIANTS]
    if layer.digits[0] == 1:
        return [partial(_schedule, layer=layer, tile=tile, hardware=hardware) for tile, _ in offered]
    ranked = [(rank, tile, block) for tile, some in offered for rank, (block, _) in enumerate(some[:BLOCKS])]
    ranked.sort(key=lambda entry: entry[0])
    return [partial(_schedule, layer=layer, tile=tile, hardware=hardware, block=block) for _, tile, block in ranked]


def _layer(sch: s_tir.Schedule, product: SBlockRV) -> Layer:
    """Sizes of the convolution, before anything is scheduled."""
    alpha, _, count, co, ci = extents(sch, product)
    [inverse] = [b for b in root_blocks(sch) if kernel_of(sch, b) == "winograd_inverse"]
    m = extents(sch, inverse)[0]
    sizes = extents(sch, sch.get_output_blocks(sch.get_sblock("root"))[0])
    if len(sizes) != 4:
        raise NotApplicable("the output is not the convolution's")
    n, h, w, _ = sizes
    layer = Layer(alpha, (n, -(-h // m), -(-w // m)), ci, co)
    if layer.count != count:
        raise NotApplicable("the output is not the convolution's")
    return layer


def _schedule(
    sch: s_tir.Schedule, layer: Layer, tile: tiles.RegisterTile, hardware: tiles.Hardware, block: int | None = None
) -> None:
    stages, out = stages_of(sch)
    product = stages[KERNEL]
    _, _, count, co, _ = extents(sch, product)
    m = extents(sch, stages["winograd_inverse"])[0]
    n, h, w, c = sch.get_loops(out)
    th, y = sch.split(h, [None, m])
    tw, x = sch.split(w, [None, m])
    sch.reorder(n, th, tw, y, x, c)
    block_first, wide = next((b, w) for b, w in chunks(layer, tile, hardware) if block in (None, b))
    t = sch.fuse(n, th, tw)
    t_tiles, t_rows = sch.split(t, [None, tile.rows])
    if block is None:
        blocks = sch.sample_perfect_tile(t_tiles, 2, 64, decision=[count // tile.rows // block_first, block_first])
        t_out, t_mid = sch.split(t_tiles, blocks)
    else:
        t_out, t_mid = sch.split(t_tiles, [None, block])
    c_tiles, c_in = sch.split(c, [None, tile.channels])
    factors = sch.sample_perfect_tile(c_tiles, 2, 64, decision=[co // tile.channels // wide, wide])
    c_out, c_mid = sch.split(c_tiles, factors)
    sch.reorder(t_out, c_out, c_mid, t_mid, t_rows, y, x, c_in)
    piece = parallel_outer(sch, [t_out, c_out])

    inverse, columns = stages["winograd_inverse"], stages["winograd_columns"]
    sch.compute_at(inverse, t_rows, preserve_unit_loops=True)
    sch.compute_at(columns, t_rows, preserve_unit_loops=True)
    for stage in (inverse, columns):
        a, b, _, channels = sch.get_loops(stage)[-4:]
        vectors, lanes = sch.split(channels, [None, tile.lanes])
        sch.reorder(vectors, a, b, lanes)
        sch.unroll(a)
        sch.unroll(b)
        sch.vectorize(lanes)
    loops = sch.get_loops(out)
    vectors, lanes = sch.split(loops[-1], [None, tile.lanes])
    sch.vectorize(lanes)

    kept = sch.cache_write(product, 0, "local")
    sch.compute_at(kept, c_mid, preserve_unit_loops=True)
    e, v, t_kept, o_kept = sch.get_loops(kept)[-4:]
    t_each, t_in = sch.split(t_kept, [None, tile.rows])
    vectors, lanes = sch.split(o_kept, [None, tile.lanes])
    sch.reorder(e, v, t_each, t_in, vectors, lanes)
    sch.compute_at(product, t_each, preserve_unit_loops=True)
    for loop in (t_in, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)
    t_in, o, r = sch.get_loops(product)[-3:]
    r_out, r_in = sch.split(r, sch.sample_perfect_tile(r, 2, 4, decision=[extents_of(sch, r), 1]))
    vectors, lanes = sch.split(o, [None, tile.lanes])
    sch.reorder(r_out, r_in, t_in, vectors, lanes)
    for loop in (r_in, t_in, vectors):
        sch.unroll(loop)
    sch.vectorize(lanes)
    init = sch.decompose_reduction(product, r_out)
    t_in, vectors, _ = sch.get_loops(init)[-3:]
    sch.unroll(t_in)
    sch.unroll(vectors)

    pack, rows = stages["winograd_pack"], stages["winograd_rows"]
    sch.compute_at(pack, piece, preserve_unit_loops=True)
    e, v, t_pack, c_pack = sch.get_loops(pack)[-4:]
    lanes_in = tiles.lanes_for(extents_of(sch, c_pack), hardware)
    c_vec, c_lanes = sch.split(c_pack, [None, lanes_in])
    sch.reorder(t_pack, c_vec, e, v, c_lanes)
    sch.compute_at(rows, c_vec, preserve_unit_loops=True)
    for loop in (e, v):
        sch.unroll(loop)
    sch.vectorize(c_lanes)
    e, v, _, c_lanes = sch.get_loops(rows)[-4:]
    sch.unroll(e)
    sch.unroll(v)
    sch.vectorize(c_lanes)
    if "pad" in stages:
        sch.compute_at(stages["pad"], piece, preserve_unit_loops=True)
        vectorize_inner(sch, sch.get_loops(stages["pad"])[-1], hardware.vector_bits // 32)


def extents_of(sch: s_tir.Schedule, loop: s_tir.schedule.LoopRV) -> int:
    return int(sch.get(loop).extent)

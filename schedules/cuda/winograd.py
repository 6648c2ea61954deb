"""Winograd convolution in three kernels: transform the input, one matrix product for each of the alpha x alpha points
of a tile, transform back through the fused epilogue.

The transforms give a thread one channel of one tile of the picture, neighbouring threads neighbouring channels; what it
transforms stays in its registers. The products are `gemm.py`'s, with the points as groups.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from schedules.cpu.winograd_stages import KERNEL, stages_of

from . import gemm, product, tiles
from .blocks import NotApplicable, bind_threads, extents, kernel_of, root_blocks
from .gpu import Gpu

ROLES = (product.GROUP, product.GROUP, product.ROW, product.COLUMN, product.SUM)
VARIANTS = 6  # tiles offered to the search


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per tile of the products, the tile that the model prefers first."""
    found = [b for b in root_blocks(sch) if kernel_of(sch, b) == KERNEL]
    if len(found) != 1:
        raise NotApplicable("no product of transformed tiles")
    if gemm.groups_of(sch, found[0]) != 1:
        raise NotApplicable("channels in groups")
    described = product.describe(sch, found[0], ROLES)
    if described.m == 1 or described.n == 1:
        raise NotApplicable("products with a vector")
    ranked = [tile for tile in tiles.tiles(described, gpu) if tile.parts == 1]
    return [partial(_schedule, tile=tile, gpu=gpu) for tile in ranked[:VARIANTS]]


def _schedule(sch: s_tir.Schedule, tile: tiles.Tile, gpu: Gpu) -> None:
    stages, out = stages_of(sch)
    if len(extents(sch, out)) != 4:
        raise NotApplicable("the output is not the convolution's")
    kept = frozenset(sch.get(block).name_hint for block in (*stages.values(), out))
    gemm.tiled_product(sch, stages[KERNEL], ROLES, tile, kept)
    _transform(sch, stages, gpu)
    _transform_back(sch, stages, out, gpu)


def _transform(sch: s_tir.Schedule, stages: dict[str, SBlockRV], gpu: Gpu) -> None:
    """The first kernel: a thread reads alpha x alpha pixels of a channel once and writes as many transformed ones."""
    pack, rows = stages["winograd_pack"], stages["winograd_rows"]
    e, v, t, c = sch.get_loops(pack)
    sch.reorder(t, c, e, v)
    thread = bind_threads(sch, [t, c], gpu, even=True)
    pixels = stages.get("pad")
    _in_registers(sch, rows, thread)
    if pixels is None:
        pixels = sch.cache_read(rows, 0, "local")
    _in_registers(sch, pixels, thread)
    for loop in (e, v):
        sch.unroll(loop)


def _transform_back(sch: s_tir.Schedule, stages: dict[str, SBlockRV], out: SBlockRV, gpu: Gpu) -> None:
    """The last kernel: a thread reads alpha x alpha products of a channel once and writes m x m results."""
    inverse, columns = stages["winograd_inverse"], stages["winograd_columns"]
    m = extents(sch, inverse)[0]
    n, h, w, c = sch.get_loops(out)
    th, y = sch.split(h, [None, m])
    tw, x = sch.split(w, [None, m])
    sch.reorder(n, th, tw, c, y, x)
    thread = bind_threads(sch, [n, th, tw, c], gpu, even=True)
    _in_registers(sch, inverse, thread)
    _in_registers(sch, columns, thread)
    _in_registers(sch, sch.cache_read(columns, 0, "local"), thread)
    for loop in (y, x):
        sch.unroll(loop)


def _in_registers(sch: s_tir.Schedule, block: SBlockRV, thread: LoopRV) -> None:
    """Let `thread` compute what it needs of `block` by itself, unrolled."""
    sch.compute_at(block, thread, preserve_unit_loops=True)
    if str(sch.get(block).writes[0].source.scope()) != "local":
        sch.set_scope(block, 0, "local")
    for loop in sch.get_loops(block)[-len(sch.get(block).iter_vars) :]:
        sch.unroll(loop)

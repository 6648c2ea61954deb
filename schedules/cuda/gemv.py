"""Products of a vector and a matrix: fully connected layers, and 1x1 results of convolutions, of one picture.

Every weight is read once, so memory is the limit: neighbouring threads read neighbouring columns as vectors, the rows
of threads of a block share the sum, and it is split over blocks until every multiprocessor has several.

blocks over (group, columns, part of the sum)
    threads over (row of threads, vectors of columns)
        sums in registers = 0
        for steps of the thread's share of the sum: sums += activation x vector of weights
    one sum per column over the rows of threads, through the fused epilogue; a second kernel adds up the parts
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from . import gemm, product, tiles
from .blocks import VECTOR, NotApplicable, extent, is_reduction, root_blocks
from .elementwise import schedule_rest
from .gpu import WARP, Gpu
from .inlining import inline_before, inline_behind

ROWS = (8, 4, 16)  # of threads, offered to the search
BLOCKS_PER_SM = 4
LEAST_STEPS = 16  # of the sum that a thread should have at least
UNROLL_STEPS = (16, 0, 64)


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per number of thread rows."""
    anchor, kind = gemm.anchor_of(sch)
    if any(is_reduction(sch, b) and sch.get(b).name_hint != sch.get(anchor).name_hint for b in root_blocks(sch)):
        raise NotApplicable("a second reduction")
    described = product.describe(sch, anchor, product.ROLES[kind], gemm.groups_of(sch, anchor))
    if described.m != 1 or described.n == 1:
        raise NotApplicable("not a product of a vector and a matrix")
    return [partial(_schedule, rows=rows, gpu=gpu) for rows in ROWS]


def parts_for(described: tiles.Product, columns: int, rows: int, gpu: Gpu) -> int:
    """Over how many blocks the sum is split: until each multiprocessor has `BLOCKS_PER_SM`, or nothing is left."""
    parts = 1
    while (
        described.groups * -(-described.n // columns) * parts < BLOCKS_PER_SM * gpu.sms
        and described.k // (2 * parts * rows) >= LEAST_STEPS
        and parts < tiles.MAX_PARTS
    ):
        parts *= 2
    return parts


def _schedule(sch: s_tir.Schedule, rows: int, gpu: Gpu) -> None:
    anchor, kind = gemm.anchor_of(sch)
    roles = product.ROLES[kind]
    groups = gemm.groups_of(sch, anchor)
    if groups > 1:
        product.split_groups(sch, anchor, groups)
        roles = product.ROLES["grouped"]
    described = product.describe(sch, anchor, roles)
    product.as_product(sch, anchor, roles)
    columns = WARP * VECTOR
    parts = parts_for(described, columns, rows, gpu)
    sch.pad_einsum(anchor, [1, 1, columns, parts * rows])
    share = sch.split(sch.get_loops(anchor)[-1], [parts * rows, None])[0]
    total = anchor
    partial_sums = sch.rfactor(share, 0)  # [part and row of threads, group, 1, column]
    inline_before(sch, partial_sums)
    if parts == 1:
        inner = total
    else:
        part = sch.split(sch.get_loops(total)[-1], [parts, rows])[0]
        inner = sch.rfactor(part, 0)  # [part, group, 1, column]
    _in_a_block(sch, partial_sums, inner, parts, rows, columns, described)
    if parts > 1:
        gemm.add_up(sch, total, described, columns, gpu)
    schedule_rest(sch, gpu)


def _in_a_block(
    sch: s_tir.Schedule,
    partial_sums: s_tir.schedule.SBlockRV,
    inner: s_tir.schedule.SBlockRV,
    parts: int,
    rows: int,
    columns: int,
    described: tiles.Product,
) -> None:
    """Schedule the partial sums of every thread row, and their sum `inner` over the rows of a block."""
    group, one, n, *rest = sch.get_loops(inner)
    n_block, n_in = sch.split(n, [None, columns])
    outer = rest[0] if parts > 1 else one
    sch.reorder(group, outer, n_block, n_in)
    sch.bind(n_block, "blockIdx.x")
    sch.bind(outer, "blockIdx.y")
    sch.bind(group, "blockIdx.z")
    sch.compute_at(partial_sums, n_block, preserve_unit_loops=True)
    sch.set_scope(partial_sums, 0, "shared")
    loops = sch.get_loops(partial_sums)
    axes = sch.get(partial_sums).iter_vars
    own = loops[-len(axes) :]
    over = own[-1]
    [across] = [loop for loop in own[:-1] if extent(sch, loop) == columns]
    [row] = [loop for loop in own[:-1] if extent(sch, loop) == rows and not loop.same_as(across)]
    x, vector = sch.split(across, [WARP, VECTOR])
    sch.reorder(row, x, over, vector)
    sch.bind(row, "threadIdx.y")
    sch.bind(x, "threadIdx.x")
    kept = sch.cache_write(partial_sums, 0, "local")
    sch.reverse_compute_at(kept, x, preserve_unit_loops=True)
    sch.vectorize(sch.get_loops(kept)[-1])
    sch.vectorize(vector)
    steps = sch.sample_categorical(list(UNROLL_STEPS), [1 / len(UNROLL_STEPS)] * len(UNROLL_STEPS), 0)
    sch.annotate(x, "pragma_auto_unroll_max_step", steps)
    sch.annotate(x, "pragma_unroll_explicit", 0)
    init = sch.decompose_reduction(partial_sums, over)
    sch.vectorize(sch.get_loops(init)[-1])
    _, y, x = sch.split(n_in, [None, rows, WARP])
    sch.bind(y, "threadIdx.y")
    sch.bind(x, "threadIdx.x")
    if parts == 1:
        written = sch.cache_write(inner, 0, "local")
        sch.reverse_compute_at(written, x, preserve_unit_loops=True)
        inline_behind(sch, written)

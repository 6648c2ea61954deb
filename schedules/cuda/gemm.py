"""Matrix products on multiply-add units: convolutions (dense, grouped) and fully connected layers of several rows.

blocks over (group, rows, columns, part of the sum)
    sums in registers = 0
    for steps of the sum
        all threads bring both factors' pieces into shared memory (gathering, padding and widening them)
        for each step within the piece
            fragments of both pieces into registers
            sums += row fragment x column fragment
    write out through the fused epilogue, or, of a split sum, to memory, where a second kernel adds the parts up
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from . import product, tiles
from .blocks import (
    VECTOR,
    NotApplicable,
    bind_threads,
    count,
    extent,
    is_reduction,
    kernel_of,
    root_blocks,
)
from .elementwise import schedule_rest
from .gpu import Gpu
from .inlining import inline_before, inline_behind

KERNELS = tuple(product.ROLES)
GROUPS = "edgetune.groups"
VARIANTS = 6  # tiles offered to the search
UNROLL_STEPS = (0, 16, 64, 512)  # offered to the search: how long a body the compiler unrolls loops to
DEFAULT_UNROLL = 3  # the index of 64


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per tile, the tile that the model prefers first."""
    anchor, kind = anchor_of(sch)
    if any(is_reduction(sch, b) and sch.get(b).name_hint != sch.get(anchor).name_hint for b in root_blocks(sch)):
        raise NotApplicable("a second reduction")
    described = product.describe(sch, anchor, product.ROLES[kind], groups_of(sch, anchor))
    if described.m == 1 or described.n == 1:
        # Besides being the work of others: padding an axis of one element is lost on `pad_einsum`, which sums it twice.
        raise NotApplicable("a product with a vector")
    found = tiles.tiles(described, gpu)[:VARIANTS]
    return [partial(schedule, tile=tile, gpu=gpu) for tile in found]


def anchor_of(sch: s_tir.Schedule) -> tuple[SBlockRV, str]:
    found = [(b, kind) for b in root_blocks(sch) if (kind := kernel_of(sch, b)) in KERNELS]
    if len(found) != 1:
        raise NotApplicable(f"{len(found)} matrix products")
    return found[0][0], str(found[0][1])


def groups_of(sch: s_tir.Schedule, anchor: SBlockRV) -> int:
    return int(sch.get(anchor).annotations.get(GROUPS, 1))


def schedule(sch: s_tir.Schedule, tile: tiles.Tile, gpu: Gpu) -> None:
    """Schedule a product with `tile`, whatever the model thinks of it."""
    anchor, kind = anchor_of(sch)
    roles = product.ROLES[kind]
    groups = groups_of(sch, anchor)
    if groups > 1:
        product.split_groups(sch, anchor, groups)
        roles = product.ROLES["grouped"]
    if tile.parts == 1:
        tiled_product(sch, anchor, roles, tile)
    else:
        described = product.describe(sch, anchor, roles)
        _gathered(sch, anchor, roles, tile)
        parts, total = _split_sum(sch, anchor, tile.parts)
        parts = [
            b for b in root_blocks(sch) if is_reduction(sch, b) and sch.get(b).name_hint != sch.get(total).name_hint
        ]
        _tiled(sch, parts[0], tile, described, with_epilogue=False)
        add_up(sch, total, described, tile.columns, gpu)
    schedule_rest(sch, gpu)


def tiled_product(
    sch: s_tir.Schedule, anchor: SBlockRV, roles: Sequence[str], tile: tiles.Tile, keep: Collection[str] = ()
) -> None:
    """Schedule `anchor`, whose axes play `roles`, in one kernel by `tile`, what is around it put into it up to blocks
    whose names are in `keep`."""
    described = product.describe(sch, anchor, roles)
    name = sch.get(anchor).name_hint
    _gathered(sch, anchor, roles, tile)
    _tiled(sch, sch.get_sblock(name), tile, described, with_epilogue=True, keep=keep)


def _gathered(sch: s_tir.Schedule, anchor: SBlockRV, roles: Sequence[str], tile: tiles.Tile) -> None:
    product.as_product(sch, anchor, roles)
    sch.pad_einsum(anchor, [1, tile.rows, tile.columns, tile.depth])


def _split_sum(sch: s_tir.Schedule, anchor: SBlockRV, parts: int) -> tuple[SBlockRV, SBlockRV]:
    """Split the sum of `anchor` into `parts`, each a result of its own; their block, and the one that adds them up."""
    over = sch.get_loops(anchor)[-1]
    part, _ = sch.split(over, [parts, None])
    return sch.rfactor(part, 0), anchor


def _tiled(
    sch: s_tir.Schedule,
    anchor: SBlockRV,
    tile: tiles.Tile,
    described: tiles.Product,
    with_epilogue: bool,
    keep: Collection[str] = (),
) -> None:
    *outer, m, n, k = ordered(sch, anchor)
    k_step, k_in = sch.split(k, [None, tile.depth])
    m_near, n_near, n_thread = bind_tile(sch, outer, m, n, [k_step, k_in], tile)

    sums = sch.cache_write(anchor, 0, "local")
    sch.reverse_compute_at(sums, n_thread, preserve_unit_loops=True)
    a_wide = VECTOR if described.depth_unit % VECTOR == 0 else 1
    b_wide = VECTOR if described.n % VECTOR == 0 else 1
    first = to_shared(sch, anchor, 0, k_step, tile, a_wide, along_sum=True)
    second = to_shared(sch, anchor, 1, k_step, tile, b_wide, along_sum=False)
    for index in (0, 1):
        fragment = sch.cache_read(anchor, index, "local")
        sch.compute_at(fragment, k_in, preserve_unit_loops=True)
        near = tile.per_row if index == 0 else tile.per_column
        vectors(sch, fragment, VECTOR if near % VECTOR == 0 else near)
    for gathered in (first, second):
        inline_before(sch, gathered, keep)
    if with_epilogue:
        inline_behind(sch, sums, keep)
    sample_unrolling(sch, n_thread)
    for loop in (m_near, n_near):
        sch.unroll(loop)
    write_out(sch, sums, described)
    init = sch.decompose_reduction(anchor, k_step)
    for loop in sch.get_loops(init)[-2:]:
        sch.unroll(loop)


def bind_tile(
    sch: s_tir.Schedule, outer: list[LoopRV], m: LoopRV, n: LoopRV, over: list[LoopRV], tile: tiles.Tile
) -> tuple[LoopRV, LoopRV, LoopRV]:
    """Give rows `m` and columns `n` to threads and blocks of them, and put the loops `over` the sum within; the loops
    over a thread's neighbouring rows and columns, and the one over threads."""
    m_block, m_far, m_thread, m_near = sch.split(m, [None, *_per_thread(tile.per_row, tile.threads_m)])
    n_block, n_far, n_thread, n_near = sch.split(n, [None, *_per_thread(tile.per_column, tile.threads_n)])
    sch.reorder(*outer, m_block, n_block, m_far, n_far, m_thread, n_thread, *over, m_near, n_near)
    which = sch.fuse(*outer) if len(outer) > 1 else outer[0]
    sch.bind(which, "blockIdx.z")
    sch.bind(m_block, "blockIdx.x")  # the longest axis: only x may exceed 65535
    sch.bind(n_block, "blockIdx.y")
    # What a thread has far apart is bound too: as serial loops TVM would take all that lies between for it.
    sch.bind(m_far, "vthread.y")
    sch.bind(n_far, "vthread.x")
    sch.bind(m_thread, "threadIdx.y")
    sch.bind(n_thread, "threadIdx.x")
    return m_near, n_near, n_thread


def sample_unrolling(sch: s_tir.Schedule, thread: LoopRV) -> None:
    steps = sch.sample_categorical(list(UNROLL_STEPS), [1 / len(UNROLL_STEPS)] * len(UNROLL_STEPS), DEFAULT_UNROLL)
    sch.annotate(thread, "pragma_auto_unroll_max_step", steps)
    sch.annotate(thread, "pragma_unroll_explicit", 0)


def ordered(sch: s_tir.Schedule, anchor: SBlockRV) -> list[LoopRV]:
    """The loops around `anchor`: group, and part of a split sum, then rows, columns and the sum."""
    group, m, n, *parts, k = sch.get_loops(anchor)
    return [group, *parts, m, n, k]


def _per_thread(near: int, threads: int) -> tuple[int, int, int]:
    """How often, by how many threads, and how many neighbours: a thread takes whole vectors, far apart."""
    vector = VECTOR if near % VECTOR == 0 else near
    return near // vector, threads, vector


def to_shared(
    sch: s_tir.Schedule, anchor: SBlockRV, index: int, at: LoopRV, tile: tiles.Tile, wide: int, along_sum: bool
) -> SBlockRV:
    """Bring a factor's piece [sum, row or column] into shared memory. `along_sum`: neighbours in memory are neighbours
    in the sum."""
    block = sch.cache_read(anchor, index, "shared")
    sch.compute_at(block, at, preserve_unit_loops=True)
    *_, group, over, across = sch.get_loops(block)
    if along_sum:
        sch.reorder(group, across, over)
    loops = [group, across, over] if along_sum else [group, over, across]
    total = count([extent(sch, loop) for loop in loops])
    while wide > 1 and total % (wide * tile.threads):
        wide //= 2
    fused = sch.fuse(*loops)
    _, y, x, vector = sch.split(fused, [None, tile.threads_m, tile.threads_n, wide])
    sch.bind(y, "threadIdx.y")
    sch.bind(x, "threadIdx.x")
    if wide > 1:
        sch.vectorize(vector)
    # Rows begin in different banks, and where a vector may: of 8 halves at 16 bytes, as of 4 floats.
    apart = 4 if along_sum else max(4, wide)
    sch.storage_align(block, 0, axis=-2, factor=2 * apart, offset=apart)
    return block


def vectors(sch: s_tir.Schedule, block: SBlockRV, wide: int) -> None:
    loops = sch.get_loops(block)
    last = loops[-1]
    size = extent(sch, last)
    if size % wide == 0 and wide > 1:
        _, vector = sch.split(last, [None, wide])
        sch.vectorize(vector)


def write_out(sch: s_tir.Schedule, sums: SBlockRV, described: tiles.Product) -> None:
    """Threads write vectors of columns where the columns are whole vectors."""
    last = sch.get_loops(sums)[-1]
    if described.n % VECTOR == 0 and extent(sch, last) % VECTOR == 0:
        _, vector = sch.split(last, [None, VECTOR])
        sch.vectorize(vector)


def add_up(sch: s_tir.Schedule, total: SBlockRV, described: tiles.Product, columns: int, gpu: Gpu) -> None:
    """The second kernel: a vector of columns per thread. It runs over whole tiles: threads divide them evenly."""
    *outer, n, part = sch.get_loops(total)
    across, vector = sch.split(n, [None, VECTOR if columns % VECTOR == 0 else 1])
    thread = bind_threads(sch, [*outer, across], gpu, even=True)
    sums = sch.cache_write(total, 0, "local")
    sch.reverse_compute_at(sums, thread, preserve_unit_loops=True)
    inline_behind(sch, sums)
    sch.reorder(part, vector)
    sch.vectorize(vector)
    write_out(sch, sums, described)
    sch.vectorize(sch.get_loops(sch.decompose_reduction(total, part))[-1])

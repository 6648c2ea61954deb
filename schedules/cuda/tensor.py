"""Matrix products on tensor cores: convolutions (dense, grouped) and fully connected layers of several rows. Sums are
FP32. Factors are FP16 where weights are stored in that; data is rounded to it on the way, where it is not that already.
Or they are TF32 where the kernel says that they may be: weights were rounded when they were stored, and data is when
it is loaded into registers.

blocks over (group, rows, columns, part of the sum), warps over tiles of the block's result
    sums in registers = 0
    for steps of the sum, while the pieces of later steps are on their way
        all threads bring both factors' pieces into shared memory (gathering, padding and narrowing them)
        for each 16 terms of the sum within the piece
            tiles of both pieces into registers, sums += row tile x column tile
    for each 16 rows of a warp: through shared memory, so that vectors are written, and the fused epilogue

From sm_80 on pieces that are of the factors' type in memory are copied asynchronously; others pass through registers,
which are filled before and emptied behind the multiplications of the step before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.sym import detect_linear_equation

from . import gemm, intrinsics, product, tensor_tiles, tiles
from .blocks import VECTOR, NotApplicable, count, extent, is_reduction, kernel_of, root_blocks
from .elementwise import schedule_rest
from .factors import HALF, TF32, Factors
from .gpu import WARP, Gpu
from .inlining import inline_before, inline_behind
from .intrinsics import SHARED, SIDE
from .tensor_tiles import TensorTile

FACTORS = "edgetune.factors"  # of a kernel: what its factors may be rounded to
WIDEN = ("widen", "widen_data")  # kernels of blocks that widen a factor
VARIANTS = 8  # tiles offered to the search
BYTES = 16  # that a thread copies at once
LEAST_BYTES = 4  # that it can copy asynchronously
UNROLL_STEPS = (16, 64, 512)  # offered to the search: how long a body the compiler unrolls loops to


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per tile, the tile that the model prefers first."""
    if not gpu.tensor_fma:
        raise NotApplicable("no tensor cores")
    anchor, kind = gemm.anchor_of(sch)
    factors = factors_of(sch, anchor)
    if factors is None:
        raise NotApplicable("weights are not stored in FP16, and factors may not be rounded")
    if not gpu.rate(factors):
        raise NotApplicable("no tensor cores for TF32")
    if any(is_reduction(sch, b) and sch.get(b).name_hint != sch.get(anchor).name_hint for b in root_blocks(sch)):
        raise NotApplicable("a second reduction")
    described = product.describe(sch, anchor, product.ROLES[kind], gemm.groups_of(sch, anchor))
    if described.m == 1 or described.n == 1:
        raise NotApplicable("a product with a vector")
    asynchronous = copied(sch, anchor, described, factors, gpu)
    found = tensor_tiles.tensor_tiles(described, gpu, asynchronous, factors)
    return [partial(schedule, tile=tile, gpu=gpu) for tile in found[:VARIANTS]]


def factors_of(sch: s_tir.Schedule, anchor: SBlockRV) -> Factors | None:
    """What the factors of a product are on tensor cores; None where it is to be computed in FP32."""
    if stored_type(sch, anchor, 1) == HALF.dtype:
        return HALF
    return TF32 if may_be_tf32(sch.get(anchor)) else None


def may_be_tf32(block: s_tir.SBlock) -> bool:
    """Whether a block's factors may be rounded to TF32."""
    return str(block.annotations.get(FACTORS, "")) == "tf32"


def stored_type(sch: s_tir.Schedule, anchor: SBlockRV, index: int) -> str:
    """What the factor of this index is stored as, before it is widened."""
    buffer = sch.get(anchor).reads[index].source
    for producer in sch.get_producers(anchor):
        block = sch.get(producer)
        if _widens(sch, producer) and block.writes[0].source.same_as(buffer):
            return str(block.reads[0].source.dtype)
    return str(buffer.dtype)


def inline_widened(sch: s_tir.Schedule, anchor: SBlockRV) -> None:
    """Let `anchor` widen what it reads by itself."""
    for producer in sch.get_producers(anchor):
        if _widens(sch, producer):
            sch.compute_inline(producer)


def copied(sch: s_tir.Schedule, anchor: SBlockRV, described: tiles.Product, factors: Factors, gpu: Gpu) -> bool:
    """Whether the pieces can be copied asynchronously: both factors are in memory what they are when multiplied, and
    neighbours for 4 bytes at least."""
    least = LEAST_BYTES // factors.bytes
    return (
        gpu.asynchronous
        and (least == 1 or neighbours(sch, anchor))
        and stored_type(sch, anchor, 0) == stored_type(sch, anchor, 1) == factors.dtype
        and described.depth_unit % least == 0
        and described.n % least == 0
    )


def neighbours(sch: s_tir.Schedule, anchor: SBlockRV) -> bool:
    """Whether neighbours in the sum are neighbours in memory: behind a channel shuffle they are not."""
    block = sch.get(anchor)
    channel = block.reads[0].region[-1].min
    return bool(detect_linear_equation(channel, [block.iter_vars[-1].var]))


def _width(unit: int, size: int) -> int:
    """Elements of `size` bytes that a thread copies at once, of which `unit` are neighbours."""
    width = BYTES // size
    while unit % width:
        width //= 2
    return width


def _widens(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    return kernel_of(sch, block) in WIDEN


def schedule(sch: s_tir.Schedule, tile: TensorTile, gpu: Gpu) -> None:
    """Schedule a product with `tile`, whatever the model thinks of it."""
    intrinsics.register()
    factors = tile.factors
    anchor, kind = gemm.anchor_of(sch)
    roles = product.ROLES[kind]
    inline_widened(sch, anchor)
    groups = gemm.groups_of(sch, anchor)
    if groups > 1:
        product.split_groups(sch, anchor, groups)
        roles = product.ROLES["grouped"]
    described = product.describe(sch, anchor, roles)
    asynchronous = copied(sch, anchor, described, factors, gpu)
    widest = max(factors.bytes, 2 if str(sch.get(anchor).reads[0].source.dtype) == HALF.dtype else 4)
    widths = (
        _width(described.depth_unit if neighbours(sch, anchor) else 1, widest),
        _width(described.n, factors.bytes),
    )
    name = sch.get(anchor).name_hint
    product.as_product(sch, anchor, roles, rows_first=True, dtype=factors.dtype)
    sch.pad_einsum(anchor, [1, tile.rows, tile.columns, tile.depth * tile.parts])
    if tile.parts > 1:
        part, _ = sch.split(sch.get_loops(anchor)[-1], [tile.parts, None])
        partial_sums = sch.rfactor(part, 0)
        _tiled(sch, partial_sums, tile, described, widths, asynchronous, with_epilogue=False)
        gemm.add_up(sch, anchor, described, tile.columns, gpu)
    else:
        _tiled(sch, sch.get_sblock(name), tile, described, widths, asynchronous, with_epilogue=True)
    schedule_rest(sch, gpu)


def _tiled(
    sch: s_tir.Schedule,
    anchor: SBlockRV,
    tile: TensorTile,
    described: tiles.Product,
    widths: tuple[int, int],
    asynchronous: bool,
    with_epilogue: bool,
) -> None:
    *outer, m, n, k = gemm.ordered(sch, anchor)
    m_tile, m_in = sch.split(m, [None, SIDE])
    n_tile, n_in = sch.split(n, [None, SIDE])
    k_tile, k_in = sch.split(k, [None, SIDE])
    sch.reorder(*outer, m_tile, n_tile, k_tile, m_in, n_in, k_in)
    whole = sch.blockize(m_in)
    m_block, m_warp, m_near = sch.split(m_tile, [None, tile.warps_m, tile.tiles_m])
    n_block, n_warp, n_near = sch.split(n_tile, [None, tile.warps_n, tile.tiles_n])
    k_step, k_near = sch.split(k_tile, [None, tile.depth // SIDE])
    sch.reorder(*outer, m_block, n_block, m_warp, n_warp, k_step, k_near, m_near, n_near)
    which = sch.fuse(*outer) if len(outer) > 1 else outer[0]
    sch.bind(which, "blockIdx.z")
    sch.bind(m_block, "blockIdx.x")  # the longest axis: only x may exceed 65535
    sch.bind(n_block, "blockIdx.y")
    warp = sch.fuse(m_warp, n_warp)
    sch.bind(warp, "threadIdx.y")

    written = sch.cache_write(whole, 0, intrinsics.STAGED)
    sums = sch.cache_write(whole, 0, intrinsics.SUMS)
    sch.reverse_compute_at(sums, warp, preserve_unit_loops=True)

    pieces = [_to_shared(sch, whole, index, k_step, tile, wide) for index, wide in enumerate(widths)]
    for index, step in enumerate(intrinsics.LOADS):
        fragment = sch.cache_read(whole, index, tile.factors.scopes[index])
        sch.compute_at(fragment, k_near, preserve_unit_loops=True)
        _by_tiles(sch, fragment, tile.factors.intrinsic(step))
    for piece in pieces:
        inline_before(sch, piece)
    _write_out(sch, sums, written, tile, described, with_epilogue)
    _pipeline(sch, k_step, pieces, tile, asynchronous)
    steps = sch.sample_categorical(list(UNROLL_STEPS), [1 / len(UNROLL_STEPS)] * len(UNROLL_STEPS), 0)
    sch.annotate(warp, "pragma_auto_unroll_max_step", steps)
    # What is left to wait for is a constant only where TVM unrolls what follows the pipeline by itself.
    sch.annotate(warp, "pragma_unroll_explicit", int(asynchronous))
    for loop in (k_near, m_near, n_near):
        sch.unroll(loop)
    init = sch.decompose_reduction(whole, k_step)
    sch.tensorize(sch.get_loops(sch.get_child_blocks(init)[0])[-2], intrinsics.ZERO)
    sch.tensorize(sch.get_loops(anchor)[-3], tile.factors.intrinsic(intrinsics.MULTIPLY))


def _to_shared(sch: s_tir.Schedule, whole: SBlockRV, index: int, at: LoopRV, tile: TensorTile, wide: int) -> SBlockRV:
    """Bring a factor's piece, neighbours in memory along its last axis, into shared memory, `wide` elements at once."""
    block = sch.cache_read(whole, index, SHARED)
    sch.compute_at(block, at, preserve_unit_loops=True)
    loops = sch.get_loops(block)[-2:]
    total = count([extent(sch, loop) for loop in loops])
    while wide * tile.factors.bytes > LEAST_BYTES and total % (wide * tile.threads):
        wide //= 2
    _, y, x, vector = sch.split(sch.fuse(*loops), [None, tile.warps, WARP, wide])
    sch.bind(y, "threadIdx.y")
    sch.bind(x, "threadIdx.x")
    if wide > 1:
        sch.vectorize(vector)
    sch.storage_align(block, 0, axis=-2, factor=SIDE, offset=tile.factors.paddings[index])
    return block


def _by_tiles(sch: s_tir.Schedule, block: SBlockRV, name: str) -> None:
    """Let a warp do what `block` does, 16 x 16 elements at once, by the intrinsic `name`."""
    rows, columns = sch.get_loops(block)[-2:]
    row, row_in = sch.split(rows, [None, SIDE])
    column, column_in = sch.split(columns, [None, SIDE])
    sch.reorder(row, column, row_in, column_in)
    sch.unroll(row)
    sch.unroll(column)
    sch.tensorize(row_in, name)


def _write_out(
    sch: s_tir.Schedule,
    sums: SBlockRV,
    written: SBlockRV,
    tile: TensorTile,
    described: tiles.Product,
    with_epilogue: bool,
) -> None:
    """A warp's 16 rows at a time from registers to shared memory and from there, in vectors, to where they belong."""
    own = tile.tiles_m * SIDE

    def one_slice(*index: object) -> list[object]:
        *outer, m, n = index
        return [*outer, m // own, m % SIDE, n]  # type: ignore[operator]

    rows, _ = sch.get_loops(sums)[-2:]
    row, _ = sch.split(rows, [None, SIDE])
    sch.reverse_compute_at(written, row, preserve_unit_loops=True)
    if with_epilogue:
        inline_behind(sch, written)  # not earlier: moving a block loses the condition that tails add to it
    sch.unroll(row)  # else sums would be looked up by number, and lie in memory
    # Slices follow one another in the same memory, which TVM cannot tell from a map that loses some of them.
    sch.transform_layout(sums, ("write", 0), one_slice, assume_injective_transform=True)
    name = sch.get(sums).name_hint
    _by_tiles(sch, sums, intrinsics.STORE)
    sch.storage_align(sch.get_sblock(f"{name}_o"), 0, axis=-2, factor=SIDE, offset=tensor_tiles.STAGED_PADDING)
    row_in, columns = sch.get_loops(written)[-2:]
    vector = VECTOR
    while described.n % vector or tile.tiles_n * SIDE * SIDE % (WARP * vector):
        vector //= 2
    _, lane, near = sch.split(sch.fuse(row_in, columns), [None, WARP, vector])
    sch.bind(lane, "threadIdx.x")
    if vector > 1:
        sch.vectorize(near)


def _pipeline(sch: s_tir.Schedule, step: LoopRV, pieces: list[SBlockRV], tile: TensorTile, asynchronous: bool) -> None:
    """Bring later pieces while one is multiplied."""
    if tile.stages < 2:
        return
    if asynchronous:
        sch.annotate(step, "software_pipeline_stage", [0, 0, tile.stages - 1])
        sch.annotate(step, "software_pipeline_order", [0, 1, 2])
        sch.annotate(step, "software_pipeline_async_stages", [0])
        return
    for piece in pieces:
        sch.annotate(piece, "tirx.manifest_shared_memory_local_stage", 1)
        sch.annotate(piece, "double_buffer_scope", 0)
    # Registers of the first, its piece, registers of the second, its piece, multiplications.
    sch.annotate(step, "software_pipeline_stage", [0, 0, 0, 0, 1])
    sch.annotate(step, "software_pipeline_order", [0, 3, 1, 4, 2])

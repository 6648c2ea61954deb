"""Matrix products in pairs of FP16, where they are multiplied at twice the rate of FP32 and there are no tensor cores
that the schedules use: sm_53, sm_62, sm_72. Weights are stored in FP16; data is rounded to it on the way.

As `gemm.py`, with one level more: a piece's `depth` products are summed up in FP16, two columns at once, and then added
to sums in FP32. A sum of FP16 numbers loses half a unit in the last of 11 bits each time; over 8 or 16 terms that stays
near the error of rounding the factors, which sums over thousands would exceed by far.

A piece whose sum exceeds what FP16 holds, 65504, becomes infinite: with weights below 1 that takes data of thousands,
for which a layer's weights are to be kept in FP32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from tvm import s_tir
from tvm.s_tir import TensorIntrin
from tvm.s_tir.schedule import SBlockRV
from tvm.script import from_source
from tvm.script import tirx as script

from . import factors, gemm, product, tensor, tiles
from .blocks import VECTOR, NotApplicable, is_reduction, root_blocks
from .elementwise import schedule_rest
from .gpu import Gpu
from .inlining import inline_before, inline_behind

STORED = factors.HALF.dtype
WIDE = (4, 8)  # elements of each factor that a thread copies at once; the first are written apart from each other
VARIANTS = 6  # tiles offered to the search


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per tile, the tile that the model prefers first."""
    if not gpu.half_pairs:
        raise NotApplicable("FP16 in pairs is not faster than FP32")
    anchor, kind = gemm.anchor_of(sch)
    if any(is_reduction(sch, b) and sch.get(b).name_hint != sch.get(anchor).name_hint for b in root_blocks(sch)):
        raise NotApplicable("a second reduction")
    if tensor.stored_type(sch, anchor, 1) != STORED:
        raise NotApplicable("weights are not stored in FP16")
    described = product.describe(sch, anchor, product.ROLES[kind], gemm.groups_of(sch, anchor))
    if described.m == 1 or described.n == 1:
        raise NotApplicable("a product with a vector")
    found = tiles.tiles(described, replace(gpu, fma=2 * gpu.fma))[:VARIANTS]
    return [partial(schedule, tile=tile, gpu=gpu) for tile in found]


def schedule(sch: s_tir.Schedule, tile: tiles.Tile, gpu: Gpu) -> None:
    """Schedule a product with `tile`, whatever the model thinks of it."""
    anchor, kind = gemm.anchor_of(sch)
    roles = product.ROLES[kind]
    tensor.inline_widened(sch, anchor)
    groups = gemm.groups_of(sch, anchor)
    if groups > 1:
        product.split_groups(sch, anchor, groups)
        roles = product.ROLES["grouped"]
    described = product.describe(sch, anchor, roles)
    product.as_product(sch, anchor, roles, dtype=STORED)
    sch.pad_einsum(anchor, [1, tile.rows, tile.columns, tile.depth * tile.parts])
    step, _ = sch.split(sch.get_loops(anchor)[-1], [None, tile.depth])
    short = sch.rfactor(step, 0)
    sch.unsafe_set_dtype(short, 0, STORED)
    if tile.parts > 1:
        part, _ = sch.split(sch.get_loops(anchor)[-1], [tile.parts, None])
        sums = sch.rfactor(part, 0)
        _tiled(sch, short, sums, tile, described, with_epilogue=False)
        gemm.add_up(sch, anchor, described, tile.columns, gpu)
    else:
        _tiled(sch, short, anchor, tile, described, with_epilogue=True)
    schedule_rest(sch, gpu)


def _tiled(
    sch: s_tir.Schedule,
    short: SBlockRV,
    sums: SBlockRV,
    tile: tiles.Tile,
    described: tiles.Product,
    with_epilogue: bool,
) -> None:
    *outer, m, n, step = gemm.ordered(sch, sums)
    m_near, n_near, thread = gemm.bind_tile(sch, outer, m, n, [step], tile)
    kept = sch.cache_write(sums, 0, "local")
    sch.reverse_compute_at(kept, thread, preserve_unit_loops=True)

    sch.compute_at(short, step, preserve_unit_loops=True)
    sch.set_scope(short, 0, "local")
    rows, columns, term = sch.get_loops(short)[-3:]
    sch.reorder(term, rows, columns)
    pieces = []
    for index, unit in enumerate((described.depth_unit, described.n)):
        wide = next(wide for wide in (WIDE[index], 2, 1) if unit % wide == 0)
        pieces.append(gemm.to_shared(sch, short, index, step, tile, wide, along_sum=index == 0))
    for index, near in enumerate((tile.per_row, tile.per_column)):
        fragment = sch.cache_read(short, index, "local")
        sch.compute_at(fragment, term, preserve_unit_loops=True)
        gemm.vectors(sch, fragment, VECTOR if near % VECTOR == 0 else near)
    for piece in pieces:
        inline_before(sch, piece)
    if with_epilogue:
        inline_behind(sch, kept)
    gemm.sample_unrolling(sch, thread)
    for loop in (m_near, n_near, *sch.get_loops(sch.decompose_reduction(short, term))[-2:]):
        sch.unroll(loop)
    gemm.write_out(sch, kept, described)
    size = tuple(VECTOR if near % VECTOR == 0 else near for near in (tile.per_row, tile.per_column))
    sch.tensorize(rows, multiply(*size))
    for loop in sch.get_loops(sch.decompose_reduction(sums, step))[-2:]:
        sch.unroll(loop)


_SOURCE = """
__device__ __forceinline__ void edgetune_half_{rows}x{columns}(
    half* sums, const half* left, const half* right, int stride) {{
#pragma unroll
  for (int i = 0; i < {rows}; ++i) {{
    const half2 both = __half2half2(left[i]);
#pragma unroll
    for (int j = 0; j < {columns}; j += 2) {{
      half2* at = reinterpret_cast<half2*>(sums + i * stride + j);
      *at = __hfma2(both, *reinterpret_cast<const half2*>(right + j), *at);
    }}
  }}
}}
"""
_INTRINSIC = """
@T.prim_func(private=True, s_tir=True)
def {name}(a: T.handle, b: T.handle, d: T.handle) -> None:
    {strides}
    A = T.match_buffer(a, ({rows},), "float16", align=8, offset_factor=1, scope="local")
    B = T.match_buffer(b, ({columns},), "float16", align=8, offset_factor=1, scope="local")
    D = T.match_buffer(d, ({rows}, {columns}), "float16", align=8, offset_factor=1, scope="local"{strided})
    with T.sblock("root"):
        T.reads(D[0:{rows}, 0:{columns}], A[0:{rows}], B[0:{columns}])
        T.writes(D[0:{rows}, 0:{columns}])
        {body}
"""
_DESCRIPTION = """for i, j in T.grid({rows}, {columns}):
            with T.sblock("tile"):
                vi, vj = T.axis.remap("SS", [i, j])
                D[vi, vj] = T.Cast("float16", T.Cast("float32", D[vi, vj])
                    + T.Cast("float32", A[vi]) * T.Cast("float32", B[vj]))"""
_CALL = """T.evaluate(T.cuda.func_call("edgetune_half_{rows}x{columns}", D.access_ptr("rw"), A.access_ptr("r"),
            B.access_ptr("r"), D1, source_code=source))"""


@cache
def multiply(rows: int, columns: int) -> str:
    """The name of the intrinsic, made known to TVM, that adds [rows] x [columns] to as many sums in FP16."""
    name = f"edgetune.half.{rows}x{columns}"
    source = _SOURCE.format(rows=rows, columns=columns)
    parsed = []
    for kind, body, strides, strided in (
        ("description", _DESCRIPTION, "pass", ""),
        ("implementation", _CALL, "D1 = T.int32()", ", strides=[D1, 1]"),
    ):
        filled = body.format(rows=rows, columns=columns)
        text = _INTRINSIC.format(name=kind, rows=rows, columns=columns, body=filled, strides=strides, strided=strided)
        parsed.append(from_source(text.replace("    pass\n", ""), {"T": script, "source": source}))
    TensorIntrin.register(name, *parsed)
    return name

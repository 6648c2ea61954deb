"""Tensor intrinsics: what a warp does at once on tensor cores, on tiles of 16 x 16 elements.

TVM registers some 150 of these when `tvm.s_tir.tensor_intrin` is imported, which takes half a minute; these are the
few that the schedules here use. Code generation writes them as functions of `nvcuda::wmma`, for which
`compiler/cuda/fragments.py` has an implementation of its own.

Code generation knows tiles of FP32 only as sums, and wants all tiles of a product to say the same three sizes. Tiles of
TF32 are sums whose third size, which means nothing, tells the first factor's from the second's, so that they are of
types of their own; they are multiplied by a function that it does not look into. What loads them rounds data to TF32,
which the description of the intrinsic does not say.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tvm.s_tir import TensorIntrin
from tvm.script import from_source
from tvm.script import tirx as script

from .factors import ALL, HALF, Factors

SIDE = 16  # rows, columns and terms of the sum of a tile
SHARED = "shared.dyn"  # of factors
STAGED = "shared"  # of the result: of one scope, TVM would lay it over FP16 and refuse to access that as FP32
SUMS = "wmma.accumulator"
TAGS = (8, 4)  # the third size of tiles of TF32, of the first factor and of the second

ZERO = "edgetune.tile.zero"
STORE = "edgetune.tile.store"
LOADS = ("load_first", "load_second")
MULTIPLY = "multiply"
NAMES = frozenset((ZERO, STORE, *(factors.intrinsic(step) for factors in ALL for step in (*LOADS, MULTIPLY))))


class _Tile(NamedTuple):
    name: str
    dtype: str
    scope: str

    def match(self, strided: bool) -> str:
        """The line that declares this tile as parameter; `strided` with its strides, {name}1 and {name}0."""
        strides = f", strides=[{self.name}1, {self.name}0]" if strided else ""
        return (
            f"    {self.name} = T.match_buffer({self.name}_handle, (16, 16), "
            f'"{self.dtype}", align=64, offset_factor=16, scope="{self.scope}"{strides})'
        )

    @property
    def fragment(self) -> str:
        """Which fragment of its buffer this tile is."""
        stride, offset = f"{self.name}1", f"{self.name}.elem_offset"
        return f"{offset} // {stride} // 16 * ({stride} // 16) + {offset} % {stride} // 16"


_SUM = _Tile("D", "float32", SUMS)


@lru_cache(maxsize=1)
def register() -> None:
    """Make the intrinsics known to TVM, by the names above. Cheap when repeated."""
    sums = f"D.data, 16, 16, 16, {_SUM.fragment}"
    _register(
        ZERO,
        (_SUM,),
        reads=(),
        body="D[vi, vj] = T.float32(0)",
        call=f'T.tvm_fill_fragment({sums}, T.float32(0), dtype="void")',
    )
    staged = _Tile("S", "float32", STAGED)
    _register(
        STORE,
        (_SUM, staged),
        reads=(_SUM,),
        body="S[vi, vj] = D[vi, vj]",
        call=f'T.tvm_store_matrix_sync({sums}, S.access_ptr("w"), S1, "row_major", dtype="void")',
    )
    for factors in ALL:
        _register_factors(factors)


def _register_factors(factors: Factors) -> None:
    """The intrinsics of one type of factors."""
    piece = _Tile("S", factors.dtype, SHARED)
    first, second = (_Tile(name, factors.dtype, scope) for name, scope in zip("AB", factors.scopes, strict=True))
    tags = (16, 16) if factors is HALF else TAGS
    for step, tile, tag in zip(LOADS, (first, second), tags, strict=True):
        target = f"{tile.name}.data, 16, 16, {tag}, {tile.fragment}"
        _register(
            factors.intrinsic(step),
            (piece, tile),
            reads=(piece,),
            body=f"{tile.name}[vi, vj] = S[vi, vj]",
            call=f'T.tvm_load_matrix_sync({target}, S.access_ptr("r"), S1, "row_major", dtype="void")',
        )
    if factors is HALF:
        pairs = ", ".join(f"{tile.name}.data, {tile.fragment}" for tile in (_SUM, first, second, _SUM))
        call = f'T.tvm_mma_sync({pairs}, dtype="void")'
        term = 'T.Cast("float32", A[vi, vk]) * T.Cast("float32", B[vk, vj])'
    else:
        pairs = ", ".join(f"{tile.name}.data, {tile.fragment}" for tile in (_SUM, first, second))
        call = f'T.cuda.func_call("nvcuda::wmma::multiply", {pairs}, source_code="")'
        term = "A[vi, vk] * B[vk, vj]"
    _register(
        factors.intrinsic(MULTIPLY),
        (first, second, _SUM),
        reads=(_SUM, first, second),
        body=f"D[vi, vj] = D[vi, vj] + {term}",
        call=call,
        summed=True,
    )


def _register(
    name: str, tiles: tuple[_Tile, ...], reads: tuple[_Tile, ...], body: str, call: str, summed: bool = False
) -> None:
    """Register `name`: `call` does what `body` says of every element of `tiles`, the last of which is written.

    With `summed`, `body` is a term of a sum over vk.
    """
    axes, kinds = ("i, j, k", "SSR") if summed else ("i, j", "SS")
    block = [
        '    with T.sblock("root"):',
        f"        T.reads({', '.join(f'{tile.name}[0:16, 0:16]' for tile in reads)})",
        f"        T.writes({tiles[-1].name}[0:16, 0:16])",
    ]
    handles = ", ".join(f"{tile.name}_handle: T.handle" for tile in tiles)
    description = [
        f"def description({handles}) -> None:",
        *(tile.match(strided=False) for tile in tiles),
        *block,
        f"        for {axes} in T.grid({', '.join(['16'] * len(kinds))}):",
        '            with T.sblock("tile"):',
        f'                {", ".join("v" + a for a in axes.split(", "))} = T.axis.remap("{kinds}", [{axes}])',
        f"                {body}",
    ]
    implementation = [
        f"def implementation({handles}) -> None:",
        *(f"    {tile.name}{axis} = T.int32()" for tile in tiles for axis in (1, 0)),
        *(tile.match(strided=True) for tile in tiles),
        *block,
        f"        T.evaluate({call})",
    ]
    parsed = [
        from_source("\n".join(("@T.prim_func(private=True, s_tir=True)", *lines)) + "\n", {"T": script})
        for lines in (description, implementation)
    ]
    TensorIntrin.register(name, *parsed)

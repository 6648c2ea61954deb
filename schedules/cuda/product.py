"""Convolutions and fully connected layers seen as matrix products, whatever their axes are.

A convolution becomes [group][pixel, tap and channel in] x [tap and channel in, channel out] without a copy of its
input in memory: the picture is gathered as pieces of it are brought into shared memory, where padding and what tiles
exceed the product by are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import s_tir, tirx
from tvm.s_tir.schedule import SBlockRV

from .blocks import NotApplicable, extents
from .tiles import Product

# The part that each axis of a kernel's block plays: group, row of the result, column of it, or the sum.
GROUP, ROW, COLUMN, SUM = "g", "m", "n", "k"
ROLES = {
    "conv2d": (ROW, ROW, ROW, COLUMN, SUM, SUM, SUM),
    "grouped": (ROW, ROW, ROW, GROUP, COLUMN, SUM, SUM, SUM),
    "dense": (ROW, COLUMN, SUM),
}


def describe(sch: s_tir.Schedule, anchor: SBlockRV, roles: Sequence[str], groups: int = 1) -> Product:
    """The product that `anchor` computes; with `groups`, its columns hold that many groups."""
    sizes = dict.fromkeys((GROUP, ROW, COLUMN, SUM), 1)
    axes = extents(sch, anchor)
    if len(axes) != len(roles):
        raise NotApplicable("not the axes of such a kernel")
    for size, role in zip(axes, roles, strict=True):
        sizes[role] *= size
    return Product(sizes[GROUP] * groups, sizes[ROW], sizes[COLUMN] // groups, sizes[SUM], axes[-1])


def split_groups(sch: s_tir.Schedule, anchor: SBlockRV, groups: int) -> None:
    """Give the groups of a convolution, which lie one behind another along its channels, an axis of their own."""
    each = extents(sch, anchor)[3] // groups
    sch.transform_block_layout(
        anchor, lambda n, y, x, c, rh, rw, rc: (n, y, x, tirx.floordiv(c, each), tirx.floormod(c, each), rh, rw, rc)
    )


def as_product(
    sch: s_tir.Schedule, anchor: SBlockRV, roles: Sequence[str], rows_first: bool = False, dtype: str | None = None
) -> None:
    """Rewrite `anchor` to loops (group, row, column, sum).

    Blocks before it gather the factors [group, sum, row], with `rows_first` [group, row, sum], and
    [group, sum, column], in `dtype` if that is given; one behind it puts the result [group, row, column] into its
    place.
    """
    first = sch.reindex(anchor, ("read", 0))
    second = sch.reindex(anchor, ("read", 1))
    for factor in (first, second):
        if dtype is not None and str(sch.get(factor).writes[0].source.dtype) != dtype:
            sch.unsafe_set_dtype(factor, 0, dtype)
    result = sch.reindex(anchor, ("write", 0))
    block = sch.get(anchor)
    order = {axis.var: (role, axis.dom.extent) for axis, role in zip(block.iter_vars, roles, strict=True)}

    first_order = (GROUP, ROW, SUM) if rows_first else (GROUP, SUM, ROW)

    def axes_of(region: tirx.BufferRegion) -> list[tuple[str, tirx.PrimExpr]]:
        return [order[index.min] for index in region.region]

    sch.transform_layout(first, ("write", 0), _fused(axes_of(block.reads[0]), first_order))
    sch.transform_layout(second, ("write", 0), _fused(axes_of(block.reads[1]), (GROUP, SUM, COLUMN)))
    sch.transform_layout(result, ("read", 0), _fused(axes_of(block.writes[0]), (GROUP, ROW, COLUMN)))
    sch.transform_block_layout(anchor, _fused(list(order.values()), (GROUP, ROW, COLUMN, SUM)))


def _fused(axes: Sequence[tuple[str, tirx.PrimExpr]], order: Sequence[str]) -> tirx.IndexMap:
    """The map that makes one axis of all that play the same part."""
    inputs: list[tirx.Var] = []
    fused: dict[str, tirx.PrimExpr] = {}
    for position, (role, size) in enumerate(axes):
        axis = tirx.Var(f"i{position}", size.ty)
        inputs.append(axis)
        if int(size) == 1:  # an axis of one element may have lost its kind
            continue
        fused[role] = fused[role] * size + axis if role in fused else axis
    zero = tirx.IntImm(axes[0][1].ty, 0)
    return tirx.IndexMap(inputs, [fused.get(role, zero) for role in order], None)

"""Winograd convolution F(m x m, 3 x 3), channels last (Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2015): a 3x3 convolution with stride 1 as 36 (m = 4) or 16 (m = 2) small matrix products.

Multiplications per output: 2.25 for m = 4 and 4 for m = 2, against 9 for the direct algorithm. The transforms are
written out with their literal coefficients, most of which are 0 or 1, instead of as products with small matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import te, tirx

from . import GROUPS, KERNEL
from .padding import out_size, pad_spatial
from .widen import widened

# For each m: B^T (input), G (weight) and A^T (output), with the interpolation points 0, 1, -1, (2, -2,) infinity.
MATRICES: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
    2: (
        np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], "float64"),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], "float64"),
        np.array([[1, 1, 1, 0], [0, 1, -1, -1]], "float64"),
    ),
    4: (
        np.array(
            [
                [4, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ],
            "float64",
        ),
        np.array(
            [
                [1 / 4, 0, 0],
                [-1 / 6, -1 / 6, -1 / 6],
                [-1 / 6, 1 / 6, -1 / 6],
                [1 / 24, 1 / 12, 1 / 6],
                [1 / 24, -1 / 12, 1 / 6],
                [0, 0, 1],
            ],
            "float64",
        ),
        np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], "float64"),
    ),
}


def transform_weight(weight: np.ndarray, m: int) -> np.ndarray:
    """`weight` [3, 3, ci, co] -> G weight G^T, [m + 2, m + 2, ci, co] float32; worked out in float64."""
    g = MATRICES[m][1]
    return np.einsum("ey,vx,yxio->evio", g, g, weight.astype("float64"), optimize=True).astype("float32")


def _combine(index: tirx.PrimExpr, rows: np.ndarray, read: Callable[[int], tirx.PrimExpr]) -> tirx.PrimExpr:
    """sum_k rows[index][k] * read(k): one sum per row, of which the unrolled `index` selects one."""

    def row(coefficients: np.ndarray) -> tirx.PrimExpr:
        total = None
        for k, coefficient in enumerate(coefficients):
            if coefficient == 0:
                continue
            term = read(k)
            if abs(coefficient) != 1:
                term = term * tirx.const(abs(float(coefficient)), "float32")
            if total is None:
                total = term if coefficient > 0 else tirx.const(0.0, "float32") - term
            else:
                total = total + term if coefficient > 0 else total - term
        return total

    result = row(rows[-1])
    for k in range(len(rows) - 2, -1, -1):
        result = tirx.Select(tirx.EQ(index, k), row(rows[k]), result)
    return result


def conv2d_winograd(data: te.Tensor, weight: te.Tensor, pads: Sequence[int], groups: int, m: int) -> te.Tensor:
    """Convolve `data` [n, h, w, ci] with `weight` from `transform_weight`, [m+2, m+2, ci/groups, co]; stride 1."""
    n, height, width, ci = (int(d) for d in data.shape)
    alpha, _, ci_group, co = (int(d) for d in weight.shape)
    co_group = co // groups
    b_t, _, a_t = MATRICES[m]
    top, left, bottom, right = pads
    oh, ow = out_size(height, 3, 1, top, bottom), out_size(width, 3, 1, left, right)
    tiles_h, tiles_w = -(-oh // m), -(-ow // m)
    tiles = n * tiles_h * tiles_w
    padded = pad_spatial(data, (top, left, bottom + tiles_h * m - oh, right + tiles_w * m - ow))

    def pixel(t: tirx.PrimExpr, y: tirx.PrimExpr, x: tirx.PrimExpr, c: tirx.PrimExpr) -> tirx.PrimExpr:
        image, rest = t // (tiles_h * tiles_w), t % (tiles_h * tiles_w)
        return padded[image, (rest // tiles_w) * m + y, (rest % tiles_w) * m + x, c]

    rows = te.compute(
        (alpha, alpha, tiles, ci),
        lambda e, v, t, c: _combine(e, b_t, lambda k: pixel(t, k, v, c)),
        name="input_rows",
        attrs={KERNEL: "winograd_rows"},
    )
    pack = te.compute(
        (alpha, alpha, tiles, ci),
        lambda e, v, t, c: _combine(v, b_t, lambda k: rows[e, k, t, c]),
        name="input_tiles",
        attrs={KERNEL: "winograd_pack"},
    )
    r = te.reduce_axis((0, ci_group), "r")

    def channel(o: tirx.PrimExpr) -> tirx.PrimExpr:
        return r if groups == 1 else (o // co_group) * ci_group + r

    wide = widened(weight)
    product = te.compute(
        (alpha, alpha, tiles, co),
        lambda e, v, t, o: te.sum(pack[e, v, t, channel(o)] * wide[e, v, r, o], axis=[r]),
        name="product",
        attrs={KERNEL: "winograd", GROUPS: groups},
    )
    columns = te.compute(
        (m, alpha, tiles, co),
        lambda y, v, t, o: _combine(y, a_t, lambda k: product[k, v, t, o]),
        name="output_rows",
        attrs={KERNEL: "winograd_columns"},
    )
    inverse = te.compute(
        (m, m, tiles, co),
        lambda y, x, t, o: _combine(x, a_t, lambda k: columns[y, k, t, o]),
        name="output_tiles",
        attrs={KERNEL: "winograd_inverse"},
    )
    return te.compute(
        (n, oh, ow, co),
        lambda i, y, x, o: inverse[y % m, x % m, (i * tiles_h + y // m) * tiles_w + x // m, o],
        name="conv2d_winograd",
        attrs={KERNEL: "winograd_out"},
    )

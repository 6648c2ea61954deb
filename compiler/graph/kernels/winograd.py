"""Winograd convolution F(m x m, r x r), channels last (Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2015): an r x r convolution with stride 1 as alpha^2 small matrix products, alpha = m + r - 1.

Multiplications per output: 4 for F(2x2, 3x3) and 2.25 for F(4x4, 3x3) against 9 for the direct algorithm, 9 for
F(2x2, 5x5) against 25. The transforms are written out with their literal coefficients, most of which are 0 or 1,
instead of as products with small matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx

from . import GROUPS, KERNEL
from .padding import out_size, pad_spatial
from .widen import widened


@dataclass(frozen=True)
class Transform:
    """The interpolation points besides infinity, by what each one's weights are scaled, the sign of infinity's share in
    the output, and B^T, which transforms the input: it depends on alpha alone."""

    points: tuple[int, ...]
    scales: tuple[float, ...]
    infinity: int
    input: np.ndarray

    def weight(self, r: int) -> np.ndarray:
        """G, [alpha, r]."""
        rows = [[scale * point**k for k in range(r)] for point, scale in zip(self.points, self.scales, strict=True)]
        return np.array([*rows, [0.0] * (r - 1) + [1.0]], "float64")

    def output(self, m: int) -> np.ndarray:
        """A^T, [m, alpha]."""
        return np.array(
            [[*(point**k for point in self.points), self.infinity * (k == m - 1)] for k in range(m)], "float64"
        )


TRANSFORMS = {
    4: Transform(
        points=(0, 1, -1),
        scales=(1.0, 1 / 2, 1 / 2),
        infinity=-1,
        input=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], "float64"),
    ),
    6: Transform(
        points=(0, 1, -1, 2, -2),
        scales=(1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24),
        infinity=1,
        input=np.array(
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
    ),
}
"""By alpha."""


def transform_weight(weight: np.ndarray, m: int) -> np.ndarray:
    """`weight` [r, r, ci, co] -> G weight G^T, [alpha, alpha, ci, co] float32; worked out in float64."""
    r = weight.shape[0]
    g = TRANSFORMS[m + r - 1].weight(r)
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
    """Convolve `data` [n, h, w, ci] with `weight` from `transform_weight`, [alpha, alpha, ci/groups, co]; stride 1.

    Either may be stored in a narrower type than float32, which everything is computed in.
    """
    n, height, width, ci = (int(d) for d in data.shape)
    alpha, _, ci_group, co = (int(d) for d in weight.shape)
    co_group = co // groups
    b_t, a_t, r = TRANSFORMS[alpha].input, TRANSFORMS[alpha].output(m), alpha - m + 1
    top, left, bottom, right = pads
    oh, ow = out_size(height, r, 1, top, bottom), out_size(width, r, 1, left, right)
    tiles_h, tiles_w = -(-oh // m), -(-ow // m)
    tiles = n * tiles_h * tiles_w
    filled = (top, left, bottom + tiles_h * m - oh, right + tiles_w * m - ow)
    padded = widened(pad_spatial(data, filled), "widen_data")

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
    k = te.reduce_axis((0, ci_group), "r")

    def channel(o: tirx.PrimExpr) -> tirx.PrimExpr:
        return k if groups == 1 else (o // co_group) * ci_group + k

    wide = widened(weight)
    product = te.compute(
        (alpha, alpha, tiles, co),
        lambda e, v, t, o: te.sum(pack[e, v, t, channel(o)] * wide[e, v, k, o], axis=[k]),
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

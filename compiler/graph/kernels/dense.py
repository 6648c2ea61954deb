"""Fully connected layers: a matrix of activations times a matrix of weights."""

from __future__ import annotations

from tvm import te

from . import KERNEL, rounding
from .widen import widened


def dense(data: te.Tensor, weight: te.Tensor, factors: str | None = None) -> te.Tensor:
    """`data` [m, k] times `weight` [k, n] -> [m, n] float32; what is stored narrower is widened.

    `factors`: what a schedule may round them to (`FACTORS`).
    """
    m, k = (int(d) for d in data.shape)
    n = int(weight.shape[1])
    r = te.reduce_axis((0, k), "r")

    rows, wide = widened(data, "widen_data"), widened(weight)
    return te.compute(
        (m, n),
        lambda i, j: te.sum(rows[i, r] * wide[r, j], axis=[r]),
        name="dense",
        attrs={KERNEL: "dense", **rounding(factors)},
    )

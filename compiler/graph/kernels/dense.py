"""Fully connected layers: a matrix of activations times a matrix of weights."""

from __future__ import annotations

from tvm import te, tirx

from . import KERNEL


def dense(data: te.Tensor, weight: te.Tensor) -> te.Tensor:
    """`data` [m, k] times `weight` [k, n] -> [m, n] float32; a `weight` stored narrower is widened as it is read."""
    m, k = (int(d) for d in data.shape)
    n = int(weight.shape[1])
    r = te.reduce_axis((0, k), "r")

    def wide(value: tirx.PrimExpr) -> tirx.PrimExpr:
        return value.astype("float32") if value.dtype != "float32" else value

    return te.compute(
        (m, n),
        lambda i, j: te.sum(wide(data[i, r]) * wide(weight[r, j]), axis=[r]),
        name="dense",
        attrs={KERNEL: "dense"},
    )

"""Weights that are stored in a narrower type than they are computed with."""

from __future__ import annotations

from tvm import te

from . import KERNEL


def widened(weight: te.Tensor) -> te.Tensor:
    """`weight` in float32; itself where it is that already.

    A stage of its own, so that a schedule may widen a tile of weights once for many rows; inlined, every read widens.
    """
    if str(weight.dtype) == "float32":
        return weight
    return te.compute(weight.shape, lambda *i: weight[i].astype("float32"), name="widened", attrs={KERNEL: "widen"})

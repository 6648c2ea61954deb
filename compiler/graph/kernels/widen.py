"""Factors that are stored in a narrower type than they are computed with."""

from __future__ import annotations

from tvm import te

from . import KERNEL


def widened(factor: te.Tensor, kind: str = "widen") -> te.Tensor:
    """`factor` in float32; itself where it is that already.

    A stage of its own, so that a schedule may widen a tile of weights once for many rows; inlined, every read widens.
    Weights are of the `kind` widen, activations of the kind widen_data.
    """
    if str(factor.dtype) == "float32":
        return factor
    name = "widened" if kind == "widen" else "widened_data"
    return te.compute(factor.shape, lambda *i: factor[i].astype("float32"), name=name, attrs={KERNEL: kind})

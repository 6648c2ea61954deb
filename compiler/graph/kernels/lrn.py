"""Local response normalisation over channels (Krizhevsky et al., 2012, section 3.3), as one kernel."""

from __future__ import annotations

from tvm import te, tirx, topi

from . import KERNEL
from .widen import widened


def lrn(data: te.Tensor, size: int, alpha: float, beta: float, bias: float, axis: int) -> te.Tensor:
    """`data` / (`bias` + `alpha`/`size` * sum of squares over `size` neighbours along `axis`) ** `beta`.

    `data` is four-dimensional, the result float32, as all of the arithmetic is. The window is the ONNX one:
    floor((size-1)/2) before, the rest behind.
    """
    data = widened(data, "widen_data")
    before = (size - 1) // 2
    low = [before if d == axis else 0 for d in range(4)]
    high = [size - 1 - before if d == axis else 0 for d in range(4)]
    square = te.compute(data.shape, lambda *i: data[i] * data[i], name="square")
    padded = topi.nn.pad(square, low, high, pad_value=tirx.const(0.0, data.dtype), name="padded", attrs={KERNEL: "pad"})

    def neighbours(*index: tirx.PrimExpr) -> tirx.PrimExpr:
        total = None
        for k in range(size):
            at = [i + k if d == axis else i for d, i in enumerate(index)]
            total = padded[tuple(at)] if total is None else total + padded[tuple(at)]
        return total

    def scaled(*index: tirx.PrimExpr) -> tirx.PrimExpr:
        base = tirx.const(bias, data.dtype) + tirx.const(alpha / size, data.dtype) * neighbours(*index)
        if (
            beta == 0.75
        ):  # the field's constant: two square roots are vector instructions, a power is a call per element
            root = tirx.sqrt(base)
            return data[index] / (root * tirx.sqrt(root))
        if beta == 0.5:
            return data[index] / tirx.sqrt(base)
        if beta == 1.0:
            return data[index] / base
        return data[index] / tirx.power(base, tirx.const(beta, data.dtype))

    return te.compute(data.shape, scaled, name="lrn", attrs={KERNEL: "lrn"})

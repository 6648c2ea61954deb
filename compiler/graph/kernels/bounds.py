"""Elementwise bounds (ReLU, Clip, Max, Min) that hand a NaN on, as ONNX does: TVM's own turn it into the bound.

LLVM is given `max(a, b)` as `a > b ? a : b`, which is `b` where either is NaN and one instruction (x86's maxps is just
that): so with the bound first a NaN costs nothing.
"""

from __future__ import annotations

from tvm import te, tirx


def relu(data: te.Tensor) -> te.Tensor:
    """max(`data`, 0)."""
    zero = tirx.const(0.0, data.dtype)
    return te.compute(data.shape, lambda *i: tirx.max(zero, data[i]), name="relu")


def at_least(data: te.Tensor, low: float) -> te.Tensor:
    """max(`data`, `low`); `low` is a number, not NaN."""
    bound = tirx.const(low, data.dtype)
    return te.compute(data.shape, lambda *i: tirx.max(bound, data[i]), name="at_least")


def at_most(data: te.Tensor, high: float) -> te.Tensor:
    """min(`data`, `high`); `high` is a number, not NaN."""
    bound = tirx.const(high, data.dtype)
    return te.compute(data.shape, lambda *i: tirx.min(bound, data[i]), name="at_most")


def clip(data: te.Tensor, low: float, high: float) -> te.Tensor:
    """min(max(`data`, `low`), `high`)."""
    bottom, top = tirx.const(low, data.dtype), tirx.const(high, data.dtype)
    return te.compute(data.shape, lambda *i: tirx.min(top, tirx.max(bottom, data[i])), name="clip")


def maximum(left: te.Tensor, right: te.Tensor) -> te.Tensor:
    """The larger of each two elements, NaN where either is; shapes broadcast."""
    return _of_two(left, right, tirx.max, "maximum")


def minimum(left: te.Tensor, right: te.Tensor) -> te.Tensor:
    """The smaller of each two elements, NaN where either is; shapes broadcast."""
    return _of_two(left, right, tirx.min, "minimum")


def _of_two(left: te.Tensor, right: te.Tensor, choose: object, name: str) -> te.Tensor:
    rank = max(len(left.shape), len(right.shape))
    shapes = [[1] * (rank - len(t.shape)) + [int(d) for d in t.shape] for t in (left, right)]

    def at(tensor: te.Tensor, position: tuple[tirx.Var, ...]) -> tirx.PrimExpr:
        own = position[rank - len(tensor.shape) :]
        return tensor[tuple(0 if int(size) == 1 else i for size, i in zip(tensor.shape, own, strict=True))]

    def compute(*position: tirx.Var) -> tirx.PrimExpr:
        a, b = at(left, position), at(right, position)
        return tirx.Select(tirx.isnan(a), a, choose(a, b))  # type: ignore[operator]  # a NaN in b stays by itself

    return te.compute([max(pair) for pair in zip(*shapes, strict=True)], compute, name=name)

"""Sums of many numbers, in two steps: of parts, and of the parts' sums.

Added up one by one in float32, the errors of the numbers add up as well: of n equal ones, n / 2 roundings to the same
side may remain. In parts of about the square root of n, it is as many as that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import te, tirx

LONG = 256
"""Numbers from which on a sum is made in parts. No shorter: the averages of pictures' last layers, 7 x 7 to 14 x 14."""


def long_sum(data: te.Tensor, axes: Sequence[int], keepdims: bool, divisor: float = 1.0) -> te.Tensor:
    """The sum of `data` along `axes` (in order, none below zero), over `divisor`."""
    shape = [int(size) for size in data.shape]
    split, part = _parts(shape, axes)
    outer = [axis for axis in axes if axis < split]
    inner = [axis for axis in axes if axis > split]
    count = -(-shape[split] // part)
    kept = [axis for axis in range(len(shape)) if axis not in inner]

    steps = te.reduce_axis((0, part), "step")
    within = {axis: te.reduce_axis((0, shape[axis]), f"within_{axis}") for axis in inner}

    def partial(*place: tirx.PrimExpr) -> tirx.PrimExpr:
        at = dict(zip(kept, place, strict=True))
        index = at[split] * part + steps
        value = data[tuple(within[a] if a in within else index if a == split else at[a] for a in range(len(shape)))]
        if shape[split] % part:
            value = tirx.if_then_else(index < shape[split], value, tirx.const(0, data.dtype))
        return te.sum(value, axis=[steps, *within.values()])

    sizes = [count if axis == split else shape[axis] for axis in kept]
    parts = te.compute(sizes, partial, name="parts")

    across = {axis: te.reduce_axis((0, shape[axis]), f"across_{axis}") for axis in outer}
    across[split] = te.reduce_axis((0, count), "part")

    def whole(*place: tirx.PrimExpr) -> tirx.PrimExpr:
        left = list(place)
        at = [across[axis] if axis in across else left.pop(0) for axis in kept]
        return te.sum(parts[tuple(at)], axis=list(across.values()))

    remaining = [shape[axis] for axis in range(len(shape)) if axis not in axes]
    total = te.compute(remaining, whole, name="total")
    results = [1 if axis in axes else size for axis, size in enumerate(shape)] if keepdims else remaining

    def result(*place: tirx.PrimExpr) -> tirx.PrimExpr:
        at = [index for axis, index in enumerate(place) if axis not in axes] if keepdims else list(place)
        return total[tuple(at)] / tirx.const(divisor, data.dtype)

    return total if not keepdims and divisor == 1.0 else te.compute(results, result, name="result")


def length_of(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many numbers are added up."""
    return math.prod(shape[axis] for axis in axes)


def _parts(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int]:
    """The axis that is taken apart, and how long its parts are.

    The axes behind it are within a part, those before it across parts.
    """

    target = math.isqrt(length_of(shape, axes))
    inner = 1
    for axis in reversed(axes):
        size = shape[axis]
        if inner * size >= target or axis == axes[0]:
            wanted = max(1, round(target / inner))
            fitting = [d for d in range(1, size + 1) if size % d == 0 and wanted / 2 <= d <= 2 * wanted]
            return axis, min(fitting, key=lambda d: abs(d - wanted)) if fitting else min(wanted, size)
        inner *= size
    raise AssertionError("no axes")

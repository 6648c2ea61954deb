"""Kernels whose data and weights are FP16, as `half_activations` gives them: FP32 within, the result narrowed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from tvm import te

from compiler.graph.kernels.conv2d import conv2d
from compiler.graph.kernels.dense import dense
from compiler.graph.kernels.padding import four
from tests.schedules.kernels_for_tests import Array, Case, conv2d_reference, task_case, values, with_epilogue

HALF = "float16"
TOLERANCE = 1e-3  # of the largest value: one rounding of the result to 11 bits, and FP32 sums in another order


def half_conv(
    shape: tuple[int, int, int, int],
    co: int,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0,),
    epilogue: str | None = "relu",
) -> Case:
    data = values(1, *shape).astype(HALF)
    weight = (values(2, *kernel, shape[3], co) / np.sqrt(np.prod(kernel))).astype(HALF)
    out = conv2d_reference(data, weight, strides, four(pads), (1, 1), 1)
    return _narrowed(partial(conv2d, strides=strides, pads=four(pads), dilation=(1, 1), groups=1), data, weight, out)


def half_dense(m: int, k: int, n: int) -> Case:
    data, weight = values(1, m, k).astype(HALF), values(2, k, n).astype(HALF)
    return _narrowed(dense, data, weight, data.astype("float64") @ weight.astype("float64"))


def _narrowed(kernel: partial[te.Tensor] | object, data: Array, weight: Array, out: Array) -> Case:
    behind, extra, expected = with_epilogue("relu", out)

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        wide = behind(kernel(x, w), list(more))  # type: ignore[misc, operator]
        return te.compute(wide.shape, lambda *i: wide[i].astype(HALF), name="narrowed")

    return replace(task_case(compute, [data, weight, *extra], expected, weight=1), tolerance=TOLERANCE)

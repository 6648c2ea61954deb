"""Kernels of `compiler.graph.kernels` as tasks, with numpy arguments and what they must compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tvm
from tvm import te, topi

from compiler.graph.half_arithmetic import run_of
from compiler.graph.kernels.concat import concat
from compiler.graph.kernels.conv2d import conv2d
from compiler.graph.kernels.conv2d_half import conv2d_half
from compiler.graph.kernels.dense import dense
from compiler.graph.kernels.grouped import conv2d_grouped
from compiler.graph.kernels.lrn import lrn
from compiler.graph.kernels.padding import four
from compiler.graph.kernels.pool2d import pool2d
from compiler.graph.kernels.winograd import conv2d_winograd, transform_weight
from compiler.graph.scheduling import as_task
from compiler.graph.tf32 import to_tf32

Array = np.ndarray


@dataclass
class Case:
    """A task, the arrays that it is called with and the array that it must write, up to `tolerance` of the largest."""

    task: tvm.IRModule
    arguments: list[Array]
    expected: Array
    tolerance: float = 2e-5


def values(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def placeholders(arrays: Sequence[Array]) -> list[te.Tensor]:
    return [te.placeholder(a.shape, str(a.dtype), name=f"p{i}") for i, a in enumerate(arrays)]


def task_case(
    kernel: Callable[..., te.Tensor], arguments: list[Array], expected: Array, weight: int | None = None
) -> Case:
    """`kernel` of `arguments`; `weight` is the position of the one whose layout schedules may choose."""
    inputs = placeholders(arguments)
    func = te.create_prim_func([*inputs, kernel(*inputs)])
    if weight is not None:
        func = func.with_attr("layout_free_buffers", [weight])
    return Case(as_task(func), arguments, expected)


# ---- what fusion puts behind a kernel

Epilogue = Callable[[te.Tensor, list[te.Tensor]], te.Tensor]


def bias_relu(out: te.Tensor, extra: list[te.Tensor]) -> te.Tensor:
    [bias] = extra
    summed = te.compute(out.shape, lambda *i: out[i] + bias[i[-1]], name="bias")
    return te.compute(out.shape, lambda *i: te.max(summed[i], tvm.tirx.const(0.0, "float32")), name="relu")


def residual(out: te.Tensor, extra: list[te.Tensor]) -> te.Tensor:
    bias, other = extra
    summed = te.compute(out.shape, lambda *i: out[i] + bias[i[-1]] + other[i], name="add")
    return te.compute(out.shape, lambda *i: te.sigmoid(summed[i]), name="sigmoid")


def with_epilogue(name: str | None, out: Array) -> tuple[Epilogue | None, list[Array], Array]:
    """The epilogue called `name`, its arguments and what it makes of `out`."""
    if name is None:
        return None, [], out
    bias = values(90, out.shape[-1])
    if name == "relu":
        return bias_relu, [bias], np.maximum(out + bias, 0)
    other = values(91, *out.shape)
    return residual, [bias, other], 1 / (1 + np.exp(-(out + bias + other).astype("float64")))


# ---- convolutions


def conv2d_reference(
    data: Array, weight: Array, strides: Sequence[int], pads: Sequence[int], dilation: Sequence[int], groups: int
) -> Array:
    """NHWC x HWIO, in float64."""
    top, left, bottom, right = pads
    x = np.pad(data.astype("float64"), ((0, 0), (top, bottom), (left, right), (0, 0)))
    kh, kw, ci, co = weight.shape
    oh = (x.shape[1] - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    ow = (x.shape[2] - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    out = np.zeros((data.shape[0], oh, ow, co))
    each = co // groups
    for g in range(groups):
        for i in range(kh):
            for j in range(kw):
                rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * strides[0] + 1, strides[0])
                columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * strides[1] + 1, strides[1])
                part = x[:, rows, columns, g * ci : (g + 1) * ci]
                out[..., g * each : (g + 1) * each] += part @ weight[i, j, :, g * each : (g + 1) * each].astype(
                    "float64"
                )
    return out


def as_factors(factors: str | None, weight: Array, data: Array) -> tuple[Array, Array]:
    """`weight` as the compiler stores it, and `data` as it is multiplied."""
    return (to_tf32(weight), to_tf32(data)) if factors == "tf32" else (weight, data)


def conv_case(
    shape: tuple[int, int, int, int],
    co: int,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0,),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    epilogue: str | None = "relu",
    storage: str = "float32",
    kept: int | None = None,
    factors: str | None = None,
) -> Case:
    """A direct convolution of NHWC `shape`, `pads` as Relax gives them; only `kept` of the `co` channels come out.
    With `factors` tf32 the reference's are rounded to that."""
    data = values(1, *shape)
    weight = (values(2, *kernel, shape[3] // groups, co) / np.sqrt(np.prod(kernel))).astype(storage)
    weight, read = as_factors(factors, weight, data)
    sides = four(pads)
    out = conv2d_reference(read, weight, strides, sides, dilation, groups)[..., :kept]
    behind, extra, expected = with_epilogue(epilogue, out)

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        result = conv2d(x, w, strides, sides, dilation, groups, kept, factors)
        return behind(result, list(more)) if behind else result

    return task_case(compute, [data, weight, *extra], expected, weight=1)


def half_case(
    shape: tuple[int, int, int, int],
    co: int,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0,),
    dilation: tuple[int, int] = (1, 1),
    epilogue: str | None = "relu",
    kept: int | None = None,
) -> Case:
    """A direct convolution in FP16 arithmetic; the reference is exact for the same FP16 factors."""
    data = values(1, *shape).astype("float16")
    weight = (values(2, *kernel, shape[3], co) / np.sqrt(np.prod(kernel) * shape[3])).astype("float16")
    sides = four(pads)
    out = conv2d_reference(data, weight, strides, sides, dilation, 1)[..., :kept]
    behind, extra, expected = with_epilogue(epilogue, out)

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        result = conv2d_half(x, w, strides, sides, dilation, run_of(shape[3]), kept)
        return behind(result, list(more)) if behind else result

    # Runs of up to 16 terms, rounded to 11 bits each time: below 1e-3; with all terms in FP16 it would be above 5e-3.
    return replace(task_case(compute, [data, weight, *extra], expected, weight=1), tolerance=1.5e-3)


def grouped_case(
    shape: tuple[int, int, int, int],
    groups: int,
    channels: int,
    filled: int,
    kernel: tuple[int, int] = (1, 1),
    strides: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0,),
    dilation: tuple[int, int] = (1, 1),
    epilogue: str | None = "relu",
    storage: str = "float32",
    shuffled: int = 1,
    factors: str | None = None,
) -> Case:
    """A convolution in groups of `channels` that are computed as `filled`, of data after a channel shuffle."""
    ci = shape[3] // groups
    data = values(1, *shape)
    weight = (values(2, *kernel, ci, groups, filled) / np.sqrt(np.prod(kernel))).astype(storage)
    weight, read = as_factors(factors, weight, data)
    sides = four(pads)
    kept = weight[..., :channels].reshape(*kernel, ci, groups * channels)
    turned = read.reshape(*shape[:3], shuffled, -1).swapaxes(3, 4).reshape(shape)
    out = conv2d_reference(turned, kept, strides, sides, dilation, groups)
    behind, extra, expected = with_epilogue(epilogue, out.reshape(*out.shape[:3], groups, channels))

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        result = conv2d_grouped(x, w, strides, sides, dilation, channels, shuffled, factors)
        return behind(result, list(more)) if behind else result

    return task_case(compute, [data, weight, *extra], expected, weight=1)


def winograd_case(
    m: int,
    shape: tuple[int, int, int, int],
    co: int,
    pads: Sequence[int] = (1,),
    groups: int = 1,
    epilogue: str | None = "relu",
    storage: str = "float32",
    kernel: int = 3,
) -> Case:
    data, weight = values(1, *shape), values(2, kernel, kernel, shape[3] // groups, co) / kernel
    sides = four(pads)
    transformed = transform_weight(weight, m).astype(storage)
    out = conv2d_reference(data, weight, (1, 1), sides, (1, 1), groups)
    behind, extra, expected = with_epilogue(epilogue, out)

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        result = conv2d_winograd(x, w, sides, groups, m)
        return behind(result, list(more)) if behind else result

    made = task_case(compute, [data, transformed, *extra], expected, weight=1)
    # The reference has the weights as they were before the transform, which rounds them to 11 bits here.
    return replace(made, tolerance=2e-3) if storage == "float16" else made


def dense_case(
    m: int,
    k: int,
    n: int,
    epilogue: str | None = "relu",
    storage: str = "float32",
    factors: str | None = None,
) -> Case:
    data, weight = values(1, m, k), values(2, k, n).astype(storage)
    weight, read = as_factors(factors, weight, data)
    behind, extra, expected = with_epilogue(epilogue, read.astype("float64") @ weight.astype("float64"))

    def compute(x: te.Tensor, w: te.Tensor, *more: te.Tensor) -> te.Tensor:
        result = dense(x, w, factors)
        return behind(result, list(more)) if behind else result

    return task_case(compute, [data, weight, *extra], expected, weight=1)


# ---- windows, normalisation, copies


def onnxruntime_2d(op: str, data: Array, **attributes: Any) -> Array:
    """The ONNX operator `op` on NHWC `data`, by ONNX Runtime; the result is NHWC."""
    import onnxruntime

    from tests.frontend.graphs_for_tests import graph, node

    n, h, w, c = data.shape
    model = graph([node(op, ["x"], **attributes)], [("x", [n, c, h, w])], ["y"], opset=19)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [out] = session.run(None, {"x": data.transpose(0, 3, 1, 2).copy()})
    return out.transpose(0, 2, 3, 1)


def pool_case(
    kind: str,
    shape: tuple[int, int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Case:
    data = values(1, *shape) - (2.0 if kind == "max" else 0.0)  # padding with zeros would win a maximum
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "dilations": dilation,
        "ceil_mode": int(ceil_mode),
    }
    if kind == "avg":
        attributes["count_include_pad"] = int(count_include_pad)
    expected = onnxruntime_2d("MaxPool" if kind == "max" else "AveragePool", data, **attributes)
    return task_case(
        lambda x: pool2d(x, kind, kernel, strides, pads, dilation, ceil_mode, count_include_pad), [data], expected
    )


def lrn_case(
    shape: tuple[int, ...], size: int, alpha: float, beta: float, bias: float, axis: int = 3, relu: bool = False
) -> Case:
    data = values(1, *shape) * 3
    wide = data.astype("float64")
    before = (size - 1) // 2
    padding = [(before, size - 1 - before) if d == axis else (0, 0) for d in range(4)]
    squares = np.pad(wide**2, padding)
    total = sum(np.take(squares, range(k, k + shape[axis]), axis) for k in range(size))
    expected = wide / (bias + alpha / size * total) ** beta

    def compute(x: te.Tensor) -> te.Tensor:
        out = lrn(x, size, alpha, beta, bias, axis)
        if not relu:
            return out
        return te.compute(out.shape, lambda *i: te.max(out[i], tvm.tirx.const(0.0, "float32")), name="relu")

    return task_case(compute, [data], np.maximum(expected, 0) if relu else expected)


def concat_case(shapes: Sequence[Sequence[int]], axis: int, dtype: str = "float32") -> Case:
    arrays = [(values(i, *shape) * 100).astype(dtype) for i, shape in enumerate(shapes)]
    return Case(as_task(concat(shapes, dtype, axis)), arrays, np.concatenate(arrays, axis))


def sum_case(shape: tuple[int, ...], axis: tuple[int, ...]) -> Case:
    """The sum of `shape` over `axis`, a kernel of TVM's own, which has no family."""
    x = values(1, *shape)
    return task_case(lambda a: topi.sum(a, axis=list(axis)), [x], x.astype("float64").sum(axis))

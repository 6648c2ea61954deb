"""Every kernel under every design space computes what numpy or ONNX Runtime computes, on real threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import tvm
from tvm import topi

import targets
from compiler.graph.scheduling import cpu_hardware, design_spaces, pack_weights, plain, zero_trial
from compiler.runtime.threads import ComputeThread
from tests.schedules import hardware_for_tests as hw
from tests.schedules.kernels_for_tests import (
    Case,
    concat_case,
    conv_case,
    dense_case,
    grouped_case,
    half_case,
    lrn_case,
    pool_case,
    sum_case,
    task_case,
    values,
    winograd_case,
)

CONVOLUTIONS: dict[str, Callable[[], Case]] = {
    "3x3": partial(conv_case, (1, 10, 12, 16), 32, pads=(1,)),
    "1x1": partial(conv_case, (1, 8, 8, 32), 48, kernel=(1, 1), epilogue="residual"),
    "no epilogue": partial(conv_case, (1, 8, 8, 8), 16, epilogue=None),
    "batch": partial(conv_case, (3, 6, 6, 8), 16, pads=(1,), epilogue="residual"),
    "strided, asymmetric padding": partial(conv_case, (1, 11, 12, 8), 16, strides=(2, 2), pads=(0, 1, 2, 1)),
    "strides that differ": partial(conv_case, (1, 11, 13, 8), 16, strides=(2, 3), pads=(1, 1)),
    "dilated": partial(conv_case, (1, 12, 11, 8), 16, dilation=(2, 3), pads=(2, 3)),
    "first layer": partial(conv_case, (1, 23, 25, 3), 16, kernel=(7, 7), strides=(2, 2), pads=(3,)),
    "first layer, stride 4": partial(conv_case, (2, 27, 27, 3), 24, kernel=(11, 11), strides=(4, 4)),
    "primes": partial(conv_case, (1, 13, 17, 5), 7, pads=(1,)),
    "13 channels": partial(conv_case, (1, 7, 7, 11), 13, pads=(1,), epilogue="residual"),
    "12 channels": partial(conv_case, (1, 9, 9, 6), 12, pads=(1,)),
    "filled up to 48 channels": partial(conv_case, (1, 9, 8, 8), 48, pads=(1,), kept=37),
    "filled up, residual": partial(conv_case, (2, 5, 7, 8), 32, kernel=(1, 1), kept=18, epilogue="residual"),
    "filled up, alone": partial(conv_case, (1, 5, 7, 8), 32, kept=31, epilogue=None),
    "one output": partial(conv_case, (1, 3, 3, 16), 24),
    "one channel": partial(conv_case, (1, 9, 9, 1), 1, pads=(1,)),
    "one column": partial(conv_case, (1, 9, 1, 8), 16, kernel=(3, 1), pads=(1, 0, 1, 0)),
    "1x7": partial(conv_case, (1, 9, 9, 8), 16, kernel=(1, 7), pads=(0, 3)),
    "7x1": partial(conv_case, (1, 9, 9, 8), 16, kernel=(7, 1), pads=(3, 0)),
    "groups": partial(conv_case, (1, 7, 9, 16), 32, groups=2, pads=(1,)),
    "groups of 3": partial(conv_case, (1, 8, 8, 12), 12, groups=4, pads=(1,), epilogue="residual"),
    "groups of 1, two outputs each": partial(conv_case, (1, 7, 7, 8), 16, groups=8, pads=(1,)),
    "depthwise": partial(conv_case, (1, 9, 8, 32), 32, groups=32, pads=(1,)),
    "depthwise, strided, batch": partial(conv_case, (3, 11, 9, 24), 24, groups=24, strides=(2, 2), pads=(0, 0, 1, 1)),
    "depthwise, dilated": partial(conv_case, (1, 12, 12, 8), 8, (5, 5), groups=8, dilation=(2, 2), pads=(4,)),
    "depthwise, large": partial(conv_case, (1, 9, 9, 16), 16, (7, 7), groups=16, pads=(3,), epilogue="residual"),
    "depthwise, 7 channels": partial(conv_case, (1, 9, 9, 7), 7, groups=7, pads=(1,)),
    "fp16 storage": partial(conv_case, (1, 8, 8, 16), 32, pads=(1,), storage="float16"),
    "fp16 storage, long rows": partial(conv_case, (1, 6, 120, 16), 32, pads=(1,), storage="float16"),
    "depthwise, fp16 storage": partial(conv_case, (1, 8, 8, 16), 16, groups=16, pads=(1,), storage="float16"),
}

HALVES: dict[str, Callable[[], Case]] = {
    "3x3": partial(half_case, (1, 10, 12, 32), 32, pads=(1,)),
    "1x1": partial(half_case, (2, 8, 8, 64), 48, (1, 1), epilogue="residual"),
    "strided, asymmetric padding": partial(half_case, (1, 11, 12, 16), 16, strides=(2, 2), pads=(0, 1, 2, 1)),
    "dilated, runs of 12": partial(half_case, (1, 12, 11, 24), 16, dilation=(2, 3), pads=(2, 3)),
    "runs of 11, odd": partial(half_case, (1, 7, 9, 11), 24, pads=(1,), epilogue=None),
    "filled up": partial(half_case, (1, 5, 7, 32), 32, (1, 1), kept=18, epilogue="residual"),
}

GROUPED: dict[str, Callable[[], Case]] = {
    "34 of 40 channels": partial(grouped_case, (1, 8, 12, 24), 4, 34, 40),
    "several tiles, the last one partly kept": partial(grouped_case, (1, 7, 7, 32), 4, 68, 72, epilogue="residual"),
    "3x3, padded": partial(grouped_case, (2, 9, 8, 12), 3, 10, 16, (3, 3), pads=(1,)),
    "strided, dilated": partial(grouped_case, (1, 11, 13, 8), 2, 5, 8, (3, 3), (2, 2), (2,), (2, 2)),
    "nothing filled": partial(grouped_case, (1, 5, 6, 8), 2, 16, 16, epilogue=None),
    "shuffled": partial(grouped_case, (1, 8, 12, 24), 4, 34, 40, shuffled=3),
    "shuffled, padded": partial(grouped_case, (1, 8, 7, 12), 2, 10, 16, (3, 3), pads=(1,), shuffled=4),
    "less than a vector": partial(grouped_case, (1, 5, 6, 8), 4, 3, 4),
    "fp16 storage": partial(grouped_case, (1, 6, 8, 16), 4, 12, 16, storage="float16"),
}

WINOGRADS: dict[str, Callable[[], Case]] = {
    "m=2": partial(winograd_case, 2, (1, 8, 8, 16), 32),
    "m=4": partial(winograd_case, 4, (1, 12, 12, 16), 32, epilogue="residual"),
    "m=2, odd sizes, no padding": partial(winograd_case, 2, (1, 9, 11, 16), 16, pads=(0,)),
    "m=4, odd sizes, no padding": partial(winograd_case, 4, (1, 13, 9, 16), 16, pads=(0,)),
    "m=4, batch": partial(winograd_case, 4, (3, 7, 7, 16), 32),
    "m=2, groups": partial(winograd_case, 2, (1, 7, 9, 32), 32, groups=2),
    "m=4, groups": partial(winograd_case, 4, (1, 10, 7, 32), 64, groups=2),
    "m=4, odd channels": partial(winograd_case, 4, (1, 8, 8, 17), 19),
    "m=2, asymmetric padding": partial(winograd_case, 2, (1, 8, 8, 16), 16, pads=(0, 1, 1, 0), epilogue=None),
    "5x5, m=2": partial(winograd_case, 2, (1, 12, 12, 16), 32, pads=(2,), epilogue="residual", kernel=5),
    "5x5, m=2, odd sizes, groups": partial(winograd_case, 2, (2, 9, 11, 32), 32, pads=(1,), groups=2, kernel=5),
    "m=2, fp16 storage": partial(winograd_case, 2, (1, 8, 8, 16), 16, storage="float16"),
}

DENSE: dict[str, Callable[[], Case]] = {
    "m=1": partial(dense_case, 1, 96, 160),
    "m=1, odd": partial(dense_case, 1, 77, 37, "residual"),
    "m=8": partial(dense_case, 8, 64, 48),
    "m=8, 10 outputs": partial(dense_case, 8, 33, 10, None),
    "m=7": partial(dense_case, 7, 50, 64),
    "one output": partial(dense_case, 1, 19, 1),
    "fp16 storage": partial(dense_case, 1, 64, 64, "relu", "float16"),
    "m=48, fp16 storage": partial(dense_case, 48, 64, 96, "relu", "float16"),
    "m=48, fp16 storage, odd": partial(dense_case, 48, 33, 37, "residual", "float16"),
}

POOLS: dict[str, Callable[[], Case]] = {
    "max": partial(pool_case, "max", (1, 9, 11, 16), (3, 3), (2, 2), (1, 1, 1, 1)),
    "max, ceil": partial(pool_case, "max", (1, 10, 12, 8), (3, 3), (2, 2), ceil_mode=True),
    "max, ceil, padded": partial(pool_case, "max", (2, 7, 7, 8), (2, 2), (2, 2), (1, 1, 1, 1), ceil_mode=True),
    "max, dilated": partial(pool_case, "max", (1, 12, 12, 8), (3, 3), (1, 1), (0, 0, 0, 0), (2, 2)),
    "max, asymmetric": partial(pool_case, "max", (1, 8, 8, 7), (2, 3), (1, 2), (1, 0, 0, 2)),
    "avg": partial(pool_case, "avg", (1, 8, 8, 16), (2, 2), (2, 2)),
    "avg, padding not counted": partial(pool_case, "avg", (1, 9, 9, 8), (3, 3), (1, 1), (1, 1, 1, 1)),
    "avg, padding counted": partial(
        pool_case, "avg", (1, 9, 9, 8), (3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=True
    ),
    "avg, ceil": partial(pool_case, "avg", (1, 8, 10, 8), (3, 3), (2, 2), ceil_mode=True),
    "avg, ceil, padded": partial(pool_case, "avg", (1, 8, 8, 8), (3, 3), (2, 2), (1, 1, 0, 0), ceil_mode=True),
    "avg, ceil, padding counted": partial(
        pool_case, "avg", (1, 8, 8, 8), (3, 3), (2, 2), (1, 1, 1, 1), ceil_mode=True, count_include_pad=True
    ),
    "avg, dilated": partial(pool_case, "avg", (1, 11, 11, 8), (3, 3), (1, 1), (1, 1, 1, 1), (2, 2)),
    "avg, large window": partial(pool_case, "avg", (1, 9, 9, 16), (7, 7)),
    "avg, global": partial(pool_case, "avg", (1, 7, 7, 20), (7, 7)),
    "max, primes": partial(pool_case, "max", (1, 13, 11, 5), (3, 3), (2, 2), (1, 1, 1, 1)),
}

LRNS: dict[str, Callable[[], Case]] = {
    "0.75": partial(lrn_case, (1, 5, 7, 32), 5, 1e-1, 0.75, 1.0),
    "0.75, relu": partial(lrn_case, (2, 5, 5, 16), 3, 1e-1, 0.75, 2.0, 3, True),
    "0.5": partial(lrn_case, (1, 5, 7, 16), 5, 0.2, 0.5, 1.0),
    "1.0": partial(lrn_case, (1, 3, 3, 16), 3, 0.2, 1.0, 1.0),
    "0.6": partial(lrn_case, (1, 5, 5, 24), 5, 0.2, 0.6, 1.5),
    "even": partial(lrn_case, (1, 5, 5, 16), 4, 0.2, 0.75, 1.0),
    "even, 2": partial(lrn_case, (1, 5, 5, 7), 2, 0.2, 0.75, 1.0),
    "channels first": partial(lrn_case, (1, 16, 5, 8), 5, 0.2, 0.75, 1.0, 1),
}

CONCATS: dict[str, Callable[[], Case]] = {
    "channels": partial(concat_case, [(1, 5, 5, 16), (1, 5, 5, 32), (1, 5, 5, 8)], 3),
    "odd channels": partial(concat_case, [(1, 5, 5, 3), (1, 5, 5, 5)], 3),
    "batch": partial(concat_case, [(2, 3, 4), (1, 3, 4)], 0),
    "middle": partial(concat_case, [(2, 3, 4, 5, 2), (2, 1, 4, 5, 2), (2, 7, 4, 5, 2)], 1),
    "rows": partial(concat_case, [(1, 6, 80, 40), (1, 6, 80, 40)], 1),
    "one": partial(concat_case, [(7,)], 0),
    "integers": partial(concat_case, [(9,), (4,), (1,)], 0, "int64"),
    "half": partial(concat_case, [(2, 64), (2, 64)], 1, "float16"),
    "large": partial(concat_case, [(1, 32, 32, 24), (1, 32, 32, 40)], 3),
}


def _softmax() -> Case:
    x = values(1, 3, 50)
    e = np.exp(x - x.max(1, keepdims=True))
    return task_case(lambda a: topi.nn.softmax(a, axis=1), [x], e / e.sum(1, keepdims=True))


def _argmax() -> Case:
    x = values(1, 6, 40)
    return task_case(lambda a: topi.argmax(a, axis=1), [x], x.argmax(1))


def _transpose(shape: tuple[int, ...], axes: tuple[int, ...]) -> Case:
    x = values(1, *shape)
    return task_case(lambda a: topi.transpose(a, list(axes)), [x], x.transpose(axes))


def _elementwise(shape: tuple[int, ...]) -> Case:
    x, y = values(1, *shape), values(2, *shape)
    return task_case(lambda a, b: topi.nn.relu(topi.add(topi.multiply(a, b), b)), [x, y], np.maximum(x * y + y, 0))


def _matmul() -> Case:
    x, y = values(1, 3, 9, 20), values(2, 3, 11, 20)
    return task_case(topi.nn.batch_matmul, [x, y], x @ y.transpose(0, 2, 1))


def _gather() -> Case:
    x, i = values(1, 50, 24), np.array([[3, 49, 0], [7, 7, 1]], "int64")
    return task_case(lambda a, b: topi.take(a, b, axis=0), [x, i], x[i])


OTHERS: dict[str, Callable[[], Case]] = {
    "softmax": _softmax,
    "sum of the last axis": partial(sum_case, (4, 6, 33), (2,)),
    "sum of the first axis": partial(sum_case, (5, 4, 32), (0,)),
    "sum of pictures": partial(sum_case, (2, 7, 7, 48), (1, 2)),
    "sum of everything": partial(sum_case, (6, 7), (0, 1)),
    "large sum": partial(sum_case, (1, 20, 20, 64), (1, 2)),
    "argmax": _argmax,
    "transpose": partial(_transpose, (2, 8, 5, 16), (0, 3, 1, 2)),
    "large transpose": partial(_transpose, (1, 40, 41, 16), (0, 3, 1, 2)),
    "elementwise": partial(_elementwise, (1, 30, 30, 16)),
    "elementwise, odd": partial(_elementwise, (1, 71, 73)),
    "elementwise, small": partial(_elementwise, (3,)),
    "batched product": _matmul,
    "gather": _gather,
}

CASES = {
    f"{family}: {name}": make
    for family, cases in {
        "conv2d": CONVOLUTIONS,
        "conv2d_half": HALVES,
        "grouped": GROUPED,
        "winograd": WINOGRADS,
        "dense": DENSE,
        "pool2d": POOLS,
        "lrn": LRNS,
        "concat": CONCATS,
        "other": OTHERS,
    }.items()
    for name, make in cases.items()
}


@pytest.fixture(scope="module")
def compute() -> Iterator[ComputeThread]:
    """Two threads where the machine has them: a race or a shared scratch buffer shows."""
    thread = ComputeThread(min(2, targets.get("native").cores))
    yield thread
    thread.close()


def run(sch: tvm.s_tir.Schedule, case: Case, compute: ComputeThread) -> np.ndarray:
    """What the scheduled task computes on this machine. What it does not write is NaN, or the least integer."""
    target = targets.get("native").to_tvm()
    param = sch.mod["main"].params[-1]
    dtype = np.dtype(str(param.dtype))
    shape = [int(d) for d in param.shape]
    empty = np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).min, dtype)

    def call() -> np.ndarray:
        out = tvm.runtime.tensor(empty)
        tvm.compile(sch.mod, target=target)["main"](*[tvm.runtime.tensor(a) for a in case.arguments], out)
        return out.numpy()

    return compute.call(call)


def assert_right(sch: tvm.s_tir.Schedule, case: Case, compute: ComputeThread, what: str) -> None:
    found = run(sch, case, compute)
    assert found.shape == case.expected.shape
    scale = max(1.0, float(np.abs(case.expected).max()))
    error = float(np.abs(found.astype("float64") - case.expected).max())
    assert error <= case.tolerance * scale, f"{what}: off by {error:.3g}\n{sch.trace}"


@pytest.mark.parametrize("name", CASES)
def test_every_design_space_computes_the_same(name: str, compute: ComputeThread) -> None:
    case = CASES[name]()
    spaces = design_spaces(case.task, cpu_hardware(targets.get("native")))
    assert len(spaces) >= 1
    for index, sch in enumerate(spaces):
        pack_weights(sch)
        assert_right(sch, case, compute, f"space {index} of {len(spaces)}")


@pytest.mark.parametrize("hardware", [hw.AVX2, hw.NEON], ids=["avx2", "neon"])
@pytest.mark.parametrize(
    "name",
    [
        "conv2d: 3x3",
        "conv2d: first layer",
        "conv2d: primes",
        "conv2d: groups",
        "conv2d: depthwise",
        "conv2d_half: 3x3",
        "conv2d_half: 1x1",
        "grouped: 34 of 40 channels",
        "winograd: m=4",
        "dense: m=1",
        "dense: m=8",
        "pool2d: max",
        "lrn: 0.75",
        "concat: channels",
    ],
)
def test_the_zero_trial_schedule_for_other_cpus(name: str, hardware: targets.Hardware, compute: ComputeThread) -> None:
    case = CASES[name]()
    assert_right(zero_trial(case.task, hardware), case, compute, name)


@pytest.mark.parametrize(
    "name",
    [
        "conv2d: 3x3",
        "conv2d: first layer",
        "conv2d: primes",
        "conv2d: groups",
        "conv2d: filled up to 48 channels",
        "conv2d: depthwise, dilated",
        "conv2d: fp16 storage",
        "conv2d_half: 3x3",
        "grouped: 3x3, padded",
        "winograd: m=2, odd sizes, no padding",
        "winograd: m=4",
        "dense: m=1",
        "dense: m=8",
        "pool2d: max",
        "pool2d: avg, padding not counted",
        "lrn: 0.75",
    ],
)
def test_the_plain_schedule_that_others_are_checked_with(name: str, compute: ComputeThread) -> None:
    case = CASES[name]()
    assert_right(plain(case.task, cpu_hardware(targets.get("native"))), case, compute, name)

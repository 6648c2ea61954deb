"""The CUDA source of every kind of kernel, run on this machine's CPU, threads and all, computes what it must."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tvm import s_tir

import targets
from compiler.graph.kernels.bounds import relu
from compiler.graph.kernels.conv2d import conv2d
from compiler.graph.scheduling import hardware_of, zero_trial
from schedules.cuda import gemm
from targets import cuda_toolkit
from tests.cuda.emulator import run
from tests.schedules.cuda.test_numerics import PRODUCTS, TILES
from tests.schedules.kernels_for_tests import Case, conv_case, dense_case, task_case, values
from tests.schedules.test_numerics import CASES

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++"),
    pytest.mark.skipif(cuda_toolkit.why_no_toolkit("sm_53") is not None, reason="the extra [cuda] is not installed"),
]
ORIN = targets.get("jetson-orin")

KINDS: dict[str, Callable[[], Case]] = {
    "convolution": partial(conv_case, (1, 10, 12, 16), 32, pads=(1,)),
    "a split sum": partial(conv_case, (1, 7, 7, 64), 32, pads=(1,), epilogue="residual"),
    "a vector's product": partial(dense_case, 1, 300, 96, "residual"),
    "a vector's product over blocks": partial(dense_case, 1, 4096, 260),
    **{
        name: CASES[name]
        for name in (
            "conv2d: first layer, stride 4",
            "conv2d: groups",
            "conv2d: depthwise, strided, batch",
            "grouped: 3x3, padded",
            "dense: m=7",
            "pool2d: max",
            "pool2d: avg, padding not counted",
            "pool2d: avg, global",
            "lrn: 0.75, relu",
            "concat: odd channels",
            "other: softmax",
            "other: sum of pictures",
            "other: large sum",
            "other: transpose",
            "other: elementwise, odd",
        )
    },
}


def assert_right(sch: s_tir.Schedule, case: Case, folder: Path, backwards: bool) -> None:
    found = run(sch, case, ORIN.to_tvm(), folder, backwards)
    scale = max(1.0, float(np.abs(case.expected).max()))
    error = float(np.abs(found.astype("float64") - case.expected).max())
    assert error <= case.tolerance * scale, f"off by {error:.3g}"


@pytest.mark.parametrize("name", KINDS)
def test_zero_trial_source(name: str, tmp_path: Path) -> None:
    case = KINDS[name]()
    # Backwards for every other: the order of threads must not matter.
    assert_right(zero_trial(case.task, hardware_of(ORIN)), case, tmp_path, list(KINDS).index(name) % 2 == 1)


@pytest.mark.parametrize(
    ("name", "tile", "backwards"),
    [
        ("tails, padding, strides", "128 x 128", False),
        ("odd", "64 x 64", True),
        ("groups, fp16 storage", "two parts", False),
        ("shuffled groups", "columns in twos", True),
        ("dense", "three parts", True),
    ],
)
def test_source_of_tiles(name: str, tile: str, backwards: bool, tmp_path: Path) -> None:
    case = PRODUCTS[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    gemm.schedule(sch, TILES[tile], hardware_of(ORIN))
    assert_right(sch, case, tmp_path, backwards)


def test_a_nan_goes_through_a_relu(tmp_path: Path) -> None:
    data, weight = values(1, 1, 6, 6, 8), values(2, 1, 1, 8, 8)
    data[0, 2, 3, 1] = np.nan
    case = task_case(lambda x, w: relu(conv2d(x, w, (1, 1), (0, 0, 0, 0), (1, 1), 1)), [data, weight], data)
    out = run(zero_trial(case.task, hardware_of(ORIN)), case, ORIN.to_tvm(), tmp_path, False)
    assert np.isnan(out[0, 2, 3]).all()
    assert np.isnan(out).sum() == out.shape[3]

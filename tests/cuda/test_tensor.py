"""The source of kernels for tensor cores, in FP16 and TF32, for FP16 in pairs and for Winograd, run on this machine's
CPU, computes what it must. What warps do together is emulated by the layouts that NVIDIA documents; asynchronous copies
arrive when they are waited for and not before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tvm import s_tir

import targets
from compiler.cuda.source import lean
from compiler.graph.scheduling import hardware_of, zero_trial
from schedules.cuda import half, tensor, tiles, winograd
from schedules.cuda.factors import TF32
from schedules.cuda.tensor_tiles import TensorTile
from targets import cuda_toolkit
from tests.cuda.emulator import Program, cuda_source, run
from tests.cuda.half_cases import HALF, half_conv, half_dense
from tests.schedules.kernels_for_tests import Case, conv_case, dense_case, grouped_case, winograd_case

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++"),
    pytest.mark.skipif(cuda_toolkit.why_no_toolkit("sm_53") is not None, reason="the extra [cuda] is not installed"),
]
ORIN, TURING, TX1 = (targets.get(name) for name in ("jetson-orin", "cuda-sm75", "jetson-tx1"))

# (warps along rows, along columns, tiles of a warp along both, depth, stages, parts)
TILES = {
    "64 x 64": TensorTile(2, 2, 2, 2, 32, 2),
    "128 x 128, three stages": TensorTile(2, 4, 4, 2, 32, 3),
    "one tile a warp, two parts": TensorTile(1, 4, 1, 1, 16, 2, 2),
    "not pipelined": TensorTile(2, 2, 1, 2, 64, 1),
    "three parts": TensorTile(4, 1, 2, 2, 48, 2, 3),
    "four stages, two parts": TensorTile(2, 2, 1, 2, 16, 4, 2),
}
# Data in FP32, which is rounded on the way: pieces pass through registers.
WIDE: dict[str, Callable[[], Case]] = {
    "tails, padding, strides": partial(
        conv_case, (2, 7, 9, 8), 20, strides=(2, 1), pads=(1,), epilogue="residual", storage=HALF
    ),
    "groups": partial(conv_case, (1, 6, 5, 24), 36, pads=(1,), groups=3, storage=HALF),
    "odd": partial(conv_case, (1, 7, 5, 3), 7, (5, 3), (2, 2), (2,), storage=HALF),
    "shuffled groups": partial(grouped_case, (1, 5, 6, 48), 3, 8, 8, shuffled=4, storage=HALF),
    "dense": partial(dense_case, 9, 96, 36, "residual", HALF),
    "vectors of 16 bytes": partial(conv_case, (1, 6, 7, 16), 32, pads=(1,), storage=HALF),
}
# Data in FP16: pieces are copied asynchronously.
NARROW: dict[str, Callable[[], Case]] = {
    "3x3": partial(half_conv, (1, 6, 7, 32), 32, pads=(1,)),
    "tails, strides": partial(half_conv, (2, 7, 9, 8), 20, strides=(2, 1), pads=(1,)),
    "pairs": partial(half_conv, (1, 5, 5, 6), 10, pads=(1,)),
    "odd": partial(half_conv, (1, 5, 5, 5), 9, pads=(1,)),
    "dense": partial(half_dense, 5, 160, 48),
}
# Factors in FP32 that may be TF32; what neighbours there are decides how many bytes are copied at a time.
TO_TF32: dict[str, Callable[[], Case]] = {
    "3x3": partial(conv_case, (1, 6, 7, 32), 32, pads=(1,), factors="tf32"),
    "tails, padding, strides": partial(
        conv_case, (2, 7, 9, 8), 20, strides=(2, 1), pads=(1,), epilogue="residual", factors="tf32"
    ),
    "groups": partial(conv_case, (1, 6, 5, 24), 36, pads=(1,), groups=3, factors="tf32"),
    "odd": partial(conv_case, (1, 7, 5, 3), 7, (5, 3), (2, 2), (2,), factors="tf32"),
    "shuffled groups": partial(grouped_case, (1, 5, 6, 48), 3, 8, 8, shuffled=4, factors="tf32"),
    "dense": partial(dense_case, 9, 96, 36, "residual", factors="tf32"),
}
ROUNDED = 2e-3  # of the largest value: both factors are rounded to 11 bits
IN_PAIRS = 5e-3  # and sums of up to 16 products are


def error_of(case: Case, found: np.ndarray) -> float:
    assert found.shape == case.expected.shape
    error = float(np.abs(found.astype("float64") - case.expected).max() / max(1.0, np.abs(case.expected).max()))
    return np.inf if np.isnan(error) else error


@pytest.mark.parametrize(
    ("name", "tile", "target", "backwards"),
    [
        ("tails, padding, strides", "64 x 64", ORIN, True),
        ("groups", "three parts", TURING, False),
        ("odd", "128 x 128, three stages", ORIN, True),
        ("shuffled groups", "one tile a warp, two parts", TURING, False),
        ("dense", "not pipelined", ORIN, True),
    ],
)
def test_data_is_rounded(name: str, tile: str, target: targets.Target, backwards: bool, tmp_path: Path) -> None:
    case = WIDE[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, TILES[tile], hardware_of(target))
    assert error_of(case, run(sch, case, target.to_tvm(), tmp_path, backwards)) < ROUNDED


@pytest.mark.parametrize(
    ("name", "tile", "backwards"),
    [
        ("3x3", "128 x 128, three stages", True),
        ("tails, strides", "64 x 64", False),
        ("pairs", "three parts", True),
        ("odd", "not pipelined", False),
        ("dense", "four stages, two parts", True),
    ],
)
def test_pieces_are_copied_asynchronously(name: str, tile: str, backwards: bool, tmp_path: Path) -> None:
    case = NARROW[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, TILES[tile], hardware_of(ORIN))
    assert error_of(case, run(sch, case, ORIN.to_tvm(), tmp_path, backwards)) < case.tolerance


@pytest.mark.parametrize(
    ("name", "tile", "backwards"),
    [
        ("3x3", "128 x 128, three stages", True),
        ("tails, padding, strides", "64 x 64", False),
        ("groups", "three parts", True),
        ("odd", "not pipelined", False),
        ("shuffled groups", "one tile a warp, two parts", True),
        ("dense", "four stages, two parts", False),
    ],
)
def test_factors_are_rounded_to_tf32_and_to_nothing_less(name: str, tile: str, backwards: bool, tmp_path: Path) -> None:
    """The reference's factors are rounded as well, so that the tolerance is FP32's."""
    case = TO_TF32[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, replace(TILES[tile], factors=TF32), hardware_of(ORIN))
    assert error_of(case, run(sch, case, ORIN.to_tvm(), tmp_path, backwards)) < case.tolerance


def test_no_wait_is_one_too_many_and_the_emulator_finds_every_missing_one(tmp_path: Path) -> None:
    """Of each wait for threads and for copies: without it, threads in one order or the other compute something else."""
    case = half_conv((1, 6, 7, 32), 32, pads=(1,))
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, TensorTile(2, 2, 2, 1, 32, 3), hardware_of(ORIN))
    program = Program(sch, ORIN.to_tvm(), tmp_path, skippable=True)
    orders = (False, True)
    assert all(error_of(case, program(case, backwards)) < case.tolerance for backwards in orders)
    assert program.waits == 10
    for skipped in range(program.waits):
        errors = [error_of(case, program(case, backwards, skipped)) for backwards in orders]
        assert not max(errors) < 0.05, f"wait {skipped} is not missed: {errors}"


def test_both_factors_are_copied_by_16_bytes_where_neighbours_are() -> None:
    case = half_conv((1, 14, 14, 64), 64, pads=(1,))
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, TILES["64 x 64"], hardware_of(ORIN))
    source = cuda_source(sch.mod, ORIN.to_tvm())
    kernel = source[source.index('extern "C"') :]
    assert kernel.count("ptx_cp_async_legacy_pred_cg_16_2_2(") == 4  # the picture, whose padding is zeros: 2 each time
    assert kernel.count("ptx_cp_async_legacy_cg_16_2_2(") == 4  # the weights
    assert "wait_group_1()" in kernel  # while one piece is multiplied another is on its way
    assert "#include <mma.h>" not in lean(source)


def test_factors_of_tf32_are_copied_by_16_bytes_where_neighbours_are() -> None:
    case = conv_case((1, 14, 14, 64), 64, pads=(1,), factors="tf32")
    sch = s_tir.Schedule(case.task, debug_mask="none")
    tensor.schedule(sch, replace(TILES["64 x 64"], factors=TF32), hardware_of(ORIN))
    source = cuda_source(sch.mod, ORIN.to_tvm())
    kernel = source[source.index('extern "C"') :]
    assert kernel.count("ptx_cp_async_legacy_pred_cg_16_4_4(") == 8
    assert kernel.count("ptx_cp_async_legacy_cg_16_4_4(") == 8
    assert "wait_group_1()" in kernel and "nvcuda::wmma::multiply(" in kernel


@pytest.mark.parametrize(
    ("name", "tile", "backwards"),
    [
        ("tails, padding, strides", tiles.Tile(8, 8, 4, 4, 8), False),
        ("groups", tiles.Tile(16, 8, 8, 8, 16), True),
        ("odd", tiles.Tile(8, 16, 2, 4, 8, 3), False),
        ("shuffled groups", tiles.Tile(32, 4, 4, 2, 8, 2), True),
        ("dense", tiles.Tile(8, 8, 8, 8, 16), False),
        ("vectors of 16 bytes", tiles.Tile(8, 8, 8, 8, 16), True),
    ],
)
def test_half_in_pairs(name: str, tile: tiles.Tile, backwards: bool, tmp_path: Path) -> None:
    case = WIDE[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    half.schedule(sch, tile, hardware_of(TX1))
    assert error_of(case, run(sch, case, TX1.to_tvm(), tmp_path, backwards)) < IN_PAIRS


@pytest.mark.parametrize("m", [2, 4])
def test_winograd(m: int, tmp_path: Path) -> None:
    case = winograd_case(m, (2, 9, 7, 16), 32, epilogue="residual")
    hardware = hardware_of(ORIN)
    assert winograd.spaces(s_tir.Schedule(case.task), hardware)
    sch = zero_trial(case.task, hardware)
    assert error_of(case, run(sch, case, ORIN.to_tvm(), tmp_path, backwards=m == 2)) < case.tolerance

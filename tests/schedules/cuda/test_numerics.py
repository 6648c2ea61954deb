"""Every kernel under its schedules for GPUs computes what numpy or ONNX Runtime computes, run thread after thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from tvm import s_tir

import schedules.cuda
from compiler.graph.scheduling import zero_trial
from schedules.cuda import gemm, gemv, tiles
from schedules.cuda.gpu import Gpu, gpu
from tests.schedules.cuda.serial import run
from tests.schedules.kernels_for_tests import Case, conv_case, dense_case, grouped_case
from tests.schedules.test_numerics import CASES

# Tensor cores left out: what warps do together has no serial form. `tests/cuda/test_tensor.py` runs their source.
ORIN = replace(gpu(87, 16, memory_gb_s=204.8), tensor_fma=0)
ALL = {name: make for name, make in CASES.items() if not (name.startswith("winograd") and "groups" in name)}


def assert_right(sch: s_tir.Schedule, case: Case) -> None:
    found = run(sch, case)
    assert found.shape == case.expected.shape
    scale = max(1.0, float(np.abs(case.expected).max()))
    error = float(np.abs(found.astype("float64") - case.expected).max())
    assert error <= case.tolerance * scale, f"off by {error:.3g}\n{sch.trace}"


@pytest.mark.parametrize("name", ALL)
def test_the_zero_trial_schedule_computes_the_same(name: str) -> None:
    case = ALL[name]()
    assert_right(zero_trial(case.task, ORIN), case)


# (rows, columns, sums along both) of threads, depth, parts: the shapes that small cases do not get by themselves.
TILES = {
    "128 x 128": tiles.Tile(16, 16, 8, 8, 8),
    "64 x 64": tiles.Tile(8, 8, 8, 8, 16),
    "two parts": tiles.Tile(8, 8, 4, 4, 8, 2),
    "three parts": tiles.Tile(8, 16, 2, 4, 8, 3),
    "columns in twos": tiles.Tile(32, 4, 4, 2, 8, 3),
}
PRODUCTS: dict[str, Callable[[], Case]] = {
    "tails, padding, strides": partial(conv_case, (2, 7, 9, 8), 20, strides=(2, 1), pads=(1,), epilogue="residual"),
    "groups, fp16 storage": partial(conv_case, (1, 6, 5, 24), 36, pads=(1,), groups=3, storage="float16"),
    "odd": partial(conv_case, (1, 7, 5, 3), 7, (5, 3), (2, 2), (2,)),
    "shuffled groups": partial(grouped_case, (1, 5, 6, 48), 3, 8, 8, shuffled=4),
    "dense": partial(dense_case, 9, 96, 36, "residual"),
}


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_every_tile_and_split_sum(name: str, tile: str) -> None:
    case = PRODUCTS[name]()
    sch = s_tir.Schedule(case.task, debug_mask="none")
    gemm.schedule(sch, TILES[tile], ORIN)
    assert_right(sch, case)


@pytest.mark.parametrize("k", [77, 4096], ids=["one part", "split over blocks"])
@pytest.mark.parametrize("n", [37, 260])
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_products_with_a_vector(n: int, k: int, storage: str) -> None:
    case = dense_case(1, k, n, "residual", storage)
    for space in gemv.spaces(s_tir.Schedule(case.task), ORIN):
        sch = s_tir.Schedule(case.task, debug_mask="none")
        space(sch)
        assert_right(sch, case)


def test_a_split_sum_is_chosen_where_the_result_is_too_small_for_the_gpu() -> None:
    small = tiles.Product(1, 49, 128, 4608, 512)
    chosen = tiles.tiles(small, gpu(90, 132, memory_gb_s=3350))[0]
    blocks = -(-small.m // chosen.rows) * -(-small.n // chosen.columns)
    assert chosen.parts > 1 and blocks * chosen.parts > blocks
    large = tiles.Product(1, 128 * 56 * 56, 64, 576, 64)
    assert tiles.tiles(large, ORIN)[0].parts == 1


def test_large_products_get_large_register_tiles() -> None:
    """Small ones read shared memory twice as often as multiply-adds can use."""
    for hardware in (gpu(53, 2, memory_gb_s=25.6), ORIN, gpu(90, 132, memory_gb_s=3350)):
        chosen = tiles.tiles(tiles.Product(1, 128 * 28 * 28, 128, 512, 512), hardware)[0]
        assert chosen.per_row * chosen.per_column >= 64


@pytest.mark.parametrize("sm", [53, 62, 72, 75, 80, 86, 87, 89, 90, 100, 110, 120])
def test_tiles_fit_the_gpu(sm: int) -> None:
    hardware = gpu(sm, 8)
    for product in (tiles.Product(1, 12544, 64, 147, 3), tiles.Product(2, 729, 128, 1200, 48)):
        offered = tiles.tiles(product, hardware)
        assert offered
        for tile in offered:
            assert hardware.resident(tile.threads, tile.registers, tile.shared_bytes) >= 1


def test_gpus_that_are_newer_than_the_table_count_as_the_newest_older_one() -> None:
    assert gpu(121, 8).shared_bytes == gpu(120, 8).shared_bytes
    assert isinstance(gpu(50, 2), Gpu)


def test_spaces_are_offered_for_every_case() -> None:
    for make in ALL.values():
        assert schedules.cuda.spaces(s_tir.Schedule(make().task), ORIN)

"""How similar kernels are: sizes read without TVM are those that TVM has, and the distance is what it says it is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.records.nearest.kernels import AXES, FAR, STORAGE, Kernel, read_kernel
from tests.records.nearest.ir import ir
from tests.schedules import kernels_for_tests as cases

CONV = Kernel("conv2d", (1, 28, 28, 64, 3, 3, 32))


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (partial(cases.conv_case, (2, 10, 12, 8), 16, pads=(1,)), Kernel("conv2d", (2, 10, 12, 16, 3, 3, 8))),
        (
            partial(cases.conv_case, (1, 8, 8, 8), 32, (1, 1), storage="float16", epilogue="relu"),
            Kernel("conv2d", (1, 8, 8, 32, 1, 1, 8), narrow=True),
        ),
        (partial(cases.grouped_case, (1, 6, 6, 8), 2, 5, 8), Kernel("grouped", (1, 6, 6, 2, 8, 1, 1, 4))),
        (partial(cases.winograd_case, 2, (1, 8, 8, 16), 24), Kernel("winograd", (4, 4, 16, 24, 16))),
        (partial(cases.dense_case, 3, 64, 96), Kernel("dense", (3, 96, 64))),
        (partial(cases.pool_case, "max", (1, 8, 8, 16), (3, 3)), Kernel("window", (1, 6, 6, 16, 3, 3))),
        (partial(cases.lrn_case, (1, 4, 4, 16), 5, 1e-4, 0.75, 1.0), None),
        (partial(cases.concat_case, [(3,), (4,)], 0), None),
    ],
    ids=["conv", "half", "grouped", "winograd", "dense", "pool", "lrn", "concat"],
)
def test_the_sizes_of_a_kernel_are_those_of_its_block(make: Callable[[], cases.Case], wanted: Kernel | None) -> None:
    from compiler.records.workload import workload_of
    from compiler.tvm_setup import prepare

    prepare()
    assert read_kernel(workload_of(make().task).ir) == wanted


def test_every_family_with_a_choice_has_axes() -> None:
    import schedules.cpu

    assert {family.KERNEL for family in schedules.cpu.FAMILIES} - {"lrn"} == set(AXES)


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        (CONV, 0.0),
        (Kernel("conv2d", (1, 28, 28, 32, 3, 3, 32)), 1.0),
        (Kernel("conv2d", (1, 28, 28, 64, 3, 3, 128)), 1.0),
        (Kernel("conv2d", (1, 14, 14, 64, 3, 3, 32)), 2.0),
        (Kernel("conv2d", (16, 28, 28, 64, 3, 3, 32)), 1.0),
        (Kernel("conv2d", (1, 28, 28, 64, 1, 1, 32)), 4 * math.log2(3)),
        (Kernel("conv2d", CONV.extents, narrow=True), STORAGE),
        (Kernel("conv2d", (1, 28, 28, 2048, 3, 3, 4096)), None),
        (Kernel("dense", (28, 64, 32)), None),
    ],
)
def test_the_distance_counts_doublings(other: Kernel, distance: float | None) -> None:
    found = CONV.distance(other)
    assert found == (None if distance is None else pytest.approx(distance))


def test_another_transform_is_not_comparable() -> None:
    four, two = Kernel("winograd", (6, 6, 49, 64, 64)), Kernel("winograd", (4, 4, 196, 64, 64))
    assert four.distance(two) is None
    assert four.distance(Kernel("winograd", (6, 6, 49, 128, 64))) == 1.0


_KERNELS = st.tuples(*[st.integers(1, 4096)] * 7).map(lambda extents: Kernel("conv2d", extents))


@given(_KERNELS, _KERNELS)
def test_the_distance_is_one(a: Kernel, b: Kernel) -> None:
    assert a.distance(a) == 0
    there, back = a.distance(b), b.distance(a)
    assert there == (None if back is None else pytest.approx(back))
    assert there is None or (there <= FAR and (there > 0) == (a != b))


def _without(text: str, type_: str) -> str:
    graph = json.loads(text)
    graph["nodes"] = [node for node in graph["nodes"] if node["type"] != type_]
    return json.dumps(graph)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"nodes": 1}',
        '{"nodes": [1]}',
        '{"nodes": [{"type": "s_tir.SBlock"}]}',
        '{"nodes": [{"type": "s_tir.SBlock", "data": {"annotations": 99, "iter_vars": 0}}]}',
        "[" * 100_000,
        ir("conv2d", [1, 2, 3]),
        ir("conv2d", [1, 2, 3, 4, 5, 6, 0]),
        ir("conv2d", [1] * 7, "conv2d"),
        ir("pragma_import_c", [1] * 7),
        _without(ir("conv2d", [1] * 7), "int"),
    ],
)
def test_what_is_no_kernel_has_no_sizes(text: str) -> None:
    assert read_kernel(text) is None


def test_a_kernel_made_by_hand_is_read() -> None:
    assert read_kernel(ir("conv2d", CONV.extents, "pad")) == CONV
    assert read_kernel(ir("conv2d", CONV.extents, "widen")) == Kernel("conv2d", CONV.extents, narrow=True)

"""What a zero-trial schedule must look like, on CPUs with few and many, narrow and wide registers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from tvm import s_tir, tirx

import schedules.cpu
from compiler.graph.scheduling import design_spaces, zero_trial
from schedules.cpu.blocks import is_reduction
from targets import Hardware
from tests.schedules import hardware_for_tests as hw
from tests.schedules.kernels_for_tests import (
    Case,
    concat_case,
    conv_case,
    dense_case,
    lrn_case,
    pool_case,
    sum_case,
    winograd_case,
)

SERIAL, PARALLEL, VECTORIZED, UNROLLED = 0, 1, 2, 3  # tirx.ForKind

MULTIPLIED: dict[str, tuple[str, Callable[[], Case]]] = {
    "conv2d 3x3": ("conv2d", partial(conv_case, (1, 28, 28, 64), 128, pads=(1,))),
    "conv2d 1x1": ("conv2d", partial(conv_case, (1, 14, 14, 256), 64, kernel=(1, 1), epilogue="residual")),
    "conv2d first layer": ("conv2d", partial(conv_case, (1, 64, 64, 3), 64, (7, 7), (2, 2), (3,))),
    "conv2d grouped": ("conv2d", partial(conv_case, (1, 14, 14, 64), 64, groups=2, pads=(1,))),
    "conv2d alone": ("conv2d", partial(conv_case, (1, 8, 8, 16), 32, epilogue=None)),
    "dense m=1": ("dense", partial(dense_case, 1, 256, 1000)),
    "dense m=8": ("dense", partial(dense_case, 8, 256, 512)),
    "winograd m=2": ("product", partial(winograd_case, 2, (1, 14, 14, 64), 64)),
    "winograd m=4": ("product", partial(winograd_case, 4, (1, 28, 28, 64), 128)),
    # 7 x 7 tiles a picture: a block that ends within one is of no use, and this layer once had no schedule at all.
    "winograd m=4, images": ("product", partial(winograd_case, 4, (48, 27, 27, 32), 128)),
    "winograd m=2, images": ("product", partial(winograd_case, 2, (6, 13, 13, 32), 64)),
    "winograd 5x5": ("product", partial(winograd_case, 2, (1, 27, 27, 48), 128, pads=(2,), kernel=5)),
}

OTHERS: dict[str, Callable[[], Case]] = {
    "max pool": partial(pool_case, "max", (1, 28, 28, 64), (3, 3), (2, 2), (1, 1, 1, 1)),
    "global pool": partial(pool_case, "avg", (1, 7, 7, 512), (7, 7)),
    "depthwise": partial(conv_case, (1, 28, 28, 64), 64, groups=64, pads=(1,)),
    "lrn": partial(lrn_case, (1, 14, 14, 64), 5, 1e-4, 0.75, 1.0, 3, True),
    "concat": partial(concat_case, [(1, 28, 28, 64), (1, 28, 28, 32)], 3),
    "sum of pictures": partial(sum_case, (1, 14, 14, 64), (1, 2)),
}


def blocks(sch: s_tir.Schedule) -> dict[str, list[tirx.For]]:
    """The loops around every block of the function, the outermost first; without the packing of weights."""
    found = {}
    packing = "meta_schedule.layout_rewrite_preproc"
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        realized = sch.get(block)
        if packing not in realized.annotations:
            found[str(realized.name_hint)] = [sch.get(loop) for loop in sch.get_loops(block)]
    return found


def kinds(loops: list[tirx.For]) -> list[int]:
    return [int(loop.kind) for loop in loops]


@pytest.mark.parametrize("hardware", hw.ALL.values(), ids=hw.ALL)
@pytest.mark.parametrize("name", MULTIPLIED)
def test_products_are_summed_up_in_registers(name: str, hardware: Hardware) -> None:
    block, make = MULTIPLIED[name]
    sch = zero_trial(make().task, hardware)
    loops = blocks(sch)
    assert f"{block}_update" in loops and f"{block}_init" in loops
    for name_of_block, around in loops.items():
        assert kinds(around)[0] == PARALLEL and kinds(around).count(PARALLEL) == 1
        # Three channels of a picture fill no vector.
        assert kinds(around)[-1] == VECTORIZED or (name, name_of_block) == ("conv2d first layer", "padded")
    update = sch.get(sch.get_sblock(f"{block}_update"))
    assert update.writes[0].source.scope() == "local"
    tile = [int(loop.extent) for loop in loops[f"{block}_init"] if int(loop.kind) in (UNROLLED, VECTORIZED)]
    rows, vectors, lanes = tile
    assert lanes == (hardware.vector_bits or 0) // 32 or name == "dense m=1", "1000 is no multiple of 16"
    assert rows * vectors + vectors + 1 <= (hardware.vector_registers or 0)
    assert rows * vectors >= 4, "fewer accumulators cannot hide the latency of a multiply-add"
    inner = [int(loop.extent) for loop in loops[f"{block}_update"][-3:]]
    assert inner == tile and kinds(loops[f"{block}_update"])[-3:] == [UNROLLED, UNROLLED, VECTORIZED]


@pytest.mark.parametrize("hardware", hw.ALL.values(), ids=hw.ALL)
@pytest.mark.parametrize("name", OTHERS)
def test_the_rest_runs_in_parallel_and_in_vectors(name: str, hardware: Hardware) -> None:
    sch = zero_trial(OTHERS[name]().task, hardware)
    for block, around in blocks(sch).items():
        assert kinds(around)[0] == PARALLEL, block
        if (name, block) == ("lrn", "padded"):  # a scratch row of channels and neighbours: no whole number of vectors
            continue
        assert kinds(around)[-1] == VECTORIZED, block
        assert int(around[-1].extent) == (hardware.vector_bits or 0) // 32, block


@pytest.mark.parametrize("name", ["conv2d 3x3", "winograd m=4", "dense m=8"])
def test_weights_are_packed_in_the_order_in_which_they_are_read(name: str) -> None:
    block, make = MULTIPLIED[name]
    sch = zero_trial(make().task, hw.AVX2)
    packed = [
        b
        for b in sch.get_child_blocks(sch.get_sblock("root"))
        if "meta_schedule.layout_rewrite_preproc" in sch.get(b).annotations
    ]
    assert len(packed) == 1
    update = sch.get(sch.get_sblock(f"{block}_update"))
    weights = [r for r in update.reads if r.source.same_as(sch.get(packed[0]).writes[0].source)]
    assert len(weights) == 1 and int(weights[0].source.shape[-1]) == 8, "a vector of channels lies side by side"


@pytest.mark.parametrize("hardware", hw.ALL.values(), ids=hw.ALL)
@pytest.mark.parametrize("name", [*MULTIPLIED, *OTHERS])
def test_there_is_always_a_space_and_the_first_is_the_zero_trial_one(name: str, hardware: Hardware) -> None:
    case = (MULTIPLIED[name][1] if name in MULTIPLIED else OTHERS[name])()
    offered = schedules.cpu.spaces(s_tir.Schedule(case.task), hardware)
    spaces = design_spaces(case.task, hardware)
    assert len(spaces) == len(offered), "every space that a family offers applies"
    if name in MULTIPLIED:
        assert len(spaces) >= 2, "the search has several register tiles to choose from"
    first = zero_trial(case.task, hardware)
    loops = {block: [str(loop.extent) for loop in around] for block, around in blocks(first).items()}
    assert {block: [str(loop.extent) for loop in around] for block, around in blocks(spaces[0]).items()} == loops


def test_a_function_of_no_family_is_scheduled_all_the_same() -> None:
    """Opaque loops, which no family takes: left as they are."""
    from tvm.script import from_source
    from tvm.script import tirx as script

    source = """
@T.prim_func(private=True, s_tir=True)
def scan(x: T.Buffer((64,), "float32"), y: T.Buffer((64,), "float32")):
    for i in range(64):
        with T.sblock("scan"):
            v = T.axis.opaque(64, i)
            y[v] = T.if_then_else(v > 0, y[v - 1], T.float32(0)) + x[v]
"""
    from compiler.graph.scheduling import as_task

    task = as_task(from_source(source, {"T": script}))
    sch = zero_trial(task, hw.AVX2)
    assert not any(is_reduction(sch, b) for b in sch.get_child_blocks(sch.get_sblock("root")))
    assert PARALLEL not in kinds(blocks(sch)["scan"])
    assert len(design_spaces(task, hw.AVX2)) == 1

"""Traces of the schedules for GPUs, as tuning keeps them: looked at like any other, good ones pass and changed ones do
not. No GPU is needed, and none is used: what the kernels compute is not compared here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest

from compiler.errors import EdgetuneError
from compiler.graph.scheduling import design_spaces
from compiler.graph.variants import Task
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.accesses import check_accesses
from compiler.records.trust.admission import Admitted, admit, as_json
from compiler.records.trust.examine import examine
from compiler.records.workload import trace_text, workload_of
from compiler.tuning.search import Search
from schedules.cuda.gpu import Gpu, gpu
from targets import get
from tests.cuda.half_cases import HALF, half_conv
from tests.records.trust.kernels import FINGERPRINT, claim, edited
from tests.schedules.kernels_for_tests import Case, conv_case, dense_case, pool_case, winograd_case

ORIN, TX1 = gpu(87, 16, memory_gb_s=204.8), gpu(53, 2, memory_gb_s=25.6)
TURING, HOPPER = gpu(75, 40, memory_gb_s=320), gpu(90, 132, memory_gb_s=3350)

KERNELS: dict[str, tuple[Callable[[], Case], Gpu]] = {
    "tensor cores, asynchronous": (partial(half_conv, (1, 14, 14, 64), 64, pads=(1,)), ORIN),
    "tensor cores, many pictures": (partial(half_conv, (32, 14, 14, 64), 128, pads=(1,)), HOPPER),
    "tensor cores through registers": (partial(half_conv, (1, 14, 14, 64), 64, pads=(1,)), TURING),
    "tensor cores, in parts": (partial(conv_case, (1, 7, 7, 512), 64, pads=(1,), storage=HALF), ORIN),
    "pairs": (partial(conv_case, (1, 8, 8, 16), 16, storage=HALF), TX1),
    "fp32, in parts": (partial(conv_case, (1, 7, 7, 512), 64, pads=(1,)), ORIN),
    "winograd": (partial(winograd_case, 2, (1, 14, 14, 32), 32), ORIN),
    "a vector": (partial(dense_case, 1, 256, 128, storage=HALF), ORIN),
    "depthwise": (partial(conv_case, (1, 14, 14, 32), 32, pads=(1,), groups=32), ORIN),
    "pooling": (partial(pool_case, "max", (1, 14, 14, 32), (3, 3), (2, 2)), ORIN),
}


@lru_cache
def traces(kernel: str) -> tuple[str, list[str]]:
    """The kernel as processes with limits take it, and the first trace of each of its first spaces."""
    make, hardware = KERNELS[kernel]
    task = make().task
    return as_json(task), [trace_text(space) for space in design_spaces(task, hardware)[:3]]


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_tuning_writes_for_gpus_passes(kernel: str) -> None:
    module, made = traces(kernel)
    assert made and [examine(module, trace) for trace in made] == [None] * len(made)


def test_what_the_search_proposes_passes() -> None:
    """Points of the spaces other than their defaults."""
    make, hardware = KERNELS["tensor cores, asynchronous"]
    task = make().task
    search = Search(Task("conv", task, workload_of(task).hash), get("jetson-orin").to_tvm(), hardware, 0)
    search.start([], frozenset())
    found = search.propose(6)
    assert len(found) >= 3
    assert [examine(as_json(task), candidate.trace) for candidate in found] == [None] * len(found)


Edit = Callable[[list[Any], list[Any]], object]


def first(instructions: list[Any], name: str, attribute: str | None = None) -> list[Any]:
    """The first instruction of that name, and where it is given with that attribute."""
    return next(i for i in instructions if i[0] == name and (attribute is None or attribute in i[2]))


def another_intrinsic(instructions: list[Any], _: list[Any]) -> None:
    first(instructions, "Tensorize")[2][0] = "wmma_store_16x16x16_f32_global"


def another_tile(instructions: list[Any], _: list[Any]) -> None:
    """The load of one factor in the place of the other's."""
    first(instructions, "Tensorize", "edgetune.tile.load_first")[2][0] = "edgetune.tile.multiply"


def an_unknown_scope(instructions: list[Any], _: list[Any]) -> None:
    first(instructions, "CacheRead")[2][1] = "global.texture"


def an_unknown_axis(instructions: list[Any], _: list[Any]) -> None:
    first(instructions, "Bind")[2][0] = "threadIdx.q"


def source_code(instructions: list[Any], _: list[Any]) -> None:
    block = first(instructions, "GetSBlock")[3][0]
    instructions.append(["Annotate", [block, '"int x;"'], ["pragma_import_c"], []])


def an_unknown_annotation(instructions: list[Any], _: list[Any]) -> None:
    first(instructions, "Annotate", "software_pipeline_stage")[2][0] = "software_pipeline_scope"


@pytest.mark.parametrize(
    ("kernel", "change", "why"),
    [
        ("tensor cores, asynchronous", another_intrinsic, ""),
        ("tensor cores, asynchronous", another_tile, "does not apply"),
        ("tensor cores, asynchronous", an_unknown_scope, "no attribute"),
        ("tensor cores, asynchronous", an_unknown_annotation, "not among the allowed annotations"),
        ("pairs", an_unknown_axis, "no attribute"),
        ("winograd", source_code, "not among the allowed annotations"),
    ],
)
def test_changed_traces_do_not(kernel: str, change: Edit, why: str) -> None:
    module, made = traces(kernel)
    found = examine(module, edited(made[0], change))
    assert found is not None and why in found and "\n" not in found, found


@pytest.fixture
def schedule() -> Any:
    """A matrix for a GPU's threads to be given, with nothing done yet."""
    from tvm import s_tir

    return s_tir.Schedule(dense_case(64, 64, 2048).task, debug_mask="none", error_render_level="none")


def bound(sch: Any, threads: int, axis: str = "threadIdx.x", skip: bool = False) -> str:
    """The trace of a schedule whose blocks have `threads` along `axis`; with `skip` one block is given to none."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    for block in blocks[1:] if skip else blocks:
        fused = sch.fuse(*sch.get_loops(block)[:2])
        outer, inner = sch.split(fused, [None, threads])
        sch.bind(outer, "blockIdx.x")
        sch.bind(inner, axis)
    return trace_text(sch)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"threads": 256}, None),
        ({"threads": 2048}, "2048 of threadIdx.x"),
        ({"threads": 128, "axis": "threadIdx.z"}, "128 of threadIdx.z"),
        ({"threads": 256, "skip": True}, "to no thread"),
    ],
)
def test_what_no_gpu_launches(schedule: Any, how: dict[str, Any], why: str | None) -> None:
    module = as_json(schedule.mod)
    found = examine(module, bound(schedule, **how))
    assert found is None if why is None else why in str(found)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "records.db") as opened:
        yield opened


def test_imported_ones_are_looked_at_in_a_process_with_limits(store: Store) -> None:
    """Where the intrinsics of tensor cores are known by their names only."""
    make, _ = KERNELS["tensor cores, asynchronous"]
    task = make().task
    kept = workload_of(task, "conv")
    _, [good, *_] = traces("tensor cores, asynchronous")
    bad = edited(good, another_tile)
    store.add_workload(kept, imported=True)
    claims = [claim(good, workload=kept.hash, seconds=(0.002,)), claim(bad, workload=kept.hash, seconds=(1e-9,))]
    store.add_many(claims, origin="a stranger")
    assert admit(store, {kept.hash: task}, lambda digest: store.top(digest, FINGERPRINT, 8)) == Admitted(2, 1)
    assert store.top(kept.hash, FINGERPRINT, 8, vetted=True) == claims[:1]
    [found] = verdicts.quarantined(store)
    assert found.record == claims[1].id and "does not apply" in found.reason
    assert json.loads(good) != json.loads(bad)


@pytest.mark.parametrize(("condition", "inside"), [((0, 16), True), ((0, 17), False), ((-1, 16), False)])
def test_conditions_are_what_accesses_are_held_to(condition: tuple[int, int], inside: bool) -> None:
    """x has 16 elements, and is read from 4 before to 4 behind them where `condition` holds."""
    from tvm import te, tirx

    least, end = condition
    x = te.placeholder((16,), "float32", name="x")
    where = partial(tirx.if_then_else, f=tirx.const(0.0, "float32"))
    y = te.compute((24,), lambda i: where(tirx.all(i - 4 >= least, i - 4 < end), x[i - 4]), name="y")
    func = te.create_prim_func([x, y])
    if inside:
        check_accesses(func)
    else:
        with pytest.raises(EdgetuneError, match="beyond the end"):
            check_accesses(func)


def test_slices_of_a_warp_are_the_only_map_that_puts_several_elements_into_one_place() -> None:
    module, made = traces("tensor cores, many pictures")
    slices = [t for t in made if '"TransformLayout"' in t]
    assert slices and all(examine(module, trace) is None for trace in slices)

    def narrower(instructions: list[Any], _: list[Any]) -> None:
        for instruction in (i for i in instructions if i[0] == "TransformLayout"):
            instruction[1][1] = instruction[1][1].replace('"data":16', '"data":8')

    found = [examine(module, edited(trace, narrower)) for trace in slices]
    assert all(reason is not None for reason in found), found

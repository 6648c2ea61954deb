"""Schedules that TVM takes and that are meant to exhaust or to deceive: found out before code is made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compiler.records.trust.examine import examine, examine_kernel
from tests.records.trust.kernels import edited, kernel, packed, schedule, tiled, workload


def reason(trace: str, width: int = 64) -> str | None:
    return examine(workload(kernel(width)).ir, trace)


@pytest.mark.parametrize("change", [tiled(), tiled(64), packed(), packed(assume=True)], ids=range(4))
def test_ordinary_schedules_pass(change: Any) -> None:
    assert reason(schedule(change)) is None


def unrolled(sch: Any) -> None:
    for loop in sch.get_loops(sch.get_sblock("product")):
        sch.unroll(loop)


def wide(sch: Any) -> None:
    block = sch.get_sblock("y")
    sch.vectorize(sch.fuse(*sch.get_loops(block)))


def endless(sch: Any) -> None:
    sch.split(sch.get_loops(sch.get_sblock("y"))[1], [None, 2**22])


def again_and_again(sch: Any) -> None:
    """The product computed anew for each element of y and each of 2**14 turns that do nothing else."""
    block = sch.get_sblock("y")
    _, j = sch.split(sch.get_loops(block)[1], [None, 2**14])
    sch.compute_at(sch.get_sblock("product"), j)


def false_packing(sch: Any) -> None:
    sch.annotate(sch.get_sblock("product"), "meta_schedule.layout_rewrite_preproc", 1)


def packing_of_an_input(sch: Any) -> None:
    copy = sch.cache_read(sch.get_sblock("product"), 0, "global")
    sch.annotate(copy, "meta_schedule.layout_rewrite_preproc", 1)


def two_in_one_place(sch: Any) -> None:
    copy = sch.cache_read(sch.get_sblock("product"), 1, "global")
    sch.transform_layout(copy, ("write", 0), lambda a, b: (a, b // 2), assume_injective_transform=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (unrolled, "unrolls"),
        (wide, "lanes"),
        (endless, "steps"),
        (again_and_again, "steps"),
        (false_packing, "packing"),
        (packing_of_an_input, "packing"),
        (two_in_one_place, "two elements"),
    ],
)
def test_schedules_that_exhaust_or_deceive_do_not(change: Any, why: str) -> None:
    found = reason(schedule(change))
    assert found is not None and why in found, found
    assert "\n" not in found


def test_an_inverse_that_is_another_maps() -> None:
    def swap(instructions: list[Any], _: list[Any]) -> None:
        [transform] = [i for i in instructions if i[0] == "TransformLayout"]
        graph = json.loads(transform[1][1])
        outer = graph["nodes"][graph["root_index"]]
        # The map itself, for two axes: (a, b) -> (b, a), whose inverse is said to change nothing.
        outer["data"]["inverse_index_map"] = 0
        identity = len(graph["nodes"])
        graph["nodes"] += [
            {"type": "ffi.Array", "data": graph["nodes"][outer["data"]["initial_indices"]]["data"]},
            {"type": "tirx.IndexMap", "data": {"initial_indices": identity, "final_indices": identity}},
            {"type": "tirx.IndexMap", "data": {**outer["data"], "inverse_index_map": identity + 1}},
        ]
        graph["nodes"][identity + 1]["data"]["inverse_index_map"] = 0
        graph["root_index"] = identity + 2
        transform[1][1] = json.dumps(graph, separators=(",", ":"), sort_keys=True)

    def change(sch: Any) -> None:
        copy = sch.cache_read(sch.get_sblock("product"), 1, "global")
        sch.transform_layout(copy, ("write", 0), lambda a, b: (b, a))

    trace = schedule(change)
    assert reason(trace) is None
    assert "inverse" in str(reason(edited(trace, swap)))


def test_a_trace_of_another_kernel() -> None:
    trace = edited(schedule(), lambda i, _: i[0][2].__setitem__(0, "no_such_block"))
    assert "does not apply" in str(reason(trace))


def test_what_the_rules_refuse_is_refused_here_too() -> None:
    trace = edited(schedule(), lambda i, _: i.append(["Annotate", ["b0", '"x"'], ["pragma_import_c"], []]))
    assert "not among the allowed annotations" in str(reason(trace))


def test_a_kernel_that_came_with_a_log() -> None:
    kept = workload()
    assert examine_kernel(kept.ir, kept.hash) is None
    assert "hash" in str(examine_kernel(kept.ir, "0" * 16))
    other = workload(kernel(32))
    assert "hash" in str(examine_kernel(other.ir, kept.hash))


@pytest.mark.parametrize(
    "formula",
    [
        lambda tvm, x: tvm.tirx.call_extern("float32", "system", x),
        lambda tvm, x: tvm.tirx.call_pure_extern("float32", "abort", x),
        lambda tvm, x: tvm.tirx.call_llvm_pure_intrin("float32", "llvm.fabs", x),
    ],
    ids=["call_extern", "call_pure_extern", "intrinsic"],
)
def test_a_kernel_that_calls_out_is_not_read(formula: Any) -> None:
    import tvm
    from tvm import te

    from compiler.records.workload import workload_of

    x = te.placeholder((4,), "float32", name="x")
    y = te.compute((4,), lambda i: formula(tvm, x[i]), name="y")
    kept = workload_of(tvm.IRModule({"main": te.create_prim_func([x, y]).with_attr("global_symbol", "main")}))
    found = examine_kernel(kept.ir, kept.hash)
    assert found is not None and ("calls" in found or "no kernel is made of" in found)

"""Workloads and traces with the real TVM: hashes that other processes agree on, traces that come back as schedules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.records.exchange.import_ import import_logs
from compiler.records.record import Workload
from compiler.records.store import Store
from compiler.records.trace_rules import INSTRUCTIONS, check_trace
from compiler.records.workload import apply_trace, load_workload, replay, trace_text, workload_of
from tests.records.samples import DATA, record

tvm = pytest.importorskip("tvm")
ROOT = Path(__file__).parents[2]

MATMUL = """
import tvm
from tvm import te

def matmul(n, name="A", extra=1.0):
    a = te.placeholder((n, n), name=name)
    b = te.placeholder((n, n), name="B")
    k = te.reduce_axis((0, n), name="k")
    c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    d = te.compute((n, n), lambda i, j: te.max(c[i, j], tvm.tirx.const(extra, "float32")), name="D")
    return tvm.IRModule({"main": te.create_prim_func([a, b, d]).with_attr("global_symbol", "main")})
"""
_scope: dict = {}
exec(MATMUL, _scope)  # the same text runs in another process below
matmul = _scope["matmul"]


def test_the_hash_is_the_same_in_every_process_and_for_other_names() -> None:
    here = workload_of(matmul(64), "matmul")
    code = MATMUL + "from compiler.records.workload import workload_of; print(workload_of(matmul(64)).hash)"
    for seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        )
        assert there.stdout.strip() == here.hash
    assert len(here.hash) == 16
    assert workload_of(matmul(64, name="other")).hash == here.hash
    assert workload_of(matmul(32)).hash != here.hash
    assert workload_of(matmul(64, extra=0.0)).hash != here.hash


def test_the_text_of_a_workload_loads_back(tmp_path: Path) -> None:
    import tvm_ffi

    mod = matmul(64)
    workload = workload_of(mod)
    with Store(tmp_path / "records.db") as store:
        store.add_workload(workload)
        kept = store.workload(workload.hash)
    assert kept == workload
    back = load_workload(kept)
    assert tvm_ffi.structural_equal(mod, back)
    assert workload_of(back, workload.name) == workload
    with pytest.raises(EdgetuneError, match="does not load"):
        load_workload(Workload("a" * 16, "x", '{"nodes":[]}'))


def test_a_schedule_survives_as_text() -> None:
    import tvm_ffi
    from tvm.s_tir import Schedule

    mod = matmul(64)
    schedule = Schedule(mod, seed=3)
    block = schedule.get_sblock("C")
    i, j, _k = schedule.get_loops(block)
    tiles = schedule.sample_perfect_tile(i, n=2)
    outer, inner = schedule.split(i, tiles)
    schedule.split(j, [None, 8])
    schedule.annotate(inner, "pragma_auto_unroll_max_step", 16)
    schedule.parallel(outer)
    schedule.decompose_reduction(block, outer)
    schedule.transform_layout("C_update", ("read", 1), lambda a, b: (b // 8, a, b % 8), pad_value=None)
    text = trace_text(schedule)
    check_trace(json.loads(text))
    again = replay(text, mod)
    assert tvm_ffi.structural_equal(schedule.mod, again.mod)
    assert trace_text(again) == text
    one = record(trace=text)
    applied = apply_trace(one, mod)
    assert applied is not None
    assert tvm_ffi.structural_equal(schedule.mod, applied.mod)


def test_traces_that_do_not_fit_or_are_not_allowed_do_not_apply() -> None:
    other = record()  # its block is "conv", which a matmul does not have
    assert apply_trace(other, matmul(64)) is None
    with pytest.raises(EdgetuneError, match="does not apply") as caught:
        replay(other.trace, matmul(64))
    assert "\n" not in str(caught.value)
    hostile = '[[["GetSBlock",[],["C","main"],["b0"]],["Annotate",["b0","\\"int x;\\""],["pragma_import_c"],[]]],[]]'
    with pytest.raises(EdgetuneError, match="allowed annotations"):
        replay(hostile, matmul(64))


def test_the_allowed_instructions_exist() -> None:
    from tvm.s_tir.schedule import InstructionKind

    for name in INSTRUCTIONS:
        assert InstructionKind.get(name).name == name


def test_records_of_stock_metaschedule_apply(tmp_path: Path) -> None:
    with Store(tmp_path / "records.db") as store:
        import_logs(store, DATA / "metaschedule", fingerprint="fp")
        workloads = list(store.workloads())
        for workload in workloads:
            mod = load_workload(workload)
            assert workload_of(mod).hash == workload.hash
            for one in store.top(workload.hash, "fp", 10):
                schedule = apply_trace(one, mod)
                assert schedule is not None
                assert trace_text(schedule) == one.trace
        assert len(workloads) == 2

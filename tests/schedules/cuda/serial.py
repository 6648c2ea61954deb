"""Runs a schedule for a GPU on this machine's CPU: what threads do at once is done one thread after another.

In TVM's scheduled functions a loop that is bound to threads means what a serial loop means; so numbers, tails and
indices are held to what the kernel must compute. What only hardware shows is not: whether threads wait for each other
where they must, and how fast it is.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import s_tir, tirx

import targets
from tests.schedules.kernels_for_tests import Case


def serial(sch: tvm.s_tir.Schedule) -> tvm.IRModule:
    """The scheduled function with serial loops in the place of threads and vectors."""
    func = sch.mod["main"]
    return tvm.IRModule({"main": func.with_body(_serial(func.body))})


def _serial(node: tirx.Stmt) -> tirx.Stmt:
    if isinstance(node, tirx.For):
        return tirx.For(node.loop_var, node.min, node.extent, tirx.ForKind.SERIAL, _serial(node.body))
    if isinstance(node, tirx.SeqStmt):
        return tirx.SeqStmt([_serial(part) for part in node])
    if isinstance(node, s_tir.SBlockRealize):
        block = node.block
        parts = (block.iter_vars, block.reads, block.writes, block.name_hint, _serial(block.body), block.init)
        rest = (block.alloc_buffers, block.match_buffers, block.annotations)
        return s_tir.SBlockRealize(node.iter_values, node.predicate, s_tir.SBlock(*parts, *rest))
    return node


def run(sch: tvm.s_tir.Schedule, case: Case) -> np.ndarray:
    """What the scheduled task computes. What it does not write is NaN, or the least integer."""
    param = sch.mod["main"].params[-1]
    dtype = np.dtype(str(param.dtype))
    empty = np.full([int(d) for d in param.shape], np.nan if dtype.kind == "f" else np.iinfo(dtype).min, dtype)
    out = tvm.runtime.tensor(empty)
    library = tvm.compile(serial(sch), target=targets.get("native").to_tvm())
    library["main"](*[tvm.runtime.tensor(a) for a in case.arguments], out)
    return out.numpy()

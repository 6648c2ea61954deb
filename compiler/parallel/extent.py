"""Have generated code say how long a parallel loop is before it begins it (see `pool.c`).

Requires: scheduled functions, not yet lowered.
Ensures: before every outermost parallel loop of constant extent stands a call of `edgetune_parallel_extent`.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx

ANNOUNCE = "edgetune_parallel_extent"


def announce_extents(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    out = mod.clone()
    for gvar, func in mod.functions.items():
        if isinstance(func, tirx.PrimFunc) and isinstance(func.body, s_tir.SBlockRealize):
            body = _root(func.body)
            if not body.same_as(func.body):
                out[gvar] = func.with_body(body)
    return out


def _root(realize: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
    block = realize.block
    body = _announced(block.body)
    if body.same_as(block.body):
        return realize
    return s_tir.SBlockRealize(
        realize.iter_values,
        realize.predicate,
        s_tir.SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            body,
            block.init,
            block.alloc_buffers,
            block.match_buffers,
            block.annotations,
        ),
    )


def _announced(stmt: tirx.Stmt) -> tirx.Stmt:
    """`stmt`, one of the statements in a row that a root block holds."""
    if isinstance(stmt, tirx.SeqStmt):
        parts = [_announced(part) for part in stmt]
        return stmt if all(a.same_as(b) for a, b in zip(parts, stmt, strict=True)) else tirx.SeqStmt(parts)
    if isinstance(stmt, tirx.For) and stmt.kind == tirx.ForKind.PARALLEL and isinstance(stmt.extent, tirx.IntImm):
        call = tirx.call_extern("int32", ANNOUNCE, tirx.IntImm("int32", int(stmt.extent)))
        return tirx.SeqStmt([tirx.Evaluate(call), stmt])
    return stmt

"""Mark the weights whose layout a schedule may choose.

Requires: fused functions, called with constants.
Ensures: a function whose kernel block reads a constant argument carries `layout_free_buffers` with that argument's
position; schedules then pack it in the order in which they read it, and the packing is done at compile time.

TVM's AttachAttrLayoutFreeBuffers marks every constant, biases and scales too, each of which would be copied in vain.
"""

from __future__ import annotations

import tvm
from tvm import relax, s_tir, tirx

from ..kernels import KERNEL
from ..rewriter import Constant
from ..scheduling import schedulable

PACKED = ("conv2d", "short_sums", "grouped", "dense", "winograd", "widen")


def layout_free(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    constant_positions: dict[str, list[set[int]]] = {}

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Call) and expr.op == tvm.ir.Op.get("relax.call_tir"):
            fields = expr.args[1].fields
            positions = {i for i, field in enumerate(fields) if isinstance(field, Constant)}
            constant_positions.setdefault(expr.args[0].name_hint, []).append(positions)

    for func in mod.functions.values():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func, visit)
    out = mod.clone()
    for gvar, func in mod.functions.items():
        if not isinstance(func, tirx.PrimFunc) or gvar.name_hint not in constant_positions or not schedulable(func):
            continue
        always = set.intersection(*constant_positions[gvar.name_hint])
        found = sorted(_kernel_arguments(func) & always)
        if found:
            out[gvar] = func.with_attr("layout_free_buffers", found)
    return out


def _kernel_arguments(func: tirx.PrimFunc) -> set[int]:
    """Positions of the parameters that the kernel's block reads."""
    sch = s_tir.Schedule(tvm.IRModule({"main": func}))
    found: set[int] = set()
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        realized = sch.get(block)
        if str(realized.annotations.get(KERNEL, "")) in PACKED:
            for region in realized.reads:
                found |= {i for i, param in enumerate(func.params) if region.source.same_as(param)}
    return found

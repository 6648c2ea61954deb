"""Let the model's memory plan hold what a function's kernels hand to each other, as the parts of a split sum.

TVM takes such memory from a pool of the thread when the function is called, and the pool gives back what has become too
small for a later function. A CUDA graph has kept its address, and would write there at its next launch.

Requires: functions scheduled for a GPU, called by `call_tir` or `call_tir_inplace`. Only memory planning and code
generation may follow.
Ensures: such memory is a further output of the function, which nobody reads.
"""

from __future__ import annotations

import tvm
from tvm import relax, s_tir, tirx

from ..rewriter import Rewriter, op_name

_CALLS = ("relax.call_tir", "relax.call_tir_inplace")
_NEW = -1  # of an output: it has memory of its own


def workspaces(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    with_some = {
        gvar.name_hint: func
        for gvar, func in mod.functions.items()
        if isinstance(func, tirx.PrimFunc) and _between_kernels(func)
    }
    if not with_some:
        return mod
    others = {gvar: func for gvar, func in mod.functions.items() if gvar.name_hint not in with_some}
    return _Workspaces(tvm.IRModule(others, attrs=mod.attrs), with_some).run()


class _Workspaces(Rewriter):
    def __init__(self, mod: tvm.IRModule, with_some: dict[str, tirx.PrimFunc]) -> None:
        super().__init__(mod)
        self.types = {
            name: [relax.TensorType(buffer.shape, str(buffer.dtype)) for buffer in _between_kernels(func)]
            for name, func in with_some.items()
        }
        self.functions = {name: self.bb.add_func(_given(func), name) for name, func in with_some.items()}

    def call(self, call: relax.Call) -> relax.Expr | None:
        function = self.functions.get(call.args[0].name_hint) if op_name(call) in _CALLS else None
        if function is None:
            return None
        [made] = call.ty_args
        own = list(made.fields) if isinstance(made, relax.TupleType) else [made]
        further = self.types[call.args[0].name_hint]
        arguments = relax.Tuple([self.value(field) for field in call.args[1].fields])
        if op_name(call) == "relax.call_tir":
            new = relax.op.call_tir(function, arguments, [*own, *further])
        else:
            into = [int(index) for index in call.attrs.inplace_indices]
            new = relax.op.call_tir_inplace(function, arguments, [*into, *[_NEW] * len(further)], [*own, *further])
        results = self.emit(new)
        fields = [relax.TupleGetItem(results, index) for index in range(len(own))]
        return relax.Tuple(fields) if isinstance(made, relax.TupleType) else fields[0]


def _between_kernels(func: tirx.PrimFunc) -> list[tirx.Var]:
    """What `func` allocates in the device's memory."""
    return [buffer for buffer in func.body.block.alloc_buffers if buffer.scope() in ("", "global")]


def _given(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """`func` with its memory given as last parameters."""
    root, given = func.body.block, _between_kernels(func)
    kept = [buffer for buffer in root.alloc_buffers if buffer.scope() not in ("", "global")]
    block = s_tir.SBlock(
        root.iter_vars, root.reads, root.writes, root.name_hint, root.body, root.init, kept, root.match_buffers,
        root.annotations,
    )  # fmt: skip
    body = s_tir.SBlockRealize(func.body.iter_values, func.body.predicate, block)
    return tirx.PrimFunc([*func.params, *given], body, func.ret_type, func.attrs)

"""Let kernels that write into a slice of a tensor (`concat_slices`) write into the tensor that they are given.

Requires: calls whose function has the attribute `edgetune.into`: its last argument is a tensor that it must not read,
and the output is what that holds, but for the slice. Only memory planning and code generation may follow: until here
such a call looks like any other to TVM's passes.
Ensures: the output is the last argument's memory.
"""

from __future__ import annotations

import tvm
from tvm import relax, tirx

from ..rewriter import Rewriter, op_name
from .concat_slices import INTO


def in_place(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    into = {
        gvar.name_hint: func
        for gvar, func in mod.functions.items()
        if isinstance(func, tirx.PrimFunc) and func.attrs and INTO in func.attrs
    }
    if not into:
        return mod
    others = {gvar: func for gvar, func in mod.functions.items() if gvar.name_hint not in into}
    return _InPlace(tvm.IRModule(others, attrs=mod.attrs), into).run()


class _InPlace(Rewriter):
    def __init__(self, mod: tvm.IRModule, into: dict[str, tirx.PrimFunc]) -> None:
        super().__init__(mod)
        self.functions = {name: self.bb.add_func(_without_before(func), name) for name, func in into.items()}

    def call(self, call: relax.Call) -> relax.Expr | None:
        function = self.functions.get(call.args[0].name_hint) if op_name(call) == "relax.call_tir" else None
        if function is None:
            return None
        arguments = [self.value(field) for field in call.args[1].fields]
        return relax.op.call_tir_inplace(function, relax.Tuple(arguments), len(arguments) - 1, call.ty_args[0])


def _without_before(func: tirx.PrimFunc) -> tirx.PrimFunc:
    *params, _, out = func.params
    return tirx.PrimFunc([*params, out], func.body, func.ret_type, func.attrs).without_attr(INTO)

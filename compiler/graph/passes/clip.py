"""Make the bounds of ONNX's Clip (ReLU6 and the like) plain operators again.

Requires: the importer's spelling: a function of TVM's, `maximum` or `minimum`, of a value and a bound, and around the
bound a `where` that makes a NaN infinite.
Ensures: every bound is one relax.maximum or relax.minimum, which every pass knows, and of a plain number where it is a
constant of one element.
"""

from __future__ import annotations

import numpy as np
import tvm
import tvm_ffi
from tvm import relax, topi

from ..rewriter import Constant, Rewriter, array_of, constant, op_name

BOUNDS = {
    "maximum": (topi.maximum, relax.op.maximum, -np.inf),
    "minimum": (topi.minimum, relax.op.minimum, np.inf),
}


class _Clip(Rewriter):
    def call(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.call_tir" or len(call.args[1].fields) != 2:
            return None
        function = self.mod[call.args[0]]
        data, bound = call.args[1].fields
        # A second Clip of the same kind makes a function `maximum1`.
        spelled = next((name for name in BOUNDS if str(call.args[0].name_hint).startswith(name)), None)
        if spelled is None:
            return None
        compute, operator, unbounded = BOUNDS[spelled]
        if not tvm_ffi.structural_equal(function, _function(compute, data, bound)):
            return None
        number = self._number(bound)
        if number is None:
            return operator(self.value(data), self.value(bound))
        number = np.where(np.isnan(number), unbounded, number).astype(number.dtype)
        return operator(self.value(data), constant(number.reshape(())))

    def _number(self, bound: relax.Expr) -> np.ndarray | None:
        """The one element of a constant, bare or as where(isnan(bound), infinity, bound)."""
        chosen = self.definitions.get(bound) if isinstance(bound, relax.Var) else None
        if chosen is not None and op_name(chosen) == "relax.where":
            tested = self.producer(chosen, 0, "relax.isnan")
            if tested is None or not tested.args[0].same_as(chosen.args[2]):
                return None
            bound = chosen.args[2]
        bound = self.value(bound)
        return array_of(bound) if isinstance(bound, Constant) and array_of(bound).size == 1 else None


def _function(compute: object, data: relax.Expr, bound: relax.Expr) -> tvm.tirx.PrimFunc:
    """What the importer makes of `compute`, to tell whether a function is that and not only called so."""
    builder = relax.BlockBuilder()
    variables = [relax.Var(name, expr.ty) for name, expr in (("a", data), ("b", bound))]
    with builder.function("main", variables):
        builder.emit_func_output(builder.emit_te(compute, *variables))
    return next(f for f in builder.get().functions.values() if isinstance(f, tvm.tirx.PrimFunc))


def clip(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _Clip(mod).run()

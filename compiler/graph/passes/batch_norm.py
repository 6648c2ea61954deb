"""Turn batch normalisation with constant statistics into one multiplication and one addition.

Requires: statistics that are constants (inference).
Ensures: no such batch_norm remains; the scale and shift are folded in float64.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from ..rewriter import Constant, Rewriter, array_of, constant, op_name


class _BatchNorm(Rewriter):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.normalised: dict[relax.Var, relax.Expr] = {}

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        if op_name(value) == "relax.nn.batch_norm":
            parameters = [self.value(a) for a in value.args[1:5]]
            if all(isinstance(p, Constant) for p in parameters) and not bool(value.attrs.training):
                self.normalised[var] = self._apply(value, [array_of(p).astype("float64") for p in parameters])
                return
        if isinstance(value, relax.TupleGetItem) and value.tuple_value in self.normalised and value.index == 0:
            self.env[var] = self.normalised[value.tuple_value]
            return
        super().bind(var, value)

    def _apply(self, call: relax.Call, parameters: list[np.ndarray]) -> relax.Expr:
        gamma, beta, mean, variance = parameters
        data = self.value(call.args[0])
        scale = gamma / np.sqrt(variance + float(call.attrs.epsilon))
        if not bool(call.attrs.scale):
            scale = 1.0 / np.sqrt(variance + float(call.attrs.epsilon))
        shift = (beta if bool(call.attrs.center) else 0.0) - mean * scale
        axis = int(call.attrs.axis) % data.ty.ndim
        shape = [-1 if d == axis else 1 for d in range(data.ty.ndim)]
        dtype = str(data.ty.dtype)
        scaled = self.bb.emit(relax.op.multiply(data, constant(scale.reshape(shape).astype(dtype))))
        return self.bb.emit(relax.op.add(scaled, constant(shift.reshape(shape).astype(dtype))))


def batch_norm(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _BatchNorm(mod).run()

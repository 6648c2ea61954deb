"""Turn products of a stack of matrices with one constant matrix into plain products of two matrices.

Requires: static shapes; the weights of a transformer, as exporters write them: [batch, tokens, in] times [in, out].
Ensures: such a product reads its data as [batch * tokens, in], which is our `dense` kernel (weights packed, and stored
in float16 where asked for); what is elementwise behind it follows in the same shape, so that it is still fused into
the kernel; a reshape, which costs nothing, stands only where something needs the old shape.
"""

from __future__ import annotations

import math

import tvm
from tvm import relax

from ..rewriter import Constant, Rewriter, array_of, dtype_of, op_name, shape_of
from .channels_last import BINARY, UNARY


class _FlatMatmul(Rewriter):
    """`self.flat` maps an old variable to its two-dimensional form; `self.env` to its own, made only when asked for."""

    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.flat: dict[relax.Var, relax.Expr] = {}

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        new = self._convert(value) if isinstance(value, relax.Call) else None
        if new is not None:
            self.flat[var] = self.emit(new)
        elif isinstance(value, relax.Var) and value in self.flat:
            self.flat[var] = self.flat[value]
        else:
            super().bind(var, value)

    def value(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Var) and expr not in self.env and expr in self.flat:
            self.env[expr] = self.bb.emit(relax.op.reshape(self.flat[expr], list(shape_of(expr) or ())))
        return super().value(expr)

    def _as_flat(self, expr: relax.Expr) -> relax.Expr:
        """`expr` with all dimensions but the last in one."""
        if expr not in self.flat:
            shape = shape_of(expr) or ()
            self.flat[expr] = self.bb.emit(
                relax.op.reshape(self.value(expr), [math.prod(shape[:-1]), *shape[-1:]])  # (k,) becomes (1, k)
            )
        return self.flat[expr]

    def _is_flat(self, expr: relax.Expr) -> bool:
        return isinstance(expr, relax.Var) and expr in self.flat

    def _convert(self, call: relax.Call) -> relax.Expr | None:
        """`call` on two dimensions, or None where it stays as it is."""
        name = op_name(call)
        if name == "relax.matmul":
            return self._matmul(call)
        if name in UNARY and self._is_flat(call.args[0]):
            return relax.Call(call.op, [self.flat[call.args[0]], *map(self.value, call.args[1:])], call.attrs)
        if name in BINARY and any(map(self._is_flat, call.args)):
            operands = [self._operand(operand, shape_of(call)) for operand in call.args]
            known = [operand for operand in operands if operand is not None]
            return relax.Call(call.op, known, call.attrs) if len(known) == len(operands) else None
        return None

    def _matmul(self, call: relax.Call) -> relax.Expr | None:
        data, weight = call.args
        shape, out = shape_of(data), shape_of(call)
        if not isinstance(weight, Constant) or array_of(weight).ndim != 2 or not isinstance(data, relax.Var):
            return None
        if not shape or not out or len(shape) == 2 or dtype_of(data) != "float32":
            return None
        return relax.op.matmul(self._as_flat(data), weight)

    def _operand(self, expr: relax.Expr, out: tuple[int, ...] | None) -> relax.Expr | None:
        """`expr` as an operand of two dimensions, where the result has the shape `out`; None where it cannot be one."""
        shape = shape_of(expr)
        if shape is None or out is None:
            return None
        if isinstance(expr, Constant):
            array = array_of(expr)
            along_the_last = array.size == (shape[-1] if shape else 1) and array.ndim <= len(out)
            return relax.const(array.reshape(shape[-1:])) if along_the_last else None
        if shape == out and isinstance(expr, relax.Var):
            return self._as_flat(expr)
        return self.value(expr) if not shape else None


def flat_matmul(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _FlatMatmul(mod).run()

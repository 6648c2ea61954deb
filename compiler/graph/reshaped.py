"""Rewriting operators to work on another shape of the same data, which what is elementwise behind them then keeps.

A reshape costs nothing at run time but ends a fusion; moved behind the elementwise operators, or up to another reshape
that undoes it, it does no harm.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import tvm
from tvm import relax

from .passes.channels_last import BINARY, UNARY
from .rewriter import Constant, Rewriter, array_of, constant, op_name, shape_of


class Reshaped(Rewriter, ABC):
    """`self.other` maps an old variable to its form in another shape; `self.env` to its own, made only when asked for.

    A pass derives from this and overrides `begin`.
    """

    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.other: dict[relax.Var, relax.Expr] = {}

    @abstractmethod
    def begin(self, call: relax.Call) -> relax.Expr | None:
        """`call` with a result in another shape, or None where it stays as it is."""

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        new = self._convert(value) if isinstance(value, relax.Call) else None
        if new is not None:
            self.other[var] = self.emit(new)
        elif isinstance(value, relax.Var) and value in self.other:
            self.other[var] = self.other[value]
        else:
            super().bind(var, value)

    def value(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Var) and expr not in self.env and expr in self.other:
            self.env[expr] = self.bb.emit(relax.op.reshape(self.other[expr], list(shape_of(expr) or ())))
        return super().value(expr)

    def call(self, call: relax.Call) -> relax.Expr | None:
        """A reshape of what is reshaped is one reshape, or none."""
        if op_name(call) != "relax.reshape" or not self.is_reshaped(call.args[0]):
            return None
        other = self.other[call.args[0]]
        shape = shape_of(call)
        if shape is None:
            return None
        return other if shape_of(other) == shape else relax.op.reshape(other, list(shape))

    def is_reshaped(self, expr: relax.Expr) -> bool:
        return isinstance(expr, relax.Var) and expr in self.other

    def in_shape(self, expr: relax.Expr, shape: tuple[int, ...]) -> relax.Expr:
        """`expr` in the shape `shape`."""
        if not self.is_reshaped(expr):
            self.other[expr] = self.bb.emit(relax.op.reshape(self.value(expr), list(shape)))
        other = self.other[expr]
        return other if shape_of(other) == shape else self.bb.emit(relax.op.reshape(other, list(shape)))

    def _convert(self, call: relax.Call) -> relax.Expr | None:
        begun = self.begin(call)
        if begun is not None:
            return begun
        name = op_name(call)
        if name in UNARY and self.is_reshaped(call.args[0]):
            return relax.Call(call.op, [self.other[call.args[0]], *map(self.value, call.args[1:])], call.attrs)
        if name in BINARY:
            out = shape_of(call)
            known = next((a for a in call.args if self.is_reshaped(a) and shape_of(a) == out), None)
            shape = shape_of(self.other[known]) if known is not None else None
            if out is None or shape is None:
                return None
            operands = [self._operand(operand, out, shape) for operand in call.args]
            found = [operand for operand in operands if operand is not None]
            return relax.Call(call.op, found, call.attrs) if len(found) == len(operands) else None
        return None

    def _operand(self, expr: relax.Expr, out: tuple[int, ...], shape: tuple[int, ...]) -> relax.Expr | None:
        """`expr`, an operand of a result that is `out`, for a result that is `shape`; None where it cannot be one."""
        own = shape_of(expr)
        if own is None:
            return None
        if isinstance(expr, Constant):
            array = array_of(expr)
            if array.size == 1:
                return constant(array.reshape(()))
            along_the_last = array.ndim <= len(out) and array.size == own[-1] == out[-1]
            return constant(array.reshape(_tail(shape, out[-1]))) if along_the_last else None
        if own == out and isinstance(expr, relax.Var):
            return self.in_shape(expr, shape)
        return self.value(expr) if not own else None


def _tail(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The last axes of `shape`, as many as hold `count` elements."""
    start = len(shape) - 1
    while start > 0 and math.prod(shape[start:]) < count:
        start -= 1
    return shape[start:]

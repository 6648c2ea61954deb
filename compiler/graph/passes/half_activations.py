"""Keep activations in float16 between kernels, which read them widened and compute in float32.

Requires: `lay_out`'s result: operators on float32, channels last, weights constant.
Ensures: what a kernel writes for another that can read float16 is float16, but for tensors that are marked as too large
(`compiler.frontend.overflow`); the marks are gone. Convolutions and matrix products whose factors may be narrow say so
by an explicit `out_dtype` of float32; the others keep float32 factors. Sums, softmax and LRN are float32 everywhere,
the model's inputs and outputs are as they were.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from compiler.frontend.overflow import MARK

from ..rewriter import Constant, Rewriter, array_of, dtype_of, op_name, shape_of
from .channels_last import BINARY, UNARY, conv2d_like
from .lrn import ATTRIBUTE as LRN
from .lrn import emit_lrn

WIDE, HALF = "float32", "float16"
PRODUCTS = ("relax.nn.conv2d", "relax.matmul")
POOLS = ("relax.nn.max_pool2d", "relax.nn.avg_pool2d")
MOVES = ("relax.reshape", "relax.permute_dims", "relax.concat")
ELEMENTWISE = (UNARY | BINARY) - {"relax.astype"}
_LAST = 3  # the axis of the channels


class _HalfActivations(Rewriter):
    """`self.half` maps an old variable to its float16 form; its float32 form is in `self.env`, or made where it is
    read."""

    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.half: dict[relax.Var, relax.Expr] = {}
        self.same: dict[relax.Var, relax.Var] = {}  # a variable, and the one that it is another name or a mark of
        self.wide: set[relax.Var] = set()
        self.uses: dict[
            relax.Var, list[tuple[relax.Var, relax.Call] | None]
        ] = {}  # None: the model's output, or no call
        if self.applies():
            self._find_marks()
            self._find_uses()

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        if var in self.same:
            return
        if not isinstance(value, relax.Call):
            super().bind(var, value)
            return
        moved = self._on_half(value)
        if moved is not None:
            self.half[var] = self.emit(moved)
            return
        if op_name(value) == "relax.astype" and dtype_of(value) == WIDE and dtype_of(value.args[0]) == HALF:
            self.half[var] = self.value(value.args[0])  # a model with float16 inputs
            return
        new = self._product(value)
        new = new if new is not None else self._lrn(value)
        made = self.emit(new if new is not None else self.copy(value))
        if self._is_stored_half(var):
            self.half[var] = self.emit(relax.op.astype(made, HALF))
            if None not in self.uses[var]:
                return
        self.env[var] = made

    def value(self, expr: relax.Expr) -> relax.Expr:
        """`expr` in float32. What is kept in float16 is widened for each reader, whose kernel that becomes part of."""
        if isinstance(expr, relax.Var):
            expr = self._source(expr)
            if expr not in self.env and expr in self.half:
                return self.bb.emit(relax.op.astype(self.half[expr], WIDE))
        return super().value(expr)

    def _on_half(self, call: relax.Call) -> relax.Expr | None:
        """What only moves or compares values, on float16 where all that it reads is; averages are computed wide."""
        name = op_name(call)
        if name not in (*MOVES, *POOLS):
            return None
        data = list(call.args[0].fields) if isinstance(call.args[0], relax.Tuple) else [call.args[0]]
        halves = [self._half_of(one) for one in data]
        if not halves or any(half is None for half in halves):
            return None
        first = relax.Tuple(halves) if isinstance(call.args[0], relax.Tuple) else halves[0]
        return relax.Call(call.op, [first, *(self.value(a) for a in call.args[1:])], call.attrs)

    def _product(self, call: relax.Call) -> relax.Expr | None:
        """A convolution or matrix product whose factors may be narrow."""
        if not _is_product(call) or self._is_wide(call.args[0]):
            return None
        data, weight = call.args
        half = self._half_of(data)
        operand = half if half is not None else self.value(data)
        if op_name(call) == "relax.matmul":
            return relax.op.matmul(operand, weight, out_dtype=WIDE)
        return conv2d_like(call, operand, weight, WIDE)

    def _lrn(self, call: relax.Call) -> relax.Expr | None:
        numbers = self._lrn_numbers(call)
        if numbers is None:
            return None
        data = call.args[1].fields[0]
        half = self._half_of(data)
        size, alpha, beta, bias = numbers
        return emit_lrn(self.bb, half if half is not None else self.value(data), int(size), alpha, beta, bias, _LAST)

    def _lrn_numbers(self, call: relax.Call) -> list[float] | None:
        if op_name(call) != "relax.call_tir":
            return None
        func = self.mod[call.args[0]]
        numbers = func.attrs.get(LRN) if func.attrs else None
        return None if numbers is None else [float(number) for number in numbers]

    def _is_stored_half(self, var: relax.Var) -> bool:
        """Whether `var` is worth keeping in float16: a kernel that can read that does, and it is not just the middle of
        one, where nothing is kept."""
        if var in self.wide or shape_of(var) is None or dtype_of(var) != WIDE:
            return False
        uses = self.uses.get(var, [])
        if len(uses) == 1 and uses[0] is not None and op_name(uses[0][1]) in ELEMENTWISE:
            return False
        return self._is_read_half(var)

    def _is_read_half(self, var: relax.Var) -> bool:
        return any(use is not None and self._reads_half(*use) for use in self.uses.get(var, []))

    def _reads_half(self, var: relax.Var, call: relax.Call) -> bool:
        """Whether the kernel of `call`, whose result is `var`, reads float16; one that only moves values does where
        what is behind it does."""
        name = op_name(call)
        if name in MOVES:
            return self._is_read_half(var)
        return name in ELEMENTWISE or name in POOLS or _is_product(call) or self._lrn_numbers(call) is not None

    def _half_of(self, expr: relax.Expr) -> relax.Expr | None:
        return self.half.get(self._source(expr)) if isinstance(expr, relax.Var) else None

    def _is_wide(self, expr: relax.Expr) -> bool:
        return not isinstance(expr, relax.Var) or self._source(expr) in self.wide

    def _source(self, var: relax.Var) -> relax.Var:
        while var in self.same:
            var = self.same[var]
        return var

    def _find_marks(self) -> None:
        for var, value in self.definitions.items():
            if isinstance(value, relax.Var):
                self.same[var] = value
            elif _bounded(value, "relax.minimum", MARK):
                inner = self.definitions.get(value.args[0]) if isinstance(value.args[0], relax.Var) else None
                if inner is not None and _bounded(inner, "relax.maximum", -MARK):
                    self.same[var] = self.same[value.args[0]] = inner.args[0]
                    self.wide.add(inner.args[0])
        self.wide = {self._source(var) for var in self.wide}

    def _find_uses(self) -> None:
        for var, value in self.definitions.items():
            if var in self.same:
                continue
            for read in _variables(value):
                use = (var, value) if isinstance(value, relax.Call) else None
                self.uses.setdefault(self._source(read), []).append(use)
        for read in _variables(self.old.body.body):
            self.uses.setdefault(self._source(read), []).append(None)


def _is_product(call: relax.Call) -> bool:
    """Whether one of our own kernels for products of activations and weights computes `call`."""
    if op_name(call) not in PRODUCTS or not isinstance(call.args[1], Constant):
        return False
    data, weight = shape_of(call.args[0]), shape_of(call.args[1])
    if data is None or weight is None or dtype_of(call.args[0]) != WIDE:
        return False
    if op_name(call) == "relax.matmul":
        return len(data) == len(weight) == 2
    return str(call.attrs.data_layout) == "NHWC" and str(call.attrs.kernel_layout) == "HWIO"


def _bounded(value: relax.Expr, name: str, bound: float) -> bool:
    if op_name(value) != name or not isinstance(value.args[0], relax.Var) or not isinstance(value.args[1], Constant):
        return False
    number = array_of(value.args[1])
    return number.size == 1 and float(number.reshape(())) == float(np.float32(bound))


def _variables(expr: relax.Expr) -> list[relax.Var]:
    if isinstance(expr, relax.Var):
        return [expr]
    if isinstance(expr, relax.Tuple):
        return [var for field in expr.fields for var in _variables(field)]
    if isinstance(expr, relax.TupleGetItem):
        return _variables(expr.tuple_value)
    if isinstance(expr, relax.Call):
        return [var for argument in expr.args for var in _variables(argument)]
    return []


def half_activations(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _HalfActivations(mod).run()

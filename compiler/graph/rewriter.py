"""Rebuilding a Relax function binding by binding: the loop that several passes share.

A pass derives from `Rewriter` and overrides `call`; what it does not handle is copied with its arguments replaced.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst as Constant


def array_of(constant: Constant) -> np.ndarray:
    """The value of a Relax constant."""
    return constant.value.numpy()


def constant(array: np.ndarray) -> Constant:
    """`array` as a Relax constant of its own type: `relax.const` makes float32 of float64, and int32 of int64."""
    return relax.const(array, str(array.dtype))


def shape_of(expr: relax.Expr) -> tuple[int, ...] | None:
    """Static shape of a tensor expression; None where it is unknown or symbolic."""
    info = expr.ty
    if not isinstance(info, relax.TensorType) or info.shape is None or not hasattr(info.shape, "values"):
        return None
    try:
        return tuple(int(d) for d in info.shape.values)
    except TypeError:
        return None


def dtype_of(expr: relax.Expr) -> str:
    """Numpy name of a tensor expression's element type."""
    return str(expr.ty.dtype)


def op_name(call: relax.Expr) -> str:
    """`relax.nn.conv2d` and the like; empty for what is no call of an operator."""
    if isinstance(call, relax.Call) and isinstance(call.op, tvm.ir.Op):
        return str(call.op.name)
    return ""


class Rewriter:
    """Copies `main` of a module; `call` may replace any operator call.

    `definitions` maps a variable of the old function to the expression bound to it.
    """

    def __init__(self, mod: tvm.IRModule) -> None:
        self.mod = mod
        self.old = mod["main"]
        others = {gvar: func for gvar, func in mod.functions.items() if gvar.name_hint != "main"}
        self.bb = relax.BlockBuilder(tvm.IRModule(others))
        self.env: dict[relax.Var, relax.Expr] = {}
        self.definitions: dict[relax.Var, relax.Expr] = {}
        for block in self.old.body.blocks:
            for binding in block.bindings:
                if isinstance(binding, relax.VarBinding):
                    self.definitions[binding.var] = binding.value

    def applies(self) -> bool:
        """Whether `main` is the straight line of bindings that this class can copy."""
        return (
            isinstance(self.old.body, relax.SeqExpr)
            and all(isinstance(b, relax.VarBinding) for block in self.old.body.blocks for b in block.bindings)
            and not any(
                isinstance(b.value, relax.If | relax.Function) for block in self.old.body.blocks for b in block.bindings
            )
        )

    def run(self) -> tvm.IRModule:
        """The rewritten module; the old one where `applies` is false."""
        if not self.applies():
            return self.mod
        params = []
        for param in self.old.params:
            new = relax.Var(self.name(param), param.ty)
            params.append(new)
            self.env[param] = new
        attrs = dict(self.old.attrs.items()) if self.old.attrs else {}
        attrs.pop("global_symbol", None)
        with self.bb.function("main", params, attrs=attrs):
            with self.bb.dataflow():
                for block in self.old.body.blocks:
                    for binding in block.bindings:
                        self.bind(binding.var, binding.value)
                result = self.bb.emit_output(self.value(self.old.body.body))
            self.bb.emit_func_output(result)
        out = self.bb.finalize()
        out = relax.transform.DeadCodeElimination(["main"])(out)
        return relax.transform.CanonicalizeBindings()(out)

    def name(self, param: relax.Var) -> str:
        """What the new function calls its parameter `param`."""
        return str(param.name)

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        """Copy one binding."""
        new = self.call(value) if isinstance(value, relax.Call) else None
        if new is None:
            new = self.copy(value)
        self.env[var] = self.emit(new)

    def emit(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Var | Constant):
            return expr
        return self.bb.emit(expr)

    def call(self, call: relax.Call) -> relax.Expr | None:
        """Replacement for `call`, or None to copy it. Arguments are to be read through `value`."""
        return None

    def producer(self, call: relax.Call | None, argument: int, name: str) -> relax.Call | None:
        """The call of operator `name` that makes `argument` of `call`; None if it is another, or `call` is None."""
        if call is None or not isinstance(call.args[argument], relax.Var):
            return None
        value = self.definitions.get(call.args[argument])
        return value if value is not None and op_name(value) == name else None

    def copy(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Call):
            return relax.Call(expr.op, [self.value(a) for a in expr.args], expr.attrs, expr.ty_args)
        return self.value(expr)

    def value(self, expr: relax.Expr) -> relax.Expr:
        """`expr` of the old function, in terms of the new one."""
        if isinstance(expr, relax.Var):
            return self.env.get(expr, expr)
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self.value(f) for f in expr.fields])
        if isinstance(expr, relax.TupleGetItem):
            return relax.TupleGetItem(self.value(expr.tuple_value), expr.index)
        return expr

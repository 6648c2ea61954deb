"""Lay four-dimensional tensors out channels last (NHWC), and convolution weights as HWIO.

Requires: convolutions and pools in NCHW, as the importer makes them.
Ensures: every convolution, pool and normalisation over channels runs in NHWC; what can follow (elementwise operators,
concatenation, reductions, channel shuffles) follows; a transpose stands only where something needs the old order, and
none between two convolutions of an ordinary network. Weights that are constants are transposed here.

Relax's own ConvertLayout stops at what it does not know (stack, 5-D reshapes, dropout) and cannot follow our kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from ..rewriter import Constant, Rewriter, array_of, constant, op_name, shape_of
from .lrn import ATTRIBUTE as LRN
from .lrn import emit_lrn

TO_LAST = (0, 2, 3, 1)
TO_FIRST = (0, 3, 1, 2)
AXIS = {0: 0, 1: 3, 2: 1, 3: 2}  # where an NCHW axis stands in NHWC

# fmt: off
ACTIVATIONS = ("relu", "relu6", "leakyrelu", "gelu", "gelu_tanh", "silu", "selu", "elu")
FUNCTIONS = (
    "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "abs", "negative", "clip", "floor", "ceil", "round", "square",
    "erf", "astype", "sign", "trunc",
)
# fmt: on
UNARY = {*(f"relax.nn.{name}" for name in ACTIVATIONS), *(f"relax.{name}" for name in FUNCTIONS)}
BINARY = {f"relax.{name}" for name in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum")}
REDUCTIONS = {f"relax.{name}" for name in ("mean", "sum", "max", "min", "prod")}


def conv2d_like(call: relax.Call, data: relax.Expr, weight: relax.Expr, out_dtype: str | None = None) -> relax.Expr:
    """The convolution `call` on `data` with its channels last and `weight` as HWIO."""
    attrs = call.attrs
    return relax.op.nn.conv2d(
        data,
        weight,
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        groups=int(attrs.groups),
        data_layout="NHWC",
        kernel_layout="HWIO",
        out_dtype=out_dtype,
    )


class _ChannelsLast(Rewriter):
    """`self.last` maps an old variable to its NHWC form; `self.env` to its NCHW form, made only when asked for."""

    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.last: dict[relax.Var, relax.Expr] = {}

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        if isinstance(value, relax.Call):
            new = self._convert(value)
            if new is not None:
                self.last[var] = self.emit(new)
                return
        elif isinstance(value, relax.Var) and value in self.last:
            self.last[var] = self.last[value]
            return
        super().bind(var, value)

    def value(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Var) and expr not in self.env and expr in self.last:
            self.env[expr] = self.bb.emit(relax.op.permute_dims(self.last[expr], list(TO_FIRST)))
        return super().value(expr)

    def _as_last(self, expr: relax.Expr) -> relax.Expr:
        """`expr`, of four dimensions, in NHWC."""
        if isinstance(expr, Constant):
            return constant(np.ascontiguousarray(array_of(expr).transpose(TO_LAST)))
        if expr not in self.last:
            self.last[expr] = self.bb.emit(relax.op.permute_dims(self.value(expr), list(TO_LAST)))
        return self.last[expr]

    def _is_last(self, expr: relax.Expr) -> bool:
        return isinstance(expr, relax.Var) and expr in self.last

    def _convert(self, call: relax.Call) -> relax.Expr | None:
        """`call` in NHWC, or None where it stays as it is."""
        name = op_name(call)
        if name == "relax.nn.conv2d":
            return self._conv2d(call)
        if name in ("relax.nn.max_pool2d", "relax.nn.avg_pool2d"):
            return self._pool(call, relax.op.nn.max_pool2d if "max" in name else relax.op.nn.avg_pool2d)
        if name == "relax.nn.adaptive_avg_pool2d" and str(call.attrs.layout) == "NCHW":
            size = [int(s) for s in call.attrs.output_size] if call.attrs.output_size is not None else None
            return relax.op.nn.adaptive_avg_pool2d(self._as_last(call.args[0]), size, layout="NHWC")
        if name == "relax.call_tir":
            return self._lrn(call)
        if name in UNARY and self._is_last(call.args[0]):
            rest = [self.value(a) for a in call.args[1:]]
            return relax.Call(call.op, [self.last[call.args[0]], *rest], call.attrs)
        if name == "relax.nn.prelu" and self._is_last(call.args[0]) and int(call.attrs.axis) % 4 == 1:
            return relax.op.nn.prelu(self.last[call.args[0]], self.value(call.args[1]), 3)
        if name in BINARY:
            return self._binary(call)
        if name == "relax.concat":
            return self._concat(call)
        if name in REDUCTIONS and self._is_last(call.args[0]) and call.attrs.axis is not None and call.attrs.keepdims:
            make = getattr(relax.op, name.removeprefix("relax."))
            return make(self.last[call.args[0]], sorted(AXIS[int(a) % 4] for a in call.attrs.axis), True)
        if name in ("relax.nn.softmax", "relax.nn.log_softmax") and self._is_last(call.args[0]):
            make = relax.op.nn.softmax if name.endswith(".softmax") else relax.op.nn.log_softmax
            return make(self.last[call.args[0]], AXIS[int(call.attrs.axis) % 4])
        return None

    def call(self, call: relax.Call) -> relax.Expr | None:
        """Operators that read NHWC and whose result is no longer a four-dimensional picture."""
        name = op_name(call)
        if not call.args or not self._is_last(call.args[0]):
            return None
        data = self.last[call.args[0]]
        if name in REDUCTIONS and call.attrs.axis is not None and not bool(call.attrs.keepdims):
            axes = sorted(AXIS[int(a) % 4] for a in call.attrs.axis)
            kept = [a for a in AXIS.values() if a not in axes]
            if kept == sorted(kept):  # what is left comes in the same order in both layouts
                return getattr(relax.op, name.removeprefix("relax."))(data, axes, False)
        if name == "relax.reshape":
            return self._reshape(call, data)
        return None

    def _conv2d(self, call: relax.Call) -> relax.Expr | None:
        attrs = call.attrs
        if str(attrs.data_layout) != "NCHW" or str(attrs.kernel_layout) != "OIHW":
            return None
        data = self._as_last(call.args[0])
        weight = call.args[1]
        if isinstance(weight, Constant):
            weight = constant(np.ascontiguousarray(array_of(weight).transpose(2, 3, 1, 0)))
        else:
            weight = self.bb.emit(relax.op.permute_dims(self.value(weight), [2, 3, 1, 0]))
        return conv2d_like(call, data, weight)

    def _pool(self, call: relax.Call, make: Callable[..., relax.Expr]) -> relax.Expr | None:
        attrs = call.attrs
        if str(attrs.layout) != "NCHW":
            return None
        return make(
            self._as_last(call.args[0]),
            pool_size=list(attrs.pool_size),
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            dilation=list(attrs.dilation),
            ceil_mode=bool(attrs.ceil_mode),
            count_include_pad=bool(attrs.count_include_pad),
            layout="NHWC",
        )

    def _lrn(self, call: relax.Call) -> relax.Expr | None:
        func = self.mod[call.args[0]]
        numbers = func.attrs.get(LRN) if func.attrs else None
        if numbers is None:
            return None
        size, alpha, beta, bias = (float(v) for v in numbers)
        return emit_lrn(self.bb, self._as_last(call.args[1].fields[0]), int(size), alpha, beta, bias, axis=3)

    def _binary(self, call: relax.Call) -> relax.Expr | None:
        if not any(self._is_last(a) for a in call.args):
            return None
        operands = []
        for operand in call.args:
            shape = shape_of(operand)
            if shape is None:
                return None
            if self._is_last(operand) or len(shape) == 4:
                operands.append(self._as_last(operand))
            elif isinstance(operand, Constant):
                array = array_of(operand)
                if array.ndim > 4:
                    return None
                array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(TO_LAST)
                operands.append(constant(np.ascontiguousarray(array)))
            elif not shape:
                operands.append(self.value(operand))
            else:
                return None
        return relax.Call(call.op, operands, call.attrs)

    def _concat(self, call: relax.Call) -> relax.Expr | None:
        if not isinstance(call.args[0], relax.Tuple):
            return None
        fields = list(call.args[0].fields)
        if not any(self._is_last(f) for f in fields) or call.attrs.axis is None:
            return None
        axis = AXIS[int(call.attrs.axis) % 4]
        return relax.op.concat([self._as_last(f) for f in fields], axis)

    def _reshape(self, call: relax.Call, data: relax.Expr) -> relax.Expr | None:
        """A reshape that reads NHWC as it is: of single pixels, or half of a channel shuffle."""
        old, new = shape_of(data), shape_of(call)
        if old is None or new is None:
            return None
        if old[1] == old[2] == 1:
            return relax.op.reshape(data, list(new))
        return None


def _order(transpose: relax.Call) -> tuple[int, ...]:
    """The axes of a transpose; without any it turns them all round."""
    if transpose.attrs.axes is None:
        return tuple(reversed(range(transpose.args[0].ty.ndim)))
    return tuple(int(a) for a in transpose.attrs.axes)


class _ChannelShuffle(Rewriter):
    """reshape [n, g, c/g, h, w] - transpose of the two channel axes - reshape back, in NHWC."""

    def call(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.reshape":
            return None
        swap = self.producer(call, 0, "relax.permute_dims")
        split = self.producer(swap, 0, "relax.reshape")
        source = self.producer(split, 0, "relax.permute_dims")
        if swap is None or source is None:
            return None
        final, five, first = shape_of(call), shape_of(split), shape_of(source)
        if final is None or five is None or final != first or len(five) != 5 or len(first) != 4:
            return None
        if _order(swap) != (0, 2, 1, 3, 4) or _order(source) != TO_FIRST:
            return None
        n, groups, each, h, w = five
        if (n, groups * each, h, w) != first:
            return None
        data = self.value(source.args[0])
        split_last = self.bb.emit(relax.op.reshape(data, [n, h, w, groups, each]))
        swapped = self.bb.emit(relax.op.permute_dims(split_last, [0, 1, 2, 4, 3]))
        joined = self.bb.emit(relax.op.reshape(swapped, [n, h, w, groups * each]))
        return relax.op.permute_dims(joined, list(TO_FIRST))


class _CancelTransposes(Rewriter):
    """Two transposes that undo each other."""

    def call(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.permute_dims":
            return None
        inner = self.producer(call, 0, "relax.permute_dims")
        if inner is None:
            return None
        first, second = _order(inner), _order(call)
        if [first[a] for a in second] == list(range(len(first))):
            return self.value(inner.args[0])
        return None


def channels_last(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    mod = _ChannelsLast(mod).run()
    mod = _ChannelShuffle(mod).run()
    return _CancelTransposes(mod).run()

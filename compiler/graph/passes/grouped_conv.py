"""Give the groups of a convolution an axis of their own where their channels do not fill vectors.

Requires: convolutions in NHWC with HWIO weights (`channels_last`), operators not yet lowered.
Ensures: such a convolution, unless it is depthwise, is a call of the kernel `conv2d_grouped`, whose groups are filled
up with channels that are not kept; what is elementwise behind it follows in the shape [n, h, w, group, channel], and
so does the reshape of a channel shuffle; a reshape stands only where something needs the old shape. A channel shuffle
in front of it, or in front of the depthwise convolution that it reads (ShuffleNet), is gone: the depthwise weights are
permuted instead, and the kernel reads the channels where they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from ..filling import Fill
from ..kernels import FUSES_ELEMENTWISE
from ..kernels.grouped import conv2d_grouped
from ..kernels.padding import four
from ..reshaped import Reshaped
from ..rewriter import Constant, array_of, constant, dtype_of, op_name, shape_of

Store = Callable[[np.ndarray, str, relax.Call], Constant]
Factors = Callable[[relax.Call], "str | None"]

FLOATS = ("float32", "float16")  # of activations; sums are float32


class _GroupedConv(Reshaped):
    def __init__(self, mod: tvm.IRModule, fill: Fill, store: Store, factors: Factors) -> None:
        super().__init__(mod)
        self.fill, self.store, self.factors = fill, store, factors
        self.count = 0
        self.uses = _uses(mod["main"])

    def begin(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.nn.conv2d" or str(call.attrs.data_layout) != "NHWC":
            return None
        data, weight = call.args
        shape, out, groups = shape_of(data), shape_of(call), int(call.attrs.groups)
        if groups == 1 or not isinstance(weight, Constant) or not shape or not out or dtype_of(data) not in FLOATS:
            return None
        array = array_of(weight)
        channels = out[3] // groups
        filled = self.fill(channels, out[2])
        if array.shape[2] == 1:
            return None
        source, shuffled = self._before_shuffle(data)
        if filled == channels and shuffled == 1:
            return None
        array = array.reshape(*array.shape[:3], groups, channels)
        array = np.pad(array, [(0, 0)] * 4 + [(0, filled - channels)])
        strides, dilation = ([int(v) for v in values] for values in (call.attrs.strides, call.attrs.dilation))
        self.count += 1
        return self.bb.call_te(
            conv2d_grouped,
            source,
            self.store(array, f"conv2d in groups {self.count}", call),
            strides,
            four(call.attrs.padding),
            dilation,
            channels,
            shuffled,
            self.factors(call),
            primfunc_name_hint="conv2d_grouped",
            primfunc_attrs={"op_pattern": FUSES_ELEMENTWISE},
        )

    def _before_shuffle(self, data: relax.Expr) -> tuple[relax.Expr, int]:
        """What `data` is made of before a channel shuffle, and the shuffle's groups; `data` itself and 1 without one.

        A depthwise convolution and a bias behind the shuffle are put before it, their constants permuted.
        """
        narrowed = self._made_by("relax.astype", data)
        if narrowed is not None:
            result, groups = self._before_shuffle(narrowed.args[0])
            if groups == 1:
                return self.value(data), 1
            return self.bb.emit(relax.op.astype(result, dtype_of(data))), groups
        bias, last = None, data
        add = self._made_by("relax.add", last)
        if add is not None and isinstance(add.args[1], Constant):
            bias, last = array_of(add.args[1]), add.args[0]
        window = self._made_by("relax.nn.conv2d", last)
        if window is not None:
            if int(window.attrs.groups) != (shape_of(window.args[0]) or (0,))[-1]:
                return self.value(data), 1
            last = window.args[0]
        found = self._shuffle(last)
        shape = shape_of(data)
        if found is None or shape is None or (bias is not None and bias.size != shape[3]):
            return self.value(data), 1
        before, groups = found
        source = np.arange(shape[3]).reshape(groups, -1).T.reshape(-1)  # of channel p after the shuffle
        result = self.value(before)
        if window is not None:
            weight = array_of(window.args[1]) if isinstance(window.args[1], Constant) else None
            if weight is None or weight.shape[2:] != (1, shape[3]):
                return self.value(data), 1
            moved = np.empty_like(weight)
            moved[..., source] = weight
            result = self.bb.emit(relax.Call(window.op, [result, constant(moved)], window.attrs))
        if bias is not None:
            moved = np.empty_like(bias)
            moved[..., source] = bias
            result = self.bb.emit(relax.op.add(result, constant(moved)))
        return result, groups

    def _made_by(self, name: str, expr: relax.Expr) -> relax.Call | None:
        """The call of operator `name` that computes `expr`, if nothing else reads it."""
        if not isinstance(expr, relax.Var) or self.uses.get(expr, 0) != 1:
            return None
        value = self.definitions.get(expr)
        return value if value is not None and op_name(value) == name else None

    def _shuffle(self, expr: relax.Expr) -> tuple[relax.Expr, int] | None:
        """(data, groups) where `expr` comes of the three operators of a channel shuffle in NHWC."""
        joined = self._made_by("relax.reshape", expr)
        turned = None if joined is None else self._made_by("relax.permute_dims", joined.args[0])
        if turned is None or [int(a) for a in turned.attrs.axes or ()] != [0, 1, 2, 4, 3]:
            return None
        split = self._made_by("relax.reshape", turned.args[0])
        if split is None:
            return None
        shape, five = shape_of(split.args[0]), shape_of(split)
        if not shape or not five or len(shape) != 4 or shape[:3] != five[:3] or shape_of(expr) != shape:
            return None
        return split.args[0], five[3]


def _uses(func: relax.Function) -> dict[relax.Var, int]:
    """How often each variable is read."""
    found: dict[relax.Var, int] = {}

    def read(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Var):
            found[expr] = found.get(expr, 0) + 1
        elif isinstance(expr, relax.Call):
            for argument in expr.args:
                read(argument)
        elif isinstance(expr, relax.Tuple):
            for field in expr.fields:
                read(field)
        elif isinstance(expr, relax.TupleGetItem):
            read(expr.tuple_value)

    for block in func.body.blocks:
        for binding in block.bindings:
            read(binding.value)
    read(func.body.body)
    return found


def grouped_conv(mod: tvm.IRModule, fill: Fill, store: Store, factors: Factors) -> tvm.IRModule:
    """Apply the pass. `fill` says how many channels to compute, `store` makes a constant of the weight of a call, which
    it calls by a name, and `factors` says what the factors of a call may be rounded to (`..kernels.FACTORS`)."""
    return _GroupedConv(mod, fill, store, factors).run()

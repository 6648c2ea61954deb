"""Give the groups of a convolution an axis of their own where their channels do not fill vectors.

Requires: convolutions in NHWC with HWIO weights (`channels_last`), operators not yet lowered.
Ensures: such a convolution, unless it is depthwise, is a call of the kernel `conv2d_grouped`, whose groups are filled
up with channels that are not kept; what is elementwise behind it follows in the shape [n, h, w, group, channel], and
so does the reshape of a channel shuffle; a reshape stands only where something needs the old shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from ..filling import Fill
from ..kernels.grouped import conv2d_grouped
from ..kernels.padding import four
from ..reshaped import Reshaped
from ..rewriter import Constant, array_of, dtype_of, op_name, shape_of

FUSES_ELEMENTWISE = 4  # relax::OpPatternKind::kOutEWiseFusable


class _GroupedConv(Reshaped):
    def __init__(self, mod: tvm.IRModule, fill: Fill, store: Callable[[np.ndarray, str], Constant]) -> None:
        super().__init__(mod)
        self.fill, self.store = fill, store
        self.count = 0

    def begin(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.nn.conv2d" or str(call.attrs.data_layout) != "NHWC":
            return None
        data, weight = call.args
        shape, out, groups = shape_of(data), shape_of(call), int(call.attrs.groups)
        if groups == 1 or not isinstance(weight, Constant) or not shape or not out or dtype_of(data) != "float32":
            return None
        array = array_of(weight)
        channels = out[3] // groups
        filled = self.fill(channels, out[2])
        if filled == channels or array.shape[2] == 1:
            return None
        array = array.reshape(*array.shape[:3], groups, channels)
        array = np.pad(array, [(0, 0)] * 4 + [(0, filled - channels)])
        strides, dilation = ([int(v) for v in values] for values in (call.attrs.strides, call.attrs.dilation))
        self.count += 1
        return self.bb.call_te(
            conv2d_grouped,
            self.value(data),
            self.store(array, f"conv2d in groups {self.count}"),
            strides,
            four(call.attrs.padding),
            dilation,
            channels,
            primfunc_name_hint="conv2d_grouped",
            primfunc_attrs={"op_pattern": FUSES_ELEMENTWISE},
        )


def grouped_conv(mod: tvm.IRModule, fill: Fill, store: Callable[[np.ndarray, str], Constant]) -> tvm.IRModule:
    """Apply the pass. `fill` says how many channels to compute, `store` makes a constant of a weight and its name."""
    return _GroupedConv(mod, fill, store).run()

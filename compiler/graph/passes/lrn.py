"""Recognise local response normalisation, which the importer spells out in eight operators, as one kernel.

Requires: the importer's spelling: x / (avg_pool3d(x * x) * alpha + bias) ** beta, over channels of NCHW.
Ensures: each such chain is one call_tir of a function with the attribute `edgetune.lrn` (size, alpha, beta, bias).
"""

from __future__ import annotations

import tvm
from tvm import relax

from ..kernels import FUSES_ELEMENTWISE
from ..kernels.lrn import lrn as lrn_kernel
from ..rewriter import Constant, Rewriter, array_of, op_name, shape_of

ATTRIBUTE = "edgetune.lrn"


class _Lrn(Rewriter):
    def call(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.divide":
            return None
        found = self._match(call)
        if found is None:
            return None
        data, size, alpha, beta, bias = found
        return emit_lrn(self.bb, self.value(data), size, alpha, beta, bias, axis=1)

    def _scalar(self, expr: relax.Expr) -> float | None:
        if isinstance(expr, Constant) and array_of(expr).size == 1:
            return float(array_of(expr).reshape(()))
        return None

    def _match(self, divide: relax.Call) -> tuple[relax.Expr, int, float, float, float] | None:
        data = divide.args[0]
        power = self.producer(divide, 1, "relax.power")
        add = self.producer(power, 0, "relax.add")
        scaled = self.producer(add, 0, "relax.multiply")
        squeeze = self.producer(scaled, 0, "relax.squeeze")
        pool = self.producer(squeeze, 0, "relax.nn.avg_pool3d")
        expand = self.producer(pool, 0, "relax.expand_dims")
        square = self.producer(expand, 0, "relax.multiply")
        if power is None or add is None or scaled is None or pool is None or square is None:
            return None
        if not all(a.same_as(data) for a in square.args):
            return None
        if not _sums_channels(pool):
            return None
        alpha, beta, bias = self._scalar(scaled.args[1]), self._scalar(power.args[1]), self._scalar(add.args[1])
        if alpha is None or beta is None or bias is None:
            return None
        if len(shape_of(data) or ()) != 4:
            return None
        return data, int(pool.attrs.pool_size[0]), alpha, beta, bias


def _sums_channels(pool: relax.Call) -> bool:
    """Whether the pool's windows are of an odd number of channels around each, divided by that number everywhere."""
    attrs = pool.attrs
    size = [int(s) for s in attrs.pool_size]
    around = [size[0] // 2, 0, 0]
    return (
        size[1:] == [1, 1]
        and size[0] % 2 == 1
        and [int(p) for p in attrs.padding] == [*around, *around]
        and all(int(step) == 1 for step in (*attrs.strides, *attrs.dilation))
        and bool(attrs.count_include_pad)
    )


def emit_lrn(
    bb: relax.BlockBuilder, data: relax.Expr, size: int, alpha: float, beta: float, bias: float, axis: int
) -> relax.Expr:
    """A call of the kernel on `data` along `axis`. `alpha` is ONNX's: it is divided by `size` in the kernel."""
    return bb.call_te(
        lrn_kernel,
        data,
        size,
        alpha,
        beta,
        bias,
        axis,
        primfunc_name_hint="lrn",
        primfunc_attrs={"op_pattern": FUSES_ELEMENTWISE, ATTRIBUTE: [float(v) for v in (size, alpha, beta, bias)]},
    )


def lrn(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _Lrn(mod).run()

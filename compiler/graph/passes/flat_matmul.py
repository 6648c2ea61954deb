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

from ..reshaped import Reshaped
from ..rewriter import Constant, array_of, dtype_of, op_name, shape_of


class _FlatMatmul(Reshaped):
    def begin(self, call: relax.Call) -> relax.Expr | None:
        if op_name(call) != "relax.matmul":
            return None
        data, weight = call.args
        shape, out = shape_of(data), shape_of(call)
        if not isinstance(weight, Constant) or array_of(weight).ndim != 2 or not isinstance(data, relax.Var):
            return None
        if not shape or not out or len(shape) == 2 or dtype_of(data) != "float32":
            return None
        # All dimensions but the last in one; a vector becomes a row.
        return relax.op.matmul(self.in_shape(data, (math.prod(shape[:-1]), shape[-1])), weight)


def flat_matmul(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _FlatMatmul(mod).run()

"""Keep every index that a model computes, or is given, inside the tensor that it points into.

Requires: negative indices are counted from the end already, as the importer does it (but for ScatterElements, whose
kernel does it itself).
Ensures: no index, whatever its value, makes a kernel read or write outside of its tensors: one that is out of range
means the nearest element. (ONNX Runtime refuses such an input when the model runs; kernels cannot raise an error. TVM's
own would read or write whatever memory they hit, and it says so on stderr while it compiles.)
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from ..rewriter import dtype_of, op_name, shape_of


@mutator
class _BoundedIndices(PyExprMutator):
    """Goes into branches too, which `Rewriter` does not."""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name, shape = op_name(call), shape_of(call.args[0]) if call.args else None
        if shape is None:
            return call
        if name == "relax.take" and str(call.attrs.mode) == "fast":
            axis = call.attrs.axis
            return relax.op.take(*call.args, None if axis is None else int(axis), mode="clip")
        if name == "relax.gather_elements":
            extent = shape[int(call.attrs.axis)]
            return self._bound(call, 0, extent - 1)
        if name == "relax.scatter_elements":
            extent = shape[int(call.attrs.axis)]
            return self._bound(call, -extent, extent - 1)
        if name in ("relax.gather_nd", "relax.scatter_nd"):
            first = int(call.attrs.batch_dims) if name == "relax.gather_nd" else 0
            coordinates = (shape_of(call.args[1]) or (0,))[-1]
            return self._bound(call, 0, np.array(shape[first : first + coordinates]) - 1)
        if name in ("relax.vision.roi_align", "relax.vision.roi_pool"):
            # A region is (image, and four coordinates that the kernel bounds itself).
            return self._bound(call, [0, *[-np.inf] * 4], [shape[0] - 1, *[np.inf] * 4])
        return call

    def _bound(self, call: relax.Call, lowest: object, highest: object) -> relax.Expr:
        """`call` with its second argument held between two numbers, or two lists of one number per coordinate."""
        indices = call.args[1]
        dtype = dtype_of(indices)
        low, high = (relax.const(np.array(number, dtype), dtype) for number in (lowest, highest))
        # In this order a NaN, as the image of a region, becomes an index too.
        bounded = relax.op.maximum(self.builder_.emit(relax.op.minimum(indices, high)), low)
        arguments = [call.args[0], self.builder_.emit(bounded), *call.args[2:]]
        return relax.Call(call.op, arguments, call.attrs, call.ty_args)


def bounded_indices(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    changed = _BoundedIndices(mod)
    for gvar, func in mod.functions.items():
        if isinstance(func, relax.Function):
            changed.builder_.update_func(gvar, changed.visit_expr(func))
    return changed.builder_.get()

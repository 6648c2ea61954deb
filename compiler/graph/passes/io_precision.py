"""Make the model's floating-point inputs and outputs float16; inside, nothing changes.

Requires: a `main` without branches whose result is a tensor or a tuple of tensors; EdgetuneError for another one.
Ensures: every float32 parameter and result of `main` is float16, widened and narrowed at the boundary.
"""

from __future__ import annotations

import tvm
from tvm import relax

from compiler.errors import EdgetuneError

from ..rewriter import Rewriter, dtype_of, shape_of


class _IoPrecision(Rewriter):
    def run(self) -> tvm.IRModule:
        if not self.applies():
            raise EdgetuneError("a model with If keeps float32 inputs and outputs: compile it without fp16 ones")
        params = []
        for param in self.old.params:
            half = dtype_of(param) == "float32"
            params.append(relax.Var(param.name, relax.TensorType(shape_of(param), "float16") if half else param.ty))
        with self.bb.function("main", params, attrs={"num_input": len(params)}):
            with self.bb.dataflow():
                for old, new in zip(self.old.params, params, strict=True):
                    self.env[old] = (
                        new if dtype_of(old) == dtype_of(new) else self.bb.emit(relax.op.astype(new, "float32"))
                    )
                for block in self.old.body.blocks:
                    for binding in block.bindings:
                        self.bind(binding.var, binding.value)
                result = self.bb.emit_output(self._narrow(self.value(self.old.body.body)))
            self.bb.emit_func_output(result)
        return self.bb.finalize()

    def _narrow(self, expr: relax.Expr) -> relax.Expr:
        if isinstance(expr.ty, relax.TupleType):
            fields = [self.bb.emit(relax.TupleGetItem(expr, i)) for i in range(len(expr.ty.fields))]
            return relax.Tuple([self._narrow(f) for f in fields])
        if dtype_of(expr) == "float32":
            return self.bb.emit(relax.op.astype(expr, "float16"))
        return expr


def io_precision(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _IoPrecision(mod).run()

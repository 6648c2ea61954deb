"""Fold reshapes, transposes, casts and the like of constants.

Requires: nothing.
Ensures: no such operator reads a constant. Done with numpy, since Relax's own folding compiles a function for each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from ..rewriter import Constant, Rewriter, array_of, constant, op_name, shape_of


def _reshape(call: relax.Call, array: np.ndarray) -> np.ndarray | None:
    shape = shape_of(call)
    return None if shape is None else array.reshape(shape)


def _broadcast(call: relax.Call, array: np.ndarray) -> np.ndarray | None:
    shape = shape_of(call)
    return None if shape is None else np.broadcast_to(array, shape)


VIEWS: dict[str, Callable[[relax.Call, np.ndarray], np.ndarray | None]] = {
    "relax.reshape": _reshape,
    "relax.expand_dims": _reshape,
    "relax.squeeze": _reshape,
    "relax.flatten": _reshape,
    "relax.permute_dims": lambda call, array: array.transpose(
        None if call.attrs.axes is None else [int(a) for a in call.attrs.axes]
    ),
    "relax.astype": lambda call, array: array.astype(str(call.attrs.dtype)),
    "relax.broadcast_to": _broadcast,
}


class _FoldViews(Rewriter):
    def call(self, call: relax.Call) -> relax.Expr | None:
        fold = VIEWS.get(op_name(call))
        if fold is None:
            return None
        data = self.value(call.args[0])
        if not isinstance(data, Constant):
            return None
        folded = fold(call, array_of(data))
        return None if folded is None else constant(np.array(folded, order="C"))


def fold_views(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _FoldViews(mod).run()

"""Cleaning: the passes that make a graph ready for TVM's importer, in the order in which they run, and the check of
what they did.

onnxslim is third-party code that may fail, or be wrong, on an odd graph. So every pass that the importer needs is
ours, and the cleaned graph is run beside the original: if they differ, it is made again without onnxslim.
"""

from __future__ import annotations

import logging

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.agree import difference
from compiler.frontend.infer import infer
from compiler.frontend.operators import check_operators, importable, opset_of
from compiler.frontend.passes.asymmetric_resize import asymmetric_resize
from compiler.frontend.passes.cast_like import cast_like
from compiler.frontend.passes.drop_noops import drop_noops
from compiler.frontend.passes.drop_unused import drop_unused
from compiler.frontend.passes.expand_functions import expand_functions
from compiler.frontend.passes.explicit_pads import explicit_pads
from compiler.frontend.passes.fold_batch_norm import fold_batch_norm
from compiler.frontend.passes.fold_constants import fold_constants
from compiler.frontend.passes.fold_scales import fold_scales
from compiler.frontend.passes.pow_types import pow_types
from compiler.frontend.passes.slim import slim
from compiler.frontend.passes.sum_to_add import sum_to_add
from compiler.frontend.quiet import one_line
from compiler.frontend.upgrade import CONVERTED_OPSET, upgrade

log = logging.getLogger(__name__)

# Operators whose form before this opset TVM's importer does not read.
# (It reads an old Clip, but as a function of its own that no pass sees through.)
_MODERN = {"Slice": 10, "Resize": 11, "Upsample": 10, "Clip": 11}


def clean(model: onnx.ModelProto, where: str = "the model", *, trusted: bool = False) -> onnx.ModelProto:
    """A cleaned copy of a model with static shapes; the model itself stays as it is.

    Requires: initializers are not among the inputs, shapes are static. Ensures: the same inputs and outputs (names,
    order, shapes, types), only operators that can be imported, and, as ONNX Runtime shows on random inputs, the same
    values up to rounding. Raises EdgetuneError where even edgetune's own passes change the values.
    `trusted` skips running both graphs (built-in models: the tests do it for them).
    """
    for third_party in (True, False):
        try:
            cleaned = _run(model, where, third_party=third_party)
            check_operators(cleaned, where)  # before anything is run: a Loop need not end
            found = None if trusted else difference(model, cleaned)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
            if not third_party:
                raise EdgetuneError(f"{where}: this graph cannot be cleaned: {one_line(error)}") from error
            found = f"nothing, it fails ({one_line(error)})"
        if found is None:
            return cleaned
        log.info("cleaning with onnxslim changes %s: only edgetune's own passes run", found)
    raise EdgetuneError(f"{where}: cleaning the graph changed {found}; please report this model")


def _run(model: onnx.ModelProto, where: str, *, third_party: bool) -> onnx.ModelProto:
    """The passes; each file says what its pass requires and ensures."""
    cleaned = onnx.ModelProto()
    cleaned.CopyFrom(model)
    del cleaned.graph.value_info[:]

    drop_noops(cleaned.graph)
    cast_like(cleaned.graph, infer(cleaned, where))
    fold_constants(cleaned, where)
    drop_unused(cleaned.graph)
    fold_scales(cleaned.graph, infer(cleaned, where))
    if third_party:
        cleaned = slim(cleaned)
    fold_batch_norm(cleaned.graph)

    if _reads_badly(cleaned):
        old_resize = opset_of(cleaned) < _MODERN["Resize"]
        upgrade(cleaned, where, CONVERTED_OPSET)
        if old_resize:
            asymmetric_resize(cleaned.graph)
        fold_constants(cleaned, where)
    expand_functions(cleaned, infer(cleaned, where), importable())
    cast_like(cleaned.graph, infer(cleaned, where))
    fold_constants(cleaned, where)
    known = infer(cleaned, where)
    explicit_pads(cleaned.graph, known)
    pow_types(cleaned.graph, known)
    sum_to_add(cleaned.graph)
    drop_noops(cleaned.graph)
    drop_unused(cleaned.graph)
    return cleaned


def _reads_badly(model: onnx.ModelProto) -> bool:
    """Whether the graph has operators in an old form that TVM's importer does not know."""
    opset = opset_of(model)
    return any(opset < _MODERN.get(node.op_type, 0) for node in model.graph.node if node.domain in ("", "ai.onnx"))

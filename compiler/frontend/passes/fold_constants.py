"""Computes what depends on constants alone: shape arithmetic, reshaped weights, masks that an exporter spelled out.

Requires: static input shapes, no `Constant` nodes but strings. Ensures: no node whose inputs are all constants is
left, unless its result would be large, it is random or quantised (a quantised weight is meant to stay small), or ONNX
Runtime cannot compute it; `Shape` and `Size` of tensors whose shape is known are constants. The values are ONNX
Runtime's own.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import attribute, static_shape
from compiler.frontend.infer import infer
from compiler.frontend.passes.drop_unused import reads
from compiler.frontend.reference import run_reference
from compiler.frontend.tensor_data import BITS

log = logging.getLogger(__name__)

# A folded tensor is stored in the package; larger ones (a mask expanded to full size) are computed when needed.
MAX_FOLDED_BYTES = 64 << 20
MAX_ROUNDS = 8
_KEPT = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli",
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "If", "Loop", "Scan",
}  # fmt: skip


def fold_constants(model: onnx.ModelProto, where: str) -> None:
    """Works on the outermost graph in place, in rounds: a folded constant can make a shape known and so the next
    constant.
    """
    for _ in range(MAX_ROUNDS):
        known = infer(model, where)
        shapes = _fold_shapes(model.graph, known)
        values = _fold_values(model, known)
        if not shapes and not values:
            return


def _fold_shapes(graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto]) -> bool:
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        found = (
            known.get(node.input[0]) if node.op_type in ("Shape", "Size") and node.domain in ("", "ai.onnx") else None
        )
        shape = static_shape(found) if found is not None else None
        if shape is None:
            kept.append(node)
            continue
        if node.op_type == "Size":
            value = np.array(math.prod(shape), np.int64)
        else:
            value = np.array(shape[attribute(node, "start", 0) : attribute(node, "end", None)], np.int64)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    if len(kept) == len(graph.node):
        return False
    del graph.node[:]
    graph.node.extend(kept)
    return True


def _fold_values(model: onnx.ModelProto, known: dict[str, onnx.ValueInfoProto]) -> bool:
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    folded: list[onnx.NodeProto] = []
    rest: list[onnx.NodeProto] = []
    for node in graph.node:
        (folded if _can_fold(node, constant, known) else rest).append(node)  # adds to `constant` as it goes
    if not folded:
        return False
    read = {name for node in rest for name in reads(node)} | {value.name for value in graph.output}
    results = [name for node in folded for name in node.output if name in read]

    if results:
        part = onnx.ModelProto(ir_version=model.ir_version)
        part.opset_import.MergeFrom(model.opset_import)
        part.graph.name = "constants"
        part.graph.node.MergeFrom(folded)
        needed = {name for node in folded for name in node.input}
        part.graph.initializer.MergeFrom([tensor for tensor in graph.initializer if tensor.name in needed])
        part.graph.output.MergeFrom([onnx.ValueInfoProto(name=name) for name in results])
        for value in part.graph.output:
            value.CopyFrom(known[value.name])
        try:
            values = run_reference(part, {}, threads=1)
        except EdgetuneError as error:
            log.info("constants are not folded: %s", error)
            return False
        graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
    del graph.node[:]
    graph.node.extend(rest)
    return True


def _can_fold(node: onnx.NodeProto, constant: set[str], known: dict[str, onnx.ValueInfoProto]) -> bool:
    """Whether a node is computed now; if so, its outputs join `constant`."""
    if node.op_type in _KEPT or node.domain not in ("", "ai.onnx") or not node.input:
        return False
    if any(name and name not in constant for name in node.input):
        return False
    for name in node.output:
        shape = static_shape(known[name]) if name in known else None
        if name and (
            shape is None
            or math.prod(shape) * BITS.get(known[name].type.tensor_type.elem_type, 64) > MAX_FOLDED_BYTES * 8
        ):
            return False
    constant.update(name for name in node.output if name)
    return True

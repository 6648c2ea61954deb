"""Folds per-channel `Mul` and `Add` behind a BatchNormalization into its scale and bias (Caffe's Scale layer, as
DenseNet has it).

Requires: constants folded. Ensures: no BatchNormalization in inference mode with constant parameters is followed, as
its only reader, by a Mul or Add of one constant per channel; values change by rounding only.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.frontend.graphs import Names, attribute, static_shape
from compiler.frontend.passes.drop_unused import count_readers, drop_unused


def fold_scales(graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto]) -> None:
    """Works on the outermost graph in place; `known` gives the shapes."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    norms: dict[str, onnx.NodeProto] = {}  # the output of a BatchNormalization, as it is now -> the node
    readers = count_readers(graph)
    names = Names(graph)
    gone: set[int] = set()
    for position, node in enumerate(graph.node):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "BatchNormalization" and _constant(node, weights):
            norms[node.output[0]] = node
        if node.op_type not in ("Mul", "Add") or len(node.input) != 2:
            continue
        data, other = (node.input[0], node.input[1]) if node.input[0] in norms else (node.input[1], node.input[0])
        if data not in norms or readers[data] != 1 or other not in weights:
            continue
        norm = norms.pop(data)
        scale, bias = (numpy_helper.to_array(weights[name]) for name in norm.input[1:3])
        value = numpy_helper.to_array(weights[other])
        shape = static_shape(known[node.output[0]]) if node.output[0] in known else None
        if shape is None or value.dtype != scale.dtype or not _per_channel(value, len(shape), scale.size):
            norms[data] = norm
            continue
        value = value.reshape(-1)
        factors = (scale * value, bias * value) if node.op_type == "Mul" else (scale, bias + value)
        for index, array in enumerate(factors, start=1):
            name = names.fresh(f"{node.output[0]}_{'scale' if index == 1 else 'bias'}")
            tensor = numpy_helper.from_array(np.ascontiguousarray(np.broadcast_to(array, scale.shape)), name)
            graph.initializer.append(tensor)
            weights[name] = tensor
            norm.input[index] = name
        norm.output[0] = node.output[0]
        norms[node.output[0]] = norm
        gone.add(position)
    if gone:
        kept = [node for index, node in enumerate(graph.node) if index not in gone]
        del graph.node[:]
        graph.node.extend(kept)
        drop_unused(graph)


def _constant(norm: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    inference = not attribute(norm, "training_mode", 0) and not any(norm.output[1:])
    return inference and all(name in weights for name in norm.input[1:5])


def _per_channel(value: np.ndarray, rank: int, channels: int) -> bool:
    """Whether `value`, broadcast against a tensor of `rank` dimensions, varies along dimension 1 at most."""
    if value.ndim > rank:
        return False
    aligned = (1,) * (rank - value.ndim) + value.shape
    return aligned in ((1,) * rank, (1, channels, *(1,) * (rank - 2)))

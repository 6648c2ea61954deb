"""Folds BatchNormalization into the convolution before it.

Requires: constants folded. Ensures: no BatchNormalization in inference mode is left directly behind a Conv of which
it is the only reader, where the weights of both are constants; values change by rounding only.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.frontend.graphs import Names, attribute
from compiler.frontend.passes.drop_unused import count_readers, drop_unused


def fold_batch_norm(graph: onnx.GraphProto) -> None:
    """Works on the outermost graph in place."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output if name}
    readers = count_readers(graph)
    unused = Names(graph)
    gone: set[int] = set()
    for position, norm in enumerate(graph.node):
        if norm.op_type != "BatchNormalization" or norm.domain not in ("", "ai.onnx"):
            continue
        conv = producers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers[norm.input[0]] != 1 or not _folds(norm, conv, weights):
            continue
        scale, shift, mean, variance = (
            numpy_helper.to_array(weights[name]).astype(np.float64) for name in norm.input[1:5]
        )
        factor = scale / np.sqrt(variance + float(attribute(norm, "epsilon", 1e-5)))
        kernel = numpy_helper.to_array(weights[conv.input[1]])
        bias = numpy_helper.to_array(weights[conv.input[2]]) if len(conv.input) > 2 and conv.input[2] else 0.0
        new_kernel = (kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))).astype(kernel.dtype)
        new_bias = ((bias - mean) * factor + shift).astype(kernel.dtype)
        names = []
        for stem, array in (("weight", new_kernel), ("bias", new_bias)):
            names.append(unused.fresh(f"{norm.output[0]}_{stem}"))
            graph.initializer.append(numpy_helper.from_array(array, names[-1]))
        inputs = [conv.input[0], *names]
        del conv.input[:]
        conv.input.extend(inputs)
        conv.output[0] = norm.output[0]
        gone.add(position)
    if gone:
        kept = [node for index, node in enumerate(graph.node) if index not in gone]
        del graph.node[:]
        graph.node.extend(kept)
        drop_unused(graph)


def _folds(norm: onnx.NodeProto, conv: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    if attribute(norm, "training_mode", 0) or any(norm.output[1:]) or not attribute(norm, "spatial", 1):
        return False
    names = [*norm.input[1:5], *(name for name in conv.input[1:] if name)]
    return all(
        name in weights and weights[name].data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
        for name in names
    )

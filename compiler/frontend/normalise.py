"""What every later step takes for granted, ensured once: made of the graph as it was read, without changing what it
computes.

Ensures: no local functions; initializers are not listed as inputs; `Constant` nodes of the outermost graph are
initializers; every stored tensor holds what its shape says; inputs and outputs are tensors of numbers.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import all_graphs, attribute, describe
from compiler.frontend.tensor_data import BITS, check_tensor

# The first version of the format in which initializers need not be inputs too.
MIN_IR_VERSION = 4


def normalise(model: onnx.ModelProto, where: str) -> None:
    """Works in place; `where` (the file) starts every message. Raises EdgetuneError for what no later step could
    take.
    """
    if model.ir_version < MIN_IR_VERSION:
        model.ir_version = MIN_IR_VERSION
    del model.training_info[:]
    for body in all_graphs(model.graph):
        if body.sparse_initializer:
            name = body.sparse_initializer[0].values.name
            raise EdgetuneError(f"{where}: sparse initializer {name!r} is not supported; store it dense")
        for tensor in body.initializer:
            check_tensor(tensor, where)
        for node in body.node:
            _check_split(node, where)
            while node.input and not node.input[-1]:
                del node.input[-1]  # means the same, and some of ONNX Runtime's optimisations crash on it
            for found in node.attribute:
                for tensor in [found.t] if found.HasField("t") else found.tensors:
                    check_tensor(tensor, where)
    _inline_functions(model)
    graph = model.graph
    constants_to_initializers(graph)
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    if len(inputs) < len(graph.input):
        kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in inputs]
        del graph.input[:]
        graph.input.extend(kept)
    if not graph.output:
        raise EdgetuneError(f"{where}: the graph has no outputs")
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            if value.type.WhichOneof("value") not in (None, "tensor_type"):
                raise EdgetuneError(
                    f"{where}: {kind} {value.name!r} is no tensor; sequences, maps and optionals are not supported"
                )
            if kind == "input" and value.type.tensor_type.elem_type not in BITS:
                raise EdgetuneError(
                    f"{where}: input {value.name!r} does not hold numbers; only numeric tensors are supported"
                )


def _check_split(node: onnx.NodeProto, where: str) -> None:
    """Raises EdgetuneError for a Split into more parts than it has outputs: shape inference would count them one by
    one.
    """
    if node.op_type == "Split" and attribute(node, "num_outputs", len(node.output)) != len(node.output):
        raise EdgetuneError(f"{where}: {describe(node)} has {len(node.output)} outputs and another num_outputs")


def _inline_functions(model: onnx.ModelProto) -> None:
    """Replaces calls of the model's own functions by their bodies; weights are kept out of the way, they may be
    large.
    """
    if not model.functions:
        return
    from onnx import inliner

    weights = onnx.GraphProto()
    weights.initializer.MergeFrom(model.graph.initializer)
    del model.graph.initializer[:]
    inlined = inliner.inline_local_functions(model)
    model.CopyFrom(inlined)
    model.graph.initializer.MergeFrom(weights.initializer)


def constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Turns every numeric Constant node of the outermost graph into an initializer, in place."""
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        tensor = _constant_value(node) if node.op_type == "Constant" and node.domain in ("", "ai.onnx") else None
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor that a Constant node holds; None for strings and sparse tensors."""
    if len(node.attribute) != 1 or len(node.output) != 1:
        return None
    held = node.attribute[0]
    if held.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(held.t)
        return tensor
    if held.name in ("value_float", "value_floats"):
        return numpy_helper.from_array(
            np.array(held.f if held.name == "value_float" else list(held.floats), np.float32)
        )
    if held.name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.array(held.i if held.name == "value_int" else list(held.ints), np.int64))
    return None

"""Makes a float16 graph compute in float32: sums of float16 products in float16 lose most of their digits.

Requires: every input and output has its element type. Ensures: nothing inside the graph or its bodies is float16 (no
weight, no constant, no `Cast` to it, no type that is written down); inputs and outputs keep their names and types, and
are widened and narrowed at the boundary. Every float16 value is a float32 one, so weights are exactly what they were.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from compiler.frontend.graphs import Names, all_graphs, all_nodes

_HALF, _FLOAT = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
# The attributes that hold an element type (of Cast, RandomNormal, EyeLike, DequantizeLinear, the norms, ...).
_TYPE_ATTRIBUTES = {"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision", "precision"}


def widen_half(model: onnx.ModelProto) -> None:
    """Works in place; a graph without float16 stays as it is."""
    graph = model.graph
    inputs = [value.name for value in graph.input if value.type.tensor_type.elem_type == _HALF]
    outputs = [value.name for value in graph.output if value.type.tensor_type.elem_type == _HALF]
    for body in all_graphs(graph):
        for tensor in body.initializer:
            _widen_tensor(tensor)
        for value in body.value_info if body is graph else (*body.input, *body.output, *body.value_info):
            _widen_type(value.type)
    for node in all_nodes(graph):
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i == _HALF:
                attribute.i = _FLOAT
            for tensor in [attribute.t] if attribute.HasField("t") else attribute.tensors:
                _widen_tensor(tensor)
    _narrow_boundary(graph, inputs, outputs)


def _narrow_boundary(graph: onnx.GraphProto, inputs: list[str], outputs: list[str]) -> None:
    """Puts a Cast behind each of `inputs` and before each of `outputs`; inside, wide tensors go by new names."""
    names = Names(graph)
    # An output that is an input as well has no producer to rename: it is handed through as it is.
    renamed = {name: names.fresh(f"{name}_float32") for name in dict.fromkeys((*inputs, *outputs))}
    _rename(graph, renamed)
    before = [_cast(name, renamed[name], _FLOAT) for name in inputs]
    after = [_cast(renamed[name], name, _HALF) for name in dict.fromkeys(outputs) if name not in inputs]
    nodes = [*before, *graph.node, *after]
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)


def _rename(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    """Renames tensors wherever they are made or read; the outermost graph's inputs and outputs keep their names."""
    for body in all_graphs(graph):
        for tensor in body.initializer:
            tensor.name = renamed.get(tensor.name, tensor.name)
        for value in body.value_info if body is graph else (*body.output, *body.value_info):
            value.name = renamed.get(value.name, value.name)
        for node in body.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    names[index] = renamed.get(name, name)


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [result], name=result, to=to)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == _HALF:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name))


def _widen_type(kind: onnx.TypeProto) -> None:
    if kind.tensor_type.elem_type == _HALF:
        kind.tensor_type.elem_type = _FLOAT

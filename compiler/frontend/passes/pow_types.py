"""Gives both operands of `Pow` one type: exporters write `x ** 2` with an integer exponent, TVM wants the base's
type.

Requires: types known. Ensures: an exponent of another type than a floating-point base is converted to it, as a
constant where it is one.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from compiler.frontend.graphs import Names

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def pow_types(graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto]) -> None:
    """Works on the outermost graph in place; `known` gives the types."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    names = Names(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Pow" and node.domain in ("", "ai.onnx") and all(name in known for name in node.input):
            base, exponent = (known[name].type.tensor_type.elem_type for name in node.input)
            if base in _FLOATS and exponent != base:
                name = names.fresh(f"{node.input[1]}_as_base")
                if node.input[1] in initializers:
                    dtype = onnx.helper.tensor_dtype_to_np_dtype(base)
                    value = numpy_helper.to_array(initializers[node.input[1]]).astype(dtype)
                    graph.initializer.append(numpy_helper.from_array(value, name))
                else:
                    nodes.append(onnx.helper.make_node("Cast", [node.input[1]], [name], name=name, to=base))
                node.input[1] = name
        nodes.append(node)
    if len(nodes) != len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)

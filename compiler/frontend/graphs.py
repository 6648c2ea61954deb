"""Small helpers on ONNX graphs that several modules here share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

# Initializers above this many bytes are weights: nothing that reasons about shapes needs their values.
WEIGHT_BYTES = 4096


def data_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller must give: those that are not initializers too."""
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and the bodies of its control flow, outermost first."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from all_graphs(body)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those inside control flow included."""
    for body in all_graphs(graph):
        yield from body.node


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute, or `default` where the node does not have it."""
    for found in node.attribute:
        if found.name == name:
            return onnx.helper.get_attribute_value(found)
    return default


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    """Sets an attribute in place; None removes it."""
    kept = [found for found in node.attribute if found.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if value is not None:
        node.attribute.append(onnx.helper.make_attribute(name, value))


def constants(graph: onnx.GraphProto, limit: int = WEIGHT_BYTES) -> dict[str, np.ndarray]:
    """The values of the initializers of at most `limit` bytes, by name."""
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer if tensor_bytes(t) <= limit}


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """How many bytes the values of an in-memory tensor take (about, for the typed fields)."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    return 8 * (
        len(tensor.float_data)
        + len(tensor.int32_data)
        + len(tensor.int64_data)
        + len(tensor.double_data)
        + len(tensor.uint64_data)
    )


class Names:
    """Gives tensor names that a graph does not use yet (made once per pass: it looks at the whole graph)."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = {name for node in all_nodes(graph) for name in (*node.input, *node.output)}
        for body in all_graphs(graph):
            self._taken.update(value.name for value in (*body.input, *body.output, *body.initializer))

    def fresh(self, stem: str) -> str:
        """`stem`, or `stem` with a number behind it."""
        name, count = stem, 0
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name


def describe(node: onnx.NodeProto) -> str:
    """A node for an error message: its operator, and its name or else its first output."""
    name = node.name or (node.output[0] if node.output else "")
    return f"{node.op_type} {name!r}" if name else node.op_type


def static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a value, or None where a dimension or the rank is unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def set_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    """Gives a value a static shape."""
    value.type.tensor_type.ClearField("shape")
    dims = value.type.tensor_type.shape.dim
    value.type.tensor_type.shape.SetInParent()
    for size in shape:
        dims.add().dim_value = size


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in which every weight is an input of its type and shape: cheap to serialise, so to check
    and infer.
    """
    copy = onnx.ModelProto(ir_version=model.ir_version)
    copy.opset_import.MergeFrom(model.opset_import)
    copy.functions.MergeFrom(model.functions)
    graph = model.graph
    copy.graph.name = graph.name
    for part in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(copy.graph, part).MergeFrom(getattr(graph, part))
    listed = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor_bytes(tensor) <= WEIGHT_BYTES and tensor.data_location != onnx.TensorProto.EXTERNAL:
            copy.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            copy.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copy

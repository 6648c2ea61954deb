"""Replaces operators that TVM's importer lacks, or takes wrongly, by their definition in other operators, where ONNX
has one.

(Attention, Celu, Swish, RotaryEmbedding and others are functions in the standard.) Requires: types and shapes known.
Ensures: of such operators only those are left whose definition does not fit the graph's opset.
"""

from __future__ import annotations

import logging

import onnx
from onnx import inliner

from compiler.frontend.graphs import attribute, static_shape
from compiler.frontend.quiet import one_line, quiet

log = logging.getLogger(__name__)

# The importer takes these names for other operators, or computes them inexactly.
_ALWAYS = {"Attention", "MeanVarianceNormalization"}


def expand_functions(model: onnx.ModelProto, known: dict[str, onnx.ValueInfoProto], supported: set[str]) -> None:
    """Works in place; `supported` names the operators that the importer knows, `known` gives types and shapes."""
    names = set()
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx") and (
            node.op_type not in supported or node.op_type in _ALWAYS or _inexact(node, known)
        ):
            names.add(node.op_type)
    names = {name for name in names if _has_definition(name)}
    if not names:
        return
    for node in model.graph.node:
        if node.op_type in names and node.domain in ("", "ai.onnx"):
            _write_defaults(node)
    bare = _typed(model, known)
    try:
        with quiet():
            expanded = inliner.inline_selected_functions(
                bare, [("", name) for name in sorted(names)], inline_schema_functions=True
            )
    except Exception as error:  # noqa: BLE001  the operators stay and will be reported as not supported
        log.info("operators %s cannot be expanded: %s", ", ".join(sorted(names)), one_line(error))
        return
    del model.graph.node[:]
    model.graph.node.extend(expanded.graph.node)
    from compiler.frontend.normalise import constants_to_initializers

    constants_to_initializers(model.graph)


def _typed(model: onnx.ModelProto, known: dict[str, onnx.ValueInfoProto]) -> onnx.ModelProto:
    """The graph with every type written down, as the inliner needs it, and its initializers as inputs."""
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.MergeFrom(model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.MergeFrom(model.graph.node)
    bare.graph.input.MergeFrom(model.graph.input)
    bare.graph.output.MergeFrom(model.graph.output)
    for tensor in model.graph.initializer:
        info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        bare.graph.input.append(info)
    listed = {value.name for value in (*bare.graph.input, *bare.graph.output)}
    bare.graph.value_info.extend(value for name, value in known.items() if name not in listed)
    return bare


def _write_defaults(node: onnx.NodeProto) -> None:
    """Writes the attributes that a node leaves at their default: the inliner forgets those."""
    present = {found.name for found in node.attribute}
    for name, declared in onnx.defs.get_schema(node.op_type).attributes.items():
        if name not in present and declared.default_value.name:
            node.attribute.append(declared.default_value)


def _has_definition(name: str) -> bool:
    try:
        schema = onnx.defs.get_schema(name)
    except onnx.defs.SchemaError:
        return False
    return schema.has_function or schema.has_context_dependent_function


def _inexact(node: onnx.NodeProto, known: dict[str, onnx.ValueInfoProto]) -> bool:
    """Uses of supported operators that the importer gets wrong and whose definition it gets right."""
    if node.op_type == "LayerNormalization":
        return any(node.output[1:])
    if node.op_type == "RMSNormalization":
        shape = static_shape(known[node.input[0]]) if node.input[0] in known else None
        return shape is None or int(attribute(node, "axis", -1)) % len(shape) == 0
    return False

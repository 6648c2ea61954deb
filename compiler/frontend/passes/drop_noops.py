"""Removes operators that do nothing at inference: Identity, Dropout, and Cast, Transpose and the like where they
change nothing.

Requires: nothing. Ensures: no Dropout is left (a mask that is used becomes a constant-free error in the importer, so
a Dropout whose mask is read stays), no Identity is left but those that join a graph input or initializer with a graph
output; graph inputs and outputs keep their names.
"""

from __future__ import annotations

import onnx


def drop_noops(graph: onnx.GraphProto) -> None:
    """Works on the outermost graph in place."""
    used = {name for node in graph.node for name in node.input}
    outputs = {value.name for value in graph.output}
    produced = {name for node in graph.node for name in node.output}
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if not _is_noop(node, used | outputs):
            kept.append(node)
            continue
        source, target = node.input[0], node.output[0]
        if target not in outputs:
            renamed[target] = source
        elif source in produced and source not in outputs:
            _rename_output(kept, source, target)  # the producer writes the graph's output itself
            renamed[source] = target
        else:
            kept.append(onnx.helper.make_node("Identity", [source], [target], name=node.name))
    del graph.node[:]
    graph.node.extend(kept)


def _is_noop(node: onnx.NodeProto, used: set[str]) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type == "Dropout":
        training = (
            len(node.input) > 2 and node.input[2] != ""
        )  # training mode given as a tensor: leave it to the importer
        return not training and not any(mask in used for mask in node.output[1:] if mask)
    return False


def _rename_output(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    """Renames the tensor `old` among nodes already kept."""
    for node in nodes:
        for index, name in enumerate(node.output):
            if name == old:
                node.output[index] = new
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new

"""Rewrites `CastLike` into `Cast` to the type that its second input is known to have, so that constants can be folded.

Requires: types known. Ensures: no CastLike is left whose type is known.
"""

from __future__ import annotations

import onnx

from compiler.frontend.graphs import set_attribute


def cast_like(graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto]) -> None:
    """Works on the outermost graph in place; `known` gives the types."""
    for node in graph.node:
        if node.op_type != "CastLike" or node.domain not in ("", "ai.onnx") or node.input[1] not in known:
            continue
        node.op_type = "Cast"
        set_attribute(node, "to", known[node.input[1]].type.tensor_type.elem_type)
        del node.input[1]

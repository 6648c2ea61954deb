"""Gives a Resize that was an Upsample, or a Resize of opset 10, its coordinates back: onnx's converter forgets them.

Requires: every Resize of the graph comes from opset 10 or older. Ensures: each says how it maps coordinates: without
a shift, and rounding down.
"""

from __future__ import annotations

import onnx

from compiler.frontend.graphs import set_attribute


def asymmetric_resize(graph: onnx.GraphProto) -> None:
    """Works on the outermost graph in place."""
    for node in graph.node:
        if node.op_type == "Resize" and node.domain in ("", "ai.onnx"):
            set_attribute(node, "coordinate_transformation_mode", "asymmetric")
            set_attribute(node, "nearest_mode", "floor")

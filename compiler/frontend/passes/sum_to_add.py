"""Rewrites `Sum` (residual additions) into `Add`: a chain of them where there are more than two terms, nothing where
there is one.

TVM's importer stacks the terms of a Sum and reduces over the stack, a five-dimensional detour that is slow, breaks
layout conversion and does not broadcast. Requires: nothing. Ensures: no Sum is left.
"""

from __future__ import annotations

import onnx

from compiler.frontend.graphs import Names


def sum_to_add(graph: onnx.GraphProto) -> None:
    """Works on the outermost graph in place."""
    if not any(node.op_type == "Sum" and node.domain in ("", "ai.onnx") for node in graph.node):
        return
    names = Names(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Sum" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        terms, output = list(node.input), node.output[0]
        if len(terms) == 1:
            nodes.append(onnx.helper.make_node("Identity", terms, [output], name=node.name))
            continue
        total = terms[0]
        for index, term in enumerate(terms[1:], start=2):
            last = index == len(terms)
            result = output if last else names.fresh(f"{output}_sum{index}")
            nodes.append(onnx.helper.make_node("Add", [total, term], [result], name=node.name if last else result))
            total = result
    del graph.node[:]
    graph.node.extend(nodes)

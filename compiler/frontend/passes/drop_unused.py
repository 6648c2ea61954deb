"""Removes nodes whose results nobody reads, optional results that nobody reads, and initializers that no node reads.

Requires: nodes in topological order. Ensures: every node contributes to an output, every initializer is read or is an
output; MaxPool, Dropout and the normalisations have only outputs that are read.
"""

from __future__ import annotations

import onnx

from compiler.frontend.graphs import all_graphs, attribute

# Operators whose outputs but the first may be left out.
_OPTIONAL_OUTPUTS = ("MaxPool", "Dropout", "BatchNormalization", "LayerNormalization")


def drop_unused(graph: onnx.GraphProto) -> None:
    """Works in place; bodies of control flow count as readers and stay as they are."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if any(name in needed for name in node.output if name):
            if node.op_type in _OPTIONAL_OUTPUTS and not attribute(node, "training_mode", 0):
                while len(node.output) > 1 and node.output[-1] not in needed:
                    del node.output[-1]
            kept.append(node)
            needed.update(reads(node))
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(reversed(kept))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]


def reads(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node reads, those that its bodies take from outside included."""
    names = set(node.input)
    for found in node.attribute:
        for body in [found.g] if found.HasField("g") else found.graphs:
            for inner in all_graphs(body):
                names.update(value.name for value in inner.output)
                for child in inner.node:
                    names.update(child.input)
    return names


def count_readers(graph: onnx.GraphProto) -> dict[str, int]:
    """How many nodes read each tensor, bodies of control flow included; being an output of the graph counts as one."""
    readers = {value.name: 1 for value in graph.output}
    for node in graph.node:
        for name in reads(node):
            readers[name] = readers.get(name, 0) + 1
    return readers

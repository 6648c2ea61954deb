"""Giving a model with a fixed batch another one: the inputs' leading dimension, and every constant that repeats the
batch.

Exporters write the batch into the graph (`Reshape` to [1, 9216], `Resize` to sizes [1, 3, 448, 448]). To change those
and nothing else, the position of the batch is followed through the graph, from the inputs on, with the shapes of the
original graph.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.frontend.graphs import Names, attribute, constants, static_shape

# operators whose output has no batch, whatever goes in
_BATCHLESS = ("Shape", "Size", "ConstantOfShape", "Range")
_REDUCTIONS = ("ArgMax", "ArgMin")


def rewrite_batch(
    graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto], batched: set[str], old: int, new: int
) -> None:
    """Rewrites the constants of `graph` in place, from batch `old` to `new`.

    `known` holds the shapes of the original graph, `batched` names the inputs whose dimension 0 is the batch. The
    inputs' own shapes are the caller's. What cannot be followed stays as it is and shows up in shape inference.
    """
    shapes = {name: static_shape(value) for name, value in known.items()}
    values = constants(graph)
    names = Names(graph)
    position = dict.fromkeys(batched, 0)
    for node in graph.node:
        source = next((name for name in node.input if name in position), None)
        if source is None or node.op_type in _BATCHLESS:
            continue
        for output in node.output:
            axis = _follow(node, source, position[source], output, old, shapes, values)
            if axis is not None:
                position[output] = axis
        axis = position.get(node.output[0])
        if axis is not None:
            rank = len(shapes[node.output[0]] or ())
            _rewrite_constant(graph, names, node, axis, rank, old, new, values)


def _follow(
    node: onnx.NodeProto,
    source: str,
    axis: int,
    output: str,
    old: int,
    shapes: dict[str, tuple[int, ...] | None],
    values: dict[str, np.ndarray],
) -> int | None:
    """Where the batch is in `output`, when it is at `axis` of `source`; None when it is gone or unknown."""
    before, after = shapes.get(source), shapes.get(output)
    if before is None or after is None or not after:
        return None
    op = node.op_type
    if op == "Transpose":
        order = list(attribute(node, "perm") or reversed(range(len(before))))
        return order.index(axis)
    if op in ("Reshape", "Flatten"):
        return _same_prefix(before, axis, after, old)
    if op == "Gather":
        gathered = int(attribute(node, "axis", 0)) % len(before)
        if node.input[0] != source:  # the indices carry the batch
            return gathered + axis
        if gathered == axis:
            return None
        return axis if axis < gathered else axis + len(after) - len(before)
    if op in ("Squeeze", "Unsqueeze"):
        axes = _axes(node, values)
        if axes is None:
            return None
        axes = [a % max(len(before), len(after)) for a in axes]
        if op == "Squeeze":
            return None if axis in axes else axis - sum(a < axis for a in axes)
        kept = [a for a in range(len(after)) if a not in axes]
        return kept[axis] if axis < len(kept) else None
    if op.startswith("Reduce") or op in _REDUCTIONS:
        axes = [int(attribute(node, "axis", 0))] if op in _REDUCTIONS else _axes(node, values)
        if axes is None or axis in [a % len(before) for a in axes]:
            return None
        return axis if len(after) == len(before) else axis - sum(a % len(before) < axis for a in axes)
    if op in ("Concat", "Split") and int(attribute(node, "axis", 0)) % len(before) == axis:
        return None
    if op == "Gemm":
        return 0 if node.input[0] == source and not attribute(node, "transA", 0) else None
    moved = axis + len(after) - len(before)  # broadcasting aligns shapes on the right
    return moved if 0 <= moved < len(after) and len(after) >= len(before) else None


def _same_prefix(before: tuple[int, ...], axis: int, after: tuple[int, ...], old: int) -> int | None:
    """The first axis of `after` that starts where `axis` of `before` does and can hold the batch."""
    prefix = math.prod(before[:axis])
    for index in range(len(after)):
        if math.prod(after[:index]) == prefix and after[index] % old == 0:
            return index
    return None


def _axes(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> list[int] | None:
    """The axes of a node, from its attribute or its constant second input."""
    axes = attribute(node, "axes")
    if axes is not None:
        return [int(a) for a in axes]
    if len(node.input) > 1 and node.input[1] in values:
        return [int(a) for a in values[node.input[1]].reshape(-1)]
    return None


def _rewrite_constant(
    graph: onnx.GraphProto,
    names: Names,
    node: onnx.NodeProto,
    axis: int,
    rank: int,
    old: int,
    new: int,
    values: dict[str, np.ndarray],
) -> None:
    """Puts the new batch into the shape constant of a node that has one."""
    index = {"Reshape": 1, "Expand": 1, "Resize": 3}.get(node.op_type)
    if index is None or index >= len(node.input) or node.input[index] not in values:
        return
    shape = values[node.input[index]].copy()
    axis -= rank - shape.size  # Expand's shape may leave out leading dimensions
    if (
        not 0 <= axis < shape.size
        or shape[axis] <= 0
        or shape[axis] % old
        or (node.op_type == "Expand" and shape[axis] == 1)
    ):
        return
    shape[axis] = shape[axis] // old * new
    name = names.fresh(f"{node.input[index]}_batch{new}")  # the constant may serve other nodes too
    graph.initializer.append(numpy_helper.from_array(shape, name))
    node.input[index] = name

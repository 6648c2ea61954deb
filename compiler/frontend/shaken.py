"""A model whose operators round otherwise: how far that moves its outputs is what its own arithmetic is uncertain by.

A graph that takes the difference of nearly equal numbers, such as a variance as the mean of squares less the square of
the mean, makes much of the last bit of each; nobody's answer is then right to more digits than that leaves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.frontend.infer import infer
from compiler.frontend.model import Model

STEPS = (-2, -1, 1, 2)
"""Of 2^-23: what a float32 changes by in its last places."""


def shaken(model: Model, seed: int) -> Model:
    """`model` with each float32 result of an operator off by a part of 2^-23 or 2^-22, which `seed` decides."""
    made = copy.copy(model)
    made.__dict__.pop("cleaned", None)
    made.reference = _shaken(model.reference, infer(model.reference, model.name), seed)
    return made


def _shaken(proto: onnx.ModelProto, known: Mapping[str, onnx.ValueInfoProto], seed: int) -> onnx.ModelProto:
    random = np.random.default_rng(seed)
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            value = known.get(name)
            if not name or value is None or value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
                continue
            if node.op_type == "Constant":
                continue
            exact, factor = f"{name}/as computed", f"{name}/rounding"
            node.output[place] = exact
            shift = np.float32(1 + int(random.choice(STEPS)) * 2.0**-23)
            graph.initializer.append(numpy_helper.from_array(np.array(shift), factor))
            nodes.append(helper.make_node("Mul", [exact, factor], [name]))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return result

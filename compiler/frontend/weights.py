"""Seeded weights for the built-in models: He-scaled, so that activations neither vanish nor explode and logits
spread.

Zeros, denormals and constants time differently from trained weights, and a network whose softmax saturates passes
every comparison; so each tensor is drawn by its role (convolution, fully connected, BatchNorm statistics, ...). A
tensor's values depend on the seed, its name and its shape alone: the same bytes everywhere.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import onnx

# Each residual branch ends in a BatchNorm of this scale, so that a sum of many branches grows slowly.
RESIDUAL_SCALE = 0.5
# Biases, and the spread of scales and variances around 1.
SMALL = 0.1
# Operators that a ReLU's output passes through and still is mostly non-negative: mean square about half of the
# variance before it.
TRANSPARENT = ("MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Transpose", "Concat", "LRN", "Dropout")


def draw(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform float32 values of `shape` with mean 0 and variance 1, a function of `seed` and `name`."""
    generator = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    values = generator.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(math.sqrt(12.0))
    return values


def seeded_weights(
    graph: onnx.GraphProto, shapes: Mapping[str, tuple[int, ...]], seed: int, logit_scale: float
) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters `shapes` (name -> shape) of `graph` with their float32 arrays, one at a time, by name.

    `logit_scale` multiplies the last layer's weights: it is what gives the logits their spread.
    """
    roles = _Roles(graph)
    for name in sorted(shapes):
        shape = shapes[name]
        node, index = roles.user(name)
        values = draw(seed, name, shape)
        if node.op_type in ("Conv", "Gemm") and index == 1:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            fan_in = math.prod(shape[1:]) if node.op_type == "Conv" else shape[-1] if transposed else shape[-2]
            gain = 2.0 if roles.rectified(node.input[0]) else 1.0
            values *= np.float32(math.sqrt(gain / fan_in) * (logit_scale if node is roles.last else 1.0))
        elif node.op_type == "Mul" or (node.op_type == "BatchNormalization" and index in (1, 4)):
            values *= np.float32(SMALL)  # a scale or a variance: positive, near 1
            values += np.float32(1.0)
            if index == 1 and name in roles.residual_scales:
                values *= np.float32(RESIDUAL_SCALE)
        else:
            values *= np.float32(SMALL)
        yield name, values


class _Roles:
    """What each parameter of a graph is for."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.producers = {output: node for node in graph.node for output in node.output}
        self.consumers: dict[str, tuple[onnx.NodeProto, int]] = {}
        for node in graph.node:
            for index, name in enumerate(node.input):
                self.consumers.setdefault(name, (node, index))
        self.last = [node for node in graph.node if node.op_type in ("Conv", "Gemm")][-1]
        summed = {name for node in graph.node if node.op_type == "Sum" for name in node.input}
        norms = [node for node in graph.node if node.op_type == "BatchNormalization"]
        self.residual_scales = {node.input[1] for node in norms if node.output[0] in summed}

    def user(self, name: str) -> tuple[onnx.NodeProto, int]:
        """The node that computes with the parameter, and at which input: seen through reshapes of the parameter
        itself.
        """
        node, index = self.consumers[name]
        while node.op_type in ("Reshape", "Unsqueeze"):
            node, index = self.consumers[node.output[0]]
        return node, index

    def rectified(self, name: str) -> bool:
        """Whether the activation `name` has been through a ReLU since the last layer with weights."""
        while name in self.producers and self.producers[name].op_type in TRANSPARENT:
            name = self.producers[name].input[0]
        return name in self.producers and self.producers[name].op_type == "Relu"

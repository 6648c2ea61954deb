"""An ONNX graph as a module of PyTorch, for the operators of image networks.

onnx2torch, which does this for many more, takes neither AlexNet nor GoogLeNet: it has no Dropout of version 7, and no
average over a window whose padding differs from side to side. Imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import fx
from torch.nn import functional

from compiler.errors import EdgetuneError

_CONSTANT_INPUTS = {"Reshape": 1, "Squeeze": 1, "Unsqueeze": 1, "Clip": 1, "ReduceMean": 1, "ReduceSum": 1}
"""Operators whose inputs from that position on are numbers, which must be known beforehand."""
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
    "MatMul": torch.matmul,
    "Relu": functional.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Exp": torch.exp,
    "Sqrt": torch.sqrt,
    "Erf": torch.erf,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Max": torch.maximum,
    "Min": torch.minimum,
}


class _Builder:
    """Builds the module's graph, node by node."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.root = torch.nn.Module()
        self.graph = fx.Graph()
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.values: dict[str, fx.Node] = {}
        self._buffers = 0

    def build(self) -> fx.GraphModule:
        given = [value.name for value in self.model.graph.input if value.name not in self.constants]
        for number, name in enumerate(given):
            self.values[name] = self.graph.placeholder(f"input_{number}")
        for node in self.model.graph.node:
            self._node(node)
        self.graph.output(tuple(self.value(output.name) for output in self.model.graph.output))
        return fx.GraphModule(self.root, self.graph)

    def value(self, name: str) -> fx.Node:
        """The tensor of this name; a constant becomes a buffer of the module."""
        if name not in self.values:
            buffer = f"constant_{self._buffers}"
            self._buffers += 1
            self.root.register_buffer(buffer, torch.from_numpy(np.array(self.constants[name])))
            self.values[name] = self.graph.get_attr(buffer)
        return self.values[name]

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> fx.Node:
        return self.graph.call_function(function, arguments, options)

    def _node(self, node: onnx.NodeProto) -> None:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        kind = node.op_type
        if kind == "Constant":
            self.constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return
        lower = getattr(self, f"_{kind.lower()}", None)
        if lower is None and kind not in _ELEMENTWISE:
            raise EdgetuneError(f"the peer torch has no operator {kind}")
        numbers = _CONSTANT_INPUTS.get(kind, len(node.input))
        for name in node.input[numbers:]:
            if name and name not in self.constants:
                raise EdgetuneError(f"the peer torch takes only constants for {kind}'s later inputs")
        tensors = [self.value(name) for name in node.input[:numbers] if name]
        known = [self.constants.get(name) for name in node.input[numbers:]]
        made = self.call(_ELEMENTWISE[kind], *tensors) if lower is None else lower(tensors, attributes, known)
        self.values[node.output[0]] = made

    # ---- one operator each: tensors, attributes, and what is constant

    def _conv(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        data, pads = self._padded(tensors[0], attributes, 0.0)
        return self.call(
            functional.conv2d,
            data,
            tensors[1],
            tensors[2] if len(tensors) > 2 else None,
            stride=_pair(attributes.get("strides")),
            padding=pads,
            dilation=_pair(attributes.get("dilations")),
            groups=int(attributes.get("group", 1)),
        )

    def _maxpool(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        data, pads = self._padded(tensors[0], attributes, -float("inf"))
        return self.call(
            functional.max_pool2d,
            data,
            _pair(attributes["kernel_shape"]),
            stride=_pair(attributes.get("strides")),
            padding=pads,
            dilation=_pair(attributes.get("dilations")),
            ceil_mode=bool(attributes.get("ceil_mode", 0)),
        )

    def _averagepool(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        data, pads = self._padded(tensors[0], attributes, 0.0)
        counted = bool(attributes.get("count_include_pad", 0))
        options = {
            "stride": _pair(attributes.get("strides")),
            "padding": pads,
            "ceil_mode": bool(attributes.get("ceil_mode", 0)),
        }
        kernel = _pair(attributes["kernel_shape"])
        if data is tensors[0] or counted:
            return self.call(functional.avg_pool2d, data, kernel, count_include_pad=counted, **options)
        # Padded by hand, the average is of all: over the share that is no padding.
        whole = self.call(functional.avg_pool2d, data, kernel, **options)
        ones, _ = self._padded(self.call(torch.ones_like, tensors[0]), attributes, 0.0)
        return self.call(torch.div, whole, self.call(functional.avg_pool2d, ones, kernel, **options))

    def _globalaveragepool(self, tensors: list[fx.Node], _attributes: object, _known: object) -> fx.Node:
        return self.call(torch.mean, tensors[0], dim=(2, 3), keepdim=True)

    def _lrn(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        return self.call(
            functional.local_response_norm,
            tensors[0],
            int(attributes["size"]),
            alpha=float(attributes.get("alpha", 1e-4)),
            beta=float(attributes.get("beta", 0.75)),
            k=float(attributes.get("bias", 1.0)),
        )

    def _batchnormalization(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        data, scale, bias, mean, variance = tensors
        epsilon = float(attributes.get("epsilon", 1e-5))
        return self.call(functional.batch_norm, data, mean, variance, scale, bias, False, 0.0, epsilon)

    def _gemm(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
            raise EdgetuneError("the peer torch has no Gemm with alpha, beta or transA")
        weight = tensors[1] if attributes.get("transB", 0) else self.call(torch.t, tensors[1])
        return self.call(functional.linear, tensors[0], weight, tensors[2] if len(tensors) > 2 else None)

    def _softmax(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        if self.opset >= 13:
            return self.call(functional.softmax, tensors[0], dim=int(attributes.get("axis", -1)))
        # Up to version 11, over all axes from the named one on.
        flat = self.call(torch.flatten, tensors[0], int(attributes.get("axis", 1)))
        return self.call(torch.reshape, self.call(functional.softmax, flat, dim=-1), self.call(_shape_of, tensors[0]))

    def _concat(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        return self.call(torch.cat, tensors, dim=int(attributes["axis"]))

    def _sum(self, tensors: list[fx.Node], _attributes: object, _known: object) -> fx.Node:
        total = tensors[0]
        for one in tensors[1:]:
            total = self.call(torch.add, total, one)
        return total

    def _reshape(self, tensors: list[fx.Node], _attributes: object, known: list[Any]) -> fx.Node:
        return self.call(_reshaped, tensors[0], [int(size) for size in known[0]])

    def _flatten(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        return self.call(_flattened, tensors[0], int(attributes.get("axis", 1)))

    def _transpose(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        return self.call(torch.permute, tensors[0], [int(axis) for axis in attributes["perm"]])

    def _squeeze(self, tensors: list[fx.Node], attributes: Mapping[str, Any], known: list[Any]) -> fx.Node:
        return self.call(torch.squeeze, tensors[0], dim=tuple(_axes(attributes, known)))

    def _unsqueeze(self, tensors: list[fx.Node], attributes: Mapping[str, Any], known: list[Any]) -> fx.Node:
        made = tensors[0]
        for axis in sorted(_axes(attributes, known)):
            made = self.call(torch.unsqueeze, made, axis)
        return made

    def _reducemean(self, tensors: list[fx.Node], attributes: Mapping[str, Any], known: list[Any]) -> fx.Node:
        return self.call(torch.mean, tensors[0], dim=_axes(attributes, known), keepdim=_keeps(attributes))

    def _reducesum(self, tensors: list[fx.Node], attributes: Mapping[str, Any], known: list[Any]) -> fx.Node:
        return self.call(torch.sum, tensors[0], dim=_axes(attributes, known), keepdim=_keeps(attributes))

    def _clip(self, tensors: list[fx.Node], attributes: Mapping[str, Any], known: list[Any]) -> fx.Node:
        low, high = ([*known, None, None] if known else [attributes.get("min"), attributes.get("max")])[:2]
        return self.call(
            torch.clamp, tensors[0], None if low is None else float(low), None if high is None else float(high)
        )

    def _leakyrelu(self, tensors: list[fx.Node], attributes: Mapping[str, Any], _known: object) -> fx.Node:
        return self.call(functional.leaky_relu, tensors[0], float(attributes.get("alpha", 0.01)))

    def _identity(self, tensors: list[fx.Node], _attributes: object, _known: object) -> fx.Node:
        return tensors[0]

    _dropout = _identity

    def _padded(self, data: fx.Node, attributes: Mapping[str, Any], value: float) -> tuple[fx.Node, tuple[int, int]]:
        """`data` and the padding that is left to the operator: none where the sides differ, or it would be refused."""
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise EdgetuneError("the peer torch takes explicit padding only")
        top, left, bottom, right = (int(pad) for pad in attributes.get("pads", (0, 0, 0, 0)))
        kernel = attributes.get("kernel_shape")
        pools = "count_include_pad" in attributes or value != 0.0
        too_wide = pools and kernel is not None and (2 * top > int(kernel[0]) or 2 * left > int(kernel[1]))
        if (top, left) == (bottom, right) and not too_wide:
            return data, (top, left)
        return self.call(functional.pad, data, (left, right, top, bottom), value=value), (0, 0)


def convert(model: onnx.ModelProto) -> fx.GraphModule:
    """The module: as many arguments as the graph has inputs, and a tuple of its outputs.

    Raises EdgetuneError for an operator that it does not have.
    """
    return _Builder(model).build()


def _shape_of(tensor: torch.Tensor) -> list[int]:
    return list(tensor.shape)


def _reshaped(tensor: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """ONNX's reshape, where 0 is the size that the axis has."""
    return tensor.reshape([tensor.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)])


def _flattened(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    rows = 1
    for size in tensor.shape[:axis]:
        rows *= size
    return tensor.reshape(rows, -1)


def _pair(values: Any) -> tuple[int, int]:
    if values is None:
        return (1, 1)
    sizes = [int(value) for value in values]
    if len(sizes) != 2:
        raise EdgetuneError("the peer torch has windows in two dimensions only")
    return (sizes[0], sizes[1])


def _axes(attributes: Mapping[str, Any], known: list[Any]) -> list[int]:
    axes = known[0] if known and known[0] is not None else attributes.get("axes")
    if axes is None:
        raise EdgetuneError("the peer torch needs the axes to be named")
    return [int(axis) for axis in axes]


def _keeps(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get("keepdims", 1))

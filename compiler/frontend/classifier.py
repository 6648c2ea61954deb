"""Classifiers: whether a model is one, and its outputs before a final Softmax.

A softmax hides errors (where it saturates, any bug passes a comparison), so verification looks at the layer before it.
"""

from __future__ import annotations

import copy
import math

import onnx

from compiler.frontend.graphs import attribute, set_shape
from compiler.frontend.infer import infer
from compiler.frontend.model import Model
from compiler.tensors import TensorSpec

# What may stand between the Softmax and the output without changing values.
_TRANSPARENT = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout")


def is_classifier(model: Model) -> bool:
    """Whether the first output is one vector of at least two float scores per image: (B, K), or (B, K, 1, 1) and the
    like.
    """
    output = model.outputs[0]
    if not output.dtype.startswith(("float", "bfloat")) or len(output.shape) < 2:
        return False
    per_image = math.prod(output.shape[1:])
    has_images = any(len(spec.shape) == 4 and spec.shape[0] == output.shape[0] for spec in model.inputs)
    return has_images and output.shape[0] == model.batch and per_image >= 2 and per_image == max(output.shape[1:])


def softmax_inputs(graph: onnx.GraphProto) -> dict[str, str]:
    """For every output that is the result of a Softmax: output name -> the tensor that goes into the Softmax."""
    producers = {name: node for node in graph.node for name in node.output if name}
    found = {}
    for value in graph.output:
        name = value.name
        while name in producers and _keeps_values(producers[name]):
            name = producers[name].input[0]
        node = producers.get(name)
        if node is not None and node.op_type == "Softmax" and node.domain in ("", "ai.onnx"):
            found[value.name] = node.input[0]
    return found


def _keeps_values(node: onnx.NodeProto) -> bool:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    return node.op_type in _TRANSPARENT or (node.op_type == "Cast" and attribute(node, "to") in floats)


def pre_softmax_reference(model: Model) -> Model | None:
    """The same model with every softmax output replaced by what goes into that softmax; None when no output is a
    softmax.

    The result can be run by ONNX Runtime (`reference`) and compiled (`import_model`) like any model; its outputs keep
    their order and take the names of the inner tensors.
    """
    inner = softmax_inputs(model.reference.graph)
    if not inner:
        return None
    reference = onnx.ModelProto()
    reference.CopyFrom(model.reference)
    known = infer(reference, model.name)
    outputs: list[TensorSpec] = []
    for value, spec in zip(reference.graph.output, model.outputs, strict=True):
        if spec.name in inner:
            found = known[inner[spec.name]]
            shape = tuple(dim.dim_value for dim in found.type.tensor_type.shape.dim) or spec.shape
            value.name = inner[spec.name]
            value.type.tensor_type.elem_type = found.type.tensor_type.elem_type
            set_shape(value, shape)
            dtype = str(onnx.helper.tensor_dtype_to_np_dtype(found.type.tensor_type.elem_type))
            spec = TensorSpec(value.name, shape, dtype)
        outputs.append(spec)
    trimmed = copy.copy(model)
    trimmed.__dict__.pop("cleaned", None)  # a copied instance would keep the cached graph of the original
    trimmed.reference, trimmed.outputs = reference, outputs
    return trimmed

"""Checking and shape inference with the onnx package, on graphs whose weights are left out; failures become one line.

Nothing that could crash on a malformed graph (onnxslim, ONNX Runtime, TVM) runs before a graph has passed here.
"""

from __future__ import annotations

import math

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import attribute, describe, skeleton, static_shape
from compiler.frontend.quiet import one_line, quiet
from compiler.frontend.reference import ort_session
from compiler.frontend.tensor_data import BITS
from compiler.report import format as fmt

# No tensor of a model that can be tuned is larger; a damaged shape easily is, and would be allocated.
MAX_TENSOR_BYTES = 2**33


def check(model: onnx.ModelProto, where: str) -> None:
    """Raises EdgetuneError where the graph breaks the ONNX specification."""
    bare = skeleton(model)
    for value in (*bare.graph.input, *bare.graph.output):
        # The checker insists on a shape, but exporters leave them out, and what is there is not compared with anything.
        value.type.tensor_type.shape.SetInParent()
    try:
        with quiet():
            onnx.checker.check_model(bare)
    except Exception as error:  # C++ exceptions of several kinds come through
        raise EdgetuneError(f"{where}: not a valid ONNX graph: {one_line(error)}") from error


def infer(model: onnx.ModelProto, where: str) -> dict[str, onnx.ValueInfoProto]:
    """Type and shape of every tensor that inference finds, by name: inputs, outputs, intermediate tensors, weights.

    Raises EdgetuneError where shapes contradict each other, or where a tensor would be absurdly large.
    """
    graph = _infer(model, where).graph
    # Inputs last: an output that is an input too is not inferred, and its own shape has been taken away.
    found = {value.name: value for value in (*graph.value_info, *graph.output, *graph.input)}
    for tensor in graph.initializer:
        found[tensor.name] = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    for name, value in found.items():
        shape = static_shape(value)
        if shape is None:
            continue
        if any(size < 0 for size in shape):
            raise EdgetuneError(f"{where}: tensor {name!r} has a negative dimension: {shape}")
        if math.prod(shape) * BITS.get(value.type.tensor_type.elem_type, 32) > MAX_TENSOR_BYTES * 8:
            raise EdgetuneError(
                f"{where}: tensor {name!r} of shape {shape} would take more than {fmt.size(MAX_TENSOR_BYTES)}"
            )
    for node in graph.node:
        _check_channels(node, found, where)
    return found


def _check_channels(node: onnx.NodeProto, found: dict[str, onnx.ValueInfoProto], where: str) -> None:
    """Raises EdgetuneError where a node's weights are for another number of channels: onnx's inference does not look,
    and ONNX Runtime only does when it runs.
    """
    if node.op_type not in ("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization"):
        return
    data, weight = (static_shape(found[name]) if name in found else None for name in node.input[:2])
    if data is None or weight is None or len(data) < 2 or not weight:
        return
    if node.op_type == "Conv":
        wanted = weight[1] * int(attribute(node, "group", 1)) if len(weight) > 1 else data[1]
    else:
        wanted = weight[0]
    if wanted != data[1]:
        raise EdgetuneError(
            f"{where}: {describe(node)} takes {wanted} channels, and its input {node.input[0]!r} of shape {data} has "
            f"{data[1]}"
        )


def _infer(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    bare = skeleton(model)
    del bare.graph.value_info[:]
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    failure: Exception | None = None
    # Following shape arithmetic (data_prop) finds more shapes, and stumbles over some valid graphs.
    for data_prop in (True, False):
        try:
            with quiet():
                return onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=data_prop)
        except Exception as error:  # noqa: BLE001  C++ exceptions of several kinds come through
            failure = error
    # ONNX Runtime is the truth: what it takes is a valid graph, where the onnx package is stricter.
    try:
        ort_session(model, threads=1, optimise=False)
        with quiet():
            return onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=False)
    except Exception:  # noqa: BLE001
        raise EdgetuneError(
            f"{where}: the graph's shapes do not fit together: {one_line(_first_inference_error(failure))}"
        ) from failure


def _first_inference_error(error: Exception | None) -> str:
    """The first of the errors in onnx's message, without its prefixes."""
    text = " ".join(str(error).split())
    for prefix in ("[ShapeInferenceError]", "Inference error(s):", "[TypeInferenceError]"):
        text = text.replace(prefix, "")
    return " ".join(text.split()).split(" (op_type:", 1)[0] or text

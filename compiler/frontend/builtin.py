"""The built-in models: the `onnx` package's light graphs with seeded weights put back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx import numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend.names import LIGHT_GRAPHS
from compiler.frontend.weights import seeded_weights

# What brings each model's logits to a standard deviation of about 2 on N(0,1) images (measured with ONNX Runtime,
# seed 0).
LOGIT_SCALES: dict[str, float] = {
    "alexnet": 0.55,
    "googlenet": 0.42,
    "squeezenet": 0.65,
    "resnet50": 0.67,
    "vgg19": 0.67,
    "densenet121": 1.25,
    "shufflenet": 0.12,
    "inception-v2": 0.82,
    "zfnet512": 1.5,
}


def builtin_model(name: str, seed: int) -> tuple[onnx.ModelProto, str]:
    """The built-in model `name` with weights drawn from `seed`, and the SHA-256 over its graph and weights.

    The hash is taken over the light graph's file and every weight's name, shape and bytes, so it does not depend on
    how protobuf happens to serialise.
    """
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / LIGHT_GRAPHS[name]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EdgetuneError(
            f"built-in model {name}: the installed onnx package lacks {path.name} ({error.strerror}); reinstall onnx"
        ) from error
    model = onnx.load_model_from_string(content)
    graph = model.graph

    initializers = {tensor.name: tensor for tensor in graph.initializer}
    parameters: dict[str, tuple[int, ...]] = {}
    filled = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    for node in filled:
        parameters[node.output[0]] = tuple(int(d) for d in numpy_helper.to_array(initializers.pop(node.input[0])))
    operators = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    used = {tensor for node in operators for tensor in node.input}
    # The few float tensors that the light files kept are redrawn too: trained statistics do not fit random weights.
    parameters.update(
        {
            t.name: tuple(t.dims)
            for t in initializers.values()
            if t.data_type == onnx.TensorProto.FLOAT and t.name in used
        }
    )
    kept = [tensor for tensor in initializers.values() if tensor.name in used and tensor.name not in parameters]

    images = [value for value in graph.input if value.name in used and value.name not in initializers]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(operators)
    graph.initializer.extend(kept)
    graph.input.extend(images)
    model.ir_version = 8  # from 4 on, initializers need not be listed as inputs

    digest = hashlib.sha256(content)
    for parameter, array in seeded_weights(graph, parameters, seed, LOGIT_SCALES.get(name, 1.0)):
        digest.update(f"{parameter}{array.shape}".encode())
        digest.update(array.data)
        tensor = graph.initializer.add()  # filled in place: appending a finished tensor copies its bytes once more
        tensor.name = parameter
        tensor.dims.extend(array.shape)
        tensor.data_type = onnx.TensorProto.FLOAT
        tensor.raw_data = array.tobytes()
    return model, digest.hexdigest()

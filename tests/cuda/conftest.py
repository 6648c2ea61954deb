"""A model with a kernel of every kind, and what is skipped without the extra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution, a grouped one, LRN, pooling, a fully connected layer and softmax; names as only ONNX allows."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        # Sums stay about as large as what is summed: of larger logits softmax leaves zeros.
        terms = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
        return numpy_helper.from_array(rng.standard_normal(shape, dtype="float32") / np.float32(terms**0.5), name)

    nodes = [
        helper.make_node("Conv", ["gpu_0/data_0", "w/1"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("LRN", ["b"], ["n"], size=5),
        helper.make_node("Conv", ["n", "w/2"], ["c"], group=2, strides=[2, 2], pads=[1] * 4),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "w/3", "b/3"], ["f"]),
        helper.make_node("Softmax", ["f"], ["out/1"], axis=1),
    ]
    weights = [weight("w/1", 16, 3, 3, 3), weight("w/2", 24, 8, 3, 3), weight("w/3", 96, 10), weight("b/3", 10)]
    inputs = [helper.make_tensor_value_info("gpu_0/data_0", TensorProto.FLOAT, [1, 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("out/1", TensorProto.FLOAT, [1, 10])]
    model = helper.make_model(
        helper.make_graph(nodes, "small", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(model, path)
    return path

"""A model at another batch gives for every image what it gave alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import EdgetuneError
from compiler.frontend import builtin_names, load, random_inputs, run_reference
from tests.frontend.graphs_for_tests import assert_same, graph, loaded, node, values

SMALL = [name for name in builtin_names() if name not in ("vgg19", "alexnet", "zfnet512")]


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def attention() -> onnx.ModelProto:
    """Self-attention as exporters write it with batch 1 spelled out, the batch moved about by transposes."""
    weights = {
        "w": values(1, 8, 24), "split": i64(1, 5, 3, 2, 4), "back": i64(1, 5, 8),
        "merged": i64(2, 5, 4), "apart": i64(1, 2, 5, 4),
        "0": np.array(0, np.int64), "1": np.array(1, np.int64), "2": np.array(2, np.int64),
    }  # fmt: skip
    nodes = [
        node("MatMul", ["x", "w"], ["qkv"]),
        node("Reshape", ["qkv", "split"], ["parts"]),
        node("Transpose", ["parts"], ["front"], perm=[2, 0, 3, 1, 4]),
        node("Gather", ["front", "0"], ["q"], axis=0),
        node("Gather", ["front", "1"], ["k"], axis=0),
        node("Gather", ["front", "2"], ["v4"], axis=0),
        node("Reshape", ["v4", "merged"], ["v3"]),
        node("Reshape", ["v3", "apart"], ["v"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["ordered"], perm=[0, 2, 1, 3]),
        node("Reshape", ["ordered", "back"]),
    ]
    return graph(nodes, [("x", (1, 5, 8))], ["y"], weights)


FIXED = {
    "reshape": graph(
        [node("Reshape", ["x", "s"], ["t"]), node("MatMul", ["t", "w"])],
        [("x", (1, 3, 4))], ["y"], {"s": i64(1, 12), "w": values(1, 12, 5)},
    ),
    "reshape_rest": graph(
        [node("Reshape", ["x", "s"], ["t"]), node("MatMul", ["t", "w"])],
        [("x", (1, 3, 4))], ["y"], {"s": i64(1, -1), "w": values(1, 12, 5)},
    ),
    "reshape_infer": graph([node("Reshape", ["x", "s"])], [("x", (1, 3, 4))], ["y"], {"s": i64(-1, 12)}),
    "reshape_of_weight": graph(
        [node("Reshape", ["w", "s"], ["v"]), node("MatMul", ["x", "v"])],
        [("x", (1, 4))], ["y"], {"w": values(1, 1, 20), "s": i64(4, 5)},
    ),
    "shared_constant": graph(
        [node("Reshape", ["w", "s"], ["v"]), node("Reshape", ["x", "s"], ["t"]), node("Add", ["t", "v"])],
        [("x", (1, 2, 6))], ["y"], {"w": values(1, 3, 4), "s": i64(1, 12)},
    ),
    "constant_node": graph(
        [node("Constant", [], ["s"], value=onnx.numpy_helper.from_array(i64(1, 12))), node("Reshape", ["x", "s"])],
        [("x", (1, 3, 4))], ["y"],
    ),
    "resize": graph([node("Resize", ["x", "", "", "s"])], [("x", (1, 2, 4, 4))], ["y"], {"s": i64(1, 2, 8, 8)}),
    "expand": graph([node("Expand", ["x", "s"])], [("x", (1, 1, 4))], ["y"], {"s": i64(1, 3, 4)}),
    "two_inputs": graph([node("Add", ["x", "z"])], [("x", (1, 4)), ("z", (1, 4))], ["y"]),
    "shape_operator": graph(
        [node("Shape", ["x"], ["s"]), node("Slice", ["s", "a", "b"], ["n"]), node("Concat", ["n", "r"], ["t"], axis=0),
         node("Reshape", ["x", "t"])],
        [("x", (1, 3, 4))], ["y"], {"a": i64(0), "b": i64(1), "r": i64(12)},
    ),
    "squeezed": graph(
        [node("GlobalAveragePool", ["x"], ["p"]), node("Squeeze", ["p", "a"], ["q"]),
         node("Unsqueeze", ["q", "u"], ["r"]), node("Reshape", ["r", "s"])],
        [("x", (1, 3, 4, 4))], ["y"], {"a": i64(2, 3), "u": i64(1), "s": i64(1, 3)},
    ),
    "attention": attention(),
    "symbolic": graph([node("Relu", ["x"])], [("x", ("N", 3))], ["y"]),
    "unnamed": graph([node("Relu", ["x"])], [("x", (None, 3))], ["y"]),
    "stale_shapes": graph(
        [node("Relu", ["x"])], [("x", (1, 3))], [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))]
    ),
}  # fmt: skip


def assert_batch_is_images(one, many, batch: int, tolerance: float = 1e-5) -> None:
    assert many.batch == batch
    assert all(spec.shape[0] == batch for spec in many.inputs + many.outputs)
    inputs = random_inputs(many.inputs, 3)
    together = run_reference(many, inputs)
    for index in range(batch):
        alone = run_reference(one, {name: array[index : index + 1] for name, array in inputs.items()})
        for name, array in alone.items():
            np.testing.assert_allclose(together[name][index : index + 1], array, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FIXED)
def test_every_image_gives_the_same(name: str, tmp_path: Path) -> None:
    many = loaded(FIXED[name], tmp_path, batch=3)
    assert_batch_is_images(loaded(FIXED[name], tmp_path, batch=1), many, 3)
    assert_same(many)


def test_shape_option_changes_the_batch_too(tmp_path: Path) -> None:
    model = loaded(FIXED["reshape"], tmp_path, shapes={"x": (2, 3, 4)})
    assert_batch_is_images(loaded(FIXED["reshape"], tmp_path), model, 2)


def test_a_smaller_batch(tmp_path: Path) -> None:
    model = graph([node("Reshape", ["x", "s"])], [("x", (4, 3, 2))], ["y"], {"s": i64(4, 6)})
    assert loaded(model, tmp_path, batch=2).outputs[0].shape == (2, 6)


def test_inputs_without_the_batch_stay(tmp_path: Path) -> None:
    index = helper.make_tensor_value_info("i", TensorProto.INT64, (2,))
    model = graph([node("Gather", ["x", "i"], axis=1)], [("x", (1, 4)), index], ["y"])
    assert loaded(model, tmp_path, batch=3).shapes == {"x": (3, 4), "i": (2,)}


def test_a_graph_that_mixes_images_is_refused(tmp_path: Path) -> None:
    model = graph([node("Softmax", ["x"], axis=0)], [("x", (1, 4))], ["y"])
    with pytest.raises(EdgetuneError, match="changes what each image gives"):
        loaded(model, tmp_path, batch=2)


def test_a_graph_that_cannot_take_the_batch_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]),
        node("MatMul", ["w", "t"], ["u"]),
        node("MatMul", ["u", "v"]),
    ]
    model = graph(nodes, [("x", (1, 4))], ["y"], {"w": values(1, 2, 4), "v": values(2, 1, 3)})
    with pytest.raises(EdgetuneError, match="does not work at batch 2"):
        loaded(model, tmp_path, batch=2)


@pytest.mark.parametrize("name", SMALL)
def test_builtin_models(name: str) -> None:
    assert_batch_is_images(load(name), load(name, batch=2), 2)

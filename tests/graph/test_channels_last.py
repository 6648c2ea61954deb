"""Channels last: what follows, what falls back, and that the numbers stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from compiler.frontend import Model
from compiler.graph.pipeline import lay_out
from compiler.graph.rewriter import op_name
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import (
    assert_like_onnxruntime,
    conv,
    graph,
    imported,
    loaded,
    module,
    node,
    values,
    weight,
)

W = {"w": weight(1, 8, 8, 3, 3), "v": weight(2, 8, 8, 3, 3), "u": weight(3, 8, 8, 1, 1)}
SHAPE = (2, 8, 7, 6)

Nodes = list[onnx.NodeProto]


def between(*nodes: onnx.NodeProto) -> Nodes:
    """`nodes` from `a` to `b`, between two convolutions."""
    return [conv("w", "x", "a"), *nodes, conv("v", "b", "y")]


def transposes(model: Model) -> int:
    """Transposes of pictures that are left; a channel shuffle has one of its own."""
    mod = lay_out(imported(model))
    values = [binding.value for block in mod["main"].body.blocks for binding in block.bindings]
    return sum(op_name(value) == "relax.permute_dims" and value.args[0].ty.ndim == 4 for value in values)


ints = {"axes": np.array([2, 3]), "shape5": np.array([2, 2, 4, 7, 6]), "shape4": np.array([2, 8, 7, 6])}

FOLLOWS: dict[str, tuple[Nodes, dict[str, np.ndarray]]] = {
    "relu": (between(node("Relu", ["a"], ["b"])), {}),
    "activations": (
        between(
            node("LeakyRelu", ["a"], ["a1"], alpha=0.1),
            node("Sigmoid", ["a1"], ["a2"]),
            node("Tanh", ["a2"], ["a3"]),
            node("Exp", ["a3"], ["b"]),
        ),
        {},
    ),
    "clip": (between(node("Clip", ["a", "low", "high"], ["b"])), {"low": np.float32(-0.5), "high": np.float32(0.25)}),
    "several clips": (
        between(
            node("Clip", ["a", "low"], ["a1"]),
            node("Clip", ["a1", "", "high"], ["a2"]),
            node("Clip", ["a2", "nan", "other"], ["a3"]),
            node("MaxPool", ["a3"], ["a4"], kernel_shape=[2, 2]),
            node("Clip", ["a4", "higher"], ["b"]),
        ),
        {
            "low": np.float32(-0.5),
            "high": np.float32(0.5),
            "nan": np.float32(np.nan),
            "other": np.float32(0.25),
            "higher": np.float32(-0.25),
        },
    ),
    "prelu": (between(node("PRelu", ["a", "slope"], ["b"])), {"slope": values(5, 8, 1, 1)}),
    # Constants keep their type where they are turned: float32 would not fit to the data.
    "constants of float64": (
        between(
            node("Cast", ["a"], ["a1"], to=TensorProto.DOUBLE),
            node("Add", ["a1", "wide"], ["a2"]),
            node("Mul", ["a2", "picture"], ["a3"]),
            node("Cast", ["a3"], ["b"], to=TensorProto.FLOAT),
        ),
        {"wide": values(6, 8, 1, 1).astype("float64"), "picture": values(7, 1, 8, 7, 6).astype("float64")},
    ),
    "hard swish": (between(node("HardSwish", ["a"], ["b"])), {}),
    "residual": (
        [conv("w", "x", "a"), conv("v", "a", "b"), node("Add", ["a", "b"], ["c"]), conv("w", "c", "y")],
        {},
    ),
    "residual of the input": ([conv("w", "x", "a"), node("Add", ["a", "x"], ["b"]), conv("v", "b", "y")], {}),
    "a scale and a shift per channel": (
        between(node("Mul", ["a", "scale"], ["a1"]), node("Add", ["shift", "a1"], ["b"])),
        {"scale": values(5, 8, 1, 1), "shift": values(6, 1, 8, 1, 1)},
    ),
    "constants of lower ranks": (
        between(
            node("Mul", ["a", "row"], ["a1"]),
            node("Add", ["a1", "number"], ["a2"]),
            node("Sub", ["plane", "a2"], ["b"]),
        ),
        {"row": values(5, 6), "number": np.float32(0.5).reshape(()), "plane": values(6, 7, 6)},
    ),
    "concat": (
        [
            conv("w", "x", "a"),
            conv("v", "x", "b"),
            node("Concat", ["a", "b"], ["c"], axis=1),
            conv("u2", "c", "y", pads=[0] * 4),
        ],
        {"u2": weight(7, 8, 16, 1, 1)},
    ),
    "concat of rows": (
        [conv("w", "x", "a"), node("Concat", ["a", "x"], ["c"], axis=-2), conv("v", "c", "y")],
        {},
    ),
    "pools": (
        between(
            node("MaxPool", ["a"], ["a1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            node("AveragePool", ["a1"], ["b"], kernel_shape=[2, 2]),
        ),
        {},
    ),
    "a mean that keeps its axes": (
        [
            conv("w", "x", "a"),
            node("ReduceMean", ["a"], ["m"], axes=[2, 3], keepdims=1),
            conv("u", "m", "s", pads=[0] * 4),
            node("Mul", ["a", "s"], ["b"]),
            conv("v", "b", "y"),
        ],
        {},
    ),
    "squeeze and excitation": (
        [
            conv("w", "x", "a"),
            node("GlobalAveragePool", ["a"], ["m"]),
            conv("u", "m", "s", pads=[0] * 4),
            node("Sigmoid", ["s"], ["g"]),
            node("Mul", ["a", "g"], ["b"]),
            conv("v", "b", "y"),
        ],
        {},
    ),
    "softmax over channels": (between(node("Softmax", ["a"], ["b"], axis=1)), {}),
    "softmax over a row": (between(node("Softmax", ["a"], ["b"], axis=-1)), {}),
    "channel shuffle": (
        between(
            node("Reshape", ["a", "shape5"], ["a1"]),
            node("Transpose", ["a1"], ["a2"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["a2", "shape4"], ["b"]),
        ),
        {"shape5": ints["shape5"], "shape4": ints["shape4"]},
    ),
    "lrn": (between(node("LRN", ["a"], ["b"], size=5, alpha=0.1, beta=0.75, bias=1.0)), {}),
    "transposes that undo each other": (
        between(
            node("Transpose", ["a"], ["a1"], perm=[0, 2, 3, 1]), node("Transpose", ["a1"], ["b"], perm=[0, 3, 1, 2])
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_what_lies_between_two_convolutions_follows(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, weights = FOLLOWS[name]
    model = module(tmp_path, nodes, SHAPE, weights={**W, **weights}, opset=14)
    assert transposes(model) == 2, "one of the input, one of the output"
    assert_like_onnxruntime(model, tmp_path, threads)


ENDS: dict[str, tuple[Nodes, dict[str, np.ndarray]]] = {
    "flatten of single pixels": (
        [node("GlobalAveragePool", ["a"], ["m"]), node("Flatten", ["m"], ["f"]), node("MatMul", ["f", "fc"], ["y"])],
        {"fc": weight(8, 8, 10)},
    ),
    "a mean without axes": (
        [node("ReduceMean", ["a"], ["f"], axes=[2, 3], keepdims=0), node("MatMul", ["f", "fc"], ["y"])],
        {"fc": weight(8, 8, 10)},
    ),
    "a sum over pixels and channels": (
        [node("ReduceSum", ["a", "all"], ["y"], keepdims=0)],
        {"all": np.array([1, 2, 3])},
    ),
    "a maximum of everything": ([node("ReduceMax", ["a"], ["y"], axes=[1, 2, 3], keepdims=0)], {}),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_classifier_needs_no_transpose(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, weights = ENDS[name]
    model = module(tmp_path, [conv("w", "x", "a"), *nodes], SHAPE, weights={**W, **weights})
    assert transposes(model) == 1, "of the input"
    assert_like_onnxruntime(model, tmp_path, threads)


@pytest.mark.parametrize(
    "axes", [[0], [1], [2], [3], [0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3], [0, 1, 2], [0, 2, 3]]
)
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_over_any_axes(axes: list[int], keep: int, tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [conv("w", "x", "a"), node("ReduceMean", ["a"], ["y"], axes=axes, keepdims=keep)]
    assert_like_onnxruntime(module(tmp_path, nodes, SHAPE, weights=W), tmp_path, threads)


FALLS_BACK: dict[str, tuple[Nodes, dict[str, np.ndarray]]] = {
    "flatten of pictures": (
        [conv("w", "x", "a"), node("Flatten", ["a"], ["f"]), node("MatMul", ["f", "fc"], ["y"])],
        {"fc": weight(8, 336, 5)},
    ),
    "five dimensions in between": (
        between(
            node("Reshape", ["a", "shape5"], ["a1"]),
            node("ReduceSum", ["a1", "axis"], ["a2"], keepdims=1),
            node("Mul", ["a1", "a2"], ["a3"]),
            node("Reshape", ["a3", "shape4"], ["b"]),
        ),
        {**ints, "axis": np.array([2])},
    ),
    "a shuffle that is not of channels": (
        between(
            node("Reshape", ["a", "odd5"], ["a1"]),
            node("Transpose", ["a1"], ["a2"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["a2", "shape4"], ["b"]),
        ),
        {"odd5": np.array([2, 4, 14, 2, 3]), "shape4": ints["shape4"]},
    ),
    "a shuffle that crosses the batch": (
        between(
            node("Reshape", ["a", "odd5"], ["a1"]),
            node("Transpose", ["a1"], ["a2"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["a2", "shape4"], ["b"]),
        ),
        {"odd5": np.array([4, 2, 2, 7, 6]), "shape4": ints["shape4"]},
    ),
    "a transpose of five dimensions without an order": (
        between(
            node("Reshape", ["a", "shape5"], ["a1"]),
            node("Transpose", ["a1"], ["a2"]),
            node("Reshape", ["a2", "shape4"], ["b"]),
        ),
        {"shape5": ints["shape5"], "shape4": ints["shape4"]},
    ),
    "resize": (
        between(node("Resize", ["a", "", "scales"], ["b"], mode="nearest")),
        {"scales": np.array([1, 1, 2, 2], "float32")},
    ),
    "a slice of channels": (
        [
            conv("w", "x", "a"),
            node("Slice", ["a", "from", "to", "axis"], ["b"]),
            conv("half", "b", "y"),
        ],
        {"from": np.array([2]), "to": np.array([6]), "axis": np.array([1]), "half": weight(9, 8, 4, 3, 3)},
    ),
    "a split of channels": (
        [
            conv("w", "x", "a"),
            node("Split", ["a"], ["s", "t"], axis=1),
            node("Concat", ["t", "s"], ["b"], axis=1),
            conv("v", "b", "y"),
        ],
        {},
    ),
    "padding": (between(node("Pad", ["a", "pads"], ["b"])), {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 3])}),
    "a transpose of its own": (
        [conv("w", "x", "a"), node("Transpose", ["a"], ["b"], perm=[0, 1, 3, 2]), conv("v", "b", "y")],
        {},
    ),
    "a constant of five dimensions": (
        [conv("w", "x", "a"), node("Add", ["a", "five"], ["y"])],
        {"five": values(5, 3, 1, 8, 1, 1)},
    ),
    "prelu by row": (between(node("PRelu", ["a", "slope"], ["b"])), {"slope": values(5, 6)}),
    "bounds that are computed": (
        between(
            node("ReduceMin", ["x"], ["low"], axes=[0, 1, 2, 3], keepdims=0),
            node("Mul", ["low", "tenth"], ["low1"]),
            node("Clip", ["a", "low1"], ["b"]),
        ),
        {"tenth": np.float32(0.1)},
    ),
    "gather of channels": (
        between(node("Gather", ["a", "order"], ["b"], axis=1)),
        {"order": np.array([7, 6, 5, 4, 3, 2, 1, 0])},
    ),
    "an argmax over channels": (
        [conv("w", "x", "a"), node("ArgMax", ["a"], ["i"], axis=1), node("Cast", ["i"], ["y"], to=1)],
        {},
    ),
    "a product with itself transposed": (
        [conv("w", "x", "a"), node("Transpose", ["a"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["a", "t"], ["y"])],
        {},
    ),
    "instance normalisation": (
        between(node("InstanceNormalization", ["a", "one", "zero"], ["b"])),
        {"one": values(5, 8), "zero": values(6, 8)},
    ),
    "depth to space": (
        [conv("w", "x", "a"), node("DepthToSpace", ["a"], ["b"], blocksize=2), conv("quarter", "b", "y")],
        {"quarter": weight(9, 8, 2, 3, 3)},
    ),
    "a transposed convolution": (
        between(node("ConvTranspose", ["a", "up"], ["b"], strides=[2, 2])),
        {"up": weight(9, 8, 8, 2, 2)},
    ),
}


@pytest.mark.parametrize("name", FALLS_BACK)
def test_what_cannot_follow_reads_the_old_order(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, weights = FALLS_BACK[name]
    model = module(tmp_path, nodes, SHAPE, weights={**W, **weights})
    assert_like_onnxruntime(model, tmp_path, threads)


def test_outputs_come_in_the_order_and_layout_of_the_model(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [
        conv("w", "x", "a"),
        node("Relu", ["a"], ["b"]),
        conv("v", "b", "c"),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("ReduceMean", ["c"], ["e"], axes=[1], keepdims=0),
    ]
    model = module(tmp_path, nodes, SHAPE, outputs=["e", "b", "d", "a"], weights=W)
    assert_like_onnxruntime(model, tmp_path, threads)


def test_an_input_that_is_an_output_and_one_that_nothing_reads(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [conv("w", "x", "y"), node("Identity", ["x"], ["same"])]
    proto = graph(nodes, [("x", SHAPE), ("unused", (3,))], ["y", "same"], {"w": W["w"]})
    assert_like_onnxruntime(loaded(proto, tmp_path), tmp_path, threads)


def test_one_value_as_two_outputs(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [conv("w", "x", "a"), node("Relu", ["a"], ["y"]), node("Identity", ["y"], ["z"])]
    assert_like_onnxruntime(module(tmp_path, nodes, SHAPE, outputs=["y", "z"], weights=W), tmp_path, threads)


def test_a_weight_that_is_computed(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[0, 1, 2, 3]),
        node("Mul", ["w", "m"], ["wm"]),
        node("Conv", ["x", "wm"], ["y"], pads=[1, 1, 1, 1]),
    ]
    assert_like_onnxruntime(module(tmp_path, nodes, SHAPE, weights=W), tmp_path, threads)


def test_three_dimensions_are_left_alone(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1]),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["y"], kernel_shape=[2]),
    ]
    assert_like_onnxruntime(module(tmp_path, nodes, (2, 4, 9), weights={"w1": weight(1, 6, 4, 3)}), tmp_path, threads)

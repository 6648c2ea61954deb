"""Convolutions in groups: filled up group by group, and read through channel shuffles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from compiler.graph.filling import filling
from compiler.graph.pipeline import lay_out, lower
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import (
    assert_like_onnxruntime,
    constants,
    conv,
    imported,
    kernels,
    module,
    node,
    values,
    weight,
)
from tests.schedules import hardware_for_tests as hw

SHAPE = (2, 8, 7, 6)


def grouped_nodes(channels: int, behind: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """A convolution in four groups of so many channels, and something behind it."""
    width = 4 * channels
    nodes = [node("Conv", ["x", "w", "bias"], ["a"], pads=[1, 1, 1, 1], group=4), node("Relu", ["a"], ["b"])]
    if behind == "shuffle":
        nodes += [
            node("Reshape", ["b", "five"], ["c"]),
            node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["d", "four"], ["e"]),
        ]
    elif behind == "residual":
        nodes += [conv("v", "x", "c"), node("Add", ["b", "c"], ["d"]), node("Relu", ["d"], ["e"])]
    elif behind == "two uses":
        nodes += [node("MaxPool", ["b"], ["c"], kernel_shape=[1, 1]), node("Add", ["a", "c"], ["e"])]
    else:
        nodes += [node("Mul", ["b", "half"], ["e"])]
    nodes.append(node("GlobalAveragePool" if behind == "pool" else "Identity", ["e"], ["y"]))
    batch, _, height, wide = SHAPE
    return nodes, {
        "w": weight(1, width, SHAPE[1] // 4, 3, 3),
        "bias": values(2, width),
        "v": weight(3, width, SHAPE[1], 3, 3),
        "half": np.float32(0.5),
        "five": np.array([batch, 4, channels, height, wide], "int64"),
        "four": np.array([batch, width, height, wide], "int64"),
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("behind", ["shuffle", "residual", "two uses", "pool"])
def test_groups_are_filled_up_one_by_one(behind: str, precision: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, weights = grouped_nodes(10, behind)
    used = {name for n in nodes for name in n.input}
    model = module(tmp_path, nodes, SHAPE, weights={k: v for k, v in weights.items() if k in used})
    lowered = lower(lay_out(imported(model)), "float32", fill=filling(hw.AVX2)).mod
    last = "add" if behind == "two uses" else "relu"  # what is read before ReLU, too, is written before it
    assert sum("conv2d_grouped" in name and last in name for name in kernels(lowered)) == 1, "it is fused"
    assert any(c.shape == (3, 3, SHAPE[1] // 4, 4, 16) for c in constants(lowered))
    tolerance = 1e-5 if precision == "fp32" else 2e-3
    assert_like_onnxruntime(model, tmp_path, threads, tolerance=tolerance, precision=precision)


def shuffle(data: str, out: str) -> list[onnx.NodeProto]:
    return [
        node("Reshape", [data, "five"], [f"{out}5"]),
        node("Transpose", [f"{out}5"], [f"{out}t"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", [f"{out}t", "four"], [out]),
    ]


@pytest.mark.parametrize("channels", [10, 16])
@pytest.mark.parametrize("between", ["nothing", "depthwise", "depthwise with bias", "two uses"])
def test_a_channel_shuffle_is_read_through(channels: int, between: str, tmp_path: Path, threads: ComputeThread) -> None:
    """As in ShuffleNet: convolution in groups, shuffle, depthwise convolution, convolution in groups."""
    width = 4 * channels
    batch, _, height, wide = SHAPE
    nodes = [node("Conv", ["x", "w"], ["a"], group=4), node("Relu", ["a"], ["b"]), *shuffle("b", "c")]
    last = "c"
    if between != "nothing":
        inputs = ["c", "depth", "bias"] if "bias" in between else ["c", "depth"]
        nodes.append(node("Conv", inputs, ["d"], pads=[1, 1, 1, 1], group=width))
        last = "d"
    nodes.append(node("Conv", [last, "v"], ["e"], group=4))
    nodes.append(node("Add", ["e", "c"], ["y"]) if between == "two uses" else node("Relu", ["e"], ["y"]))
    weights = {
        "w": weight(1, width, SHAPE[1] // 4, 1, 1),
        "v": weight(2, width, channels, 1, 1),
        "depth": weight(3, width, 1, 3, 3),
        "bias": values(4, width),
        "five": np.array([batch, 4, channels, height, wide], "int64"),
        "four": np.array([batch, width, height, wide], "int64"),
    }
    used = {name for n in nodes for name in n.input}
    model = module(tmp_path, nodes, SHAPE, weights={k: v for k, v in weights.items() if k in used})
    lowered = lower(lay_out(imported(model)), "float32", fill=filling(hw.AVX2)).mod
    turns = [name for name in kernels(lowered) if "transpose" in name]
    # One at the beginning and one at the end make NHWC of the model's NCHW and back.
    assert len(turns) == (3 if between == "two uses" else 2), turns
    assert_like_onnxruntime(model, tmp_path, threads)


def test_groups_that_fill_vectors_stay_as_they_are(tmp_path: Path) -> None:
    nodes, weights = grouped_nodes(16, "other")
    used = {name for n in nodes for name in n.input}
    model = module(tmp_path, nodes, SHAPE, weights={k: v for k, v in weights.items() if k in used})
    assert not any(
        "grouped" in name for name in kernels(lower(lay_out(imported(model)), "float32", fill=filling(hw.AVX2)).mod)
    )

"""Concatenation without copies: what is concatenated is made in its place and read from there."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from compiler.frontend import Model
from compiler.graph.pipeline import lay_out, lower
from compiler.graph.scheduling import as_task
from compiler.graph.work import bytes_moved
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import assert_like_onnxruntime, calls, conv, imported, kernels, module, node, values, weight

SHAPE = (2, 8, 7, 6)
W = {f"w{i}": weight(i, 8, 8, 3, 3) for i in range(4)}
WIDE = {"v16": weight(9, 8, 16, 3, 3), "v24": weight(10, 8, 24, 3, 3), "v32": weight(11, 8, 32, 3, 3)}


def concat(parts: str, out: str, axis: int = 1) -> onnx.NodeProto:
    return node("Concat", parts.split(), [out], axis=axis)


def pool(data: str, out: str) -> onnx.NodeProto:
    return node("MaxPool", [data], [out], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


# Nodes, the outputs, and the kernels that are left, without their numbers.
CASES: dict[str, tuple[list[onnx.NodeProto], list[str], str]] = {
    "branches": (
        [conv("w0", "x", "a"), node("Relu", ["a"], ["b"]), pool("x", "c"), concat("b c", "y")],
        ["y"],
        "transpose fused_conv2d_relu_into max_pool2d_into transpose",
    ),
    "an input among them": (
        [conv("w0", "x", "a"), concat("a x", "y")],
        ["y"],
        "transpose_into conv2d_into transpose",
    ),
    "one twice": (
        [conv("w0", "x", "a"), conv("w1", "x", "b"), concat("a b a", "y")],
        ["y"],
        "transpose conv2d conv2d_into write_slice write_slice transpose",
    ),
    "nothing of ours": ([concat("x x", "y")], ["y"], "concat"),
    "an output, too": (
        [conv("w0", "x", "a"), conv("w1", "x", "b"), concat("a b", "y")],
        ["y", "a"],
        "transpose conv2d_into conv2d_into transpose transpose",
    ),
    "read before and behind": (
        [
            *(conv("w0", "x", "a"), conv("w1", "a", "b"), concat("a b", "c"), conv("v16", "c", "d")),
            *(node("Add", ["d", "a"], ["e"]), node("Relu", ["e"], ["y"])),
        ],
        ["y"],
        "transpose conv2d_into conv2d_into fused_conv2d_add_relu transpose",
    ),
    "growing": (
        [
            *(conv("w0", "x", "a"), conv("w1", "a", "b"), concat("a b", "c"), node("Relu", ["c"], ["d"])),
            *(conv("v16", "d", "e"), concat("c e", "f"), pool("f", "g"), conv("v24", "g", "h"), concat("f h", "i")),
            conv("v32", "i", "y"),
        ],
        ["y"],
        "transpose conv2d_into conv2d_into relu conv2d_into max_pool2d conv2d_into conv2d transpose",
    ),
    "a constant first": (
        [conv("w0", "x", "a"), concat("k a", "c"), concat("c x", "d"), node("Relu", ["d"], ["y"])],
        ["y"],
        "transpose_into conv2d_into write_slice fused_relu_transpose",
    ),
    "a constant and an input inside": (
        [concat("k x", "c"), conv("w0", "x", "a"), concat("c a", "d"), node("Relu", ["d"], ["y"])],
        ["y"],
        "concat transpose conv2d_into transpose_into fused_relu_transpose",
    ),
    "concatenated twice": (
        [
            *(conv("w0", "x", "a"), conv("w1", "x", "b"), concat("a b", "c"), concat("b a", "d")),
            node("Add", ["c", "d"], ["y"]),
        ],
        ["y"],
        "transpose conv2d conv2d concat concat fused_add_transpose",
    ),
    "along two axes": (
        [
            *(conv("w0", "x", "a"), conv("w1", "x", "b"), concat("a b", "c", 2), conv("w2", "x", "d")),
            *(concat("d x", "e", 2), concat("c e", "f"), node("Relu", ["f"], ["y"])),
        ],
        ["y"],
        "transpose_into conv2d_into conv2d_into conv2d_into concat fused_relu_transpose",
    ),
}


def case(name: str, folder: Path) -> Model:
    nodes, outputs, _ = CASES[name]
    used = {i for n in nodes for i in n.input}
    weights = {k: v for k, v in {**W, **WIDE, "k": values(12, *SHAPE)}.items() if k in used}
    return module(folder, nodes, SHAPE, outputs, weights=weights)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", CASES)
def test_it_computes_the_same(name: str, precision: str, tmp_path: Path, threads: ComputeThread) -> None:
    tolerance = 1e-5 if precision == "fp32" else 2e-3
    assert_like_onnxruntime(case(name, tmp_path), tmp_path, threads, tolerance=tolerance, precision=precision)


@pytest.mark.parametrize("name", CASES)
def test_kernels_write_in_place(name: str, tmp_path: Path) -> None:
    found = calls(lower(lay_out(imported(case(name, tmp_path))), "float32").mod)
    assert re.sub(r"\d", "", " ".join(found)) == re.sub(r"\d", "", CASES[name][2])


def test_only_the_slice_is_counted_as_moved(tmp_path: Path) -> None:
    mod = lower(lay_out(imported(case("branches", tmp_path))), "float32").mod
    picture = 4 * 2 * 8 * 7 * 6
    found = {name: bytes_moved(as_task(mod[name])) for name in kernels(mod) if name.startswith("max_pool2d")}
    assert list(found.values()) == [2 * picture]

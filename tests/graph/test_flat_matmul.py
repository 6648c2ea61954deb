"""Products of stacks of matrices with a constant one become the `dense` kernel, what is behind them fused into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from compiler.frontend import Model
from compiler.graph.pipeline import lay_out, lower
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import (
    assert_like_onnxruntime,
    constants,
    graph,
    imported,
    kernels,
    loaded,
    module,
    node,
    values,
    weight,
)

SHAPE = (2, 6, 16)
W = {"w": weight(1, 16, 24), "v": weight(2, 24, 16), "b": values(3, 24), "c": values(4, 16)}

Nodes = list[onnx.NodeProto]


def lowered(model: Model, storage: str = "float32") -> list[str]:
    return kernels(lower(lay_out(imported(model)), storage).mod)


def feed_forward(*behind: onnx.NodeProto) -> Nodes:
    """Two layers of a transformer with `behind`, from `h` to `g`, between them, and the residual around them."""
    return [
        node("MatMul", ["x", "w"], ["p"]),
        node("Add", ["p", "b"], ["h"]),
        *behind,
        node("MatMul", ["g", "v"], ["q"]),
        node("Add", ["q", "c"], ["r"]),
        node("Add", ["x", "r"], ["y"]),
    ]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_feed_forward_network_is_two_kernels(precision: str, tmp_path: Path, threads: ComputeThread) -> None:
    model = module(tmp_path, feed_forward(node("Relu", ["h"], ["g"])), SHAPE, weights=W)
    found = [name for name in lowered(model) if "reshape" not in name]
    assert len(found) == 2 and all("dense" in name and "add" in name for name in found)
    # float16 weights are rounded to 11 bits
    assert_like_onnxruntime(
        model, tmp_path, threads, tolerance=1e-5 if precision == "fp32" else 5e-3, precision=precision
    )


def test_fp16_stores_the_weights_of_a_stack_in_halves(tmp_path: Path) -> None:
    model = module(tmp_path, feed_forward(node("Relu", ["h"], ["g"])), SHAPE, weights=W)
    mod = lower(lay_out(imported(model)), "float16").mod
    assert {a.shape for a in constants(mod) if a.dtype == np.float16} == {(16, 24), (24, 16)}


@pytest.mark.parametrize("shape", [(16,), (1, 16), (1, 6, 16), (3, 2, 4, 16)])
@pytest.mark.parametrize("behind", ["nothing", "an activation"])
def test_any_number_of_dimensions(shape: tuple[int, ...], behind: str, tmp_path: Path, threads: ComputeThread) -> None:
    last = node("Tanh", ["p"], ["y"]) if behind == "an activation" else node("Add", ["p", "b"], ["y"])
    model = module(tmp_path, [node("MatMul", ["x", "w"], ["p"]), last], shape, weights=W)
    assert any("dense" in name for name in lowered(model))
    assert_like_onnxruntime(model, tmp_path, threads)


BEHIND: dict[str, tuple[Nodes, dict[str, np.ndarray]]] = {
    "gelu as exporters write it": (
        [
            node("Div", ["h", "root"], ["g1"]),
            node("Erf", ["g1"], ["g2"]),
            node("Add", ["g2", "one"], ["g3"]),
            node("Mul", ["h", "g3"], ["g4"]),
            node("Mul", ["g4", "half"], ["g"]),
        ],
        {"root": np.float32(1.4142), "one": np.float32([1]), "half": np.float32([[0.5]])},
    ),
    "two readers in two shapes": (
        [
            node("Transpose", ["h"], ["t"], perm=[0, 2, 1]),
            node("Softmax", ["t"], ["s"], axis=1),
            node("Transpose", ["s"], ["u"], perm=[0, 2, 1]),
            node("Mul", ["h", "u"], ["g"]),
        ],
        {},
    ),
    "a constant per token": ([node("Add", ["h", "tokens"], ["g"])], {"tokens": values(5, 6, 1)}),
    "a constant per token and feature": ([node("Add", ["positions", "h"], ["g"])], {"positions": values(5, 1, 6, 24)}),
    "a constant that makes it wider": ([node("Mul", ["h", "more"], ["g"])], {"more": values(5, 2, 2, 1, 1)}),
    "a mean per token": (
        [node("ReduceMean", ["h"], ["m"], axes=[-1], keepdims=1), node("Sub", ["h", "m"], ["g"])],
        {},
    ),
    "a layer norm": (
        [node("LayerNormalization", ["h", "scale", "shift"], ["g"])],
        {"scale": values(5, 24), "shift": values(6, 24)},
    ),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_stands_between_two_products(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, weights = BEHIND[name]
    model = module(tmp_path, feed_forward(*nodes), SHAPE, weights={**W, **weights}, opset=17)
    assert sum("dense" in kernel for kernel in lowered(model)) == 2
    assert_like_onnxruntime(model, tmp_path, threads)


def test_products_without_a_constant_matrix_stay(tmp_path: Path, threads: ComputeThread) -> None:
    """Attention's own products, and a constant stack of matrices."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["x", "t"], ["s"]),
        node("MatMul", ["s", "stack"], ["y"]),
    ]
    model = module(tmp_path, nodes, SHAPE, weights={"stack": weight(7, 2, 6, 5)})
    assert not any("dense" in name for name in lowered(model))
    assert_like_onnxruntime(model, tmp_path, threads)


def test_a_product_that_is_an_output_and_read_again(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [node("MatMul", ["x", "w"], ["z"]), node("Relu", ["z"], ["r"]), node("MatMul", ["r", "v"], ["y"])]
    model = loaded(graph(nodes, [("x", SHAPE)], ["z", "y"], W), tmp_path)
    assert_like_onnxruntime(model, tmp_path, threads)

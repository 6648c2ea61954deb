"""Float16 graphs compute in float32: what is widened, what the interface keeps, and that sums no longer lose digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from compiler.frontend import Model, import_model, pre_softmax_reference, random_inputs, run_reference
from compiler.frontend.graphs import all_graphs
from compiler.graph.rewriter import op_name
from tests.frontend.graphs_for_tests import assert_same, graph, loaded, node, run_tvm, values

HALF = TensorProto.FLOAT16


def half(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, HALF, shape)


def weights(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array.astype("float16") if array.dtype == np.float32 else array for name, array in arrays.items()}


NETWORK = graph(
    [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("ReduceMean", ["c"], ["m"], axes=[2, 3], keepdims=0),
        node("MatMul", ["m", "v"], ["f"]),
        node("Softmax", ["f"], axis=1),
    ],
    [half("x", 1, 3, 8, 8)],
    [half("y", 1, 5)],
    weights(w=values(1, 4, 3, 3, 3), v=values(2, 4, 5)),
)


def halves(model: onnx.ModelProto) -> list[str]:
    """Everything float16 but the inputs, the outputs and the Casts at the boundary."""
    inside = [t.name for body in all_graphs(model.graph) for t in body.initializer if t.data_type == HALF]
    known = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.value_info
    inside += [value.name for value in known if value.type.tensor_type.elem_type == HALF]
    for body in list(all_graphs(model.graph))[1:]:
        inside += [v.name for v in (*body.input, *body.output) if v.type.tensor_type.elem_type == HALF]
    return inside


def check(model: Model) -> None:
    """Nothing inside is float16, in the reference or in what TVM is given, and both agree."""
    assert halves(model.reference) == []
    onnx.checker.check_model(model.reference, full_check=True)
    makes_halves = set()

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Call) and isinstance(expr.ty, relax.TensorType) and str(expr.ty.dtype) == "float16":
            makes_halves.add(op_name(expr))

    relax.analysis.post_order_visit(import_model(model)["main"], visit)
    assert makes_halves <= {"relax.astype"}
    assert_same(model, tolerance=2e-3)


def test_a_network_of_halves(tmp_path: Path) -> None:
    model = loaded(NETWORK, tmp_path)
    assert [spec.dtype for spec in (*model.inputs, *model.outputs)] == ["float16", "float16"]
    check(model)


def test_sums_are_exact_to_the_last_bit_of_the_output(tmp_path: Path) -> None:
    """The mean of 64 x 64 values near 100: in float16 the sum is 409,600, which is infinite."""
    nodes = [node("ReduceMean", ["x"], axes=[2, 3], keepdims=0)]
    model = loaded(graph(nodes, [half("x", 1, 2, 64, 64)], [half("y", 1, 2)]), tmp_path)
    x = (100 + values(3, 1, 2, 64, 64)).astype("float16")
    truth = x.astype("float64").mean(axis=(2, 3)).astype("float16")
    np.testing.assert_array_equal(run_reference(model, {"x": x})["y"], truth)
    np.testing.assert_array_equal(run_tvm(model, {"x": x})[0], truth)


def test_a_long_product_keeps_its_digits(tmp_path: Path) -> None:
    w = values(1, 4096, 8)
    model = loaded(graph([node("MatMul", ["x", "w"])], [half("x", 1, 4096)], [half("y", 1, 8)], weights(w=w)), tmp_path)
    x = (1 + values(2, 1, 4096)).astype("float16")
    truth = x.astype("float64") @ w.astype("float16").astype("float64")
    np.testing.assert_allclose(run_tvm(model, {"x": x})[0], truth, rtol=1e-3)  # half a unit in the last place: 5e-4


def test_bodies_are_widened_too(tmp_path: Path) -> None:
    def body(name: str, op: str) -> onnx.GraphProto:
        shift = numpy_helper.from_array(np.float16([0.5]), f"{name}_shift")
        made = [node(op, ["t", f"{name}_shift"], [f"{name}_out"])]
        return helper.make_graph(made, name, [], [half(f"{name}_out", 2, 3)], [shift])

    nodes = [
        node("Mul", ["x", "x"], ["t"]),
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], then_branch=body("yes", "Add"), else_branch=body("no", "Mul")),
    ]
    check(loaded(graph(nodes, [half("x", 2, 3)], [half("y", 2, 3)], weights(zero=np.float32(0))), tmp_path))


def test_a_branch_may_return_a_tensor_from_outside(tmp_path: Path) -> None:
    def body(name: str, inner: str) -> onnx.GraphProto:
        return helper.make_graph([node("Identity", [inner], [name])], name, [], [half(name, 2)])

    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, ())
    nodes = [node("If", ["c"], then_branch=body("a", "x"), else_branch=body("b", "z"))]
    model = loaded(graph(nodes, [condition, half("x", 2), half("z", 2)], [half("y", 2)]), tmp_path)
    x, z = np.float16([1, 2]), np.float16([3, 4])
    assert run_reference(model, {"c": np.array(True), "x": x, "z": z})["y"].tolist() == [1, 2]


MIXED = {
    "whole numbers go in": graph(
        [
            node("Gather", ["table", "ids"], ["e"]),
            node("Cast", ["ids"], ["k"], to=HALF),
            node("Unsqueeze", ["k", "last"], ["k2"]),
            node("Mul", ["e", "k2"], ["t"]),
            node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
        ],
        [helper.make_tensor_value_info("ids", TensorProto.INT64, (5,))],
        ["y"],
        weights(table=values(1, 7, 3), last=np.array([1])),
    ),
    "constants and their shapes": graph(
        [
            node("Constant", [], ["c"], value=numpy_helper.from_array(np.float16([1.5, 2.5]))),
            node("ConstantOfShape", ["s"], ["o"], value=numpy_helper.from_array(np.float16([0.25]))),
            node("Add", ["x", "c"], ["t"]),
            node("Mul", ["t", "o"]),
        ],
        [half("x", 3, 2)],
        [half("y", 3, 2)],
        {"s": np.array([3, 2])},
    ),
    "an output inside, read again": graph(
        [node("Relu", ["x"], ["z"]), node("Exp", ["z"])], [half("x", 3)], [half("z", 3), half("y", 3)]
    ),
    "an output that is a weight": graph(
        [node("Relu", ["x"], ["y"])], [half("x", 3)], [half("y", 3), half("w", 2)], weights(w=values(1, 2))
    ),
    "a half in a float32 graph": graph(
        [node("Cast", ["x"], ["t"], to=HALF), node("Mul", ["t", "w"], ["u"]), node("Cast", ["u"], ["y"], to=1)],
        [("x", (2, 3))],
        ["y"],
        weights(w=values(1, 3)),
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_other_places_of_halves(name: str, tmp_path: Path) -> None:
    check(loaded(MIXED[name], tmp_path))


def test_an_input_that_is_an_output(tmp_path: Path) -> None:
    model = loaded(graph([node("Relu", ["x"])], [half("x", 3)], [half("x", 3), half("y", 3)]), tmp_path)
    x = np.float16([-1, 2, 3])
    found = run_reference(model, {"x": x})
    assert found["x"].tolist() == [-1, 2, 3] and found["y"].tolist() == [0, 2, 3]


def test_the_inner_layer_is_seen_through_the_cast(tmp_path: Path) -> None:
    model = loaded(NETWORK, tmp_path)
    inner = pre_softmax_reference(model)
    assert inner is not None and inner.outputs[0].dtype == "float32"
    logits = next(iter(run_reference(inner, random_inputs(model.inputs)).values()))
    assert logits.dtype == np.float32 and np.ptp(logits) > 0
    assert_same(inner)


def test_a_graph_without_halves_is_left_alone(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"])]
    model = loaded(graph(nodes, [("x", (1, 3, 8, 8))], ["y"], {"w": values(1, 4, 3, 3, 3)}), tmp_path)
    assert [n.op_type for n in model.reference.graph.node] == ["Conv"]

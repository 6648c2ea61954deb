"""Indices out of range stay inside of their tensors, and those in range mean what ONNX says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.frontend import Model, run_reference
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import graph, loaded, node, run_compiled, values

FAR = 10**9  # far outside of the process's memory
TABLE = values(1, 10, 3)
DATA = ("x", (4, 5))


def ints(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def outputs(model: Model, folder: Path, threads: ComputeThread, **inputs: np.ndarray) -> np.ndarray:
    return run_compiled(model, folder, threads, inputs)[1][0]


GOOD = {
    "Gather": (
        graph([node("Gather", ["w", "i"])], [ints("i", 4)], ["y"], {"w": TABLE}),
        {"i": np.array([0, 9, -1, -10])},
    ),
    "Gather along an axis": (graph([node("Gather", ["x", "i"], axis=1)], [DATA, ints("i", 2, 2)], ["y"]),
        {"x": values(2, 4, 5), "i": np.array([[0, 4], [-1, -5]])}),
    "GatherElements": (graph([node("GatherElements", ["x", "i"], axis=1)], [DATA, ints("i", 4, 2)], ["y"]),
        {"x": values(2, 4, 5), "i": np.array([[0, 4], [-1, -5], [2, 3], [1, -2]])}),
    "GatherND": (graph([node("GatherND", ["x", "i"])], [DATA, ints("i", 3, 2)], ["y"]),
        {"x": values(2, 4, 5), "i": np.array([[3, 4], [-4, -5], [0, -1]])}),
    "GatherND in batches": (
        graph([node("GatherND", ["x", "i"], batch_dims=1)], [("x", (2, 3, 4)), ints("i", 2, 2)], ["y"]),
        {"x": values(2, 2, 3, 4), "i": np.array([[2, 3], [-3, -4]])}),
    "ScatterElements": (
        graph([node("ScatterElements", ["x", "i", "u"], axis=1)], [DATA, ints("i", 4, 2), ("u", (4, 2))], ["y"]),
        {"x": values(2, 4, 5), "i": np.array([[0, 4], [-1, -5], [2, 3], [1, -2]]), "u": values(3, 4, 2)}),
    "ScatterND": (graph([node("ScatterND", ["x", "i", "u"])], [DATA, ints("i", 3, 2), ("u", (3,))], ["y"]),
        {"x": values(2, 4, 5), "i": np.array([[3, 4], [-4, -5], [0, -1]]), "u": values(3, 3)}),
    "RoiAlign": (
        graph([node("RoiAlign", ["x", "r", "i"], output_height=2, output_width=2)],
              [("x", (2, 3, 8, 8)), ("r", (2, 4)), ints("i", 2)], ["y"], opset=16),
        {"x": values(2, 2, 3, 8, 8), "r": np.float32([[1, 1, 6, 6], [0, 2, 5, 7]]), "i": np.array([1, 0])}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_indices_in_range_are_onnx_runtime_s(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    proto, inputs = GOOD[name]
    model = loaded(proto, tmp_path)
    wanted = run_reference(model, inputs)["y"]
    np.testing.assert_allclose(outputs(model, tmp_path, threads, **inputs), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("index", [FAR, -FAR, 2**62, -(2**62)])
@pytest.mark.parametrize("name", GOOD)
def test_indices_out_of_range_stay_inside(name: str, index: int, tmp_path: Path, threads: ComputeThread) -> None:
    """The process lives, and what comes out is made of what went in."""
    proto, inputs = GOOD[name]
    found = outputs(loaded(proto, tmp_path), tmp_path, threads, **{**inputs, "i": np.full_like(inputs["i"], index)})
    if name != "RoiAlign":
        assert np.isin(found, np.concatenate([TABLE.ravel(), *(a.ravel() for a in inputs.values())])).all()
    assert np.isfinite(found).all()


def test_the_row_behind_the_last_is_the_last(tmp_path: Path, threads: ComputeThread) -> None:
    model = loaded(GOOD["Gather"][0], tmp_path)
    found = outputs(model, tmp_path, threads, i=np.array([10, -11, 9, 0]))
    np.testing.assert_array_equal(found, TABLE[[9, 0, 9, 0]])


def test_an_index_inside_a_branch_is_bounded_too(tmp_path: Path, threads: ComputeThread) -> None:
    def branch(name: str, op: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, (4, 3))
        nodes = [node("Gather", ["w", "i"], [f"{name}_rows"]), node(op, [f"{name}_rows"], [name])]
        return helper.make_graph(nodes, name, [], [out])

    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, ())
    nodes = [node("If", ["c"], then_branch=branch("t", "Identity"), else_branch=branch("e", "Neg"))]
    model = loaded(graph(nodes, [condition, ints("i", 4)], ["y"], {"w": TABLE}), tmp_path)
    found = outputs(model, tmp_path, threads, c=np.array(False), i=np.array([FAR, -FAR, -1, 0]))
    np.testing.assert_array_equal(found, -TABLE[[9, 0, 9, 0]])


def test_nothing_is_printed_about_it(tmp_path: Path, threads: ComputeThread, capfd: pytest.CaptureFixture[str]) -> None:
    model = loaded(GOOD["Gather"][0], tmp_path)
    outputs(model, tmp_path, threads, i=np.arange(4))
    assert "Fast mode" not in capfd.readouterr().err
